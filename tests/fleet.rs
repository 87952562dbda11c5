//! What the tests share: configurations held in memory, facts of images that do not exist, and state as it would be after a
//! plan's steps, made by the table that the live run uses.

use std::collections::{BTreeMap, BTreeSet};

use bmctl::apply::lifecycle::{self, Fact};
use bmctl::config::{self, Loaded, MemorySources};
use bmctl::diag::{Color, Diagnostic};
use bmctl::ids::Addr;
use bmctl::model::recorded::{Phoned, WrittenDisk};
use bmctl::model::{Fleet, Image, ImageFacts, ImageFormat, ImageType, Observed, Recorded};
use bmctl::plan::layout::Layout;
use bmctl::plan::{Intent, Plan, PlanInput, PlannedStep, Selection, Step, audit, make, planfile};
use bmctl::store::StateChange;
use bmctl::units::{MIB, Sha256};
use sha2::Digest;

/// The secret that every configuration of these tests uses, and that must come out nowhere.
pub const CANARY: &str = "hunter2";

pub fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

pub fn load(files: &[(&str, &str)]) -> Loaded {
    let sources = files
        .iter()
        .fold(MemorySources::default(), |s, (name, text)| {
            s.file(name, *text)
        });
    config::load(".", &[], &sources)
}

pub fn without_mistakes(loaded: Loaded) -> Loaded {
    assert!(
        !loaded.diagnostics.has_errors(),
        "{}",
        rendered(loaded.diagnostics.iter(), &loaded)
    );
    loaded
}

pub fn rendered<'a>(list: impl Iterator<Item = &'a Diagnostic>, loaded: &Loaded) -> String {
    let texts: Vec<String> = list
        .map(|d| d.render(&loaded.sources, Color::Never))
        .collect();
    texts.join("\n\n")
}

/// A digest that can be told by its first letters.
pub fn digest(of: &str) -> Sha256 {
    Sha256(sha2::Sha256::digest(of.as_bytes()).into())
}

/// What an image would be when nothing else is said: 64 MiB, its digest that of its path.
pub fn pseudo_facts(image: &Image) -> ImageFacts {
    let partition = image.kind == ImageType::Partition;
    ImageFacts {
        sha256: digest(&image.source),
        format: ImageFormat::Raw,
        file_size: 64 * MIB,
        virtual_size: 64 * MIB,
        fs_uuid: partition.then(|| "0a1b2c3d-0000-4000-8000-000000000001".to_owned()),
        table: (!partition).then(|| "mbr:0badcafe".parse().unwrap()),
        kernel_sha256: image.kernel.as_deref().map(digest),
        initrd_sha256: image.initrd.as_deref().map(digest),
    }
}

pub fn facts_of(fleet: &Fleet) -> BTreeMap<Addr, ImageFacts> {
    let facts = |(addr, image): (&Addr, &Image)| (addr.clone(), pseudo_facts(image));
    fleet.images.iter().map(facts).collect()
}

/// State and claims as the store would hold them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pub recorded: Recorded,
    pub claims: BTreeMap<Addr, Addr>,
    /// The names of what is sealed.
    pub secrets: BTreeSet<String>,
}

impl Memory {
    pub fn new() -> Memory {
        let recorded = Recorded {
            lineage: "test".to_owned(),
            ..Recorded::default()
        };
        Memory {
            recorded,
            claims: BTreeMap::new(),
            secrets: BTreeSet::new(),
        }
    }

    /// Seals what a fleet has of secrets, as apply does before its first step.
    pub fn seal(&mut self, fleet: &Fleet, plan: &Plan) {
        let with_data = fleet
            .instances
            .iter()
            .filter(|(addr, i)| i.user_data.is_some() && plan.is_about(addr));
        let data = with_data.map(|(addr, _)| lifecycle::user_data_secret(addr));
        let nodes = fleet.nodes.keys().filter(|addr| plan.is_about(addr));
        let passwords = nodes.map(lifecycle::password_secret);
        self.secrets.extend(passwords.chain(data));
    }

    /// Takes the steps as done, one after the other. A step for which `fails` holds is not done, and nothing that waits for it.
    pub fn apply(&mut self, plan: &Plan, fails: impl Fn(&PlannedStep) -> bool) {
        let mut undone = BTreeSet::new();
        for step in &plan.steps {
            if fails(step) || step.after.iter().any(|b| undone.contains(b)) {
                undone.insert(step.id);
            } else {
                self.take(step);
            }
        }
    }

    fn take(&mut self, step: &PlannedStep) {
        if let Step::Claim { instance, node, .. } = &step.step {
            let holder = self.claims.entry(node.clone()).or_insert(instance.clone());
            assert_eq!(holder, instance, "{node} is claimed twice");
            let nodes = self.claims.values().filter(|i| *i == instance).count();
            assert_eq!(nodes, 1, "{instance} claims two nodes");
        }
        self.check_secrets(&step.step);
        let changes = lifecycle::effects(
            &step.step,
            fact_of(&step.step).as_ref(),
            &self.recorded.resources,
        );
        for change in &changes {
            match change {
                StateChange::Unclaim { node, instance } => assert_eq!(
                    self.claims.remove(node).as_ref(),
                    Some(instance),
                    "{node} is released by another"
                ),
                StateChange::DropSecret(name) => {
                    self.secrets.remove(name);
                }
                StateChange::LeaveBehind { node, tables } => self
                    .recorded
                    .left_behind
                    .entry(node.clone())
                    .or_default()
                    .extend(tables),
                StateChange::Move(moves) => self.rename(moves),
                StateChange::Put(..) | StateChange::Remove(_) => {}
            }
        }
        lifecycle::fold(&mut self.recorded.resources, &changes);
        self.recorded.serial += u64::from(!changes.is_empty());
    }

    fn rename(&mut self, moves: &BTreeMap<Addr, Addr>) {
        let to = |addr: &Addr| moves.get(addr).unwrap_or(addr).clone();
        self.claims = self.claims.iter().map(|(n, i)| (to(n), to(i))).collect();
        let left = std::mem::take(&mut self.recorded.left_behind);
        self.recorded.left_behind = left.into_iter().map(|(n, t)| (to(&n), t)).collect();
        for (from, to) in moves {
            for what in ["password", "user_data"] {
                if self.secrets.remove(&format!("{from}/{what}")) {
                    self.secrets.insert(format!("{to}/{what}"));
                }
            }
        }
    }

    /// A step finds what it needs sealed, and nothing that the configuration has taken back.
    fn check_secrets(&self, step: &Step) {
        match step {
            Step::PowerOff { bmc, .. }
            | Step::PowerOn { bmc }
            | Step::SetBootDevice { bmc, .. } => {
                let name = lifecycle::password_secret(&bmc.node);
                assert!(self.secrets.contains(&name), "{name} is not sealed");
            }
            Step::WriteDisk(write) => {
                let name = lifecycle::user_data_secret(&write.instance);
                assert_eq!(
                    self.secrets.contains(&name),
                    write.config_drive.user_data_fingerprint.is_some(),
                    "{name}"
                );
            }
            _ => {}
        }
    }

    /// Every instance holds the node it is recorded on, and nobody else holds one; no secret is kept that nobody needs.
    pub fn check(&self) {
        for name in &self.secrets {
            let (owner, _) = name.split_once('/').unwrap();
            assert!(
                self.recorded.resources.contains_key(&addr(owner)),
                "{name} is kept"
            );
        }

        let expected: BTreeMap<Addr, Addr> = self
            .recorded
            .resources
            .iter()
            .filter_map(|(addr, r)| Some((r.as_instance()?.node.clone(), addr.clone())))
            .collect();
        assert_eq!(self.claims, expected);
    }
}

/// What a step would find out when all goes well.
fn fact_of(step: &Step) -> Option<Fact> {
    match step {
        Step::WriteDisk(write) => {
            let hints = &write.disk.root_device;
            let serial = write.disk.serial.clone().or_else(|| hints.serial.clone());
            Some(Fact::Written(WrittenDisk {
                serial: serial.unwrap_or_else(|| "FOUND".to_owned()),
                size: write.disk.size_min,
                table: match &write.layout {
                    Layout::Partitions { table, .. } => Some(*table),
                    Layout::WholeDisk { .. } => write.facts.table,
                },
            }))
        }
        Step::AwaitPhoneHome { hostname, .. } => Some(Fact::Phoned(Phoned {
            hostname: hostname.to_string(),
            address: "simulated".to_owned(),
            root: "simulated".to_owned(),
        })),
        _ => None,
    }
}

/// The plan that makes a fleet out of nothing, and a memory that has its secrets.
pub fn first_plan(fleet: &Fleet) -> (Memory, Plan) {
    let mut memory = Memory::new();
    let (nothing, seen) = (&memory.recorded, Observed::default());
    let first = plan(fleet, nothing, &seen, &facts_of(fleet), Intent::Apply).unwrap();
    memory.seal(fleet, &first);
    (memory, first)
}

/// A plan, after what must hold of every plan has been checked: the audit finds nothing, planning again gives the same bytes,
/// the file reads back, no secret is in it.
pub fn plan(
    fleet: &Fleet,
    recorded: &Recorded,
    observed: &Observed,
    facts: &BTreeMap<Addr, ImageFacts>,
    intent: Intent,
) -> Result<Plan, Vec<Diagnostic>> {
    plan_of(
        fleet,
        recorded,
        observed,
        facts,
        intent,
        &Selection::default(),
    )
}

/// The same of a part.
pub fn plan_of(
    fleet: &Fleet,
    recorded: &Recorded,
    observed: &Observed,
    facts: &BTreeMap<Addr, ImageFacts>,
    intent: Intent,
    selection: &Selection,
) -> Result<Plan, Vec<Diagnostic>> {
    let input = PlanInput {
        fleet,
        recorded,
        observed,
        facts,
        intent,
        selection,
    };
    let plan = make(&input).map_err(|d| d.into_iter().collect::<Vec<_>>())?;
    let findings = audit::audit(&plan);
    assert!(findings.is_empty(), "audit: {findings:#?}");
    let bytes = planfile::write(&plan, None).unwrap();
    let again = planfile::write(&make(&input).unwrap(), None).unwrap();
    assert!(bytes == again, "planning twice gave two plans");
    assert_eq!(planfile::read(&bytes).unwrap(), (plan.clone(), None));
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains(CANARY), "a secret is in the plan");
    Ok(plan)
}
