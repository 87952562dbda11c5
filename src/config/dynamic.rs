//! `dynamic "kind" { for_each, iterator, labels, content { } }`: nested blocks made from a collection.

use std::sync::Arc;

use super::codes;
use super::eval::{Frame, Scope, Stop, eval};
use super::suggest::did_you_mean;
use super::syntax::ast::{Attribute, Block, ExprKind, Label};
use super::value::{Data, Entries, SeqKind, Value};
use crate::diag::{Diagnostic, Span};

/// What stands in the place of a `dynamic` block: its content, once for each element.
pub struct Dynamic<'b> {
    /// The name under which the content sees `key` and `value`.
    pub iterator: &'b str,
    pub content: &'b Block,
    pub elements: Vec<Value>,
    labels: Option<&'b Attribute>,
}

/// Of one block, as of one resource.
const ELEMENTS_MAX: usize = 10_000;

const ATTRIBUTES: [&str; 3] = ["for_each", "iterator", "labels"];

/// Whether this block makes blocks of a kind.
pub fn makes(block: &Block, kind: &str) -> bool {
    block.kind.as_ref() == "dynamic"
        && block
            .labels
            .first()
            .is_some_and(|l| l.text.as_ref() == kind)
}

/// Reads the block, all but its content.
pub fn read<'b>(block: &'b Block, scope: &Scope<'_>) -> Result<Dynamic<'b>, Stop> {
    let [kind] = block.labels.as_slice() else {
        let text = "`dynamic` takes one label: the kind of block it makes";
        let d = Diagnostic::error(codes::LABELS, text);
        return Err(d.at(block.header, "this header").into());
    };
    known(block)?;
    let content = content(block)?;
    let Some(for_each) = block.body.attribute("for_each") else {
        let d = Diagnostic::error(codes::MISSING, "`dynamic` needs `for_each`");
        return Err(d.at(block.header, "not in this block").into());
    };
    let iterator = match block.body.attribute("iterator") {
        None => kind.text.as_ref(),
        Some(attribute) => match &attribute.value.kind {
            ExprKind::Name(name) => name.as_ref(),
            ExprKind::Invalid => return Err(Stop::Reported),
            _ => {
                let quoted = "write it without quotes".to_owned();
                return Err(mistake(
                    "`iterator` is a name",
                    attribute.value.span,
                    quoted,
                ));
            }
        },
    };
    Ok(Dynamic {
        iterator,
        content,
        elements: made_of(for_each, scope)?,
        labels: block.body.attribute("labels"),
    })
}

fn mistake(text: &str, span: Span, label: String) -> Stop {
    Diagnostic::error(codes::EXPANSION, text.to_owned())
        .at(span, label)
        .into()
}

/// Nothing stands in the block that it does not have.
fn known(block: &Block) -> Result<(), Stop> {
    for attribute in &block.body.attributes {
        let name = attribute.name.as_ref();
        if !ATTRIBUTES.contains(&name) {
            let text = format!("`dynamic` has no attribute `{name}`");
            let d = Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text)
                .at(attribute.name_span, "not known");
            return Err(match did_you_mean(name, ATTRIBUTES) {
                Some(help) => d.help(help),
                None => d.help("what the block shall hold goes into content { }"),
            }
            .into());
        }
    }
    match block.body.incomplete {
        true => Err(Stop::Reported),
        false => Ok(()),
    }
}

fn content(block: &Block) -> Result<&Block, Stop> {
    const ONE: &str = "`dynamic` has exactly one block, `content`";
    let [content] = block.body.blocks.as_slice() else {
        let found = format!("found {} blocks", block.body.blocks.len());
        let d = Diagnostic::error(codes::MISSING, ONE);
        return Err(d.at(block.header, found).into());
    };
    if content.kind.as_ref() != "content" {
        let d = Diagnostic::error(codes::UNKNOWN_BLOCK, ONE);
        return Err(d.at(content.header, "not this").into());
    }
    Ok(content)
}

/// The elements of `for_each`, not too many of them, and paid for.
fn made_of(for_each: &Attribute, scope: &Scope<'_>) -> Result<Vec<Value>, Stop> {
    let span = for_each.value.span;
    let value = eval(&for_each.value, scope)?;
    let elements = elements(&value).ok_or_else(|| {
        let text = "`for_each` of a `dynamic` block takes a collection";
        mistake(text, span, format!("found {}", value.shown()))
    })?;
    if elements.len() > ELEMENTS_MAX {
        let text = format!("a `dynamic` block makes at most {ELEMENTS_MAX} blocks");
        let found = format!("found {}", elements.len());
        return Err(mistake(&text, span, found));
    }
    scope.world.spend(elements.len() as u64, span)?;
    Ok(elements)
}

/// Each element with its key, as the iterator sees it. A mark on the collection is a mark on what comes from it.
fn elements(value: &Value) -> Option<Vec<Value>> {
    let element = |key: Value, of: &Value| {
        let mut entries = Entries::new();
        entries.insert(Arc::from("key"), key.marked(value.sensitive));
        entries.insert(Arc::from("value"), of.clone().marked(value.sensitive));
        Value::object(entries)
    };
    match &value.data {
        Data::Map(map) => {
            let each = map.entries.iter();
            Some(
                each.map(|(k, v)| element(Value::new(Data::String(k.clone())), v))
                    .collect(),
            )
        }
        Data::Seq(seq) => {
            let each = seq.items.iter().enumerate();
            let of = |(i, v): (usize, &Value)| match seq.kind {
                SeqKind::Set => element(v.clone(), v),
                SeqKind::List | SeqKind::Tuple => element(Value::number(i as u64), v),
            };
            Some(each.map(of).collect())
        }
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) | Data::Resource(_) => None,
    }
}

impl<'b> Dynamic<'b> {
    /// The labels of the block for one element, whose frame is in the scope.
    pub fn labels(&self, scope: &Scope<'_>) -> Result<Vec<Label>, Stop> {
        let Some(attribute) = self.labels else {
            return Ok(Vec::new());
        };
        let span = attribute.value.span;
        let value = eval(&attribute.value, scope)?;
        let texts = value
            .items()
            .map(|items| items.iter().map(|v| v.as_str().map(Arc::from)));
        let texts: Option<Vec<Arc<str>>> = texts.and_then(|mut texts| texts.by_ref().collect());
        match texts {
            Some(texts) => Ok(texts.into_iter().map(|text| Label { text, span }).collect()),
            None => Err(
                Diagnostic::error(codes::LABELS, "`labels` is a list of texts")
                    .at(span, format!("found {}", value.shown()))
                    .into(),
            ),
        }
    }

    /// What the content sees for one element.
    pub fn frame<'f>(&'f self, element: &Value, parent: Option<&'f Frame<'f>>) -> Frame<'f> {
        Frame {
            name: self.iterator,
            value: element.clone(),
            parent,
        }
    }
}
