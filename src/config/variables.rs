//! Variables: their declarations, the values given for them, and validation.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codes;
use super::conditions::Condition;
use super::constraint::parse_type;
use super::convert::convert;
use super::eval::{Scope, eval};
use super::report::Report;
use super::suggest::did_you_mean;
use super::syntax::ast::{Block, Body, Expr};
use super::syntax::json::parse_json_values;
use super::syntax::{parse_expression, parse_file};
use super::types::Type;
use super::value::Value;
use crate::diag::{Diagnostic, FileId, Severity, SourceMap, Span};

/// A value for a variable from outside of the directory's files, in rising order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableInput {
    /// Without `BMCTL_VAR_`. Empty for a file.
    pub name: String,
    /// The value; for a file, its whole text.
    pub text: String,
    pub origin: VariableOrigin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableOrigin {
    /// `BMCTL_VAR_name`; weaker than the files of the directory, and silently ignored when nothing of that name is declared.
    Env,
    /// `--var-file`.
    File { path: String },
    /// `--var name=value`.
    Flag,
}

/// Where a variable's value stands: an expression in a file, or a text whose reading depends on the type.
pub enum Given {
    Expression(Expr),
    Text(FileId, String),
    /// The argument of a module call, evaluated where the call stands.
    Value(Value, Span),
}

pub type GivenValues = BTreeMap<Arc<str>, Given>;

/// A file of values: its name as it is shown, and its text.
pub struct ValuesFile<'f> {
    pub file: FileId,
    pub name: &'f str,
    pub text: &'f str,
}

/// Takes in a `*.vars.hcl` or `*.vars.json` file. Where it does not parse, the place is told and the line is not shown: it may
/// hold a secret.
pub fn add_file(
    read: &ValuesFile<'_>,
    given: &mut GivenValues,
    map: &SourceMap,
    report: &Report,
) -> Vec<(Arc<str>, Span)> {
    let mut mistakes = Vec::new();
    let body: Body = if is_json(read.name) {
        parse_json_values(read.file, read.text, &mut mistakes)
    } else {
        parse_file(read.file, read.text, &mut mistakes)
    };
    for d in mistakes {
        let place = d
            .primary
            .as_ref()
            .map_or_else(|| read.name.to_owned(), |l| map.place(l.span));
        let text = format!("{place}: this does not parse as a value of a variable");
        report.push(
            Diagnostic::error(d.code, text)
                .note("the line is not shown, because values may be secret")
                .help("write name = value, a text in quotes"),
        );
    }
    for block in &body.blocks {
        report.push(
            Diagnostic::error(
                codes::UNKNOWN_BLOCK,
                "a file of variables holds attributes only",
            )
            .at(block.header, "a block"),
        );
    }
    let mut names = Vec::new();
    for attribute in body.attributes {
        names.push((attribute.name.clone(), attribute.name_span));
        given.insert(attribute.name, Given::Expression(attribute.value));
    }
    names
}

/// A value that nobody asked for.
///
/// The line is named, not shown: under a misspelt name there may be a secret.
pub fn undeclared<'n>(
    name: &str,
    place: &str,
    declared: impl Iterator<Item = &'n str>,
) -> Diagnostic {
    let text = format!("{place}: a value for `{name}`, which is no variable");
    let d = Diagnostic::error(codes::UNDECLARED_VARIABLE, text);
    match did_you_mean(name, declared) {
        Some(help) => d.help(help),
        None => d.help(format!("declare it: variable \"{name}\" {{ }}")),
    }
}

pub fn is_json(name: &str) -> bool {
    std::path::Path::new(name)
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("json"))
}

const ATTRIBUTES: [&str; 5] = ["type", "default", "sensitive", "nullable", "description"];

/// The value of one variable; `None` when a mistake was reported.
pub fn value(
    name: &str,
    block: &Block,
    given: Option<&Given>,
    scope: &Scope<'_>,
    report: &Report,
) -> Option<Value> {
    let body = &block.body;
    unknown(body, report);
    let sensitive = flag(body, "sensitive", scope, report)?.unwrap_or(false);
    let nullable = flag(body, "nullable", scope, report)?.unwrap_or(true);
    let declared = match body.attribute("type") {
        Some(attribute) => match parse_type(&attribute.value, scope) {
            Ok(of) => Some(of),
            Err(stop) => {
                report.stop(stop, None);
                return None;
            }
        },
        None => None,
    };
    let of = declared.clone().unwrap_or(Type::Any);
    let default = match body.attribute("default") {
        Some(attribute) => {
            let evaluated = eval(&attribute.value, scope);
            let value = evaluated.map_err(|stop| report.stop(stop, None)).ok()?;
            let span = if sensitive {
                block.header
            } else {
                attribute.value.span
            };
            Some(typed(name, &value.marked(sensitive), &of, span, report)?)
        }
        None => None,
    };
    let Some(given) = given else {
        if default.is_none() {
            report.push(no_value(name, block));
        }
        return default.map(|value| value.marked(sensitive));
    };
    let hidden = sensitive.then_some(block.header);
    let (value, span) = read(given, declared.as_ref(), hidden, scope, report)?;
    // The line with a sensitive value is not shown.
    let span = if sensitive { block.header } else { span };
    let value = typed(name, &value.marked(sensitive), &of, span, report)?;
    let value = match (value.is_null() && !nullable, default) {
        (true, Some(default)) => default,
        (true, None) => {
            let text = format!("var.{name} must not be null");
            let d = Diagnostic::error(codes::VARIABLE_TYPE, text);
            report.push(d.at(span, "null is given here"));
            return None;
        }
        (false, _) => value,
    };
    Some(value.marked(sensitive))
}

fn no_value(name: &str, block: &Block) -> Diagnostic {
    Diagnostic::error(codes::NO_VALUE, format!("var.{name} has no value"))
        .at(block.header, "declared without a default")
        .help(format!(
            "set BMCTL_VAR_{name}, pass --var {name}=..., or write it into bmctl.vars.hcl"
        ))
}

/// What a `variable` does not have.
fn unknown(body: &Body, report: &Report) {
    for attribute in &body.attributes {
        if !ATTRIBUTES.contains(&attribute.name.as_ref()) {
            let text = format!("`variable` has no attribute `{}`", attribute.name);
            let d = Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text)
                .at(attribute.name_span, "not known");
            report.push(match did_you_mean(&attribute.name, ATTRIBUTES) {
                Some(help) => d.help(help),
                None => d,
            });
        }
    }
    let blocks = body.blocks.iter();
    for nested in blocks.filter(|b| b.kind.as_ref() != "validation") {
        let text = format!("`variable` has no block `{}`", nested.kind);
        report.push(Diagnostic::error(codes::UNKNOWN_BLOCK, text).at(nested.header, "not known"));
    }
}

fn flag(body: &Body, name: &str, scope: &Scope<'_>, report: &Report) -> Option<Option<bool>> {
    let Some(attribute) = body.attribute(name) else {
        return Some(None);
    };
    let evaluated = eval(&attribute.value, scope);
    let value = evaluated.map_err(|stop| report.stop(stop, None)).ok()?;
    match convert(&value, &Type::Bool).map(|v| v.data) {
        Ok(super::value::Data::Bool(b)) => Some(Some(b)),
        _ => {
            let text = format!("`{name}` is true or false");
            let found = format!("found {}", value.shown());
            report.push(Diagnostic::error(codes::WRONG_TYPE, text).at(attribute.value.span, found));
            None
        }
    }
}

fn typed(name: &str, value: &Value, of: &Type, span: Span, report: &Report) -> Option<Value> {
    match convert(value, of) {
        Ok(value) => Some(value),
        Err(m) => {
            report.push(
                Diagnostic::error(
                    codes::VARIABLE_TYPE,
                    format!("var.{name} has the wrong type"),
                )
                .at(span, m.sentence())
                .note(format!("its type is {of}")),
            );
            None
        }
    }
}

/// A text is itself for a variable that holds one word, and an expression for all others, as in Terraform.
fn read(
    given: &Given,
    of: Option<&Type>,
    hidden: Option<Span>,
    scope: &Scope<'_>,
    report: &Report,
) -> Option<(Value, Span)> {
    let evaluated = |expr: &Expr| {
        let value = eval(expr, scope);
        let value = value.map_err(|stop| report.stop(stop, None)).ok()?;
        Some((value, expr.span))
    };
    match given {
        Given::Expression(expr) => evaluated(expr),
        Given::Value(value, span) => Some((value.clone(), *span)),
        Given::Text(file, text) => match of {
            None | Some(Type::String | Type::Number | Type::Bool) => {
                Some((Value::string(text), Span::new(*file, 0..text.len())))
            }
            Some(_) => match parse_expression(*file, text) {
                Ok(expr) => evaluated(&expr),
                Err(d) => {
                    report.push(match hidden {
                        // What is quoted from the text could be the secret.
                        Some(header) => Diagnostic::error(
                            codes::VARIABLE_TYPE,
                            "the value given for this variable is no expression",
                        )
                        .at(header, "sensitive, so it is not shown"),
                        None => *d,
                    });
                    None
                }
            },
        },
    }
}

/// Checks the `validation` blocks of a variable that has a value.
pub fn validate(name: &str, block: &Block, scope: &Scope<'_>, report: &Report) {
    let condition = Condition {
        subject: &format!("var.{name}"),
        code: codes::VALIDATION,
        severity: Severity::Error,
        declared: Some(block.header),
    };
    let nested = block.body.blocks.iter();
    for validation in nested.filter(|b| b.kind.as_ref() == "validation") {
        condition.check(validation, scope, report);
    }
}
