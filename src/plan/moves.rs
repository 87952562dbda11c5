//! `moved` and `removed`: what state calls by another name than the configuration, and what it is to forget.

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ids::{Addr, Key, ModuleStep};
use crate::model::{Fleet, Observed, Recorded, Resource, Subject};

/// Old addresses and their new ones.
pub type Moves = BTreeMap<Addr, Addr>;

/// Which recorded resources go by another address from here on. Statements are followed one after the other, so that a resource
/// that was moved twice arrives where it is.
pub fn resolve(fleet: &Fleet, recorded: &Recorded, diagnostics: &mut Diagnostics) -> Moves {
    let mut moves = implied(fleet, recorded);
    let mut said_at = BTreeMap::new();
    for from in recorded.resources.keys() {
        let Some((to, span)) = follow(fleet, from, diagnostics) else {
            continue;
        };
        if fleet.declares(from) {
            let text = format!("{from} is said to have moved to {to}, and is still declared");
            diagnostics.push(
                said(Diagnostic::error("E0607", text), span)
                    .help("take the old block out, or the `moved` block"),
            );
        }
        // Only what is declared survives: a slip in `to` would otherwise be a destruction.
        if !fleet.declares(&to) {
            let text = format!("{from} is said to have moved to {to}, which is not declared");
            diagnostics.push(
                said(Diagnostic::error("E0613", text), span)
                    .help("correct `to`; to take it down, take the `moved` block out, or apply the move first"),
            );
        }
        said_at.extend(span.map(|span| (from.clone(), span)));
        moves.insert(from.clone(), to);
    }
    diagnostics.extend(taken(fleet, recorded, &moves, &said_at));
    moves
}

/// Two resources that one address is asked for.
fn taken(
    fleet: &Fleet,
    recorded: &Recorded,
    moves: &Moves,
    said_at: &BTreeMap<Addr, Span>,
) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let mut taken: BTreeMap<&Addr, &Addr> = BTreeMap::new();
    for (from, to) in moves {
        let is_there = recorded.resources.contains_key(to) && !moves.contains_key(to);
        let other = if is_there {
            Some(to)
        } else {
            taken.insert(to, from).map(|other| other as &Addr)
        };
        let Some(other) = other else { continue };
        let text = format!(
            "{from} cannot move to {to}: {other} is recorded under that address already, or moves there too"
        );
        // Without a statement it is the block's `count` that moves it.
        let block = || fleet.origins.get(to).map(|origin| origin.block);
        let place = said_at.get(from).copied().or_else(block);
        out.push(
            said(Diagnostic::error("E0608", text), place).help(
                "one address is one resource: destroy one of them first, or move it elsewhere",
            ),
        );
    }
    out
}

/// A resource that was given `count`, or lost it, is the first of them: no statement is needed for that, as in Terraform.
fn implied(fleet: &Fleet, recorded: &Recorded) -> Moves {
    let mut moves = Moves::new();
    for from in recorded.resources.keys() {
        let key = match from.key {
            None => Some(Key::Index(0)),
            Some(Key::Index(0)) => None,
            Some(Key::Index(_) | Key::Text(_)) => continue,
        };
        let to = Addr {
            key,
            ..from.clone()
        };
        let is_free = fleet.declares(&to) && !recorded.resources.contains_key(&to);
        if !is_free || fleet.declares(from) {
            continue;
        }
        let said = fleet.moved.iter().any(|m| {
            moved(&m.from, &m.to, from).is_some() || m.to == Subject::Resource(to.clone())
        });
        let removed = fleet.removed.iter().any(|r| about(&r.from, from));
        if !said && !removed {
            moves.insert(from.clone(), to);
        }
    }
    moves
}

/// Where the statements lead a resource; `None` when none of them is about it.
fn follow(
    fleet: &Fleet,
    from: &Addr,
    diagnostics: &mut Diagnostics,
) -> Option<(Addr, Option<Span>)> {
    let mut at = from.clone();
    let mut last = None;
    let mut been = BTreeSet::from([at.clone()]);
    while let Some((next, span)) = fleet
        .moved
        .iter()
        .find_map(|m| Some((moved(&m.from, &m.to, &at)?, m.span)))
    {
        if !been.insert(next.clone()) {
            let text = format!("the `moved` blocks lead {from} in a circle");
            let d = Diagnostic::error("E0609", text).help("take one of them out");
            diagnostics.push(match span {
                Some(span) => d.at(span, "back to where it was"),
                None => d,
            });
            return None;
        }
        at = next;
        last = Some(span);
    }
    last.map(|span| (at, span))
}

fn said(d: Diagnostic, span: Option<Span>) -> Diagnostic {
    match span {
        Some(span) => d.at(span, "said here"),
        None => d,
    }
}

/// The new address, when the statement is about this one.
pub(super) fn moved(from: &Subject, to: &Subject, addr: &Addr) -> Option<Addr> {
    match (from, to) {
        (Subject::Resource(from), Subject::Resource(to)) => {
            let same =
                addr.module == from.module && addr.kind == from.kind && addr.name == from.name;
            let (true, key) = (
                same,
                key_after(from.key.as_ref(), to.key.as_ref(), addr.key.as_ref()),
            ) else {
                return None;
            };
            Some(Addr {
                key: key?,
                ..to.clone()
            })
        }
        (Subject::Module(from), Subject::Module(to)) => {
            let (from_last, from_outer) = from.split_last()?;
            let (to_last, to_outer) = to.split_last()?;
            let (outer, rest) = addr.module.split_at_checked(from_outer.len())?;
            let (step, inner) = rest.split_first()?;
            if outer != from_outer || step.name != from_last.name {
                return None;
            }
            let key = key_after(
                from_last.key.as_ref(),
                to_last.key.as_ref(),
                step.key.as_ref(),
            )?;
            let step = ModuleStep {
                name: to_last.name.clone(),
                key,
            };
            let module = to_outer
                .iter()
                .cloned()
                .chain([step])
                .chain(inner.iter().cloned());
            Some(Addr {
                module: module.collect(),
                ..addr.clone()
            })
        }
        (Subject::Resource(_), Subject::Module(_)) | (Subject::Module(_), Subject::Resource(_)) => {
            None
        }
    }
}

/// A statement without keys is about every instance, each of which keeps its own; one with a key is about one instance. `None`
/// when it is not about this one.
fn key_after<K: Clone + PartialEq>(
    from: Option<&K>,
    to: Option<&K>,
    found: Option<&K>,
) -> Option<Option<K>> {
    match (from, to) {
        (None, None) => Some(found.cloned()),
        (None, Some(to)) => found.is_none().then(|| Some(to.clone())),
        (Some(from), to) => (found == Some(from)).then(|| to.cloned()),
    }
}

/// State and what was seen, under the new addresses.
pub fn renamed(recorded: &Recorded, observed: &Observed, moves: &Moves) -> (Recorded, Observed) {
    let name = |addr: &Addr| moves.get(addr).unwrap_or(addr).clone();
    let Recorded {
        lineage,
        workspace,
        serial,
        resources,
        left_behind,
    } = recorded;
    let resources = resources.iter().map(|(addr, resource)| {
        let mut resource: Resource = resource.clone();
        resource.rename(moves);
        (name(addr), resource)
    });
    let recorded = Recorded {
        lineage: lineage.clone(),
        workspace: workspace.clone(),
        serial: *serial,
        resources: resources.collect(),
        left_behind: left_behind
            .iter()
            .map(|(node, tables)| (name(node), tables.clone()))
            .collect(),
    };
    let Observed { power, boot, busy } = observed;
    let power = power.iter().map(|(node, seen)| (name(node), seen.clone()));
    (
        recorded,
        Observed {
            power: power.collect(),
            boot: boot
                .iter()
                .map(|(n, seen)| (name(n), seen.clone()))
                .collect(),
            busy: busy.iter().map(|(n, run)| (name(n), run.clone())).collect(),
        },
    )
}

/// Whether a statement about `from` is about this resource.
pub(super) fn about(from: &Subject, addr: &Addr) -> bool {
    match from {
        Subject::Resource(from) => {
            let same =
                addr.module == from.module && addr.kind == from.kind && addr.name == from.name;
            same && (from.key.is_none() || from.key == addr.key)
        }
        Subject::Module(path) => {
            let around = addr.module.get(..path.len()).unwrap_or_default();
            around.len() == path.len()
                && around
                    .iter()
                    .zip(path)
                    .all(|(a, p)| a.name == p.name && (p.key.is_none() || p.key == a.key))
        }
    }
}

/// A move is of the whole state: one that a selection leaves out cannot be left for later.
pub fn unselected(moves: &Moves, selected: Option<&BTreeSet<Addr>>) -> Vec<Diagnostic> {
    let Some(selected) = selected else {
        return Vec::new();
    };
    let left_out = moves.iter().filter(|(_, to)| !selected.contains(*to));
    let told = left_out.map(|(from, to)| {
        let text = format!("{from} has moved to {to}, which is not among what is planned for");
        Diagnostic::error("E0615", text)
            .help("plan for it as well (--target), or apply the move first, on its own")
    });
    told.collect()
}

/// What leaves state without being taken down.
pub fn forgotten(
    fleet: &Fleet,
    recorded: &Recorded,
    diagnostics: &mut Diagnostics,
) -> BTreeSet<Addr> {
    let mut out = BTreeSet::new();
    for removed in &fleet.removed {
        let about = |addr: &Addr| about(&removed.from, addr);
        if let Some(declared) = fleet.origins.keys().find(|addr| about(addr)) {
            diagnostics.push(
                Diagnostic::error(
                    "E0610",
                    format!("{declared} is said to be removed, and is still declared"),
                )
                .at(removed.span, "said here")
                .help("take its block out, or the `removed` block"),
            );
        }
        if !removed.destroy {
            let left = recorded.resources.keys().filter(|addr| about(addr));
            out.extend(left.cloned());
        }
    }
    diagnostics.extend(left_behind(fleet, recorded, &out));
    out
}

/// A node that is to be left as it is, and carries an instance that is not: the plan would have to switch it off.
fn left_behind(fleet: &Fleet, recorded: &Recorded, forgotten: &BTreeSet<Addr>) -> Vec<Diagnostic> {
    let instances = recorded.resources.iter();
    let carried = instances.filter_map(|(addr, r)| Some((addr, &r.as_instance()?.node)));
    let torn =
        carried.filter(|(addr, node)| forgotten.contains(*node) && !forgotten.contains(*addr));
    let told = torn.map(|(addr, node)| {
        let text = format!("{node} is to be left as it is, and carries {addr}, which is not");
        let d = Diagnostic::error("E0614", text).help(
            "leave the instance as well: removed { from = ... lifecycle { destroy = false } }, without its block",
        );
        match fleet.removed.iter().find(|r| about(&r.from, node)) {
            Some(removed) => d.at(removed.span, "said here"),
            None => d,
        }
    });
    told.collect()
}
