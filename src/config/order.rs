//! The order of evaluation: what is needed comes first. What needs itself, over however many steps, is a cycle.

use std::collections::BTreeMap;
use std::sync::Arc;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::codes;
use super::declare::Declarations;
use super::syntax::ast::{Body, Expr, StepKind};
use crate::diag::{Diagnostic, Span};
use crate::ids::Kind;

/// Something that is evaluated once and may be referred to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    Local(Arc<str>),
    Resource(Kind, Arc<str>),
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unit::Local(name) => write!(f, "local.{name}"),
            Unit::Resource(kind, name) => write!(f, "{kind}.{name}"),
        }
    }
}

/// Units in the order in which they can be evaluated, and those that cannot, with the reason.
pub struct Order {
    pub units: Vec<Unit>,
    pub in_cycles: Vec<Unit>,
    pub cycles: Vec<Diagnostic>,
}

/// Calls its argument with every expression of something.
type Expressions<'e> = &'e mut dyn FnMut(&mut dyn FnMut(&Expr));

type Needs = DiGraph<Unit, Span>;

pub fn order(declared: &Declarations) -> Order {
    let graph = needs(declared);
    let mut out = Order {
        units: Vec::new(),
        in_cycles: Vec::new(),
        cycles: Vec::new(),
    };
    for component in kosaraju_scc(&graph) {
        let first = component
            .iter()
            .copied()
            .min_by_key(|n| graph.node_weight(*n));
        let Some(first) = first else { continue };
        let alone = component.len() == 1 && graph.find_edge(first, first).is_none();
        let units = component.iter().filter_map(|n| graph.node_weight(*n));
        if alone {
            out.units.extend(units.cloned());
        } else {
            out.in_cycles.extend(units.cloned());
            out.cycles.push(explain(&graph, first, &component));
        }
    }
    out
}

fn needs(declared: &Declarations) -> Needs {
    let mut graph = Needs::new();
    let mut index: BTreeMap<Unit, NodeIndex> = BTreeMap::new();
    let locals = declared.locals.keys().map(|n| Unit::Local(n.clone()));
    let resources = declared.resources.keys();
    let units = locals.chain(resources.map(|(k, n)| Unit::Resource(*k, n.clone())));
    for unit in units {
        let at = graph.add_node(unit.clone());
        index.insert(unit, at);
    }
    let mut connect = |unit: Unit, exprs: Expressions<'_>| {
        let Some(from) = index.get(&unit).copied() else {
            return;
        };
        exprs(&mut |expr| {
            for (needed, span) in references(expr) {
                if let Some(to) = index.get(&needed) {
                    graph.update_edge(from, *to, span);
                }
            }
        });
    };
    for (name, attribute) in &declared.locals {
        connect(Unit::Local(name.clone()), &mut |f| f(&attribute.value));
    }
    for ((kind, name), resource) in &declared.resources {
        connect(Unit::Resource(*kind, name.clone()), &mut |f| {
            each_expression(&resource.block.body, f);
        });
    }
    graph
}

fn each_expression(body: &Body, f: &mut dyn FnMut(&Expr)) {
    body.attributes.iter().for_each(|a| f(&a.value));
    body.blocks.iter().for_each(|b| each_expression(&b.body, f));
}

fn references(expr: &Expr) -> Vec<(Unit, Span)> {
    let mut found = Vec::new();
    expr.roots(&mut |root, span, steps| {
        let Some(StepKind::Attribute(name)) = steps.first().map(|s| &s.kind) else {
            return;
        };
        if root == "local" {
            found.push((Unit::Local(name.clone()), span));
        } else if let Ok(kind) = root.parse::<Kind>() {
            found.push((Unit::Resource(kind, name.clone()), span));
        }
    });
    found
}

/// A shortest way from `start` back to itself within the component.
fn explain(graph: &Needs, start: NodeIndex, component: &[NodeIndex]) -> Diagnostic {
    let inside: std::collections::BTreeSet<NodeIndex> = component.iter().copied().collect();
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    let mut last = None;
    'search: while let Some(at) = queue.pop_front() {
        for next in graph.neighbors(at) {
            if next == start {
                last = Some(at);
                break 'search;
            }
            if inside.contains(&next) && !came_from.contains_key(&next) {
                came_from.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    let mut path = vec![start];
    let mut at = last.unwrap_or(start);
    let mut middle = Vec::new();
    while at != start {
        middle.push(at);
        match came_from.get(&at) {
            Some(before) => at = *before,
            None => break,
        }
    }
    path.extend(middle.into_iter().rev());
    path.push(start);
    let names: Vec<String> = path
        .iter()
        .filter_map(|n| graph.node_weight(*n))
        .map(Unit::to_string)
        .collect();
    let mut d = Diagnostic::error(
        codes::CYCLE,
        format!("these need each other in a circle: {}", names.join(" -> ")),
    );
    for ((from, to), name) in path
        .iter()
        .zip(path.iter().skip(1))
        .zip(names.iter().skip(1))
    {
        let span = graph
            .find_edge(*from, *to)
            .and_then(|e| graph.edge_weight(e));
        let Some(span) = span else { continue };
        let label = format!("needs {name}");
        d = if d.primary.is_none() {
            d.at(*span, label)
        } else {
            d.also(*span, label)
        };
    }
    d.help("take one of these references out")
}
