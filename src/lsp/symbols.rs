//! The blocks and attributes of a document, for an editor's outline.

use lsp_types::{DocumentSymbol, SymbolKind};

use super::outline::{Content, Item, outline};
use super::text::Text;

pub fn symbols(text: &Text) -> Vec<DocumentSymbol> {
    let items = outline(text.as_str());
    items.iter().map(|i| symbol(i, text)).collect()
}

fn symbol(item: &Item, text: &Text) -> DocumentSymbol {
    let part =
        |range: &std::ops::Range<usize>| text.as_str().get(range.clone()).unwrap_or_default();
    let mut name = part(&item.name).to_owned();
    for label in &item.labels {
        name.push(' ');
        name.push_str(part(label).trim_matches('"'));
    }
    let (kind, children) = match &item.content {
        Content::Body(_, items) => {
            let inner = items.iter().map(|i| symbol(i, text)).collect();
            (SymbolKind::CLASS, Some(inner))
        }
        Content::Value(_) => (SymbolKind::PROPERTY, None),
        Content::Nothing => (SymbolKind::NULL, None),
    };
    #[allow(
        deprecated,
        reason = "the type asks for a field that its protocol has given up"
    )]
    DocumentSymbol {
        name,
        detail: None,
        kind,
        tags: None,
        deprecated: None,
        range: text.range(item.range.clone()),
        selection_range: text.range(item.name.clone()),
        children,
    }
}
