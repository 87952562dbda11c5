//! What may be written at a place.

use lsp_types::{CompletionItem, CompletionItemKind, Documentation, InsertTextFormat};

use super::cursor::{At, Cursor, Value, schema_of};
use super::folder::{Folder, declared};
use super::outline::Mode;
use crate::config::schema::{self, AttributeSchema, BlockSchema, Need, Takes, Times};
use crate::ids::Kind;

/// Whether the editor fills in texts with places to go on at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snippets {
    Yes,
    No,
}

pub fn complete(
    cursor: &Cursor<'_>,
    folder: &Folder<'_>,
    snippets: Snippets,
) -> Vec<CompletionItem> {
    let here = schema_of(&cursor.blocks);
    match &cursor.at {
        At::Elsewhere => Vec::new(),
        At::Name(_) if cursor.blocks.is_empty() => {
            schema::blocks().map(|b| block_item(b, snippets)).collect()
        }
        At::Name(_) => {
            let mut out = here.map_or_else(Vec::new, |b| body(b, cursor, snippets));
            out.extend(arguments(cursor, folder));
            out
        }
        At::Value(value) => {
            let attribute = here.and_then(|b| b.attribute(value.attribute));
            in_value(value, attribute, cursor, folder)
        }
    }
}

/// In a file of values: the variables that have none yet.
pub fn values(cursor: &Cursor<'_>, folder: &Folder<'_>) -> Vec<CompletionItem> {
    let absent = named(folder, ".", "var").filter(|n| !cursor.has(n));
    absent.map(|n| assigned(&n, "variable")).collect()
}

fn assigned(name: &str, detail: &str) -> CompletionItem {
    CompletionItem {
        insert_text: Some(format!("{name} = ")),
        ..item(name, CompletionItemKind::FIELD, detail, "")
    }
}

fn item(label: &str, kind: CompletionItemKind, detail: &str, doc: &str) -> CompletionItem {
    CompletionItem {
        label: label.to_owned(),
        kind: Some(kind),
        detail: (!detail.is_empty()).then(|| detail.to_owned()),
        documentation: (!doc.is_empty()).then(|| Documentation::String(doc.to_owned())),
        ..CompletionItem::default()
    }
}

fn block_item(block: &BlockSchema, snippets: Snippets) -> CompletionItem {
    let mut out = item(block.name, CompletionItemKind::CLASS, "block", block.doc);
    if snippets == Snippets::Yes {
        let labels = block.labels.iter().zip(1..).map(|(label, n)| {
            format!(
                " \"${{{n}:{}}}\"",
                label.words.first().unwrap_or(&label.name)
            )
        });
        let labels: String = labels.collect();
        out.insert_text = Some(format!("{}{labels} {{\n  $0\n}}", block.name));
        out.insert_text_format = Some(InsertTextFormat::SNIPPET);
    }
    out
}

/// Attributes and blocks that are not there yet; what is required comes first.
fn body(block: &BlockSchema, cursor: &Cursor<'_>, snippets: Snippets) -> Vec<CompletionItem> {
    let absent = |name: &str| !cursor.has(name);
    let attributes = block.all_attributes().filter(|a| absent(a.name)).map(|a| {
        let mut out = item(
            a.name,
            CompletionItemKind::FIELD,
            &a.takes.to_string(),
            &schema::attribute_text(a),
        );
        out.insert_text = Some(format!("{} = ", a.name));
        let first = if a.need == Need::Required { '0' } else { '1' };
        out.sort_text = Some(format!("{first}{}", a.name));
        out
    });
    let blocks = block
        .all_blocks()
        .filter(|n| n.times == Times::Any || absent(n.block.name))
        .map(|n| {
            let mut out = block_item(n.block, snippets);
            let first = if n.times == Times::Once { '0' } else { '2' };
            out.sort_text = Some(format!("{first}{}", n.block.name));
            out
        });
    attributes.chain(blocks).collect()
}

/// The variables of the module that a `module` block calls.
fn arguments(cursor: &Cursor<'_>, folder: &Folder<'_>) -> Vec<CompletionItem> {
    let [("module", _)] = cursor.blocks.as_slice() else {
        return Vec::new();
    };
    let source = cursor.siblings.iter().find(|(name, _)| *name == "source");
    let Some(dir) = source.and_then(|(_, source)| local_dir(source)) else {
        return Vec::new();
    };
    let absent = named(folder, dir, "var").filter(|n| !cursor.has(n));
    absent
        .map(|n| assigned(&n, "variable of the module"))
        .collect()
}

/// The directory of a source that is one, relative to the module that names it.
fn local_dir(source: &str) -> Option<&str> {
    source
        .strip_prefix("./")
        .or(source.starts_with("../").then_some(source))
}

fn words_of(attribute: Option<&AttributeSchema>) -> &'static [&'static str] {
    match attribute.map(|a| a.takes) {
        Some(Takes::Words(words)) => words,
        Some(Takes::ListOf(Takes::Words(words))) => words,
        _ => &[],
    }
}

fn in_value(
    value: &Value<'_>,
    attribute: Option<&AttributeSchema>,
    cursor: &Cursor<'_>,
    folder: &Folder<'_>,
) -> Vec<CompletionItem> {
    let word = |w: &str| item(w, CompletionItemKind::ENUM_MEMBER, "", "");
    if value.mode == Mode::Quotes {
        return words_of(attribute).iter().map(|w| word(w)).collect();
    }
    if let Some((before, _)) = value.typed.rsplit_once('.') {
        return after_dot(before, folder);
    }
    if let Some(Takes::Attributes) = attribute.map(|a| a.takes) {
        return attributes_around(cursor);
    }
    let mut out: Vec<CompletionItem> = words_of(attribute)
        .iter()
        .map(|w| word(&format!("\"{w}\"")))
        .collect();
    if let Some(Takes::Reference(kind)) = attribute.map(|a| a.takes) {
        out.extend(named(folder, ".", kind.as_str()).map(|n| {
            let mut one = item(
                &format!("{kind}.{n}"),
                CompletionItemKind::REFERENCE,
                kind.as_str(),
                "",
            );
            one.sort_text = Some(format!("0{n}"));
            one
        }));
    }
    out.extend(["true", "false", "null"].map(|w| item(w, CompletionItemKind::KEYWORD, "", "")));
    let roots = ["var", "local", "module", "path"].into_iter();
    let roots = roots.chain(Kind::ALL.map(Kind::as_str));
    let roots = roots.chain(cursor.has("for_each").then_some("each"));
    let roots = roots.chain(cursor.has("count").then_some("count"));
    out.extend(roots.map(|r| item(r, CompletionItemKind::MODULE, "", "")));
    out.extend(
        crate::config::functions().map(|[name, signature, doc, example, result]| {
            let doc = format!("{doc}\n{example} is {result}");
            item(name, CompletionItemKind::FUNCTION, signature, &doc)
        }),
    );
    out
}

/// For `ignore_changes`: the attributes of the resource, and `all`.
fn attributes_around(cursor: &Cursor<'_>) -> Vec<CompletionItem> {
    let around = cursor.blocks.get(..cursor.blocks.len().saturating_sub(1));
    let block = around.and_then(schema_of);
    let names = block.into_iter().flat_map(|b| b.attributes).map(|a| a.name);
    let names = names.chain(["all"]);
    names
        .map(|n| item(n, CompletionItemKind::FIELD, "", ""))
        .collect()
}

/// The names declared under a root such as `local`.
fn named(folder: &Folder<'_>, dir: &str, root: &str) -> impl Iterator<Item = String> {
    let prefix = format!("{root}.");
    let all = declared(folder, dir).into_keys();
    all.filter_map(move |n| n.strip_prefix(&prefix).map(str::to_owned))
}

fn after_dot(before: &str, folder: &Folder<'_>) -> Vec<CompletionItem> {
    let field = |n: &str| item(n, CompletionItemKind::FIELD, "", "");
    match before {
        "each" => return ["key", "value"].map(field).into(),
        "count" => return vec![field("index")],
        "path" => return ["module", "root"].map(field).into(),
        _ => {}
    }
    if !before.contains(['.', '[']) {
        return named(folder, ".", before)
            .map(|n| item(&n, CompletionItemKind::VARIABLE, before, ""))
            .collect();
    }
    if let Some(call) = before.strip_prefix("module.") {
        let call = call.split('[').next().unwrap_or(call);
        let source = declared(folder, ".")
            .remove(&format!("module.{call}"))
            .map(|d| d.source);
        let dir = source.as_deref().and_then(local_dir);
        return dir
            .map(|dir| named(folder, dir, "output").map(|n| field(&n)).collect())
            .unwrap_or_default();
    }
    // `node.rack.` and `node.rack["a"].` have the attributes of a node; deeper ones are values nobody knows here.
    let mut names = before.split('.').map(|n| n.split('[').next().unwrap_or(n));
    let kind = names.next().and_then(|root| root.parse::<Kind>().ok());
    let block = kind.and_then(|k| schema::blocks().find(|b| b.kind() == Some(k)));
    let (Some(block), Some(_), None) = (block, names.next(), names.next()) else {
        return Vec::new();
    };
    let attributes = block.attributes.iter().map(|a| {
        item(
            a.name,
            CompletionItemKind::FIELD,
            &a.takes.to_string(),
            a.doc,
        )
    });
    let blocks = block.blocks.iter().map(|n| field(n.block.name));
    attributes.chain(blocks).collect()
}
