//! An editor that speaks to the real server.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

pub struct Editor {
    pub dir: TempDir,
    pub child: Child,
    pub input: Option<ChildStdin>,
    pub output: BufReader<ChildStdout>,
    pub last_id: u64,
}

impl Editor {
    /// A server in a folder with these files, not yet greeted.
    pub fn start(files: &[(&str, &str)]) -> Editor {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        // A server that does not answer is ended, and the test with it.
        let mut child = Command::new("timeout")
            .args(["60", env!("CARGO_BIN_EXE_bmctl"), "lsp", "--stdio"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Editor {
            dir,
            child,
            input,
            output,
            last_id: 0,
        }
    }

    pub fn open(files: &[(&str, &str)]) -> Editor {
        let mut editor = Editor::start(files);
        let capabilities = json!({ "textDocument": { "completion": { "completionItem": { "snippetSupport": true } } } });
        let hello = editor.ask(
            "initialize",
            json!({ "processId": null, "rootUri": null, "capabilities": capabilities }),
        );
        assert_eq!(hello["capabilities"]["textDocumentSync"], 2, "{hello}");
        editor.tell("initialized", json!({}));
        editor
    }

    pub fn uri(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    pub fn write(&mut self, message: &Value) {
        let body = message.to_string();
        self.raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    pub fn tell(&mut self, method: &str, params: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    pub fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(
                self.output.read_line(&mut line).unwrap() > 0,
                "the server has gone"
            );
            match line.trim_end().strip_prefix("Content-Length: ") {
                Some(n) => length = n.parse().unwrap(),
                None if line == "\r\n" => break,
                None => {}
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The answer's result, or its error; notifications before it are passed over.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.read();
            if message["id"] == id {
                let error = message["error"].clone();
                return if error.is_null() {
                    message["result"].clone()
                } else {
                    error
                };
            }
        }
    }

    /// The next diagnostics of a file.
    pub fn diagnostics(&mut self, name: &str) -> Vec<Value> {
        let uri = self.uri(name);
        loop {
            let message = self.read();
            if message["params"]["uri"] == *uri {
                return message["params"]["diagnostics"].as_array().unwrap().clone();
            }
        }
    }

    pub fn did_open(&mut self, name: &str, text: &str) {
        let document =
            json!({ "uri": self.uri(name), "languageId": "hcl", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    pub fn did_change(&mut self, name: &str, changes: Value) {
        let document = json!({ "uri": self.uri(name), "version": 2 });
        self.tell(
            "textDocument/didChange",
            json!({ "textDocument": document, "contentChanges": changes }),
        );
    }

    /// Asks about the place marked `|` in a text, which becomes the document's.
    pub fn at_mark(&mut self, method: &str, name: &str, marked: &str) -> Value {
        let at = marked.find('|').unwrap();
        let text = marked.replacen('|', "", 1);
        let before = &text[..at];
        let line = before.matches('\n').count();
        let character = before.rsplit('\n').next().unwrap().encode_utf16().count();
        self.did_open(name, &text);
        let params = json!({ "textDocument": { "uri": self.uri(name) }, "position": { "line": line, "character": character } });
        self.ask(method, params)
    }

    pub fn labels(&mut self, marked: &str) -> Vec<String> {
        let found = self.at_mark("textDocument/completion", "new.hcl", marked);
        let items = found.as_array().unwrap_or_else(|| panic!("{found}"));
        items
            .iter()
            .map(|i| i["label"].as_str().unwrap().to_owned())
            .collect()
    }

    pub fn end(mut self) -> i32 {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
