//! Names, attributes, indices and splats.

use super::{Evaluated, Scope, Stop, eval as eval_expr};
use crate::config::codes;
use crate::config::convert::convert;
use crate::config::suggest::did_you_mean;
use crate::config::syntax::ast::{Expr, ExprKind, Step, StepKind};
use crate::config::types::Type;
use crate::config::value::{Data, SeqKind, Value};
use crate::diag::{Diagnostic, Span};
use crate::ids::Kind;

pub fn eval(base: &Expr, steps: &[Step], scope: &Scope<'_>) -> Evaluated {
    let (value, rest) = match &base.kind {
        ExprKind::Name(name) => root(name, base.span, steps, scope)?,
        _ => (eval_expr(base, scope)?, steps),
    };
    follow(value, rest, scope)
}

fn follow(mut value: Value, mut steps: &[Step], scope: &Scope<'_>) -> Evaluated {
    while let Some((step, rest)) = steps.split_first() {
        scope.world.spend(1, step.span)?;
        steps = rest;
        value = match &step.kind {
            StepKind::Attribute(name) => attribute(&value, name, step.span)?,
            StepKind::LegacyIndex(n) => index(&value, &Value::number(*n), step.span)?,
            StepKind::Index(e) => index(&value, &eval_expr(e, scope)?, e.span)?,
            StepKind::Splat => return splat(&value, rest, scope),
            StepKind::AttributeSplat => {
                let attributes = rest
                    .iter()
                    .take_while(|s| {
                        matches!(s.kind, StepKind::Attribute(_) | StepKind::LegacyIndex(_))
                    })
                    .count();
                let (inside, after) = rest.split_at(attributes);
                steps = after;
                splat(&value, inside, scope)?
            }
        };
    }
    Ok(value)
}

fn splat(value: &Value, steps: &[Step], scope: &Scope<'_>) -> Evaluated {
    let one;
    let items = match &value.data {
        Data::Null => &[][..],
        Data::Seq(seq) => seq.items.as_slice(),
        Data::Bool(_) | Data::Number(_) | Data::String(_) | Data::Map(_) | Data::Resource(_) => {
            one = [value.clone()];
            &one
        }
    };
    let results = items.iter().map(|v| follow(v.clone(), steps, scope));
    let results = results.collect::<Result<Vec<_>, _>>()?;
    let uniform = matches!(&value.data, Data::Seq(seq) if seq.kind != SeqKind::Tuple);
    // Elements of one type give results of one type.
    let splat = if uniform {
        Value::list(results)
    } else {
        Value::tuple(results)
    };
    Ok(splat.marked(value.sensitive))
}

/// The value of a root name and the steps it has not used up.
pub fn root<'s>(
    name: &str,
    span: Span,
    steps: &'s [Step],
    scope: &Scope<'_>,
) -> Result<(Value, &'s [Step]), Stop> {
    if let Some(value) = scope.bound(name) {
        return Ok((value.clone(), steps));
    }
    if let Some(variables) = scope.template {
        let candidates = variables.keys().map(AsRef::as_ref);
        let d = undeclared(&format!("the template has no variable `{name}`"), span);
        return Err(with_help(d, did_you_mean(name, candidates)).into());
    }
    let (first, rest) = match steps.split_first() {
        Some((
            Step {
                kind: StepKind::Attribute(first),
                span,
            },
            rest,
        )) => (Some((first, *span)), rest),
        _ => (None, steps),
    };
    let Some((first, first_span)) = first else {
        return Err(lonely(name, span, scope).into());
    };
    let (env, declared) = (scope.env, &scope.env.declared);
    let (found, is_declared) = match name {
        "var" => (
            env.variables.get(first),
            declared.variables.contains_key(first),
        ),
        "local" => (env.locals.get(first), declared.locals.contains_key(first)),
        "each" => return Ok((each(first, first_span, scope)?, rest)),
        "count" => return Ok((count(first, first_span, scope)?, rest)),
        "path" => return Ok((path(first, first_span, scope)?, rest)),
        "module" => return super::module::call(first, first_span, rest, scope),
        "self" => return Ok((itself(first, first_span, scope)?, rest)),
        _ => match name.parse::<Kind>() {
            Ok(kind) => (
                env.resources.get(&kind).and_then(|r| r.get(first)),
                declared.resources.contains_key(&(kind, first.clone())),
            ),
            Err(_) => return Err(lonely(name, span, scope).into()),
        },
    };
    match found {
        Some(Some(value)) => {
            if let (Ok(kind), Some((step, after))) = (name.parse::<Kind>(), rest.split_first())
                && let StepKind::Index(e) = &step.kind
            {
                let key = eval_expr(e, scope)?;
                let label = format!("{kind}.{first}");
                return Ok((instance(value, &key, e.span, &label)?, after));
            }
            Ok((value.clone(), rest))
        }
        Some(None) => Err(Stop::Reported),
        None if is_declared => Err(Stop::Reported),
        None => Err(not_declared(name, first, first_span, scope).into()),
    }
}

/// One of the instances of a block with `for_each` or `count`.
pub(super) fn instance(all: &Value, key: &Value, span: Span, label: &str) -> Evaluated {
    let failed = match index(all, key, span) {
        Ok(value) => return Ok(value),
        Err(e) if !e.may_be_caught() => return Err(e),
        Err(e) => e,
    };
    let shown = key.shown();
    let d = Diagnostic::error(
        codes::NO_SUCH_INSTANCE,
        format!("{label} has no instance {shown}"),
    );
    Err(match (&all.data, key.as_str()) {
        (Data::Map(map), Some(text)) => {
            let help = did_you_mean(text, map.entries.keys().map(AsRef::as_ref));
            with_help(
                d.at(span, format!("not one of its {} keys", map.entries.len())),
                help,
            )
            .into()
        }
        (Data::Seq(seq), _) => d
            .at(
                span,
                format!("it has {} instances, counted from 0", seq.items.len()),
            )
            .into(),
        (Data::Resource(_), _) => d
            .at(span, "this block has neither for_each nor count")
            .help(format!("write {label} without an index"))
            .into(),
        _ => failed,
    })
}

pub(super) fn undeclared(message: &str, span: Span) -> Diagnostic {
    Diagnostic::error(codes::UNDECLARED, message).at(span, "not declared")
}

pub(super) fn with_help(d: Diagnostic, help: Option<String>) -> Diagnostic {
    match help {
        Some(help) => d.help(help),
        None => d,
    }
}

const ROOTS: [&str; 7] = ["var", "local", "module", "each", "count", "path", "self"];

/// A root name that has no meaning, or not by itself.
fn lonely(name: &str, span: Span, scope: &Scope<'_>) -> Diagnostic {
    if ROOTS.contains(&name) || name.parse::<Kind>().is_ok() {
        return Diagnostic::error(codes::UNDECLARED, format!("`{name}` needs a name after it"))
            .at(span, format!("such as {name}.x"));
    }
    let known = ROOTS.into_iter().chain(Kind::ALL.map(Kind::as_str));
    let d = undeclared(&format!("there is no `{name}`"), span);
    let in_locals = scope.env.declared.locals.contains_key(name);
    let in_variables = scope.env.declared.variables.contains_key(name);
    with_help(
        d,
        if in_locals {
            Some(format!("write local.{name}"))
        } else if in_variables {
            Some(format!("write var.{name}"))
        } else {
            did_you_mean(name, known).or_else(|| Some(format!("a text needs quotes: \"{name}\"")))
        },
    )
}

fn not_declared(root: &str, name: &str, span: Span, scope: &Scope<'_>) -> Diagnostic {
    let declared = &scope.env.declared;
    let (what, names): (&str, Vec<&str>) = match root {
        "var" => (
            "variable",
            declared.variables.keys().map(AsRef::as_ref).collect(),
        ),
        "local" => (
            "local value",
            declared.locals.keys().map(AsRef::as_ref).collect(),
        ),
        _ => {
            let of_kind = declared
                .resources
                .keys()
                .filter(|(k, _)| k.as_str() == root);
            (root, of_kind.map(|(_, n)| n.as_ref()).collect())
        }
    };
    let d = undeclared(&format!("there is no {what} `{name}`"), span);
    with_help(d, did_you_mean(name, names))
}

fn each(name: &str, span: Span, scope: &Scope<'_>) -> Evaluated {
    let Some((key, value)) = scope.each else {
        let d = Diagnostic::error(
            codes::NO_EACH,
            "`each` exists only in a block with for_each",
        );
        return Err(d.at(span, "not here").into());
    };
    match name {
        "key" => Ok(key.clone()),
        "value" => Ok(value.clone()),
        _ => Err(no_such("each", name, span, ["key", "value"]).into()),
    }
}

fn count(name: &str, span: Span, scope: &Scope<'_>) -> Evaluated {
    let Some(n) = scope.count else {
        let d = Diagnostic::error(codes::NO_EACH, "`count` exists only in a block with count");
        return Err(d.at(span, "not here").into());
    };
    match name {
        "index" => Ok(Value::number(n)),
        _ => Err(no_such("count", name, span, ["index"]).into()),
    }
}

fn path(name: &str, span: Span, scope: &Scope<'_>) -> Evaluated {
    match name {
        // Paths start where they are written.
        "module" => Ok(Value::string(".")),
        "root" => match back_to_root(&scope.env.dir) {
            Some(path) => Ok(Value::string(path)),
            None => Err(Diagnostic::error(
                codes::NO_SUCH_ELEMENT,
                "the root module has no path from here: this module lies outside of it",
            )
            .at(span, "asked for here")
            .help("pass the text of the file to the module: file(\"...\") in the root module")
            .into()),
        },
        _ => Err(no_such("path", name, span, ["module", "root"]).into()),
    }
}

/// From a module's directory to the root module; `None` when that would need the names of directories above it.
fn back_to_root(dir: &str) -> Option<String> {
    if dir.is_empty() {
        return Some(".".to_owned());
    }
    let up: Option<Vec<&str>> = dir
        .split('/')
        .map(|part| (part != "..").then_some(".."))
        .collect();
    Some(up?.join("/"))
}

/// An attribute of the resource that a postcondition is about.
fn itself(name: &str, span: Span, scope: &Scope<'_>) -> Evaluated {
    match scope.itself {
        Some(value) => attribute(value, name, span),
        None => Err(
            Diagnostic::error(codes::NO_EACH, "`self` exists only in a postcondition")
                .at(span, "not here")
                .into(),
        ),
    }
}

pub(super) fn no_such<'c>(
    of: &str,
    name: &str,
    span: Span,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Diagnostic {
    let d = Diagnostic::error(
        codes::NO_SUCH_ELEMENT,
        format!("{of} has no attribute `{name}`"),
    )
    .at(span, "this does not exist");
    with_help(d, did_you_mean(name, candidates))
}

/// Names that a user may rightly expect, of facts that nobody has before apply has acted.
fn exists_after_acting(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::Node => matches!(name, "inventory" | "disks" | "power_status" | "boot_time"),
        Kind::Instance => matches!(name, "ip" | "boot_time" | "phase" | "phoned_home" | "disk"),
        Kind::Image => matches!(name, "size" | "digest" | "virtual_size" | "fs_uuid"),
        Kind::Network | Kind::Site | Kind::Flavor | Kind::Nic => false,
    }
}

fn attribute(value: &Value, name: &str, span: Span) -> Evaluated {
    let wrong = |text: String, help: Option<String>| {
        let d = Diagnostic::error(codes::NO_SUCH_ELEMENT, text).at(span, "asked for here");
        Err(with_help(d, help).into())
    };
    match &value.data {
        Data::Map(map) => match map.entries.get(name) {
            Some(v) => Ok(v.clone().marked(value.sensitive)),
            None => {
                let names = map.entries.keys().map(AsRef::as_ref);
                let of = format!("this {}", value.type_name());
                Err(no_such(&of, name, span, names).into())
            }
        },
        Data::Resource(r) => {
            let Some(attributes) = &r.attributes else {
                return Err(Stop::Reported);
            };
            if let Some(v) = attributes.get(name) {
                return Ok(v.clone().marked(value.sensitive));
            }
            if exists_after_acting(r.addr.kind, name) {
                let text = format!("{}.{name} is known only after acting", r.addr);
                return Err(Diagnostic::error(codes::AFTER_ACTING, text)
                    .at(span, "not known when a plan is made")
                    .help("a configuration may only use what is written in it; see `bmctl show`")
                    .into());
            }
            let names = attributes.keys().map(AsRef::as_ref);
            Err(no_such(&r.addr.to_string(), name, span, names).into())
        }
        Data::Seq(seq) => {
            let help = match seq.kind {
                SeqKind::Set => "a for-expression looks at each element",
                SeqKind::List | SeqKind::Tuple => "write [0] for one element, [*] for all",
            };
            let text = format!("a {} has no attribute `{name}`", value.type_name());
            wrong(text, Some(help.to_owned()))
        }
        Data::Null => wrong(format!("null has no attribute `{name}`"), None),
        Data::Bool(_) | Data::Number(_) | Data::String(_) => wrong(
            format!("a {} has no attribute `{name}`", value.type_name()),
            None,
        ),
    }
}

pub fn index(value: &Value, key: &Value, span: Span) -> Evaluated {
    let sensitive = value.sensitive || key.sensitive;
    let wrong = |text: String| {
        Err(Diagnostic::error(codes::NO_SUCH_ELEMENT, text)
            .at(span, format!("the index is {}", key.shown()))
            .into())
    };
    if key.is_null() {
        return wrong("an index must not be null".to_owned());
    }
    match &value.data {
        Data::Seq(seq) if seq.kind == SeqKind::Set => wrong(
            "the elements of a set have no index; use tolist() or a for-expression".to_owned(),
        ),
        Data::Seq(seq) => {
            let number = convert(key, &Type::Number).ok().map(|v| v.data);
            let at = match number {
                Some(Data::Number(n)) => n.to_usize(),
                _ => None,
            };
            match at.and_then(|at| seq.items.get(at)) {
                Some(v) => Ok(v.clone().marked(sensitive)),
                None => wrong(format!(
                    "a {} of {} has no such element",
                    value.type_name(),
                    seq.items.len()
                )),
            }
        }
        Data::Map(map) => {
            let text = convert(key, &Type::String).ok();
            let text = text.as_ref().and_then(Value::as_str);
            match text.and_then(|t| map.entries.get(t)) {
                Some(v) => Ok(v.clone().marked(sensitive)),
                None => wrong(format!("this {} has no such key", value.type_name())),
            }
        }
        Data::Resource(_) => match key.as_str() {
            Some(name) => attribute(value, name, span),
            None => wrong("a resource without for_each or count has no index".to_owned()),
        },
        Data::Null => wrong("null has no elements".to_owned()),
        Data::Bool(_) | Data::Number(_) | Data::String(_) => {
            wrong(format!("a {} has no elements", value.type_name()))
        }
    }
}
