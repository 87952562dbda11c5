//! `moved`, `removed` and `import`: what is said about addresses, as values that a plan follows.

use super::codes;
use super::declare::Declarations;
use super::eval::{Scope, Stop, eval, truth};
use super::expand::{Instances, instances};
use super::report::Report;
use super::syntax::ast::{Block, Expr, ExprKind, Step, StepKind};
use super::value::{Data, Value};
use crate::diag::{Diagnostic, Span};
use crate::ids::{Addr, Key, Kind, ModuleStep, Name};
use crate::model::{Fleet, Import, Moved, Removed, Subject};

type Read<T> = Result<T, Stop>;

/// Reads the blocks of one module, as one instance of it sees them.
pub fn read(declared: &Declarations, scope: &Scope<'_>, report: &Report, fleet: &mut Fleet) {
    for block in &declared.moved {
        match moved(block, scope, report) {
            Ok(moved) => fleet.moved.push(moved),
            Err(stop) => report.stop(stop, None),
        }
    }
    for block in &declared.removed {
        match removed(block, scope, report) {
            Ok(removed) => fleet.removed.push(removed),
            Err(stop) => report.stop(stop, None),
        }
    }
    for block in &declared.imports {
        if let Err(stop) = imports(block, scope, report, fleet) {
            report.stop(stop, None);
        }
    }
}

fn moved(block: &Block, scope: &Scope<'_>, report: &Report) -> Read<Moved> {
    only(block, &["from", "to"], &[], report);
    let from = subject(required(block, "from")?, scope, None)?;
    let to = subject(required(block, "to")?, scope, None)?;
    let fits = match (&from, &to) {
        (Subject::Resource(from), Subject::Resource(to)) => from.kind == to.kind,
        (Subject::Module(_), Subject::Module(_)) => true,
        _ => false,
    };
    if !fits || from == to {
        return Err(mistake(format!("{from} cannot become {to}"), block.header)
            .help("both are resources of one kind, or both are modules, and not the same")
            .into());
    }
    Ok(Moved {
        from,
        to,
        span: Some(block.header),
    })
}

fn removed(block: &Block, scope: &Scope<'_>, report: &Report) -> Read<Removed> {
    only(block, &["from"], &["lifecycle"], report);
    let from = subject(required(block, "from")?, scope, None)?;
    let mut destroy = true;
    for lifecycle in block
        .body
        .blocks
        .iter()
        .filter(|b| b.kind.as_ref() == "lifecycle")
    {
        only(lifecycle, &["destroy"], &[], report);
        if let Some(attribute) = lifecycle.body.attribute("destroy") {
            let value = eval(&attribute.value, scope)?;
            destroy = truth(&value, attribute.value.span, "destroy")?;
        }
    }
    Ok(Removed {
        from,
        destroy,
        span: block.header,
    })
}

fn imports(block: &Block, scope: &Scope<'_>, report: &Report, fleet: &mut Fleet) -> Read<()> {
    only(block, &["to", "id", "for_each"], &[], report);
    if !scope.env.path.is_empty() {
        let text = "an `import` block stands in the root module";
        return Err(mistake(text.to_owned(), block.header)
            .help("what stands on which node is known where the module is called: to = module.name.instance.web")
            .into());
    }
    let Some(which) = instances(block, scope, report) else {
        return Err(Stop::Reported);
    };
    match which {
        // `count` is not among the attributes: `only` has said so.
        Instances::One | Instances::Count(_) => fleet.imports.push(import(block, scope)?),
        Instances::Each(each) => {
            for (key, value) in each {
                let key = Value::new(Data::String(key));
                let scope = Scope {
                    each: Some((&key, &value)),
                    ..*scope
                };
                fleet.imports.push(import(block, &scope)?);
            }
        }
    }
    Ok(())
}

fn import(block: &Block, scope: &Scope<'_>) -> Read<Import> {
    let to = required(block, "to")?;
    let id = required(block, "id")?;
    let to = match subject(to, scope, Some(scope))? {
        Subject::Resource(addr) if addr.kind == Kind::Instance => addr,
        other => {
            let text = format!("{other} cannot be imported");
            return Err(mistake(text, to.span)
                .help("instances are, onto the node they stand on; everything else is recorded by the next apply")
                .into());
        }
    };
    let value = eval(id, scope)?;
    let node = match &value.data {
        Data::Resource(r) => Some(r.addr.clone()),
        Data::String(text) => text.parse::<Addr>().ok(),
        _ => None,
    };
    match node {
        Some(node) if node.kind == Kind::Node => Ok(Import {
            to,
            node,
            span: block.header,
        }),
        _ => Err(
            mistake(format!("`id` is the node that {to} stands on"), id.span)
                .help("write id = node.rack[\"r1-01\"]")
                .into(),
        ),
    }
}

fn mistake(text: String, span: Span) -> Diagnostic {
    Diagnostic::error(codes::MOVES, text).at(span, "here")
}

fn required<'b>(block: &'b Block, name: &str) -> Read<&'b Expr> {
    match block.body.attribute(name) {
        Some(attribute) => Ok(&attribute.value),
        None if block.body.incomplete => Err(Stop::Reported),
        None => {
            let text = format!("`{}` needs `{name}`", block.kind);
            let d = Diagnostic::error(codes::MISSING, text);
            Err(d.at(block.header, "not in this block").into())
        }
    }
}

/// Reports whatever else stands in the block.
fn only(block: &Block, attributes: &[&str], blocks: &[&str], report: &Report) {
    for attribute in &block.body.attributes {
        if !attributes.contains(&attribute.name.as_ref()) {
            let text = format!("`{}` has no attribute `{}`", block.kind, attribute.name);
            let d = Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text);
            report.push(d.at(attribute.name_span, "not known"));
        }
    }
    for nested in &block.body.blocks {
        if !blocks.contains(&nested.kind.as_ref()) {
            let text = format!("`{}` has no block `{}`", block.kind, nested.kind);
            let d = Diagnostic::error(codes::UNKNOWN_BLOCK, text);
            report.push(d.at(nested.header, "not known"));
        }
    }
}

/// An address as it is written: names that need not exist any more. Keys are literal, or evaluated in `keys`.
fn subject(expr: &Expr, scope: &Scope<'_>, keys: Option<&Scope<'_>>) -> Read<Subject> {
    if matches!(expr.kind, ExprKind::Invalid) {
        return Err(Stop::Reported);
    }
    let wrong = || {
        mistake("this is not an address".to_owned(), expr.span)
            .help("write node.rack, node.rack[\"r1-01\"], module.pool or module.pool.instance.web")
    };
    let ExprKind::Traversal(base, steps) = &expr.kind else {
        return Err(wrong().into());
    };
    let ExprKind::Name(root) = &base.kind else {
        return Err(wrong().into());
    };
    let mut module = scope.env.path.clone();
    let mut word: &str = root;
    let mut rest = steps.as_slice();
    loop {
        let (name, key, after) = name_and_key(rest, keys)?.ok_or_else(wrong)?;
        if word != "module" {
            let kind: Kind = word.parse().map_err(|_| wrong())?;
            let addr = Addr {
                module,
                kind,
                name,
                key,
            };
            return if after.is_empty() {
                Ok(Subject::Resource(addr))
            } else {
                Err(wrong().into())
            };
        }
        module.push(ModuleStep { name, key });
        match after.split_first() {
            None => return Ok(Subject::Module(module)),
            Some((
                Step {
                    kind: StepKind::Attribute(next),
                    ..
                },
                more,
            )) => {
                word = next;
                rest = more;
            }
            Some(_) => return Err(wrong().into()),
        }
    }
}

type NameAndKey<'s> = Option<(Name, Option<Key>, &'s [Step])>;

fn name_and_key<'s>(steps: &'s [Step], keys: Option<&Scope<'_>>) -> Read<NameAndKey<'s>> {
    let Some((
        Step {
            kind: StepKind::Attribute(name),
            ..
        },
        rest,
    )) = steps.split_first()
    else {
        return Ok(None);
    };
    let Ok(name) = name.parse::<Name>() else {
        return Ok(None);
    };
    let Some((
        Step {
            kind: StepKind::Index(index),
            ..
        },
        after,
    )) = rest.split_first()
    else {
        return Ok(Some((name, None, rest)));
    };
    let evaluated;
    let value = match (&index.kind, keys) {
        (ExprKind::Literal(value), _) => value,
        (_, Some(scope)) => {
            evaluated = eval(index, scope)?;
            &evaluated
        }
        (_, None) => return Ok(None),
    };
    let key = match &value.data {
        Data::String(text) => Some(Key::Text(text.clone())),
        Data::Number(n) => n
            .to_u64()
            .and_then(|n| u32::try_from(n).ok())
            .map(Key::Index),
        _ => None,
    };
    Ok(key.map(|key| (name, Some(key), after)))
}
