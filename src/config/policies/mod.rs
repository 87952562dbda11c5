//! `policy`: conditions over a finished plan. They are read with the configuration, and asked once there is a plan.

mod asked;
mod names;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use names::{Object, Says};

use crate::config::codes;
use crate::config::conditions::Condition;
use crate::config::declare::Declarations;
use crate::config::decode::Reader;
use crate::config::eval::{BUDGET, Env, EnvId, Frame, Scope, Slot, World, eval, truth};
use crate::config::load::Loaded;
use crate::config::number::Number;
use crate::config::report::Report;
use crate::config::sources::MemorySources;
use crate::config::syntax::ast::{Block, Expr};
use crate::config::value::{Entries, Value};
use crate::diag::{Diagnostic, Diagnostics, Severity, Span};
use crate::model::{Finding, Quorum, Weight};

/// What a condition calls the plan.
const PLAN: &str = "plan";

#[derive(Debug, Clone)]
pub struct Policy {
    pub name: String,
    pub weight: Weight,
    pub header: Span,
    pub rule: Rule,
}

#[derive(Debug, Clone)]
pub enum Rule {
    /// `condition` and `error_message`.
    Condition,
    AtMostDown(Quorum),
}

/// All policies, with the values their conditions may name.
#[derive(Default)]
pub struct Policies {
    pub list: Vec<Policy>,
    declared: Arc<Declarations>,
    variables: BTreeMap<Arc<str>, Slot>,
    locals: BTreeMap<Arc<str>, Slot>,
}

impl Policies {
    /// The root module's, by name.
    pub(super) fn read(scope: &Scope<'_>, report: &Report) -> Policies {
        let declared = &scope.env.declared;
        let list = declared.policies.iter();
        let list = list.filter_map(|(name, block)| policy(name, block, scope, report));
        let list: Vec<Policy> = list.collect();
        if list.is_empty() {
            return Policies::default();
        }
        Policies {
            list,
            declared: declared.clone(),
            variables: scope.env.variables.clone(),
            locals: scope.env.locals.clone(),
        }
    }
}

/// A policy that stands where it would not be asked.
pub(super) fn of_called(blocks: &BTreeMap<Arc<str>, Block>, report: &Report) {
    for block in blocks.values() {
        let text = "a `policy` block stands in the root module";
        let d = Diagnostic::error(codes::POLICY, text).at(block.header, "in a module");
        report.push(d.help("what a plan may do is for the root module to say: move it there"));
    }
}

fn policy(name: &str, block: &Block, scope: &Scope<'_>, report: &Report) -> Option<Policy> {
    let subject = format!("policy.{name}");
    let mut reader = Reader::new(block, scope, report, &subject);
    let weight = reader.or("severity", Weight::Block);
    let quorum = reader.block("at_most_down", |r| {
        let labels = r.or("labels", BTreeMap::new());
        let at_most = r.required("n");
        Some(Quorum {
            labels,
            at_most: at_most?,
        })
    });
    reader.known(&["condition", "error_message"], &[]);
    let has_condition = reader.has_attribute("condition");
    let has_group = block.body.blocks.iter().any(|b| &*b.kind == "at_most_down");
    if has_condition == has_group {
        let d = Diagnostic::error(codes::POLICY, format!("{subject} needs one rule")).at(
            block.header,
            "`condition` with `error_message`, or `at_most_down`",
        );
        reader.fail(d.help("write two policies for two rules"));
    }
    reader.finish().0?;
    let rule = match quorum {
        Some(quorum) => Rule::AtMostDown(quorum),
        None => {
            names_exist(block, scope, report);
            Rule::Condition
        }
    };
    Some(Policy {
        name: name.to_owned(),
        weight,
        header: block.header,
        rule,
    })
}

/// A slip in a name or a type is told when the configuration is read, not on the day the policy is needed. What cannot be known
/// before there is a plan is asked then: a condition that has no value is not met.
fn names_exist(block: &Block, scope: &Scope<'_>, report: &Report) {
    let nothing = Frame {
        name: PLAN,
        value: Value::object(Entries::new()),
        parent: None,
    };
    for name in ["condition", "error_message"] {
        let Some(attribute) = block.body.attribute(name) else {
            let text = "a `policy` with `condition` needs `error_message`";
            report.push(
                Diagnostic::error(codes::MISSING, text).at(block.header, "not in this block"),
            );
            continue;
        };
        let is_condition = name == "condition";
        match is_condition {
            true => asked::condition(&attribute.value, report),
            false => asked::message(&attribute.value, report),
        }
        match eval(&attribute.value, &scope.with(&nothing)) {
            Ok(value) if is_condition && !names_plan(&attribute.value) => {
                if let Err(stop) = truth(&value, attribute.value.span, "the condition") {
                    report.stop(stop, None);
                }
            }
            Err(stop) if stop.is_undeclared() => report.stop(stop, None),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Without it the value is what it will be.
fn names_plan(expr: &Expr) -> bool {
    let mut found = false;
    expr.roots(&mut |name, _, _| found |= name == PLAN);
    found
}

/// What the conditions say of a plan, given as docs/language.md describes it.
pub fn judge(loaded: &Loaded, plan: serde_json::Value) -> (Vec<Finding>, Diagnostics) {
    let policies = &loaded.policies;
    let sources = MemorySources::default();
    let mut world = World::new(&sources, loaded.sources.clone(), BUDGET);
    *world.env_mut(EnvId::ROOT) = Env {
        variables: policies.variables.clone(),
        locals: policies.locals.clone(),
        ..Env::default()
    };
    let plan = Frame {
        name: PLAN,
        value: value(plan),
        parent: None,
    };
    let mut findings = Vec::new();
    let mut all = Diagnostics::default();
    for policy in &policies.list {
        let block = policies.declared.policies.get(policy.name.as_str());
        let (Rule::Condition, Some(block)) = (&policy.rule, block) else {
            continue;
        };
        let report = Report::default();
        let subject = format!("policy.{}", policy.name);
        let condition = Condition {
            subject: &subject,
            code: codes::POLICY_BROKEN,
            severity: severity(policy.weight),
            declared: None,
        };
        condition.holds(block, &Scope::new(&world).with(&plan), &report);
        let mut broken: Option<Finding> = None;
        for mut d in report.into_diagnostics() {
            let is_asked = d.code == codes::POLICY_BROKEN;
            d.severity = severity(policy.weight);
            broken.get_or_insert_with(|| Finding {
                policy: policy.name.clone(),
                weight: policy.weight,
                // Unknown is not met: a slip in a guard does not open the way that it guards.
                message: match is_asked {
                    true => d.message.clone(),
                    false => format!("{subject} cannot be asked: {}", d.message),
                },
                place: place(&d, loaded),
            });
            all.push(d);
        }
        findings.extend(broken);
    }
    (findings, all)
}

/// What is only to be approved does not look like an error.
pub fn severity(weight: Weight) -> Severity {
    match weight {
        Weight::Block => Severity::Error,
        Weight::Approve | Weight::Warn => Severity::Warning,
    }
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

/// File and line, as an editor opens them.
pub fn place(d: &Diagnostic, loaded: &Loaded) -> String {
    let span = d.primary.as_ref().map(|label| label.span);
    span.map(|span| loaded.sources.place(span))
        .unwrap_or_default()
}

/// Takes it apart on the way: of a large fleet, both at once would be a gigabyte.
fn value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::null(),
        Json::Bool(b) => Value::bool(b),
        Json::Number(n) => match n.as_i64() {
            Some(n) => Value::number(n),
            None => n
                .as_f64()
                .and_then(Number::from_f64)
                .map_or_else(Value::null, Value::number),
        },
        Json::String(text) => Value::string(&text),
        Json::Array(items) => Value::tuple(items.into_iter().map(value).collect()),
        Json::Object(fields) => {
            let fields = fields.into_iter();
            Value::object(fields.map(|(k, v)| (Arc::from(k), value(v))).collect())
        }
    }
}
