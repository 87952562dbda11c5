//! The block `bmctl`: which versions may read the configuration, and where state is kept.

use super::codes;
use super::decode::Reader;
use super::eval::Scope;
use super::report::Report;
use super::syntax::ast::{Block, Label};
use crate::diag::Diagnostic;
use crate::ids::ParseError;
use crate::secret::Secret;
use crate::signing::PublicKey;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// As written, such as `>= 0.1, < 2`.
    pub required_version: Option<String>,
    pub state: StateBackend,
    /// When there are any, only plans that one of them signed are carried out.
    pub trusted_keys: Vec<PublicKey>,
}

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateBackend {
    /// A file, relative to the root module; `None` is `.bmctl/state.db`.
    Sqlite { path: Option<String> },
    /// A connection string, which may hold a password, and which of the states kept there.
    Postgres { url: Secret, workspace: String },
}

impl Default for StateBackend {
    fn default() -> StateBackend {
        StateBackend::Sqlite { path: None }
    }
}

/// The block of the root module.
pub fn read(blocks: &[Block], scope: &Scope<'_>, report: &Report) -> Settings {
    let Some(block) = blocks.first() else {
        return Settings::default();
    };
    let mut reader = Reader::new(block, scope, report, "bmctl");
    let required_version = required_version(&mut reader);
    let trusted_keys = trusted_keys(&mut reader);
    let state = reader.labelled_block("state", 1, state);
    reader.finish();
    Settings {
        required_version,
        state: state.unwrap_or_default(),
        trusted_keys,
    }
}

/// The block of a module that is called: state is the root module's.
pub fn of_called(blocks: &[Block], scope: &Scope<'_>, report: &Report) {
    let Some(block) = blocks.first() else {
        return;
    };
    let mut reader = Reader::new(block, scope, report, "bmctl");
    required_version(&mut reader);
    reader.finish();
}

fn required_version(reader: &mut Reader<'_>) -> Option<String> {
    let required_version: Option<String> = reader.optional("required_version");
    if let Some(wanted) = &required_version {
        match allows(wanted, env!("CARGO_PKG_VERSION")) {
            Some(true) => {}
            Some(false) => {
                let place = reader.place("required_version");
                let text = format!(
                    "this is bmctl {}, the configuration wants {wanted}",
                    env!("CARGO_PKG_VERSION")
                );
                reader.fail(Diagnostic::error(codes::VERSION, text).at(place, "not this version"));
            }
            None => reader.wrong_value(
                "required_version",
                "expected versions such as \">= 0.1, < 2\"",
            ),
        }
    }
    required_version
}

fn trusted_keys(reader: &mut Reader<'_>) -> Vec<PublicKey> {
    let texts: Vec<String> = reader.or("trusted_keys", Vec::new());
    let mut out = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(key) => out.push(key),
            Err(error) => {
                let error: ParseError = error;
                reader.wrong_value("trusted_keys", error.to_string());
            }
        }
    }
    out
}

fn state(r: &mut Reader<'_>, labels: &[Label]) -> Option<StateBackend> {
    let label = labels.first()?;
    match label.text.as_ref() {
        "sqlite" => Some(StateBackend::Sqlite {
            path: r.optional("path"),
        }),
        "postgres" => {
            let url = r.required_protected("url");
            let workspace = workspace(r);
            url.map(|url| StateBackend::Postgres {
                url: url.text,
                workspace,
            })
        }
        other => {
            let text = format!("there is no state backend `{other}`");
            r.fail(
                Diagnostic::error(codes::WRONG_VALUE, text)
                    .at(label.span, "not known")
                    .help("sqlite and postgres are"),
            );
            None
        }
    }
}

/// Its name becomes part of the name of a schema, so it is kept to what needs no quoting there.
const WORKSPACE_CHARS_MAX: usize = 48;

fn workspace(r: &mut Reader<'_>) -> String {
    let name: String = r
        .optional("workspace")
        .unwrap_or_else(|| "default".to_owned());
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > WORKSPACE_CHARS_MAX || !name.chars().all(plain) {
        r.wrong_value(
            "workspace",
            "expected at most 48 lower-case letters, digits and `_`",
        );
    }
    name
}

/// Whether constraints such as `>= 0.1, < 2` or `~> 0.3` allow a version; `None` when they do not parse.
fn allows(constraints: &str, version: &str) -> Option<bool> {
    let mine = numbers(version)?.0;
    let mut all = true;
    for one in constraints.split(',') {
        let one = one.trim();
        let at = one.find(|c: char| c.is_ascii_digit())?;
        let (operator, wanted) = one.split_at_checked(at)?;
        let (theirs, given) = numbers(wanted)?;
        all &= match operator.trim() {
            "" | "=" => mine == theirs,
            "!=" => mine != theirs,
            ">" => mine > theirs,
            ">=" => mine >= theirs,
            "<" => mine < theirs,
            "<=" => mine <= theirs,
            // The last number that is given may rise.
            "~>" => {
                let fixed = given.saturating_sub(1);
                mine >= theirs && mine.iter().take(fixed).eq(theirs.iter().take(fixed))
            }
            _ => return None,
        };
    }
    Some(all)
}

/// Three numbers, and how many of them were written.
fn numbers(version: &str) -> Option<([u64; 3], usize)> {
    let mut out = [0; 3];
    let mut given = 0;
    let mut parts = version.trim().split('.');
    for slot in &mut out {
        let Some(part) = parts.next() else { break };
        *slot = part.parse().ok()?;
        given += 1;
    }
    parts.next().is_none().then_some((out, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (constraint, version, expected) in [
            (">= 0.1", "0.1.0", Some(true)),
            (">= 0.1, < 0.10", "0.9.3", Some(true)),
            ("~> 0.1", "0.9.0", Some(true)),
            ("~> 0.1.2", "0.2.0", Some(false)),
            ("!= 0.1.0", "0.1.0", Some(false)),
            ("newest", "0.1.0", None),
            (">= 1.2.3.4", "0.1.0", None),
        ] {
            assert_eq!(
                allows(constraint, version),
                expected,
                "{constraint} {version}"
            );
        }
    }
}
