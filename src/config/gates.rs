//! `gate` blocks of a rollout: what an instance has to pass, by the kind that the label names.

use super::codes;
use super::decode::Reader;
use super::syntax::ast::Label;
use crate::diag::Diagnostic;
use crate::model::{Check, Gate};

const KINDS: &str = "phone_home, tcp, http or command";
/// What not every kind has.
const OF_KINDS: [&str; 4] = ["port", "path", "status", "command"];

pub(super) fn read(r: &mut Reader<'_>, labels: &[Label]) -> Option<Gate> {
    let kind = labels.first()?;
    r.known(&OF_KINDS, &[]);
    let timeout_s = r.or("timeout", Gate::TIMEOUT_S);
    let interval_s = r.or("interval", Gate::INTERVAL_S);
    for (name, seconds) in [("timeout", timeout_s), ("interval", interval_s)] {
        if seconds == 0 {
            r.wrong_value(name, "expected 1 second or more");
        }
    }
    let check = match kind.text.as_ref() {
        "phone_home" => {
            only(r, kind, &[]);
            Check::PhoneHome
        }
        "tcp" => {
            only(r, kind, &["port"]);
            let port = r.required("port");
            Check::Tcp {
                port: a_port(r, port)?,
            }
        }
        "http" => {
            only(r, kind, &["port", "path", "status"]);
            let port = Some(r.or("port", 80));
            let path = r.or("path", "/".to_owned());
            let status = r.or("status", 200);
            check_http(r, &path, status);
            Check::Http {
                port: a_port(r, port)?,
                path,
                status,
            }
        }
        "command" => {
            only(r, kind, &["command"]);
            let argv: Option<Vec<String>> = r.required("command");
            Check::Command {
                argv: program(r, argv?)?,
            }
        }
        _ => {
            let text = format!("there is no gate `{}`", kind.text);
            let d = Diagnostic::error(codes::WRONG_VALUE, text).at(kind.span, "not known");
            r.fail(d.help(format!("expected {KINDS}")));
            return None;
        }
    };
    Some(Gate {
        check,
        timeout_s,
        interval_s,
    })
}

/// What this kind of gate does not ask for says something that is not so.
fn only(r: &mut Reader<'_>, kind: &Label, wanted: &[&str]) {
    for name in OF_KINDS {
        if r.has_attribute(name) && !wanted.contains(&name) {
            let why = format!("a gate \"{}\" has no `{name}`", kind.text);
            r.wrong_value(name, why);
        }
    }
}

fn a_port(r: &mut Reader<'_>, port: Option<u16>) -> Option<u16> {
    if port == Some(0) {
        r.wrong_value("port", "expected 1 to 65535");
    }
    port
}

fn check_http(r: &mut Reader<'_>, path: &str, status: u16) {
    // What stands in a request line ends at a space; a fragment is never sent.
    let is_plain = |c: char| c.is_ascii_graphic() && c != '#';
    if !path.starts_with('/') || !path.chars().all(is_plain) {
        let why = "expected the path of a URL, such as \"/health\": from / on, without spaces, what is not ASCII as %XX";
        r.wrong_value("path", why);
    }
    if !(100..=599).contains(&status) {
        r.wrong_value("status", "expected a status of HTTP, 100 to 599");
    }
}

fn program(r: &mut Reader<'_>, argv: Vec<String>) -> Option<Vec<String>> {
    let has_program = argv.first().is_some_and(|program| !program.is_empty());
    // The end of a word, for the kernel.
    let has_zero = argv.iter().any(|word| word.contains('\0'));
    if !has_program || has_zero {
        let why = "expected a program and its arguments, such as [\"./smoke.sh\", \"fast\"]; there is no shell between";
        r.wrong_value("command", why);
        return None;
    }
    Some(argv)
}
