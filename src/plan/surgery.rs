//! What a person may do to the state by hand, decided before it is done: which records a command is about, and why it is
//! refused.

use std::collections::BTreeSet;

use super::moves::{self, Moves};
use crate::ids::Addr;
use crate::model::{InstancePhase, InstanceRecord, PowerState, Recorded, Resource, Subject};

/// Why nothing is done, for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// `module.pool["a"]`, or an address.
pub fn subject(text: &str) -> Result<Subject, String> {
    let as_resource = text.parse::<Addr>();
    if let Ok(addr) = as_resource {
        return Ok(Subject::Resource(addr));
    }
    // A module is the way to any resource in it.
    match format!("{text}.node.x").parse::<Addr>() {
        Ok(inside) if !inside.module.is_empty() => Ok(Subject::Module(inside.module)),
        Ok(_) | Err(_) => Err(format!(
            "expected an address such as node.rack[\"r1-01\"], or a module such as module.pool, found `{text}`"
        )),
    }
}

/// Which records get which addresses.
pub fn renamings(recorded: &Recorded, from: &Subject, to: &Subject) -> Result<Moves, Refused> {
    match (from, to) {
        (Subject::Resource(from), Subject::Resource(to)) if from.kind != to.kind => {
            let (a, b) = (from.kind, to.kind);
            return Err(Refused(format!(
                "{from} is of kind {a} and {to} of kind {b}; expected an address of the same kind"
            )));
        }
        (Subject::Resource(_), Subject::Module(_)) | (Subject::Module(_), Subject::Resource(_)) => {
            return Err(Refused(format!(
                "{from} cannot become {to}; expected two resources or two modules"
            )));
        }
        (Subject::Resource(_), Subject::Resource(_)) | (Subject::Module(_), Subject::Module(_)) => {
        }
    }
    let moves: Moves = recorded
        .resources
        .keys()
        .filter_map(|addr| Some((addr.clone(), moves::moved(from, to, addr)?)))
        .filter(|(from, to)| from != to)
        .collect();
    if moves.is_empty() {
        return Err(Refused(format!(
            "nothing that state records would move from {from} to {to}; `bmctl state list` shows what there is"
        )));
    }
    let mut targets = BTreeSet::new();
    for (from, to) in &moves {
        let stays = recorded.resources.contains_key(to) && !moves.contains_key(to);
        if stays || !targets.insert(to) {
            return Err(Refused(format!(
                "{from} cannot become {to}: that address is taken; move what has it elsewhere first"
            )));
        }
    }
    Ok(moves)
}

/// Which records are to be forgotten.
pub fn removals(recorded: &Recorded, subjects: &[Subject]) -> Result<BTreeSet<Addr>, Refused> {
    let mut out = BTreeSet::new();
    for subject in subjects {
        let about = recorded
            .resources
            .keys()
            .filter(|a| moves::about(subject, a));
        let before = out.len();
        out.extend(about.cloned());
        if out.len() == before && !out.iter().any(|a| moves::about(subject, a)) {
            return Err(Refused(format!(
                "{subject} is not in the state; `bmctl state list` shows what is"
            )));
        }
    }
    for (addr, record) in instances(recorded) {
        if out.contains(&record.node) && !out.contains(addr) {
            return Err(Refused(format!(
                "{} carries {addr}; forget both (`bmctl state rm '{}' '{addr}'`), or destroy the instance first",
                record.node, record.node
            )));
        }
    }
    Ok(out)
}

/// What stays on machines when these records are forgotten.
pub fn left_alone(recorded: &Recorded, forgotten: &BTreeSet<Addr>) -> Vec<String> {
    let of = |(addr, record): (&Addr, &InstanceRecord)| {
        let on_disk = match &record.disk {
            Some(disk) => format!(
                "its system stays on disk {} of {}",
                disk.serial, record.node
            ),
            None => format!("nothing of it was written to a disk of {}", record.node),
        };
        format!(
            "{addr}: {on_disk}, powered as it is; a new instance is not written over what is found there"
        )
    };
    instances(recorded)
        .filter(|(addr, _)| forgotten.contains(*addr))
        .map(of)
        .collect()
}

/// An instance that a person has looked at and found well, as it is to be recorded.
pub fn untainted(recorded: &Recorded, addr: &Addr) -> Result<InstanceRecord, Refused> {
    let Some(resource) = recorded.resources.get(addr) else {
        return Err(Refused(format!(
            "{addr} is not in the state; `bmctl state list` shows what is"
        )));
    };
    let Some(record) = resource.as_instance() else {
        return Err(Refused(format!(
            "{addr} is of kind {}; only an instance needs attention",
            addr.kind
        )));
    };
    let why = match &record.phase {
        InstancePhase::NeedsAttention(why) => why,
        InstancePhase::Deploying
        | InstancePhase::Destroying
        | InstancePhase::Running
        | InstancePhase::Off => {
            return Err(Refused(format!(
                "{addr} does not need attention; `bmctl show` says what it is"
            )));
        }
    };
    if record.disk.is_none() {
        return Err(Refused(format!(
            "{addr} needs attention ({why}) and its disk was not written to the end: there is no system to call well; apply deploys it again"
        )));
    }
    let mut well = record.clone();
    well.phase = match record.desired.power_state {
        PowerState::On => InstancePhase::Running,
        PowerState::Off => InstancePhase::Off,
    };
    Ok(well)
}

fn instances(recorded: &Recorded) -> impl Iterator<Item = (&Addr, &InstanceRecord)> {
    let all = recorded.resources.iter();
    all.filter_map(|(addr, resource): (&Addr, &Resource)| Some((addr, resource.as_instance()?)))
}
