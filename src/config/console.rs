//! A loaded configuration that answers expressions: what `bmctl console` and editors ask.

use super::eval::{BUDGET, Scope, Stop, World, eval};
use super::functions;
use super::load::{Opened, open_within};
use super::show::show;
use super::sources::Sources;
use super::syntax::parse_expression;
use super::value::Value;
use super::variables::VariableInput;
use crate::diag::{Diagnostics, SourceMap};
use crate::model::Fleet;

pub struct Console<'s> {
    world: World<'s>,
    pub fleet: Fleet,
}

impl<'s> Console<'s> {
    /// Loads the directory. What has mistakes is told, and has no value; the rest can be asked for.
    pub fn open(
        dir: &str,
        variables: &[VariableInput],
        sources: &'s dyn Sources,
    ) -> (Console<'s>, Diagnostics) {
        let Opened {
            world,
            fleet,
            settings: _,
            diagnostics,
        } = open_within(dir, variables, sources, BUDGET);
        (Console { world, fleet }, diagnostics)
    }

    /// The expression's value, printed; or why it has none, with places in [`Console::files`].
    pub fn evaluate(&self, text: &str) -> Result<String, Diagnostics> {
        self.value(text).map(|value| show(&value))
    }

    pub(super) fn value(&self, text: &str) -> Result<Value, Diagnostics> {
        let file = self.world.files.borrow_mut().add("expression", text);
        let mut found = Diagnostics::default();
        self.world.renew(BUDGET);
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

    /// The texts that diagnostics point into.
    pub fn files(&self) -> SourceMap {
        self.world.files.borrow().clone()
    }

    /// What an expression may begin with: functions, and every declared name.
    pub fn names(&self) -> Vec<String> {
        let world = &self.world;
        let mut out: Vec<String> = functions::table().keys().map(|f| format!("{f}(")).collect();
        out.extend(world.variables.keys().map(|n| format!("var.{n}")));
        out.extend(world.locals.keys().map(|n| format!("local.{n}")));
        for (kind, names) in &world.resources {
            out.extend(names.keys().map(|n| format!("{kind}.{n}")));
        }
        out.extend(["path.module".to_owned(), "path.root".to_owned()]);
        out.sort();
        out
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

    /// One expression that is too much does not end the session.
    #[test]
    fn each_expression_has_a_budget_of_its_own() {
        let sources = MemorySources::default();
        let (console, _) = Console::open(".", &[], &sources);
        let much = "[for a in range(100000) : [for b in range(100000) : [a, b]]]";
        assert!(console.evaluate(much).is_err());
        assert_eq!(console.evaluate("1 + 1").unwrap(), "2");
    }
}
