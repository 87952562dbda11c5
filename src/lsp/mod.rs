//! L5, PURE. The language server, as a machine of messages: what an editor says goes in, what it is told comes out.
//!
//! Takes messages, and the outside through `Sources`; gives answers and diagnostics. Open documents lie over the files. Never
//! reads a stream, a file or a clock by itself: `cli/lsp.rs` does, and says when it is quiet.

mod check;
mod complete;
mod cursor;
mod folder;
pub mod frame;
mod hover;
mod layout;
mod outline;
mod symbols;
mod text;
mod uri;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lsp_server::{ErrorCode, Message, Notification, Request, Response};
use lsp_types::{
    CompletionOptions, DidChangeTextDocumentParams, DidCloseTextDocumentParams,
    DidOpenTextDocumentParams, GotoDefinitionResponse, Hover, HoverContents,
    HoverProviderCapability, InitializeParams, InitializeResult, Location, MarkupContent,
    MarkupKind, OneOf, PublishDiagnosticsParams, ServerCapabilities, ServerInfo,
    TextDocumentPositionParams, TextDocumentSyncCapability, TextDocumentSyncKind, Uri,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::{Sources, VariableInput};
use complete::Snippets;
use cursor::{At, Cursor, cursor};
use folder::{Folder, declared};
use text::Text;

/// A larger text is not parsed at every letter, only when it is quiet.
const AT_ONCE_BYTES_MAX: usize = 256 * 1024;

/// Gives the outside as it is seen from a directory.
pub type Opener = Box<dyn Fn(&Path) -> Box<dyn Sources> + Send>;

pub struct Server {
    opener: Opener,
    variables: Vec<VariableInput>,
    documents: BTreeMap<PathBuf, Text>,
    /// Directories whose mistakes may have changed.
    dirty: BTreeSet<PathBuf>,
    /// Files of a directory that have mistakes shown.
    shown: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    snippets: Snippets,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Running,
    ShutDown,
    /// After `exit`; whether `shutdown` had come before it.
    Ended {
        orderly: bool,
    },
}

/// Why there is no answer to give.
struct Refused(ErrorCode, String);

impl Server {
    pub fn new(opener: Opener, variables: Vec<VariableInput>) -> Server {
        Server {
            opener,
            variables,
            documents: BTreeMap::new(),
            dirty: BTreeSet::new(),
            shown: BTreeMap::new(),
            snippets: Snippets::No,
            phase: Phase::Running,
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn handle(&mut self, message: Message) -> Vec<Message> {
        match message {
            Message::Request(request) => {
                let id = request.id.clone();
                let answer = match self.request(request) {
                    Ok(value) => Response::new_ok(id, value),
                    Err(Refused(code, why)) => Response::new_err(id, code as i32, why),
                };
                vec![Message::Response(answer)]
            }
            // A notification has no answer, so one that makes no sense is passed over.
            Message::Notification(notification) => {
                self.notification(notification).unwrap_or_default()
            }
            Message::Response(_) => Vec::new(),
        }
    }

    fn request(&mut self, request: Request) -> Result<Value, Refused> {
        let Request {
            id: _,
            method,
            params,
        } = request;
        if self.phase != Phase::Running {
            return Err(Refused(
                ErrorCode::InvalidRequest,
                "the server is shut down".to_owned(),
            ));
        }
        let uri = params.get("textDocument").and_then(|d| d.get("uri"));
        let path = uri.and_then(Value::as_str).map(Path::new);
        if path.is_some_and(|p| !is_native(p)) {
            return Ok(Value::Null);
        }
        match method.as_str() {
            "initialize" => self.initialize(parsed(params)?),
            "shutdown" => {
                self.phase = Phase::ShutDown;
                Ok(Value::Null)
            }
            "textDocument/completion" => self.at(params, |server, place| {
                let here = place.cursor();
                json!(match (place.is_values, &here.at) {
                    (true, At::Name(_)) => complete::values(&here, place.folder),
                    _ => complete::complete(&here, place.folder, server.snippets),
                })
            }),
            "textDocument/hover" => self.at(params, |server, place| {
                json!(
                    hover::hover(&place.cursor(), place.folder, &server.variables).map(|value| {
                        Hover {
                            contents: HoverContents::Markup(MarkupContent {
                                kind: MarkupKind::Markdown,
                                value,
                            }),
                            range: None,
                        }
                    })
                )
            }),
            "textDocument/definition" => self.at(params, |_, place| json!(definition(place))),
            "textDocument/documentSymbol" => Ok(json!(symbols::symbols(self.named(&params)?))),
            "textDocument/formatting" => Ok(json!(layout::layout(self.named(&params)?))),
            other => Err(Refused(
                ErrorCode::MethodNotFound,
                format!("there is no `{other}`"),
            )),
        }
    }

    fn initialize(&mut self, params: InitializeParams) -> Result<Value, Refused> {
        let completion = params.capabilities.text_document.and_then(|d| d.completion);
        let snippets = completion
            .and_then(|c| c.completion_item)
            .and_then(|i| i.snippet_support);
        if snippets == Some(true) {
            self.snippets = Snippets::Yes;
        }
        let capabilities = ServerCapabilities {
            text_document_sync: Some(TextDocumentSyncCapability::Kind(
                TextDocumentSyncKind::INCREMENTAL,
            )),
            completion_provider: Some(CompletionOptions {
                trigger_characters: Some(vec![".".to_owned(), "\"".to_owned()]),
                ..CompletionOptions::default()
            }),
            hover_provider: Some(HoverProviderCapability::Simple(true)),
            definition_provider: Some(OneOf::Left(true)),
            document_symbol_provider: Some(OneOf::Left(true)),
            document_formatting_provider: Some(OneOf::Left(true)),
            ..ServerCapabilities::default()
        };
        Ok(json!(InitializeResult {
            capabilities,
            server_info: Some(ServerInfo {
                name: "bmctl".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        }))
    }

    /// `None` for what is of no concern, or makes no sense.
    fn notification(&mut self, notification: Notification) -> Option<Vec<Message>> {
        let Notification { method, params } = notification;
        match method.as_str() {
            "exit" => {
                let orderly = self.phase == Phase::ShutDown;
                self.phase = Phase::Ended { orderly };
                None
            }
            "textDocument/didOpen" => {
                let DidOpenTextDocumentParams { text_document } = parsed(params).ok()?;
                let path = uri::to_path(&text_document.uri)?;
                self.documents
                    .insert(path.clone(), Text::new(text_document.text));
                self.touched(&path);
                None
            }
            "textDocument/didChange" => {
                let DidChangeTextDocumentParams {
                    text_document,
                    content_changes,
                } = parsed(params).ok()?;
                let path = uri::to_path(&text_document.uri)?;
                let text = self.documents.get_mut(&path)?;
                for change in content_changes {
                    text.change(change.range, &change.text);
                }
                self.touched(&path);
                self.at_once(&path)
            }
            "textDocument/didClose" => {
                let DidCloseTextDocumentParams { text_document } = parsed(params).ok()?;
                let path = uri::to_path(&text_document.uri)?;
                self.documents.remove(&path);
                self.touched(&path);
                None
            }
            "textDocument/didSave" | "workspace/didChangeWatchedFiles" => {
                let open: Vec<PathBuf> = self.documents.keys().cloned().collect();
                open.iter().for_each(|path| self.touched(path));
                None
            }
            _ => None,
        }
    }

    fn touched(&mut self, path: &Path) {
        self.dirty.extend(path.parent().map(Path::to_owned));
    }

    /// Mistakes of syntax, while the rest waits for a pause.
    fn at_once(&mut self, path: &Path) -> Option<Vec<Message>> {
        let text = self.documents.get(path)?.as_str();
        let (dir, name) = (path.parent()?, path.file_name()?.to_str()?);
        if text.len() > AT_ONCE_BYTES_MAX || !is_native(path) {
            return None;
        }
        let found = check::syntax(dir, name, text);
        if found.is_empty() {
            return None;
        }
        self.shown
            .entry(dir.to_owned())
            .or_default()
            .insert(path.to_owned());
        Some(vec![publish(path, found)?])
    }

    /// Whether [`Server::settle`] has something to do.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Looks at what has changed; to be called when the editor is quiet.
    pub fn settle(&mut self) -> Vec<Message> {
        let mut out = Vec::new();
        for dir in std::mem::take(&mut self.dirty) {
            let disk = (self.opener)(&dir);
            let open = self.documents.keys().any(|p| p.parent() == Some(&dir));
            let found = match open {
                true => check::directory(&dir, &self.folder(&dir, disk.as_ref()), &self.variables),
                false => BTreeMap::new(),
            };
            let mut found: BTreeMap<PathBuf, _> = found
                .into_iter()
                .map(|(name, list)| (uri::plain(&dir.join(name)), list))
                .collect();
            let of_dir = self.documents.keys().filter(|p| p.parent() == Some(&dir));
            for path in of_dir {
                // That there is no mistake is told too.
                found.entry(path.clone()).or_default();
            }
            let before = self.shown.remove(&dir).unwrap_or_default();
            let cleared = before.iter().filter(|p| !found.contains_key(*p));
            out.extend(cleared.filter_map(|p| publish(p, Vec::new())));
            self.shown.insert(dir, found.keys().cloned().collect());
            out.extend(
                found
                    .into_iter()
                    .filter_map(|(path, list)| publish(&path, list)),
            );
        }
        out
    }

    fn folder<'a>(&'a self, dir: &Path, disk: &'a dyn Sources) -> Folder<'a> {
        let open = self.documents.iter().filter_map(|(path, text)| {
            let name = path.strip_prefix(dir).ok()?.to_str()?;
            Some((name.to_owned(), text.as_str()))
        });
        Folder {
            disk,
            open: open.collect(),
        }
    }

    fn document(&self, uri: &Uri) -> Result<(PathBuf, &Text), Refused> {
        let path = uri::to_path(uri);
        let found = path.and_then(|p| self.documents.get(&p).map(|text| (p.clone(), text)));
        found.ok_or_else(|| {
            let why = format!("{} is not open", uri.as_str());
            Refused(ErrorCode::InvalidParams, why)
        })
    }

    /// The document that a request is about.
    fn named(&self, params: &Value) -> Result<&Text, Refused> {
        let uri = params.get("textDocument").and_then(|d| d.get("uri"));
        let uri: Uri = parsed(uri.cloned().unwrap_or_default())?;
        Ok(self.document(&uri)?.1)
    }

    /// Answers a question about a place in an open document.
    fn at(
        &self,
        params: Value,
        answer: impl Fn(&Server, &Place<'_>) -> Value,
    ) -> Result<Value, Refused> {
        let TextDocumentPositionParams {
            text_document,
            position,
        } = parsed(params)?;
        let (path, text) = self.document(&text_document.uri)?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        let disk = (self.opener)(dir);
        let folder = self.folder(dir, disk.as_ref());
        let place = Place {
            dir,
            folder: &folder,
            text,
            at: text.offset(position),
            is_values: path.to_str().is_some_and(|p| p.ends_with(".vars.hcl")),
        };
        Ok(answer(self, &place))
    }
}

/// A place in an open document.
struct Place<'a> {
    dir: &'a Path,
    folder: &'a Folder<'a>,
    text: &'a Text,
    at: usize,
    /// Whether the document holds values for variables, not blocks.
    is_values: bool,
}

impl Place<'_> {
    fn cursor(&self) -> Cursor<'_> {
        cursor(self.text.as_str(), self.at)
    }
}

/// `var.x`, `local.x`, `module.x`, `node.x` lead to their declaration, from either of their names.
fn definition(place: &Place<'_>) -> Option<GotoDefinitionResponse> {
    let here = place.cursor();
    let At::Value(value) = &here.at else {
        return None;
    };
    let mut names = value.whole.split(['.', '[']);
    let wanted = format!("{}.{}", names.next()?, names.next()?);
    let found = declared(place.folder, ".").remove(&wanted)?;
    let bytes = place.folder.read(&found.file).ok()?;
    let target = Text::new(String::from_utf8(bytes).ok()?);
    let uri = uri::from_path(&place.dir.join(&found.file))?;
    let location = Location::new(uri, target.range(found.name));
    Some(GotoDefinitionResponse::Scalar(location))
}

/// The JSON form has editors of its own, which the JSON Schemas serve; its mistakes come with those of the directory.
fn is_native(path: &Path) -> bool {
    path.extension().is_none_or(|e| e != "json")
}

fn parsed<T: DeserializeOwned>(params: Value) -> Result<T, Refused> {
    serde_json::from_value(params).map_err(|e| Refused(ErrorCode::InvalidParams, e.to_string()))
}

fn publish(path: &Path, diagnostics: Vec<lsp_types::Diagnostic>) -> Option<Message> {
    let params = PublishDiagnosticsParams::new(uri::from_path(path)?, diagnostics, None);
    Some(Message::Notification(Notification::new(
        "textDocument/publishDiagnostics".to_owned(),
        params,
    )))
}

/// The answer to what is no message.
pub fn refusal(why: &str) -> Vec<u8> {
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": ErrorCode::ParseError as i32, "message": why } });
    let body = body.to_string();
    format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MemorySources;

    /// Every place of a text, whole and cut off there, has an answer and no panic.
    #[test]
    fn any_place_of_any_beginning_is_answered() {
        let whole = include_str!("../config/testdata/design.hcl");
        let sources = MemorySources::default().file("main.hcl", whole);
        let folder = Folder {
            disk: &sources,
            open: BTreeMap::new(),
        };
        let mut offered = 0;
        for (at, _) in whole.char_indices() {
            let beginning = whole.get(..at).unwrap_or_default();
            for text in [whole, beginning] {
                let here = cursor(text, at);
                offered += usize::from(!matches!(here.at, At::Elsewhere));
                complete::complete(&here, &folder, Snippets::Yes);
            }
            symbols::symbols(&Text::new(beginning.to_owned()));
        }
        assert!(offered > 1000, "{offered}");
    }
}
