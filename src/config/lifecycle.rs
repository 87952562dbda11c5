//! `lifecycle`: what may happen to a resource, and what must hold before and after it is read.

use std::collections::BTreeSet;

use super::codes;
use super::conditions::Condition;
use super::decode;
use super::eval::{Scope, Stop, eval, eval_steps, truth};
use super::report::Report;
use super::resources::Sink;
use super::suggest::did_you_mean;
use super::syntax::ast::{Attribute, Block, Expr, ExprKind, StepKind};
use super::value::{Data, Entries, Value};
use crate::diag::{Diagnostic, Severity, Span};
use crate::ids::{Addr, Kind};
use crate::model::{Fleet, Ignore, Lifecycle, Trigger, UserDataChange};

/// The rules of one resource.
#[derive(Default)]
pub struct Rules {
    /// Where it is asked for.
    pub prevent_destroy: Option<Span>,
    ignore: Vec<(String, Span)>,
    ignore_all: bool,
    triggers: Vec<Trigger>,
}

const ATTRIBUTES: [&str; 3] = ["prevent_destroy", "ignore_changes", "replace_triggered_by"];

fn blocks(block: &Block) -> impl Iterator<Item = &Block> {
    let nested = block.body.blocks.iter();
    nested.filter(|b| b.kind.as_ref() == "lifecycle")
}

/// Reads the block, and checks its preconditions.
pub fn read(block: &Block, addr: &Addr, scope: &Scope<'_>, report: &Report) -> Rules {
    let mut rules = Rules::default();
    if let [first, again, ..] = blocks(block).collect::<Vec<_>>().as_slice() {
        let d = Diagnostic::error(codes::DUPLICATE, "`lifecycle` is written twice")
            .at(again.header, "again here")
            .also(first.header, "first here");
        report.push(d.help("put the arguments of both into one block"));
    }
    for lifecycle in blocks(block) {
        for attribute in &lifecycle.body.attributes {
            let read = match attribute.name.as_ref() {
                "prevent_destroy" => prevent_destroy(attribute, scope, &mut rules),
                "ignore_changes" => ignore_changes(attribute, &mut rules),
                "replace_triggered_by" => triggers(attribute, addr, scope, &mut rules),
                name => Err(unknown(name, attribute.name_span).into()),
            };
            if let Err(stop) = read {
                report.stop(stop, None);
            }
        }
        for nested in &lifecycle.body.blocks {
            match nested.kind.as_ref() {
                "precondition" => condition(addr, nested, scope, report),
                "postcondition" => {}
                name => report.push(unknown(name, nested.header)),
            }
        }
    }
    rules
}

fn condition(addr: &Addr, block: &Block, scope: &Scope<'_>, report: &Report) {
    let condition = Condition {
        subject: &addr.to_string(),
        code: codes::CONDITION,
        severity: Severity::Error,
        declared: None,
    };
    condition.check(block, scope, report);
}

/// Checks what must hold of the finished resource, which is `self` there.
pub fn postconditions(block: &Block, value: &Value, scope: &Scope<'_>, report: &Report) {
    let Data::Resource(resource) = &value.data else {
        return;
    };
    let scope = Scope {
        itself: Some(value),
        ..*scope
    };
    for lifecycle in blocks(block) {
        for nested in &lifecycle.body.blocks {
            if nested.kind.as_ref() == "postcondition" {
                condition(&resource.addr, nested, &scope, report);
            }
        }
    }
}

/// Puts the rules that a plan follows into the fleet, when the resource has what they name.
pub fn follow(rules: &Rules, addr: &Addr, attributes: &Entries, sink: &mut Sink<'_>) {
    let mut names = BTreeSet::new();
    for (name, span) in &rules.ignore {
        let first = name.split('.').next().unwrap_or(name);
        if (addr.kind, first) == (Kind::Node, "power") {
            let text = "changes of `power` cannot be ignored";
            let d = Diagnostic::error(codes::LIFECYCLE, text).at(*span, "not this");
            sink.report
                .push(d.help("a BMC is reached as the configuration says, or not at all"));
            continue;
        }
        if let Some(value) = attributes.get(first) {
            // Part of a map or of a block; anything else has no parts that could stay by themselves.
            let has_parts = value.is_null() || value.entries().is_some();
            if name != first && (!has_parts || first == "serial_console") {
                let text = format!("`{first}` is ignored as a whole, or not at all");
                let d = Diagnostic::error(codes::LIFECYCLE, text).at(*span, "part of it");
                sink.report
                    .push(d.help(format!("write ignore_changes = [{first}]")));
                continue;
            }
            names.insert(name.clone());
            continue;
        }
        let text = format!("{} has no attribute `{first}`", addr.kind);
        let d = Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text).at(*span, "not known");
        let known = attributes.keys().map(AsRef::as_ref);
        sink.report.push(match did_you_mean(first, known) {
            Some(help) => d.help(help),
            None => d,
        });
    }
    let lifecycle = Lifecycle {
        ignore_changes: if rules.ignore_all {
            Ignore::All
        } else {
            Ignore::These(names)
        },
        replace_triggered_by: rules.triggers.clone(),
    };
    if lifecycle != Lifecycle::default() {
        sink.fleet.lifecycle.insert(addr.clone(), lifecycle);
    }
}

fn prevent_destroy(
    attribute: &Attribute,
    scope: &Scope<'_>,
    rules: &mut Rules,
) -> Result<(), Stop> {
    let span = attribute.value.span;
    let value = eval(&attribute.value, scope)?;
    if truth(&value, span, "prevent_destroy")? {
        rules.prevent_destroy = Some(span);
    }
    Ok(())
}

/// `all`, or names of attributes, which are not evaluated.
fn ignore_changes(attribute: &Attribute, rules: &mut Rules) -> Result<(), Stop> {
    let wrong = |span: Span| {
        Diagnostic::error(
            codes::LIFECYCLE,
            "ignore_changes is `all` or a list of attributes",
        )
        .at(span, "not the name of an attribute")
        .help("write ignore_changes = [user_data, labels[\"role\"]]")
    };
    match &attribute.value.kind {
        ExprKind::Name(name) if name.as_ref() == "all" => {
            rules.ignore_all = true;
            Ok(())
        }
        ExprKind::Tuple(items) => {
            for item in items {
                let name = attribute_name(item).ok_or_else(|| wrong(item.span))?;
                rules.ignore.push((name, item.span));
            }
            Ok(())
        }
        ExprKind::Invalid => Err(Stop::Reported),
        _ => Err(wrong(attribute.value.span).into()),
    }
}

/// `name`, `labels["key"]`, `root_device.serial`, joined with dots.
fn attribute_name(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name.to_string()),
        ExprKind::Traversal(base, steps) => {
            let mut out = attribute_name(base)?;
            for step in steps {
                out.push('.');
                match &step.kind {
                    StepKind::Attribute(name) => out.push_str(name),
                    StepKind::Index(index) => match &index.kind {
                        ExprKind::Literal(value) => out.push_str(value.as_str()?),
                        _ => return None,
                    },
                    _ => return None,
                }
            }
            Some(out)
        }
        _ => None,
    }
}

fn triggers(
    attribute: &Attribute,
    addr: &Addr,
    scope: &Scope<'_>,
    rules: &mut Rules,
) -> Result<(), Stop> {
    if addr.kind != Kind::Instance {
        let text = format!(
            "a {} is never replaced; only an instance is deployed again",
            addr.kind
        );
        return Err(Diagnostic::error(codes::LIFECYCLE, text)
            .at(attribute.name_span, "not here")
            .into());
    }
    let wrong = |span: Span| {
        let text = "replace_triggered_by is a list of resources, or attributes of resources";
        Diagnostic::error(codes::LIFECYCLE, text)
            .at(span, "not one")
            .help("write replace_triggered_by = [node.rack[each.key], image.base.kernel_args]")
    };
    let ExprKind::Tuple(items) = &attribute.value.kind else {
        return Err(wrong(attribute.value.span).into());
    };
    for item in items {
        let (resources, attribute) = trigger(item, scope)?.ok_or_else(|| wrong(item.span))?;
        rules
            .triggers
            .extend(resources.into_iter().map(|addr| Trigger {
                addr,
                attribute: attribute.clone(),
                span: item.span,
            }));
    }
    Ok(())
}

type Triggers = (Vec<Addr>, Option<String>);

/// The resources an expression names, and the attribute it goes on to.
fn trigger(item: &Expr, scope: &Scope<'_>) -> Result<Option<Triggers>, Stop> {
    let ExprKind::Traversal(base, steps) = &item.kind else {
        return Ok(None);
    };
    let indexed = matches!(steps.get(1).map(|s| &s.kind), Some(StepKind::Index(_)));
    let (to_resource, rest) = steps
        .split_at_checked(1 + usize::from(indexed))
        .unwrap_or((steps, &[]));
    let value = eval_steps(base, to_resource, scope)?;
    let mut found = Vec::new();
    if !decode::addresses(&value, &mut found) {
        return Ok(None);
    }
    let attribute = match rest {
        [] => None,
        [first, ..] => match &first.kind {
            StepKind::Attribute(name) => {
                // It must exist; its value is the plan's to compare.
                eval(item, scope)?;
                Some(name.to_string())
            }
            _ => return Ok(None),
        },
    };
    Ok(Some((found, attribute)))
}

fn unknown(name: &str, span: Span) -> Diagnostic {
    let text = format!("there is no `lifecycle.{name}`");
    let d = Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text).at(span, "not known");
    if name == "create_before_destroy" {
        return d.help("a disk holds one system at a time: an instance is deployed again in place");
    }
    let known = ATTRIBUTES
        .into_iter()
        .chain(["precondition", "postcondition"]);
    match did_you_mean(name, known) {
        Some(help) => d.help(help),
        None => d.help("prevent_destroy, ignore_changes, replace_triggered_by, precondition and postcondition are"),
    }
}
/// `on_user_data_change = "ignore"` is `ignore_changes` of one attribute.
pub fn keep_user_data(addr: &Addr, fleet: &mut Fleet) {
    let instance = fleet.instances.get(addr);
    if !instance.is_some_and(|i| i.on_user_data_change == UserDataChange::Ignore) {
        return;
    }
    match &mut fleet
        .lifecycle
        .entry(addr.clone())
        .or_default()
        .ignore_changes
    {
        Ignore::All => {}
        Ignore::These(names) => {
            names.insert("user_data".to_owned());
        }
    }
}
