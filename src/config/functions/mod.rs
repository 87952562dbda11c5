//! Functions of the language, by name and behaviour of Terraform's. Takes evaluated arguments; gives a value, or why not. May
//! import values and `eval` (for templates, `try` and `can`). Never touches the outside but through `Sources`.

mod args;
mod cidr;
mod collection;
mod combine;
mod dates;
mod digest;
mod encoding;
mod files;
mod format;
mod json;
mod numeric;
mod paths;
mod re2;
mod regular;
mod rsa;
mod string;
mod types;
mod yaml;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use args::{Args, Fail, Param};

use super::codes;
use super::convert::convert;
use super::eval::{Evaluated, Scope, Stop, eval};
use super::suggest::did_you_mean;
use super::syntax::ast::Call;
use super::value::Value;
use crate::diag::{Diagnostic, Span};

/// One row of the table of functions.
pub struct Function {
    pub name: &'static str,
    pub signature: &'static str,
    pub doc: &'static str,
    /// An expression, and another that has the same value.
    pub example: &'static str,
    pub result: &'static str,
    params: &'static [Param],
    /// Further arguments, any number of them.
    rest: Option<Param>,
    marks: Marks,
    run: fn(&Args<'_>) -> Result<Value, Fail>,
}

/// What becomes of sensitive arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    /// The function sees plain values, its result is sensitive if an argument is or holds anything that is.
    Spread,
    /// The function sees the marks and puts them where they belong.
    Kept,
}

type Run = fn(&Args<'_>) -> Result<Value, Fail>;

const fn row(
    name: &'static str,
    signature: &'static str,
    doc: &'static str,
    example: [&'static str; 2],
    params: &'static [Param],
    run: Run,
) -> Function {
    let [example, result] = example;
    Function {
        name,
        signature,
        doc,
        example,
        result,
        params,
        rest: None,
        marks: Marks::Spread,
        run,
    }
}

impl Function {
    const fn variadic(mut self, rest: Param) -> Function {
        self.rest = Some(rest);
        self
    }

    const fn keeps_marks(mut self) -> Function {
        self.marks = Marks::Kept;
        self
    }
}

/// All functions, by name.
pub fn table() -> &'static BTreeMap<&'static str, &'static Function> {
    static TABLE: OnceLock<BTreeMap<&'static str, &'static Function>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let all: [&'static [Function]; 15] = [
            string::TABLE,
            regular::TABLE,
            format::TABLE,
            collection::TABLE,
            combine::TABLE,
            numeric::TABLE,
            cidr::TABLE,
            encoding::TABLE,
            digest::TABLE,
            dates::TABLE,
            rsa::TABLE,
            json::TABLE,
            files::TABLE,
            paths::TABLE,
            types::TABLE,
        ];
        let rows = all.into_iter().chain([yaml::TABLE]).flatten();
        rows.map(|f| (f.name, f)).collect()
    })
}

/// Plain JSON of a value; a resource has none.
#[cfg(test)]
pub fn encode_json(value: &Value, out: &mut String) -> Result<(), ()> {
    json::encode(value, out).map_err(|_| ())
}

pub fn call(call: &Call, span: Span, scope: &Scope<'_>) -> Evaluated {
    // The long form of a name that Terraform has, too.
    let name = call.name.strip_prefix("core::").unwrap_or(&call.name);
    let Some(function) = table().get(name) else {
        let text = format!("there is no function `{}`", call.name);
        let d = Diagnostic::error(codes::UNKNOWN_FUNCTION, text).at(call.name_span, "not known");
        return Err(match did_you_mean(&call.name, table().keys().copied()) {
            _ if name == "type" => d.help("type(value) is for `bmctl console`, as a whole line"),
            Some(help) => d.help(help),
            None => d.help("docs/language.md lists all functions"),
        }
        .into());
    };
    match function.name {
        "try" => return types::try_each(call, span, scope),
        "can" => return types::can(call, span, scope),
        "templatefile" | "templatestring" if scope.template.is_some() => {
            let text = format!("a template cannot call {}()", function.name);
            return Err(Diagnostic::error(codes::FUNCTION, text)
                .at(span, "called here")
                .into());
        }
        _ => {}
    }
    let (values, spans, sensitive) = arguments(call, span, scope)?;
    // A reason may quote an argument.
    let secret = sensitive || values.iter().any(Value::contains_sensitive);
    if function.marks == Marks::Spread {
        // These walk through their arguments; the others look at the first level only.
        let sizes = values.iter().map(|v| v.extent().size / 8);
        scope
            .world
            .spend(sizes.fold(0, u64::saturating_add), span)?;
    }
    let (values, marked) = prepared(function, &values, &spans, span)?;
    let args = Args {
        values: &values,
        scope,
        span,
    };
    let result = (function.run)(&args).map_err(|fail| {
        let fail = if secret { fail.silenced() } else { fail };
        failed(function, fail, &spans, span)
    })?;
    pay(&result, span, scope)?;
    Ok(result.marked(marked || sensitive))
}

/// The values of the arguments and where each stands; the third says whether a list expanded by `...` was sensitive.
fn arguments(
    call: &Call,
    span: Span,
    scope: &Scope<'_>,
) -> Result<(Vec<Value>, Vec<Span>, bool), Stop> {
    let mut values = Vec::with_capacity(call.args.len());
    let mut spans = Vec::with_capacity(call.args.len());
    let mut sensitive = false;
    for (i, arg) in call.args.iter().enumerate() {
        let value = eval(arg, scope)?;
        if !(call.expand && i + 1 == call.args.len()) {
            values.push(value);
            spans.push(arg.span);
            continue;
        }
        let Some(items) = value.items() else {
            let text = "`...` needs a list, set or tuple before it";
            return Err(Diagnostic::error(codes::FUNCTION, text)
                .at(arg.span, format!("found {}", value.shown()))
                .into());
        };
        scope.world.spend(items.len() as u64, span)?;
        sensitive = value.sensitive;
        values.extend(items.iter().cloned());
        spans.resize(values.len(), arg.span);
    }
    Ok((values, spans, sensitive))
}

/// Counts and converts the arguments, and takes the marks off them when the function is to see plain values.
fn prepared(
    function: &Function,
    values: &[Value],
    spans: &[Span],
    span: Span,
) -> Result<(Vec<Value>, bool), Stop> {
    let wanted = function.params.len();
    if values.len() < wanted || (values.len() > wanted && function.rest.is_none()) {
        let more = if function.rest.is_some() {
            " or more"
        } else {
            ""
        };
        let text = format!(
            "{}() takes {wanted}{more} arguments, found {}",
            function.name,
            values.len()
        );
        return Err(Diagnostic::error(codes::FUNCTION, text)
            .at(span, "called here")
            .note(format!("it is {}", function.signature))
            .into());
    }
    let mut marked = false;
    let mut out = Vec::with_capacity(values.len());
    for (i, value) in values.iter().enumerate() {
        let param = function.params.get(i).copied().or(function.rest);
        let Some(param) = param else { continue };
        if value.is_null() && !param.takes_null() {
            let fail = Fail::Arg(i, "it must not be null".to_owned());
            return Err(failed(function, fail, spans, span));
        }
        let converted = convert(value, &param.as_type())
            .map_err(|m| failed(function, Fail::Arg(i, m.sentence()), spans, span))?;
        if function.marks == Marks::Spread && converted.contains_sensitive() {
            marked = true;
            out.push(converted.unmarked_deep());
        } else {
            out.push(converted);
        }
    }
    Ok((out, marked))
}

fn failed(function: &Function, fail: Fail, spans: &[Span], span: Span) -> Stop {
    let name = function.name;
    let (code, place, message, label) = match fail {
        Fail::Stop(stop) => return stop,
        Fail::Arg(i, why) => (
            codes::FUNCTION,
            spans.get(i).copied().unwrap_or(span),
            format!("argument {} of {name}() is not valid", i + 1),
            why,
        ),
        Fail::Call(why) => (codes::FUNCTION, span, format!("{name}() failed"), why),
        Fail::Source(why) => (codes::SOURCE, span, format!("{name}() failed"), why),
        Fail::TooLarge => (
            codes::TOO_LARGE,
            span,
            format!("the result of {name}() is too large"),
            "made here".to_owned(),
        ),
    };
    Diagnostic::error(code, message)
        .at(place, label)
        .note(format!("it is {}", function.signature))
        .into()
}

/// What a result costs: its text, or its elements.
fn pay(result: &Value, span: Span, scope: &Scope<'_>) -> Result<(), Stop> {
    if let Some(text) = result.as_str() {
        return scope.world.spend_text(text.len(), span);
    }
    let elements = result.items().map_or(0, <[Value]>::len);
    scope.world.spend(elements as u64, span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing;

    #[test]
    fn every_example_has_the_result_it_is_said_to_have() {
        let mut wrong = Vec::new();
        for f in table().values() {
            let (found, expected) = (testing::value_of(f.example), testing::value_of(f.result));
            match (found, expected) {
                (Ok(a), Ok(b)) if testing::json(&a) == testing::json(&b) => {}
                (a, b) => wrong.push(format!("{}: {a:?}, expected {b:?}", f.example)),
            }
            assert!(f.signature.starts_with(f.name), "{}", f.signature);
            assert!(!f.doc.is_empty());
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
