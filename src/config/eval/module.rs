//! `module.name`: what a module gives to the one that calls it.

use std::sync::Arc;

use super::traverse::{instance, no_such, undeclared, with_help};
use super::{Called, EnvId, Evaluated, Scope, Stop, eval};
use crate::config::convert::convert;
use crate::config::suggest::did_you_mean;
use crate::config::syntax::ast::{Step, StepKind};
use crate::config::types::Type;
use crate::config::value::{Data, Entries, Value};
use crate::diag::Span;

/// The value of `module.name` with the steps that choose an instance and an output, and the steps that are left. One output
/// of one instance is looked up without putting all of them together.
pub fn call<'s>(
    name: &str,
    span: Span,
    steps: &'s [Step],
    scope: &Scope<'_>,
) -> Result<(Value, &'s [Step]), Stop> {
    let Some(called) = scope.env.calls.get(name) else {
        if scope.env.declared.modules.contains_key(name) {
            return Err(Stop::Reported);
        }
        let known = scope.env.declared.modules.keys().map(AsRef::as_ref);
        let d = undeclared(&format!("there is no module `{name}`"), span);
        return Err(with_help(d, did_you_mean(name, known)).into());
    };
    let (one, rest) = match (called, steps.split_first()) {
        (Called::Failed, _) => return Err(Stop::Reported),
        (Called::One(env), _) => (*env, steps),
        (Called::Count(_) | Called::Each(_), Some((step, after))) => match &step.kind {
            StepKind::Index(e) => {
                let key = eval(e, scope)?;
                match chosen(called, &key) {
                    Some(env) => (env, after),
                    None => {
                        let label = format!("module.{name}");
                        return Ok((instance(&all(called, scope)?, &key, e.span, &label)?, after));
                    }
                }
            }
            _ => return Ok((all(called, scope)?, steps)),
        },
        (Called::Count(_) | Called::Each(_), None) => return Ok((all(called, scope)?, steps)),
    };
    match rest.split_first() {
        Some((
            Step {
                kind: StepKind::Attribute(output),
                span,
            },
            after,
        )) => Ok((output_of(one, name, output, *span, scope)?, after)),
        _ => Ok((outputs(one, scope)?, rest)),
    }
}

fn chosen(called: &Called, key: &Value) -> Option<EnvId> {
    match called {
        Called::Each(all) => all.get(key.as_str()?).copied(),
        Called::Count(all) => match convert(key, &Type::Number).ok()?.data {
            Data::Number(n) => all.get(n.to_usize()?).copied(),
            _ => None,
        },
        Called::One(_) | Called::Failed => None,
    }
}

fn output_of(env: EnvId, call: &str, name: &Arc<str>, span: Span, scope: &Scope<'_>) -> Evaluated {
    let env = scope.world.env(env);
    match env.outputs.get(name) {
        Some(Some(value)) => Ok(value.clone()),
        Some(None) => Err(Stop::Reported),
        None if env.declared.outputs.contains_key(name) => Err(Stop::Reported),
        None => {
            let names = env.declared.outputs.keys().map(AsRef::as_ref);
            Err(no_such(&format!("module.{call}"), name, span, names).into())
        }
    }
}

/// All outputs of one instance that have been evaluated: an expression that names one output waits for that one alone.
fn outputs(env: EnvId, scope: &Scope<'_>) -> Evaluated {
    let mut entries = Entries::new();
    for (name, slot) in &scope.world.env(env).outputs {
        match slot {
            Some(value) => entries.insert(name.clone(), value.clone()),
            None => return Err(Stop::Reported),
        };
    }
    Ok(Value::object(entries))
}

fn all(called: &Called, scope: &Scope<'_>) -> Evaluated {
    match called {
        Called::Failed => Err(Stop::Reported),
        Called::One(env) => outputs(*env, scope),
        Called::Count(envs) => {
            let each = envs.iter().map(|env| outputs(*env, scope));
            Ok(Value::tuple(each.collect::<Result<_, _>>()?))
        }
        Called::Each(envs) => {
            let mut entries = Entries::new();
            for (key, env) in envs {
                entries.insert(key.clone(), outputs(*env, scope)?);
            }
            Ok(Value::object(entries))
        }
    }
}
