//! What stands at a place of a text: the blocks around it, and whether it is a name or within a value.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::outline::{Content, Item, Mode, outline, step};
use crate::config::schema::{self, BlockSchema};

pub struct Cursor<'t> {
    /// The blocks around the place, outermost first: kind and labels, without quotes.
    pub blocks: Vec<(&'t str, Vec<&'t str>)>,
    /// What the innermost block has already: names, and the texts of values.
    pub siblings: Vec<(&'t str, &'t str)>,
    pub at: At<'t>,
}

pub enum At<'t> {
    /// The name of an attribute or block, whole, or a blank where one may begin.
    Name(&'t str),
    /// The value of an attribute.
    Value(Value<'t>),
    /// A label, a comment.
    Elsewhere,
}

pub struct Value<'t> {
    pub attribute: &'t str,
    pub mode: Mode,
    /// The traversal or word up to the place, such as `local.ra`.
    pub typed: &'t str,
    /// The whole traversal at the place, as far as the part that the place is in.
    pub under: &'t str,
    /// The same, and what follows it.
    pub whole: &'t str,
    /// Whether a bracket follows: it is a function.
    pub called: bool,
}

/// A name with attributes and indices, at the end of a text.
static TYPED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"[\p{L}_][\p{L}\p{N}_-]*(\.[\p{L}\p{N}_-]*|\[[^\[\]\n]*\])*$"#).ok()
});

pub fn cursor(text: &str, at: usize) -> Cursor<'_> {
    let items = outline(text);
    let mut blocks = Vec::new();
    let mut level: &[Item] = &items;
    let part = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
    loop {
        let inside = level.iter().find(|i| match &i.content {
            Content::Body(body, _) => body.start <= at && at <= body.end,
            Content::Value(_) | Content::Nothing => false,
        });
        let Some(Item {
            name,
            labels,
            content: Content::Body(_, inner),
            ..
        }) = inside
        else {
            break;
        };
        let labels = labels.iter().map(|l| part(l).trim_matches('"')).collect();
        blocks.push((part(name), labels));
        level = inner;
    }
    let here = level
        .iter()
        .find(|i| i.range.start <= at && at <= i.range.end);
    let line = text
        .get(..at)
        .unwrap_or_default()
        .rsplit('\n')
        .next()
        .unwrap_or_default();
    let place = match here {
        _ if is_comment(line) => At::Elsewhere,
        None => At::Name(""),
        Some(item) if item.name.start <= at && at <= item.name.end => At::Name(part(&item.name)),
        Some(Item {
            name,
            content: Content::Value(value),
            ..
        }) if value.start <= at => At::Value(within(text, part(name), value, at)),
        Some(_) => At::Elsewhere,
    };
    let siblings = level.iter().filter(|i| here != Some(i));
    Cursor {
        blocks,
        siblings: siblings
            .map(|i| (part(&i.name), value_of(i, text)))
            .collect(),
        at: place,
    }
}

impl Cursor<'_> {
    pub fn has(&self, name: &str) -> bool {
        self.siblings.iter().any(|(n, _)| *n == name)
    }
}

/// The text of an attribute's value, without quotes; empty for a block.
pub fn value_of<'t>(item: &Item, text: &'t str) -> &'t str {
    match &item.content {
        Content::Value(value) => text
            .get(value.clone())
            .unwrap_or_default()
            .trim()
            .trim_matches('"'),
        Content::Body(..) | Content::Nothing => "",
    }
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('#') || line.starts_with("//")
}

fn within<'t>(text: &'t str, attribute: &'t str, value: &Range<usize>, at: usize) -> Value<'t> {
    let mut modes = vec![Mode::Code];
    let mut place = value.start;
    let bytes = text.as_bytes().get(..at).unwrap_or_default();
    while let Some(next) = step(bytes, place, &mut modes) {
        place = next;
    }
    let before = text.get(value.start..at).unwrap_or_default();
    let typed = TYPED
        .as_ref()
        .and_then(|p| p.find(before))
        .map_or("", |m| m.as_str());
    let after = text.get(at..value.end).unwrap_or_default();
    let more = after.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-'));
    let more = more.unwrap_or(after.len());
    let rest = after.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.'));
    let rest = rest.unwrap_or(after.len());
    Value {
        attribute,
        mode: modes.last().copied().unwrap_or(Mode::Code),
        typed,
        under: text.get(at - typed.len()..at + more).unwrap_or_default(),
        whole: text.get(at - typed.len()..at + rest).unwrap_or_default(),
        called: after
            .get(more..)
            .is_some_and(|r| r.trim_start().starts_with('(')),
    }
}

/// The table of the innermost of these blocks; `content` of a `dynamic` is the block it makes.
pub fn schema_of(blocks: &[(&str, Vec<&str>)]) -> Option<&'static BlockSchema> {
    let mut path = blocks.iter();
    let (first, _) = path.next()?;
    let mut here = schema::blocks().find(|b| b.name == *first)?;
    let mut made: Option<&'static BlockSchema> = None;
    for (name, labels) in path {
        match made.take() {
            Some(block) if *name == "content" => here = block,
            _ => {
                let around = here;
                here = around.nested(name)?.block;
                if *name == "dynamic" {
                    made = labels
                        .first()
                        .and_then(|l| around.nested(l))
                        .map(|n| n.block);
                }
            }
        }
    }
    Some(here)
}
