//! The language server, spoken to over its standard input and output by the real program.

mod editor;

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use editor::Editor;

const MAIN: &str = r#"locals {
  size = 4
}

network "pxe" {
  cidr = "10.99.0.0/24"
}

site "lab" {
  network = network.pxe
  address = "10.99.0.1"
}

flavor "small" {
  cpus      = local.size
  memory_mb = upper("1")
  root_gb   = 1
}
"#;

#[track_caller]
fn has(found: &[String], wanted: &[&str], unwanted: &[&str]) {
    for name in wanted {
        assert!(
            found.iter().any(|f| f == name),
            "`{name}` is not in {found:?}"
        );
    }
    for name in unwanted {
        assert!(!found.iter().any(|f| f == name), "`{name}` is in {found:?}");
    }
}

#[test]
fn completion_knows_the_place() {
    let mut editor = Editor::open(&[("main.hcl", MAIN)]);
    has(
        &editor.labels("|"),
        &["node", "bmctl", "check"],
        &["cpus", "power"],
    );
    has(&editor.labels("nod|"), &["node"], &[]);
    has(
        &editor.labels("node \"a\" {\n  cpus = 1\n  |\n}\n"),
        &["arch", "power", "for_each", "lifecycle"],
        &["cpus", "mac"],
    );
    has(
        &editor.labels("node \"a\" {\n  power \"ipmi\" {\n    po|\n"),
        &["port", "password"],
        &["arch"],
    );
    has(
        &editor.labels("site \"b\" {\n  limits { | }\n}"),
        &["parallel_writes"],
        &["network"],
    );
    has(
        &editor.labels("node \"a\" {\n  arch = |\n}"),
        &["\"x86_64\"", "upper", "local"],
        &["cpus", "each"],
    );
    has(
        &editor.labels("node \"a\" {\n  arch = \"|\"\n}"),
        &["x86_64", "aarch64"],
        &["upper"],
    );
    has(
        &editor.labels("node \"a\" {\n  site = |\n}"),
        &["site.lab"],
        &["network.pxe"],
    );
    has(
        &editor.labels("node \"a\" {\n  for_each = {}\n  site = e|\n}"),
        &["each", "element"],
        &["count"],
    );
    has(
        &editor.labels("locals {\n  a = local.|\n"),
        &["size", "a"],
        &["lab"],
    );
    has(
        &editor.labels("locals {\n  a = \"x ${network.|}\"\n"),
        &["pxe"],
        &["lab"],
    );
    has(
        &editor.labels("locals {\n  é = \"😀\" == site.lab.| ? 1 : 2\n"),
        &["http_port"],
        &["cidr"],
    );
    has(
        &editor.labels("locals {\n  a = each.|\n"),
        &["key", "value"],
        &[],
    );
    has(&editor.labels("output \"o\" {\n  # |\n}"), &[], &["value"]);
    has(
        &editor.labels("flavor \"f\" {\n  lifecycle {\n    ignore_changes = [|]\n"),
        &["all", "cpus"],
        &["mac", "upper"],
    );
    editor.did_open("new.hcl", "variable \"rack\" {}\nvariable \"row\" {}\n");
    let found = editor.at_mark("textDocument/completion", "bmctl.vars.hcl", "rack = 1\nr|");
    let labels: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["label"].clone())
        .collect();
    assert_eq!(labels, ["row"]);
    let address = "instance \"i\" {\n  dynamic \"address\" {\n    content {\n      |\n";
    has(&editor.labels(address), &["network", "ip"], &["flavor"]);
    let node = editor.at_mark("textDocument/completion", "new.hcl", "node|");
    let node = node
        .as_array()
        .unwrap()
        .iter()
        .find(|i| i["label"] == "node")
        .unwrap();
    assert_eq!(node["insertText"], "node \"${1:name}\" {\n  $0\n}");
    assert_eq!(editor.end(), 0);
}

#[test]
fn hover_shows_documentation_and_values() {
    let mut editor = Editor::open(&[("main.hcl", MAIN)]);
    for (marked, words) in [
        ("no|de \"a\" {\n}", &["A machine.", "power"][..]),
        (
            "node \"a\" {\n  fi|rmware = 1\n}",
            &["\"bios\" or \"uefi\"", "How it boots"],
        ),
        ("node \"a\" {\n  power \"ipmi\" { po|rt = 1 }\n}", &["623"]),
        (
            "locals {\n  a = upp|er(\"x\")\n}",
            &["upper(text)", "Upper case."],
        ),
        ("locals {\n  a = local.si|ze + 1\n}", &["local.size = 4"]),
        ("locals {\n  a = network.pxe.ci|dr\n}", &["10.99.0.0/24"]),
    ] {
        let found = editor.at_mark("textDocument/hover", "new.hcl", marked);
        let text = found["contents"]["value"]
            .as_str()
            .unwrap_or_else(|| panic!("{marked}: {found}"));
        for word in words {
            assert!(text.contains(word), "{marked}: {text}");
        }
    }
    let secret = "variable \"p\" {\n  default = \"hunter2\"\n  sensitive = true\n}\nlocals {\n  a = var.|p\n}\n";
    let found = editor.at_mark("textDocument/hover", "new.hcl", secret);
    assert!(
        found.to_string().contains("(sensitive value)") && !found.to_string().contains("hunter2"),
        "{found}"
    );
    assert!(
        editor
            .at_mark(
                "textDocument/hover",
                "new.hcl",
                "locals {\n  a = \"up|per\"\n}"
            )
            .is_null()
    );
}

#[test]
fn definitions_are_found_in_other_files_and_unsaved_texts() {
    let mut editor = Editor::open(&[("main.hcl", MAIN)]);
    editor.did_open(
        "more.hcl",
        "module \"m\" {\n  source = \"./m\"\n}\n# 😀\nlocals { \"\" \n  é = 1\n  b = 2 }\n",
    );
    for (marked, file, line, character) in [
        ("locals {\n  a = local.si|ze\n}", "main.hcl", 1, 2),
        (
            "locals {\n  a = \"${network.p|xe.cidr}\"\n}",
            "main.hcl",
            4,
            8,
        ),
        (
            "locals {\n  a = [for x in si|te.lab : x]\n}",
            "main.hcl",
            8,
            5,
        ),
        ("locals {\n  a = module.m|.x\n}", "more.hcl", 0, 7),
        ("locals {\n  a = local.b|\n}", "more.hcl", 6, 2),
    ] {
        let found = editor.at_mark("textDocument/definition", "new.hcl", marked);
        assert_eq!(found["uri"], *editor.uri(file), "{marked}: {found}");
        assert_eq!(
            found["range"]["start"],
            json!({ "line": line, "character": character }),
            "{marked}"
        );
    }
    assert!(
        editor
            .at_mark(
                "textDocument/definition",
                "new.hcl",
                "locals {\n  a = local.no|\n}"
            )
            .is_null()
    );
}

#[test]
fn mistakes_come_while_typing_and_go_when_they_are_mended() {
    let mut editor = Editor::open(&[("main.hcl", MAIN)]);
    editor.did_open("main.hcl", MAIN);
    let found = editor.diagnostics("main.hcl");
    assert!(found.is_empty(), "{found:?}");
    let new = "locals {\n  é = \"😀\" + nope\n}\n";
    editor.did_open("new.hcl", new);
    let found = editor.diagnostics("new.hcl");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0]["code"].as_str(), found[0]["severity"].as_u64()),
        (Some("E0401"), Some(1))
    );
    assert_eq!(
        found[0]["range"],
        json!({ "start": { "line": 1, "character": 13 }, "end": { "line": 1, "character": 17 } })
    );
    let range =
        json!({ "start": { "line": 1, "character": 6 }, "end": { "line": 1, "character": 17 } });
    editor.did_change("new.hcl", json!([{ "range": range, "text": "local.size" }]));
    assert_eq!(editor.diagnostics("new.hcl").len(), 0);
    editor.did_change("new.hcl", json!([{ "text": "locals {\n  a = [1,\n}\n" }]));
    assert!(!editor.diagnostics("new.hcl").is_empty(), "syntax, at once");
    let text = MAIN.replace("local.size", "\"many\"");
    editor.did_change("main.hcl", json!([{ "text": text }]));
    let codes: Vec<_> = editor
        .diagnostics("main.hcl")
        .iter()
        .map(|d| d["code"].clone())
        .collect();
    assert_eq!(codes, ["E0304"]);
    editor.tell(
        "textDocument/didClose",
        json!({ "textDocument": { "uri": editor.uri("new.hcl") } }),
    );
    // What was found before the file was closed may still be on its way.
    while !editor.diagnostics("new.hcl").is_empty() {}
    assert_eq!(editor.end(), 0);
}

#[test]
fn a_document_has_an_outline() {
    let mut editor = Editor::open(&[]);
    editor.did_open("main.hcl", MAIN);
    let params = json!({ "textDocument": { "uri": editor.uri("main.hcl") } });
    let found = editor.ask("textDocument/documentSymbol", params);
    let names: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["locals", "network pxe", "site lab", "flavor small"]);
    assert_eq!(found[2]["children"][1]["name"], "address");
    assert_eq!(
        found[1]["range"]["end"],
        json!({ "line": 6, "character": 1 })
    );
}

#[test]
fn the_json_form_has_its_mistakes_told_and_nothing_else() {
    let mut editor = Editor::open(&[("main.hcl", MAIN)]);
    let text = "{\n  \"locals\": { \"a\": \"${nope}\" }\n}\n";
    editor.did_open("made.bmctl.json", text);
    let found = editor.diagnostics("made.bmctl.json");
    assert_eq!(found[0]["code"], "E0401", "{found:?}");
    assert_eq!(
        found[0]["range"]["start"],
        json!({ "line": 1, "character": 22 })
    );
    let params = json!({ "textDocument": { "uri": editor.uri("made.bmctl.json") }, "position": { "line": 0, "character": 0 } });
    assert!(editor.ask("textDocument/completion", params).is_null());
}

#[test]
fn a_document_is_laid_out() {
    let mut editor = Editor::open(&[]);
    editor.did_open("main.hcl", "locals {\n  a = 1\n  long   = 2\n}\n");
    let params = json!({
        "textDocument": { "uri": editor.uri("main.hcl") },
        "options": { "tabSize": 2, "insertSpaces": true },
    });
    let edits = editor.ask("textDocument/formatting", params.clone());
    assert_eq!(edits[0]["newText"], "  a    = 1\n  long = 2\n", "{edits}");
    editor.did_change("main.hcl", json!([{ "text": "locals {" }]));
    assert!(editor.ask("textDocument/formatting", params).is_null());
}

/// A module's mistakes are shown in the module's file, with its unsaved text.
#[test]
fn modules_are_looked_into() {
    let mut editor = Editor::open(&[("main.hcl", "module \"m\" {\n  source = \"./m\"\n}\n")]);
    std::fs::create_dir(editor.path("m")).unwrap();
    std::fs::write(editor.path("m/main.hcl"), "").unwrap();
    std::fs::write(
        editor.path("m/ends.hcl"),
        "variable \"size\" {}\noutput \"names\" { value = 1 }\n",
    )
    .unwrap();
    let call = "module \"m\" {\n  source = \"./m\"\n  |\n}\n";
    has(&editor.labels(call), &["size", "for_each"], &["names"]);
    let result = "module \"m\" { source = \"./m\" }\nlocals {\n  a = module.m.|\n}";
    has(&editor.labels(result), &["names"], &["size"]);
    let document = json!({ "textDocument": { "uri": editor.uri("new.hcl") } });
    editor.tell("textDocument/didClose", document);
    editor.did_open("m/main.hcl", "locals {\n  a = nope\n}\n");
    editor.did_open("main.hcl", "module \"m\" {\n  source = \"./m\"\n}\n");
    let found = editor.diagnostics("m/main.hcl");
    assert_eq!(found[0]["code"], "E0401", "{found:?}");
}

#[test]
fn garbage_half_messages_and_large_files_do_not_end_it() {
    let mut editor = Editor::start(&[]);
    editor.raw(b"hello\r\n\r\n");
    assert_eq!(editor.read()["error"]["code"], -32700);
    editor.raw(b"Content-Length: 5\r\n\r\n{\"a\":");
    assert_eq!(editor.read()["error"]["code"], -32700);
    editor.raw(b"Content-Length: 340282366920938463463374607431768211456\r\n\r\n");
    assert_eq!(editor.read()["error"]["code"], -32700);
    let capabilities = json!({ "capabilities": {} });
    editor.ask("initialize", capabilities);
    assert_eq!(
        editor.ask("textDocument/hover", json!({ "wrong": 1 }))["code"],
        -32602
    );
    assert_eq!(editor.ask("no/such", json!(null))["code"], -32601);
    let missing = json!({ "textDocument": { "uri": "file:///nowhere.hcl" }, "position": { "line": 0, "character": 0 } });
    assert_eq!(
        editor.ask("textDocument/completion", missing)["code"],
        -32602
    );
    editor.tell(
        "textDocument/didChange",
        json!({ "textDocument": { "uri": "untitled:1", "version": 1 }, "contentChanges": [] }),
    );
    editor.tell("$/unknown", json!([]));
    let large = "# a line of a comment that is long enough to make a file large\n".repeat(170_000);
    editor.did_open("large.hcl", &large);
    let labels = editor.labels(&format!("{}nod|", "a = [\"x\", {}]\n".repeat(1000)));
    has(&labels, &["node"], &[]);
    let body = json!({ "jsonrpc": "2.0", "id": 77, "method": "shutdown" }).to_string();
    let whole = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let (first, second) = whole.split_at(30);
    editor.raw(first.as_bytes());
    editor.raw(second.as_bytes());
    while editor.read()["id"] != 77 {}
    editor.tell("exit", Value::Null);
    assert_eq!(editor.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_end_of_the_input_is_the_end_of_the_server() {
    let mut editor = Editor::open(&[]);
    editor.raw(b"Content-Length: 100\r\n\r\n{\"half");
    editor.input = None;
    assert_eq!(
        editor.child.wait().unwrap().code(),
        Some(1),
        "no shutdown was said"
    );
}

/// A client that we did not write: Neovim's.
#[test]
fn peers_neovim_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("main.hcl"),
        "locals {\n  a = 1\n  b = 2\n}\n",
    )
    .unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/editors/nvim.lua");
    // An old Neovim has no `-l`; both run the script the same with `luafile`.
    let output = Command::new("timeout")
        .args(["60", "nvim", "--headless", "-u", "NONE", "-i", "NONE", "-c"])
        .arg(format!("luafile {}", script.display()))
        .env("BMCTL", env!("CARGO_BIN_EXE_bmctl"))
        .env("FOLDER", dir.path())
        .env("HOME", dir.path())
        .env("XDG_STATE_HOME", dir.path())
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    for wanted in [
        "complete a",
        "mistake E0401 2:16",
        "hover ```hcl locals { }",
        "definition 1:2",
        "laid out   bcd = local.a",
    ] {
        assert!(
            text.contains(wanted),
            "`{wanted}` is not in what neovim (package neovim) says:\n{text}"
        );
    }
}
