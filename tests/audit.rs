//! The second opinion has to differ: each way of spoiling a good plan must be found, with words that say what is wrong.

use bmctl::ids::Addr;
use bmctl::model::Observed;
use bmctl::plan::step::{BootDevice, Condition, Persistence};
use bmctl::plan::{Action, Intent, Plan, PlannedStep, Risk, Step, StepId, audit};

use crate::fleet::{Memory, addr, facts_of, load, plan, without_mistakes};

/// A plan with every kind of change: `a` is written anew, `b` leaves node 1 and is erased, `c` moves there, `d` is switched
/// off, `e` is new.
fn good() -> Plan {
    let node = |n: usize| {
        format!(
            "node \"n{n}\" {{\n  site = site.lab\n  arch = \"x86_64\"\n  cpus = 2\n  memory_mb = 2048\n  local_gb = 20\n  \
             power \"ipmi\" {{\n    address = \"10.98.0.{n}\"\n    user = \"admin\"\n    password = \"hunter2\"\n  }}\n}}\n\
             nic \"n{n}\" {{\n  node = node.n{n}\n  network = network.pxe\n  mac = \"52:54:00:00:00:0{n}\"\n  pxe = true\n}}\n"
        )
    };
    let nodes: String = (1..=5).map(node).collect();
    let instance = |name: &str, node: usize, rest: &str| {
        format!(
            "instance \"{name}\" {{\n  flavor = flavor.small\n  node = node.n{node}\n{rest}\n}}\n"
        )
    };
    let fleet = |instances: [String; 4]| {
        let text = nodes.clone() + &instances.concat();
        let base = include_str!("plan/base.hcl");
        without_mistakes(load(&[("base.hcl", base), ("main.hcl", &text)])).fleet
    };
    let (part, disk) = ("  image = image.part", "  image = image.disk");
    let before = fleet([
        instance("a", 1, part),
        instance("b", 2, &format!("{disk}\n  erase = \"zero\"")),
        instance("c", 3, disk),
        instance("d", 4, disk),
    ]);
    let after = fleet([
        instance("a", 1, disk),
        instance("c", 2, disk),
        instance("d", 4, &format!("{disk}\n  power_state = \"off\"")),
        instance("e", 5, part),
    ]);
    let mut memory = Memory::new();
    let seen = Observed::default();
    let first = plan(
        &before,
        &memory.recorded,
        &seen,
        &facts_of(&before),
        Intent::Apply,
    );
    let first = first.unwrap();
    memory.seal(&before, &first);
    memory.apply(&first, |_| false);
    plan(
        &after,
        &memory.recorded,
        &seen,
        &facts_of(&after),
        Intent::Apply,
    )
    .unwrap()
}

/// Takes the steps out as if they had never been planned: their followers wait for what they waited for.
fn without(mut plan: Plan, gone: impl Fn(&PlannedStep) -> bool) -> Plan {
    let mut new_id: Vec<Option<StepId>> = Vec::new();
    let mut inherited: Vec<Vec<StepId>> = Vec::new();
    let mut kept = Vec::new();
    for mut step in std::mem::take(&mut plan.steps) {
        let mut after: Vec<StepId> = Vec::new();
        for before in &step.after {
            match new_id[before.0 as usize] {
                Some(id) => after.push(id),
                None => after.extend(&inherited[before.0 as usize]),
            }
        }
        after.sort();
        after.dedup();
        let goes = gone(&step);
        inherited.push(after.clone());
        new_id.push((!goes).then_some(StepId(kept.len() as u32)));
        if !goes {
            step.id = StepId(kept.len() as u32);
            step.after = after;
            kept.push(step);
        }
    }
    assert!(kept.len() < new_id.len(), "nothing was taken out");
    plan.steps = kept;
    for change in &mut plan.changes {
        change.steps = change
            .steps
            .iter()
            .filter_map(|id| new_id[id.0 as usize])
            .collect();
    }
    plan
}

fn of(name: &str) -> impl Fn(&PlannedStep, fn(&Step) -> bool) -> bool {
    let subject = addr(&format!("instance.{name}"));
    move |step, kind| step.subject == subject && kind(&step.step)
}

fn first(plan: &mut Plan, wanted: impl Fn(&Step) -> bool) -> &mut PlannedStep {
    plan.steps.iter_mut().find(|s| wanted(&s.step)).unwrap()
}

#[track_caller]
fn found(plan: &Plan, words: &str) {
    let findings = audit::audit(plan);
    assert!(
        findings.iter().any(|f| f.contains(words)),
        "`{words}` is not among {findings:#?}"
    );
}

/// An instance, a kind of step that its plan goes without, and what the audit says.
type Missing = (&'static str, fn(&Step) -> bool, &'static str);

fn is_write(step: &Step) -> bool {
    matches!(step, Step::WriteDisk(_))
}

fn is_ramdisk(step: &Step) -> bool {
    matches!(step, Step::AwaitRamdisk { .. })
}

#[test]
fn a_step_that_is_missing_is_found() {
    assert_eq!(audit::audit(&good()), [""; 0]);
    let cases: [Missing; 16] = [
        (
            "e",
            |s| matches!(s, Step::Claim { .. }),
            "without having claimed it",
        ),
        (
            "e",
            |s| matches!(s, Step::PowerOff { .. }),
            "may still be running",
        ),
        (
            "e",
            |s| matches!(s, Step::BootDeploy { .. }),
            "not started into its ramdisk",
        ),
        (
            "e",
            |s| {
                matches!(
                    s,
                    Step::SetBootDevice {
                        persistence: Persistence::Once,
                        ..
                    }
                )
            },
            "nothing makes it boot into the ramdisk",
        ),
        (
            "e",
            |s| matches!(s, Step::PowerOn { .. }),
            "not started into its ramdisk",
        ),
        ("e", is_ramdisk, "without having heard its ramdisk"),
        ("e", is_write, "before its disk is written"),
        (
            "e",
            |s| matches!(s, Step::BootInstance { .. }),
            "never replaced",
        ),
        ("e", |s| matches!(s, Step::Reboot { .. }), "never left"),
        (
            "e",
            |s| matches!(s, Step::Finish { .. }),
            "has no end in state",
        ),
        (
            "b",
            |s| matches!(s, Step::Release { .. }),
            "has not released it",
        ),
        (
            "b",
            |s| matches!(s, Step::PowerOff { .. }),
            "may still be running",
        ),
        ("b", is_ramdisk, "before its ramdisk was heard"),
        (
            "c",
            |s| matches!(s, Step::Release { .. }),
            "has no end in state",
        ),
        (
            "b",
            |s| matches!(s, Step::RemoveBoot { .. }),
            "never replaced",
        ),
        (
            "a",
            |s| matches!(s, Step::Claim { .. }),
            "without having claimed it",
        ),
    ];
    for (name, kind, words) in cases {
        found(&without(good(), |s| of(name)(s, kind)), words);
    }
    let unchecked = without(good(), |s| matches!(s.step, Step::CheckImage { .. }));
    found(&unchecked, "an image that no step checks");
}

#[test]
fn a_step_out_of_its_order_is_found() {
    for kind in [is_write, is_ramdisk] {
        let mut loose = good();
        first(&mut loose, kind).after.clear();
        found(&loose, "could run at once");
    }
    // The write waits for the claim and for nothing else.
    let mut early = good();
    let claim = first(&mut early, |s| matches!(s, Step::Claim { .. })).clone();
    let write = early
        .steps
        .iter_mut()
        .find(|s| s.subject == claim.subject && is_write(&s.step))
        .unwrap();
    write.after = vec![claim.id];
    found(&early, "could run at once");
    found(&early, "without having heard its ramdisk");

    let mut forward = good();
    forward.steps[3].after = vec![StepId(4)];
    found(&forward, "does not come before it");
    let mut numbered = good();
    numbered.steps[3].id = StepId(7);
    found(&numbered, "stands at place 3");
}

#[test]
fn a_step_that_lies_about_itself_is_found() {
    let other = addr("node.n4");
    let mut plan = good();
    first(&mut plan, is_write).node = Some(other.clone());
    found(&plan, "acts on another node");
    let mut plan = good();
    if let Step::WriteDisk(write) = &mut first(&mut plan, is_write).step {
        write.node = other.clone();
    }
    found(&plan, "acts on another node");
    let mut plan = good();
    if let Step::PowerOff { bmc, .. } =
        &mut first(&mut plan, |s| matches!(s, Step::PowerOff { .. })).step
    {
        bmc.node = other.clone();
    }
    found(&plan, "acts on another node");
    let mut plan = good();
    if let Step::WriteDisk(write) = &mut first(&mut plan, is_write).step {
        write.instance = addr("instance.d");
    }
    found(&plan, "acts for another resource");
    let mut plan = good();
    if let Step::Claim { record, .. } =
        &mut first(&mut plan, |s| matches!(s, Step::Claim { .. })).step
    {
        record.node = other;
    }
    found(&plan, "records another node");
    let mut plan = good();
    first(&mut plan, is_write).expect = Condition::Nothing;
    found(&plan, "conditions are not those of its kind");
    let mut plan = good();
    first(&mut plan, is_write).limit_s = 0;
    found(&plan, "has no limit");
    let mut plan = good();
    if let Step::SetBootDevice { device, .. } =
        &mut first(&mut plan, |s| matches!(s, Step::SetBootDevice { .. })).step
    {
        *device = BootDevice::Disk;
    }
    found(&plan, "nothing makes it boot into the ramdisk");
    let mut plan = good();
    if let Step::WriteDisk(write) = &mut first(&mut plan, is_write).step {
        write.facts.sha256 = crate::fleet::digest("other");
    }
    found(&plan, "an image that no step checks");
}

#[test]
fn a_change_that_does_not_own_up_is_found() {
    let change = |plan: &mut Plan, name: &str| -> usize {
        let subject: Addr = addr(&format!("instance.{name}"));
        plan.changes.iter().position(|c| c.addr == subject).unwrap()
    };
    let mut plan = good();
    let at = change(&mut plan, "a");
    plan.changes[at].disk = None;
    found(&plan, "a disk that the change does not name");
    let mut plan = good();
    plan.changes[at].action = Action::Update;
    found(&plan, "an update writes to a disk");
    for name in ["a", "b", "d"] {
        let mut plan = good();
        let at = change(&mut plan, name);
        plan.changes[at].risk = Risk::InPlace;
        found(&plan, "the change says \"in place\"");
        plan.changes.remove(at);
        found(&plan, "belongs to no change");
    }
    let mut plan = good();
    plan.changes[at].steps.push(StepId(10_000));
    found(&plan, "does not exist");
}

/// A plan for one instance, on the node that another keeps.
#[test]
fn a_node_that_keeps_its_instance_is_not_touched_for_another() {
    let mut plan = good();
    let (ours, theirs) = (addr("node.n5"), addr("node.n4"));
    for step in plan
        .steps
        .iter_mut()
        .filter(|s| s.node.as_ref() == Some(&ours))
    {
        let text = serde_json::to_string(step).unwrap();
        *step = serde_json::from_str(&text.replace("node.n5", "node.n4")).unwrap();
    }
    assert!(
        plan.steps
            .iter()
            .any(|s| s.node.as_ref() == Some(&theirs) && is_write(&s.step))
    );
    found(&plan, "has not released it");
}
