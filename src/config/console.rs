//! A loaded configuration that answers expressions: what `bmctl console` and editors ask.

use std::collections::BTreeMap;

use super::eval::{BUDGET, EnvId, Scope, Stop, World, eval};
use super::functions;
use super::generate::quoted;
use super::load::{Opened, open_within};
use super::show::{show, show_output, show_type, type_json};
use super::sources::Sources;
use super::syntax::ast::ExprKind;
use super::syntax::parse_expression;
use super::types::Type;
use super::value::{Data, SeqKind, Value};
use super::variables::VariableInput;
use crate::diag::{Diagnostics, SourceMap};
use crate::ids::{Addr, Name};
use crate::model::Fleet;

pub struct Console<'s> {
    world: World<'s>,
    pub fleet: Fleet,
    /// For the loading, and for each expression.
    budget: u64,
}

impl<'s> Console<'s> {
    /// Loads the directory. What has mistakes is told, and has no value; the rest can be asked for.
    pub fn open(
        dir: &str,
        variables: &[VariableInput],
        sources: &'s dyn Sources,
    ) -> (Console<'s>, Diagnostics) {
        Console::open_within(dir, variables, sources, BUDGET)
    }

    fn open_within(
        dir: &str,
        variables: &[VariableInput],
        sources: &'s dyn Sources,
        budget: u64,
    ) -> (Console<'s>, Diagnostics) {
        let Opened {
            world,
            fleet,
            diagnostics,
            ..
        } = open_within(dir, variables, sources, budget);
        let console = Console {
            world,
            fleet,
            budget,
        };
        (console, diagnostics)
    }

    /// The expression's value, printed; or why it has none, with places in [`Console::files`]. `type(value)` as a whole prints a
    /// type, which is no value.
    pub fn evaluate(&self, text: &str) -> Result<String, Diagnostics> {
        let asked = text
            .trim()
            .strip_prefix("type(")
            .and_then(|rest| rest.strip_suffix(')'));
        // Only when the bracket that opened is the one at the end.
        let file = SourceMap::default().add("expression", text);
        let asked = asked.filter(|_| {
            matches!(parse_expression(file, text).map(|e| e.kind), Ok(ExprKind::Call(call)) if call.args.len() == 1)
        });
        if let Some(inner) = asked {
            return self.value(inner).map(|value| show_type(&Type::of(&value)));
        }
        self.value(text).map(|value| show(&value))
    }

    pub(super) fn value(&self, text: &str) -> Result<Value, Diagnostics> {
        let file = self.world.files.borrow_mut().add("expression", text);
        let mut found = Diagnostics::default();
        self.world.renew(self.budget);
        let parsed = parse_expression(file, text);
        match parsed
            .map_err(Stop::from)
            .and_then(|e| eval(&e, &Scope::new(&self.world)))
        {
            Ok(value) => return Ok(value),
            Err(Stop::Mistake(d)) => found.push(*d),
            Err(Stop::Reported) => found.extend(self.world.exhausted()),
        }
        if !found.has_errors() {
            let d = crate::diag::Diagnostic::error(
                super::codes::UNDECLARED,
                "this depends on something that has a mistake",
            );
            found.push(d.help("bmctl validate shows the mistake"));
        }
        Err(found)
    }

    /// Whether the text is only the beginning of an expression: something in it has no end.
    pub fn is_open(text: &str) -> bool {
        // As if its line had ended: a quoted string ends with its line.
        let line = format!("{text}\n");
        let file = SourceMap::default().add("expression", line.as_str());
        matches!(parse_expression(file, &line), Err(d) if d.code == super::codes::UNCLOSED)
    }

    /// Whether the text has to do with something that must not be shown; what has no value is not known to be harmless.
    pub fn is_sensitive(&self, text: &str) -> bool {
        text.contains("sensitive(") || self.value(text).map_or(true, |v| v.contains_sensitive())
    }

    /// The texts that diagnostics point into.
    pub fn files(&self) -> SourceMap {
        self.world.files.borrow().clone()
    }

    /// An output of the root module as it is printed, and its type as Terraform writes it in JSON; `None` after a mistake.
    pub fn output(&self, name: &str) -> Option<(String, serde_json::Value)> {
        let outputs = &self.world.env(EnvId::ROOT).outputs;
        let value = outputs.get(name)?.as_ref()?;
        Some((show_output(value), type_json(&Type::of(value))))
    }

    /// How the root module speaks of each resource that it can speak of: by its address, or by the output of a module that holds it.
    pub fn expressions(&self) -> BTreeMap<Addr, String> {
        let mut out = BTreeMap::new();
        for addr in self.fleet.origins.keys() {
            if addr.module.is_empty() {
                out.insert(addr.clone(), addr.to_string());
            }
        }
        for name in self.world.env(EnvId::ROOT).declared.modules.keys() {
            let path = format!("module.{name}");
            // A module with a mistake holds nothing that could be spoken of.
            if let Ok(value) = self.value(&path) {
                resources_in(&value, path, &mut out);
            }
        }
        out
    }

    /// What an expression may begin with: functions, and every declared name.
    pub fn names(&self) -> Vec<String> {
        let declared = &self.world.env(EnvId::ROOT).declared;
        let mut out: Vec<String> = functions::table().keys().map(|f| format!("{f}(")).collect();
        out.extend(declared.variables.keys().map(|n| format!("var.{n}")));
        out.extend(declared.locals.keys().map(|n| format!("local.{n}")));
        out.extend(declared.modules.keys().map(|n| format!("module.{n}")));
        out.extend(
            declared
                .resources
                .keys()
                .map(|(kind, n)| format!("{kind}.{n}")),
        );
        out.extend(["path.module".to_owned(), "path.root".to_owned()]);
        out.sort();
        out
    }
}

/// Collections within each other that are searched.
const DEPTH_MAX: u32 = 8;

/// The resources in a value, each by the first way that leads to it.
fn resources_in(value: &Value, path: String, out: &mut BTreeMap<Addr, String>) {
    if value.extent().depth > DEPTH_MAX {
        return;
    }
    match &value.data {
        Data::Resource(resource) => {
            out.entry(resource.addr.clone()).or_insert(path);
        }
        Data::Map(map) => {
            for (key, value) in &map.entries {
                let is_name = key.parse::<Name>().is_ok();
                let step = match is_name {
                    true => format!("{path}.{key}"),
                    false => format!("{path}[{}]", quoted(key)),
                };
                resources_in(value, step, out);
            }
        }
        // Elements of a set have no place.
        Data::Seq(seq) if seq.kind != SeqKind::Set => {
            for (at, value) in seq.items.iter().enumerate() {
                resources_in(value, format!("{path}[{at}]"), out);
            }
        }
        Data::Seq(_) | Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::MemorySources;

    #[test]
    fn expressions_see_what_is_declared_and_mistakes_have_places() {
        let text = "variable \"v\" { default = 2 }\nlocals {\n  a = var.v + 1\n  bad = 1 / 0\n}\n";
        let sources = MemorySources::default().file("main.hcl", text);
        let (console, mistakes) = Console::open(".", &[], &sources);
        assert!(mistakes.has_errors());
        assert_eq!(console.evaluate("local.a * 2").unwrap(), "6");
        let told = |text: &str| {
            let found = console.evaluate(text).unwrap_err();
            let first = found.iter().next().unwrap();
            first.render(&console.files(), crate::diag::Color::Never)
        };
        assert!(told("local.b").contains("did you mean `a`?"));
        assert!(told("local.bad").contains("has a mistake"));
        assert!(told("1 +").contains("expression:1:"));
        assert!(console.names().contains(&"local.a".to_owned()));
    }

    #[test]
    fn the_beginning_of_an_expression_is_seen() {
        for open in ["[", "{ a = [1,", "upper(", "<<EOT\na", "\"${[1\n"] {
            assert!(Console::is_open(open), "{open}");
        }
        for whole in ["1", "1 +", "]", "[1]]", "\"a", "<<EOT\na\nEOT", "\"${1}\""] {
            assert!(!Console::is_open(whole), "{whole}");
        }
    }

    #[test]
    fn what_is_sensitive_is_known_to_be() {
        let text = "variable \"v\" {\n  default = 2\n  sensitive = true\n}\n";
        let sources = MemorySources::default().file("main.hcl", text);
        let (console, _) = Console::open(".", &[], &sources);
        for text in [
            "var.v",
            "[1, var.v]",
            "sensitive(1) == nosuch",
            "nonsensitive(var.v)",
            "nosuch",
        ] {
            assert!(console.is_sensitive(text), "{text}");
        }
        assert!(!console.is_sensitive("1 + 1"));
    }

    #[test]
    fn types_are_printed() {
        let sources = MemorySources::default();
        let (console, _) = Console::open(".", &[], &sources);
        for (text, expected) in [
            ("type(1)", "number"),
            ("type(null)", "dynamic"),
            ("type([])", "tuple([])"),
            ("type(tolist([]))", "list(dynamic)"),
            ("type(tolist([\"a\"]))", "list(string)"),
            ("type([1, \"a\"])", "tuple([\n    number,\n    string,\n])"),
            (
                "type({ a = 1, b = { c = true } })",
                "object({\n    a: number,\n    b: object({\n        c: bool,\n    }),\n})",
            ),
            (
                "type(tomap({ a = [1] }))",
                "map(\n    tuple([\n        number,\n    ]),\n)",
            ),
        ] {
            assert_eq!(console.evaluate(text).unwrap(), expected, "{text}");
        }
        for wrong in ["[type(1)]", "type(1) == type(1)", "type(1, 2)"] {
            assert!(console.evaluate(wrong).is_err(), "{wrong}");
        }
    }

    /// One expression that is too much does not end the session.
    #[test]
    fn each_expression_has_a_budget_of_its_own() {
        let sources = MemorySources::default();
        let (console, _) = Console::open_within(".", &[], &sources, 1000);
        let much = "[for a in range(100) : [for b in range(100) : a]]";
        assert!(console.evaluate(much).is_err());
        assert_eq!(console.evaluate("1 + 1").unwrap(), "2");
    }
}
