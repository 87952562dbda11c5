//! `condition` and `error_message`: validations, preconditions, postconditions and the assertions of checks.

use super::codes;
use super::eval::{Scope, Stop, eval, truth};
use super::involved::{add_values, with_values};
use super::report::Report;
use super::suggest::did_you_mean;
use super::syntax::ast::Block;
use crate::diag::{Diagnostic, Severity, Span};

/// What a condition is about, for the message when it does not hold.
pub struct Condition<'c> {
    pub subject: &'c str,
    pub code: &'static str,
    pub severity: Severity,
    /// Where the subject is declared.
    pub declared: Option<Span>,
}

const ATTRIBUTES: [&str; 2] = ["condition", "error_message"];

impl Condition<'_> {
    /// Reports the condition's message when it does not hold, and any mistake in it.
    pub fn check(&self, block: &Block, scope: &Scope<'_>, report: &Report) {
        unknown(block, report);
        self.holds(block, scope, report);
    }

    /// The same of a block that has other attributes too.
    pub fn holds(&self, block: &Block, scope: &Scope<'_>, report: &Report) {
        let (Some(condition), Some(message)) = (
            block.body.attribute("condition"),
            block.body.attribute("error_message"),
        ) else {
            if block.body.incomplete {
                return;
            }
            let text = format!("`{}` needs `condition` and `error_message`", block.kind);
            report.push(Diagnostic::error(codes::MISSING, text).at(block.header, "this block"));
            return;
        };
        let result = eval(&condition.value, scope)
            .and_then(|v| truth(&v, condition.value.span, "the condition"));
        match result {
            Ok(true) => {}
            Err(stop) => {
                let stop = with_values(stop, &condition.value, scope);
                report.stop(stop, Some(format!("in {}", self.subject)));
            }
            Ok(false) => match eval(&message.value, scope) {
                Ok(text) => {
                    let text = match text.as_str() {
                        Some(plain) if !text.contains_sensitive() => plain.to_owned(),
                        _ => "the message is sensitive".to_owned(),
                    };
                    let d = self.broken(&text, condition.value.span);
                    report.push(add_values(d, &condition.value, scope));
                }
                Err(Stop::Reported) => {}
                Err(stop) => report.stop(stop, None),
            },
        }
    }

    fn broken(&self, text: &str, span: Span) -> Diagnostic {
        let mut d = Diagnostic::error(self.code, format!("{}: {text}", self.subject))
            .at(span, "this does not hold");
        d.severity = self.severity;
        match self.declared {
            Some(declared) => d.also(declared, "declared here"),
            None => d,
        }
    }
}

fn unknown(block: &Block, report: &Report) {
    for attribute in &block.body.attributes {
        let name = attribute.name.as_ref();
        if ATTRIBUTES.contains(&name) {
            continue;
        }
        let text = format!("`{}` has no attribute `{name}`", block.kind);
        let d =
            Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text).at(attribute.name_span, "not known");
        report.push(match did_you_mean(name, ATTRIBUTES) {
            Some(help) => d.help(help),
            None => d,
        });
    }
    for nested in &block.body.blocks {
        let text = format!("`{}` has no block `{}`", block.kind, nested.kind);
        report.push(Diagnostic::error(codes::UNKNOWN_BLOCK, text).at(nested.header, "not known"));
    }
}
