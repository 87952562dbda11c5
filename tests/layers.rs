//! The house's direction, read off its source: what each folder may name, what PURE code may not touch, and that every folder
//! says what it is for. `clippy.toml` is the other guard; this one sees imports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Folders and files of `src/` from the lowest layer to the highest. A file names its own folder and lower layers; the files
/// of L0 are one folder.
const LAYERS: [&[&str]; 8] = [
    &["diag", "ids", "plain", "secret", "signing", "units"],
    &["model", "proto"],
    &["config", "plan"],
    &["drivers", "store"],
    &["apply"],
    &["lsp", "rack", "serve"],
    &["cli"],
    &["lib", "main"],
];

/// Steps aside that were decided, each with its reason.
const ALLOWED: [(&str, &str, &str); 1] = [(
    "drivers",
    "store",
    "the store is the meeting point: agent and ledger talk to nodes through it; it never names drivers",
)];

/// Folders and files that touch nothing outside: values in, values out.
const PURE: [&str; 24] = [
    "apply/budgets.rs",
    "apply/forecast.rs",
    "apply/held.rs",
    "apply/lifecycle.rs",
    "apply/loans.rs",
    "apply/machine.rs",
    "apply/queues.rs",
    "apply/recover.rs",
    "apply/replay.rs",
    "apply/schedule.rs",
    "apply/summary.rs",
    "apply/turns.rs",
    "apply/windows.rs",
    "config/",
    "diag.rs",
    "ids.rs",
    "lsp/",
    "model/",
    "plain.rs",
    "plan/",
    "proto/",
    "secret.rs",
    "signing.rs",
    "units.rs",
];

const IMPURE: [&str; 19] = [
    "tokio",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io::std",
    "UdpSocket",
    "UnixStream",
    "TcpStream",
    "TcpListener",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "getrandom",
    "println!",
    "eprintln!",
    "print!",
    "sqlx",
];

/// A macro of `ids.rs` stands at the root of the crate.
const ROOT_MACROS: [&str; 1] = ["serde_as_text"];

#[test]
fn a_file_names_only_its_own_folder_and_lower_layers() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        wrong.extend(crossings(&path, &text));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_code_touches_nothing_outside() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in outside_of_tests() {
        if PURE.iter().any(|p| path.starts_with(p)) {
            seen += 1;
            wrong.extend(impurities(&path, &text));
        }
    }
    assert!(seen > 60, "only {seen} PURE files were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Who starts programs by itself: the one place that decides on their environment, a gate, which is given even less, and a command of
/// the user's own.
const STARTS_PROGRAMS: [&str; 3] = [
    "drivers/child.rs",
    "drivers/gate/command.rs",
    "rack/down.rs",
];

#[test]
fn programs_are_started_without_our_environment() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in outside_of_tests() {
        if path.ends_with("_tests.rs") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        seen += usize::from(code.contains("child::"));
        if code.contains("Command::new(") && !STARTS_PROGRAMS.contains(&path.as_str()) {
            wrong.push(format!(
                "{path}: a program gets the environment that `drivers/child.rs` says, not all of ours"
            ));
        }
    }
    assert!(seen > 8, "only {seen} files start programs");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_opens_with_its_charter_and_every_file_says_what_it_is() {
    let sources = sources();
    assert!(sources.len() > 100);
    for (path, text) in sources {
        assert!(text.starts_with("//! "), "{path} has no `//!` charter");
        if path.ends_with("/mod.rs") && PURE.contains(&path.trim_end_matches("mod.rs")) {
            assert!(
                text.lines().next().unwrap().contains("PURE"),
                "{path}: the charter of a PURE folder says so"
            );
        }
    }
}

#[test]
fn the_table_holds_every_folder_and_no_other() {
    let found: BTreeSet<String> = sources()
        .iter()
        .map(|(path, _)| module_of(path).remove(0))
        .collect();
    let table: BTreeSet<String> = LAYERS.concat().into_iter().map(str::to_owned).collect();
    assert_eq!(found, table);
}

/// The guards must be able to fail.
#[test]
fn a_crossing_is_seen_however_it_is_written() {
    for (path, text) in [
        ("plan/a.rs", "use crate::store::Store;"),
        ("plan/a.rs", "use crate::config::load;"),
        ("plan/a.rs", "fn f() { crate::apply::settle(); }"),
        ("plan/a.rs", "use super::super::store::Store;"),
        ("plan/mod.rs", "use super::store::Store;"),
        (
            "plan/mod.rs",
            "mod tests { use super::super::store::Store; }",
        ),
        (
            "plan/a.rs",
            "use crate::{ids::Addr, store::{Store, Sealer}};",
        ),
        ("store/a.rs", "use crate :: drivers::Drivers;"),
        ("rack/a.rs", "use crate::serve::Services;"),
        ("units.rs", "use crate::model::Node;"),
        ("apply/mod.rs", "use bmctl::cli::Exit;"),
    ] {
        assert_eq!(crossings(path, text).len(), 1, "{path}: {text}");
    }
    for (path, text) in [
        (
            "plan/a.rs",
            "use super::Plan; use crate::model::Node; use crate::plan::Step;",
        ),
        ("plan/mod.rs", "mod tests { use super::Plan; }"),
        (
            "plan/a.rs",
            "// use crate::store::Store;\nconst A: &str = \"crate::store\";",
        ),
        (
            "plan/a.rs",
            "/* crate::store */ const A: &str = r#\"crate::\"store\"#; const B: char = '\"';",
        ),
        ("drivers/a.rs", "use crate::store::Store;"),
        (
            "units.rs",
            "use crate::ids::Addr; crate::serde_as_text!(Mac);",
        ),
        ("main.rs", "fn main() { bmctl::cli::main() }"),
    ] {
        assert_eq!(crossings(path, text), [""; 0], "{path}: {text}");
    }
}

#[test]
fn impurity_is_seen_outside_tests_only() {
    for text in [
        "use std::collections::HashMap;",
        "fn f() { std :: fs::read(p); }",
        "use std::{collections::BTreeMap, fs};",
        "fn f() { println!(\"x\"); }",
        "async fn f() { tokio::spawn(g()); }",
        "fn f() { Instant::now(); }",
        "#[cfg(test)] mod tests { } fn f() { std::env::var(\"X\"); }",
    ] {
        assert_eq!(impurities("plan/a.rs", text).len(), 1, "{text}");
    }
    for text in [
        "#[cfg(test)]\nmod tests { use std::collections::HashMap; mod inner { use std::fs; } }",
        "// HashMap\nconst A: &str = \"std::fs\";",
        "fn write_println(tokio_like: u8) {}",
    ] {
        assert_eq!(impurities("plan/a.rs", text), [""; 0], "{text}");
    }
    assert_eq!(
        test_modules("config/mod.rs", "mod a;\n#[cfg(test)]\nmod tests;"),
        ["config/tests"]
    );
}

fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        (name.to_owned(), std::fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// `plan/diff.rs` is `plan::diff`, `plan/mod.rs` is `plan`.
fn module_of(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if parts.last().is_some_and(|p| p == "mod") {
        parts.pop();
    }
    parts
}

fn layer(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|l| l.contains(&folder))
}

fn crossings(path: &str, text: &str) -> Vec<String> {
    let own = &module_of(path)[0];
    let own_layer = layer(own);
    let may = |other: &str| {
        ROOT_MACROS.contains(&other.trim_end_matches('!'))
            || own == other
            || (own_layer == Some(0) && layer(other) == Some(0))
            || layer(other).is_some_and(|l| Some(l) < own_layer)
            || ALLOWED.iter().any(|(a, b, _)| a == own && *b == other)
    };
    named(path, text)
        .into_iter()
        .filter(|other| !may(other))
        .map(|other| format!("{path} names `{other}`, which is not below it"))
        .collect()
}

/// The folders that a file names: after `crate::`, `bmctl::`, or as many `super::` as lead out of its own.
fn named(path: &str, text: &str) -> Vec<String> {
    let words = words(text);
    let mut depth = vec![false; 0];
    let mut out = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let word = words[at].as_str();
        let inline_module = at >= 2 && word == "{" && words[at - 2] == "mod";
        match word {
            "{" => depth.push(inline_module),
            "}" => {
                depth.pop();
            }
            "crate" | "bmctl" if is(&words, at + 1, "::") => heads(&words, at + 2, &mut out),
            "super" if at == 0 || words[at - 1] != "::" => {
                let mut up = 1;
                while is(&words, at + 1, "::") && is(&words, at + 2, "super") {
                    at += 2;
                    up += 1;
                }
                let deep = module_of(path).len() + depth.iter().filter(|m| **m).count();
                if up >= deep && is(&words, at + 1, "::") {
                    heads(&words, at + 2, &mut out);
                }
            }
            _ => {}
        }
        at += 1;
    }
    out
}

fn is(words: &[String], at: usize, word: &str) -> bool {
    words.get(at).is_some_and(|w| w == word)
}

/// What stands at `at`: a name, or the first names of everything between braces.
fn heads(words: &[String], at: usize, out: &mut Vec<String>) {
    let Some(first) = words.get(at) else { return };
    if first != "{" {
        out.push(first.clone());
        return;
    }
    let mut open = 0;
    for (n, word) in words[at..].iter().enumerate() {
        match word.as_str() {
            "{" => open += 1,
            "}" => open -= 1,
            "," | "::" => {}
            name if open == 1 && matches!(words[at + n - 1].as_str(), "{" | ",") => {
                out.push(name.to_owned());
            }
            _ => {}
        }
        if open == 0 {
            return;
        }
    }
}

fn impurities(path: &str, text: &str) -> Vec<String> {
    let words = outside_tests(words(text));
    let mut found = Vec::new();
    for what in IMPURE {
        let wanted = self::words(what);
        if words.windows(wanted.len()).any(|w| *w == wanted[..]) {
            found.push(format!("{path} is PURE and names `{what}`"));
        }
    }
    let mut group = Vec::new();
    for at in 0..words.len() {
        if words[at] == "std" && is(&words, at + 1, "::") && is(&words, at + 2, "{") {
            heads(&words, at + 2, &mut group);
        }
    }
    for name in group {
        if ["fs", "env", "process", "thread"].contains(&name.as_str()) {
            found.push(format!("{path} is PURE and names `std::{name}`"));
        }
    }
    found
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn outside_tests(words: Vec<String>) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let here = &words[at..];
        let begins = here.len() > 9 && here[..7].iter().eq(CFG_TEST) && here[7] == "mod";
        if begins && here[9] == "{" {
            let mut open = 0;
            let end = here.iter().position(|w| {
                open += i32::from(w == "{") - i32::from(w == "}");
                w == "}" && open == 0
            });
            at += end.unwrap() + 1;
        } else {
            out.push(words[at].clone());
            at += 1;
        }
    }
    out
}

/// The sources that are no module for tests only.
fn outside_of_tests() -> Vec<(String, String)> {
    let sources = sources();
    let test_modules: BTreeSet<String> = sources
        .iter()
        .flat_map(|(path, text)| test_modules(path, text))
        .collect();
    let is_outside = |(path, _): &(String, String)| {
        let module = module_of(path).join("/");
        let in_test = |t: &String| module == *t || module.starts_with(&format!("{t}/"));
        !test_modules.iter().any(in_test)
    };
    sources.into_iter().filter(is_outside).collect()
}

/// The modules that a file declares for tests only, as paths.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let words = words(text);
    words
        .windows(10)
        .filter(|w| w[..7].iter().eq(CFG_TEST) && w[7] == "mod" && w[9] == ";")
        .map(|w| format!("{}/{}", module_of(path).join("/"), w[8]))
        .collect()
}

/// A source as words and signs, without comments, texts and letters in quotes.
fn words(text: &str) -> Vec<String> {
    static PATTERN: LazyLock<regex::Regex> = LazyLock::new(|| {
        regex::Regex::new(concat!(
            r#"(?s)//[^\n]*|/\*.*?\*/|b?r"[^"]*"|b?r#".*?"#,
            r##""#|b?"(?:\\.|[^"\\])*"|b?'(?:\\[^']+|[^'\\])'"##,
            r"|(\w+!?|::|\S)"
        ))
        .unwrap()
    });
    PATTERN
        .captures_iter(text)
        .filter_map(|c| c.get(1))
        .map(|m| m.as_str().to_owned())
        .collect()
}
