//! The order of evaluation, over all modules: what is needed comes first. What needs itself, over however many steps, is a cycle.

use std::collections::BTreeMap;
use std::sync::Arc;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::codes;
use super::modules::{ModuleId, Tree};
use super::syntax::ast::{Block, Body, Expr, Step, StepKind};
use crate::diag::{Diagnostic, Span};
use crate::ids::Kind;

/// Something that is evaluated once for each instance of its module, and may be referred to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    pub module: ModuleId,
    pub item: Item,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A variable of a module that is called; those of the root module are there from the start.
    Variable(Arc<str>),
    Local(Arc<str>),
    /// Which instances a module call has.
    Call(Arc<str>),
    Resource(Kind, Arc<str>),
    Output(Arc<str>),
}

impl Unit {
    fn shown(&self, tree: &Tree) -> String {
        let prefix = tree.prefix(self.module);
        match &self.item {
            Item::Variable(name) => format!("{prefix}var.{name}"),
            Item::Local(name) => format!("{prefix}local.{name}"),
            Item::Call(name) => format!("{prefix}module.{name}"),
            Item::Resource(kind, name) => format!("{prefix}{kind}.{name}"),
            Item::Output(name) => format!("{prefix}{name}"),
        }
    }
}

/// Units in the order in which they can be evaluated, and why the others cannot.
pub struct Order {
    pub units: Vec<Unit>,
    pub cycles: Vec<Diagnostic>,
}

type Needs = DiGraph<Unit, Span>;

pub fn order(tree: &Tree) -> Order {
    let graph = Graph::of(tree).needs;
    let mut out = Order {
        units: Vec::new(),
        cycles: Vec::new(),
    };
    for component in kosaraju_scc(&graph) {
        let first = component
            .iter()
            .copied()
            .min_by_key(|n| graph.node_weight(*n));
        let Some(first) = first else { continue };
        let alone = component.len() == 1 && graph.find_edge(first, first).is_none();
        if alone {
            let units = component.iter().filter_map(|n| graph.node_weight(*n));
            out.units.extend(units.cloned());
        } else {
            out.cycles.push(explain(&graph, tree, first, &component));
        }
    }
    out
}

struct Graph<'t> {
    tree: &'t Tree,
    needs: Needs,
    index: BTreeMap<Unit, NodeIndex>,
}

impl<'t> Graph<'t> {
    fn of(tree: &'t Tree) -> Graph<'t> {
        let mut graph = Graph {
            tree,
            needs: Needs::new(),
            index: BTreeMap::new(),
        };
        for module in tree.ids() {
            let declared = &tree.module(module).declared;
            let is_called = tree.module(module).caller.is_some();
            let variables = declared.variables.keys().filter(|_| is_called);
            let items = variables.cloned().map(Item::Variable);
            let items = items
                .chain(declared.locals.keys().cloned().map(Item::Local))
                .chain(declared.modules.keys().cloned().map(Item::Call))
                .chain(
                    declared
                        .resources
                        .keys()
                        .map(|(k, n)| Item::Resource(*k, n.clone())),
                )
                .chain(declared.outputs.keys().cloned().map(Item::Output));
            for item in items {
                let unit = Unit { module, item };
                let at = graph.needs.add_node(unit.clone());
                graph.index.insert(unit, at);
            }
        }
        for module in tree.ids() {
            graph.connect_module(module);
        }
        graph
    }

    fn connect_module(&mut self, module: ModuleId) {
        let tree = self.tree;
        let declared = &tree.module(module).declared;
        let at = |item: Item| Unit { module, item };
        for (name, attribute) in &declared.locals {
            self.reads(&at(Item::Local(name.clone())), &attribute.value);
        }
        for ((kind, name), resource) in &declared.resources {
            self.reads_body(
                &at(Item::Resource(*kind, name.clone())),
                &resource.block.body,
            );
        }
        for (name, block) in &declared.outputs {
            self.reads_body(&at(Item::Output(name.clone())), &block.body);
        }
        for (name, block) in &declared.modules {
            let call = at(Item::Call(name.clone()));
            for argument in ["for_each", "count", "depends_on"] {
                if let Some(attribute) = block.body.attribute(argument) {
                    self.reads(&call, &attribute.value);
                }
            }
            if let Some(child) = tree.module(module).children.get(name) {
                self.connect_call(&call, block, *child);
            }
        }
    }

    /// Everything in a called module needs to know its instances; its variables need the call's arguments.
    fn connect_call(&mut self, call: &Unit, block: &Block, child: ModuleId) {
        let first = |module| Unit {
            module,
            item: Item::Variable(Arc::from("")),
        };
        let units = self.index.range(first(child)..first(ModuleId(child.0 + 1)));
        let inside: Vec<Unit> = units.map(|(unit, _)| unit.clone()).collect();
        for unit in inside {
            self.edge(&unit, call.clone(), block.header);
            if let Item::Variable(name) = &unit.item
                && let Some(attribute) = block.body.attribute(name)
            {
                self.reads_in(&unit, call.module, &attribute.value);
            }
        }
    }

    fn reads_body(&mut self, unit: &Unit, body: &Body) {
        for attribute in &body.attributes {
            // Names, not values.
            if !matches!(attribute.name.as_ref(), "ignore_changes") {
                self.reads(unit, &attribute.value);
            }
        }
        for block in &body.blocks {
            self.reads_body(unit, &block.body);
        }
    }

    fn reads(&mut self, unit: &Unit, expr: &Expr) {
        self.reads_in(unit, unit.module, expr);
    }

    /// An expression whose names are those of `module`.
    fn reads_in(&mut self, unit: &Unit, module: ModuleId, expr: &Expr) {
        let mut found = Vec::new();
        expr.roots(&mut |root, span, steps| {
            let Some((StepKind::Attribute(name), rest)) =
                steps.split_first().map(|(first, rest)| (&first.kind, rest))
            else {
                return;
            };
            match root {
                "var" => found.push((Item::Variable(name.clone()), module, span)),
                "local" => found.push((Item::Local(name.clone()), module, span)),
                "module" => self.reads_outputs(module, name, rest, span, &mut found),
                _ => {
                    if let Ok(kind) = root.parse::<Kind>() {
                        found.push((Item::Resource(kind, name.clone()), module, span));
                    }
                }
            }
        });
        for (item, module, span) in found {
            self.edge(unit, Unit { module, item }, span);
        }
    }

    /// `module.name.output` waits for that output, anything else for all of them.
    fn reads_outputs(
        &self,
        module: ModuleId,
        name: &Arc<str>,
        rest: &[Step],
        span: Span,
        found: &mut Vec<(Item, ModuleId, Span)>,
    ) {
        found.push((Item::Call(name.clone()), module, span));
        let Some(child) = self.tree.module(module).children.get(name) else {
            return;
        };
        let chooses = |s: &&Step| {
            matches!(
                s.kind,
                StepKind::Index(_)
                    | StepKind::LegacyIndex(_)
                    | StepKind::Splat
                    | StepKind::AttributeSplat
            )
        };
        let chosen = rest.iter().take_while(chooses).count().min(1);
        let outputs = &self.tree.module(*child).declared.outputs;
        if let Some(StepKind::Attribute(output)) = rest.get(chosen).map(|s| &s.kind)
            && outputs.contains_key(output)
        {
            found.push((Item::Output(output.clone()), *child, span));
            return;
        }
        for output in outputs.keys() {
            found.push((Item::Output(output.clone()), *child, span));
        }
    }

    fn edge(&mut self, from: &Unit, to: Unit, span: Span) {
        if let (Some(from), Some(to)) = (self.index.get(from), self.index.get(&to)) {
            self.needs.update_edge(*from, *to, span);
        }
    }
}

/// A shortest way from `start` back to itself within the component.
fn explain(graph: &Needs, tree: &Tree, start: NodeIndex, component: &[NodeIndex]) -> Diagnostic {
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
        .map(|unit| unit.shown(tree))
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
