//! `depends_on`: which resources a resource, or all of a module, waits for.

use std::collections::BTreeMap;

use super::codes;
use super::decode;
use super::eval::{Called, EnvId, Scope, Stop, eval};
use super::report::Report;
use super::syntax::ast::{Block, Expr, ExprKind, Step, StepKind};
use crate::diag::Diagnostic;
use crate::ids::{Addr, ModuleStep};
use crate::model::Fleet;

/// Who waits.
pub enum Dependent {
    Resource(Addr),
    /// Every resource of one instance of a module.
    Module(Vec<ModuleStep>),
}

/// What is waited for.
pub enum Awaited {
    Resource(Addr),
    Module(Vec<ModuleStep>),
}

/// What was read; a module's resources are known when everything has been evaluated.
#[derive(Default)]
pub struct Depends {
    all: Vec<(Dependent, Vec<Awaited>)>,
}

impl Depends {
    pub fn add(&mut self, dependent: Dependent, awaited: Vec<Awaited>) {
        if !awaited.is_empty() {
            self.all.push((dependent, awaited));
        }
    }

    /// Puts modules' resources in the place of modules.
    pub fn resolve(self, fleet: &mut Fleet) {
        if self.all.is_empty() {
            return;
        }
        let mut within: BTreeMap<&[ModuleStep], Vec<&Addr>> = BTreeMap::new();
        for addr in fleet.origins.keys() {
            for depth in 1..=addr.module.len() {
                let path = addr.module.get(..depth).unwrap_or_default();
                within.entry(path).or_default().push(addr);
            }
        }
        let inside = |path: &[ModuleStep]| within.get(path).cloned().unwrap_or_default();
        let mut out: BTreeMap<Addr, Vec<Addr>> = BTreeMap::new();
        for (dependent, awaited) in self.all {
            let mut needed: Vec<Addr> = Vec::new();
            for one in awaited {
                match one {
                    Awaited::Resource(addr) => needed.push(addr),
                    Awaited::Module(path) => needed.extend(inside(&path).into_iter().cloned()),
                }
            }
            let dependents = match dependent {
                Dependent::Resource(addr) => vec![addr],
                Dependent::Module(path) => inside(&path).into_iter().cloned().collect(),
            };
            for addr in dependents {
                out.entry(addr).or_default().extend(needed.iter().cloned());
            }
        }
        for (addr, needed) in &mut out {
            needed.sort();
            needed.dedup();
            needed.retain(|n| n != addr);
        }
        out.retain(|_, needed| !needed.is_empty());
        fleet.depends_on.append(&mut out);
    }
}

/// The value of `depends_on`; `None` when there is none, or after a mistake.
pub fn read(block: &Block, scope: &Scope<'_>, report: &Report) -> Option<Vec<Awaited>> {
    let attribute = block.body.attribute("depends_on")?;
    let mut out = Vec::new();
    let one;
    let items = match &attribute.value.kind {
        ExprKind::Tuple(items) => items.as_slice(),
        _ => {
            one = std::slice::from_ref(&attribute.value);
            one
        }
    };
    for item in items {
        if let Err(stop) = add(item, scope, &mut out) {
            report.stop(stop, None);
            return None;
        }
    }
    Some(out)
}

fn add(item: &Expr, scope: &Scope<'_>, out: &mut Vec<Awaited>) -> Result<(), Stop> {
    if let ExprKind::Traversal(base, steps) = &item.kind
        && let (ExprKind::Name(root), Some((name, rest))) = (&base.kind, steps.split_first())
        && let (StepKind::Attribute(name), true) = (&name.kind, root.as_ref() == "module")
        && let Some(called) = scope.env.calls.get(name)
    {
        return module(called, rest, scope, out);
    }
    let value = eval(item, scope)?;
    let mut addresses = Vec::new();
    if !decode::addresses(&value, &mut addresses) {
        return Err(Diagnostic::error(
            codes::WRONG_KIND,
            "depends_on is a list of resources and modules",
        )
        .at(item.span, format!("found {}", value.shown()))
        .help("write depends_on = [network.pxe, node.rack, module.pool]")
        .into());
    }
    out.extend(addresses.into_iter().map(Awaited::Resource));
    Ok(())
}

/// `module.name`, `module.name["key"]`; what follows names an output, whose module is waited for.
fn module(
    called: &Called,
    rest: &[Step],
    scope: &Scope<'_>,
    out: &mut Vec<Awaited>,
) -> Result<(), Stop> {
    let mut add = |env: EnvId| out.push(Awaited::Module(scope.world.env(env).path.clone()));
    let key = match rest.first().map(|s| &s.kind) {
        Some(StepKind::Index(e)) => Some(eval(e, scope)?),
        _ => None,
    };
    match called {
        Called::Failed => return Err(Stop::Reported),
        Called::One(env) => add(*env),
        Called::Count(envs) => {
            let chosen = key.and_then(|k| k.as_number()?.to_usize());
            let chosen = envs
                .iter()
                .enumerate()
                .filter(|(i, _)| chosen.is_none_or(|c| c == *i));
            chosen.for_each(|(_, env)| add(*env));
        }
        Called::Each(envs) => {
            let chosen = envs.iter().filter(|(k, _)| match &key {
                Some(key) => key.as_str() == Some(k),
                None => true,
            });
            chosen.for_each(|(_, env)| add(*env));
        }
    }
    Ok(())
}
