//! A document laid out as `bmctl fmt` does, as one edit around what changes.

use lsp_types::TextEdit;

use super::text::Text;
use crate::config::format::format;
use crate::diag::SourceMap;

/// `None` for a text with mistakes: they are shown anyway.
pub fn layout(text: &Text) -> Option<Vec<TextEdit>> {
    let old = text.as_str();
    let file = SourceMap::default().add("document", old);
    let new = format(file, old).ok()?;
    if new == old {
        return Some(Vec::new());
    }
    // Whole lines at both ends stay, and with them the editor's marks and its cursor.
    let same = |(a, b): &(&str, &str)| a == b;
    let head: usize = lines(old)
        .zip(lines(&new))
        .take_while(same)
        .map(|(a, _)| a.len())
        .sum();
    let rest = |text: &'_ str| text.get(head..).unwrap_or_default().to_owned();
    let (old_rest, new_rest) = (rest(old), rest(&new));
    let ends = old_rest
        .split_inclusive('\n')
        .rev()
        .zip(new_rest.split_inclusive('\n').rev());
    let tail: usize = ends.take_while(same).map(|(a, _)| a.len()).sum();
    Some(vec![TextEdit {
        range: text.range(head..old.len() - tail),
        new_text: new_rest.get(..new_rest.len() - tail)?.to_owned(),
    }])
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_edited() {
        let text = Text::new("a = 1\n\nb   =   2\n\nc = 3\n".to_owned());
        let edits = layout(&text).unwrap();
        assert_eq!((edits[0].range.start.line, edits[0].range.end.line), (2, 3));
        assert_eq!(edits[0].new_text, "b = 2\n");
        assert!(layout(&Text::new("a = 1\n".to_owned())).unwrap().is_empty());
        assert!(layout(&Text::new("a = [\n".to_owned())).is_none());
    }

    #[test]
    fn an_edit_gives_the_whole_layout() {
        for old in [
            "a=1",
            "a={\nb=1\n}\n",
            "x = 1\n\n\n\ny=2\nlong = 3",
            "a = 1\r\nb=2\r\n",
        ] {
            let mut text = Text::new(old.to_owned());
            let file = SourceMap::default().add("x", old);
            let new = format(file, old).unwrap();
            for edit in layout(&text).unwrap() {
                text.change(Some(edit.range), &edit.new_text);
            }
            assert_eq!(text.as_str(), new, "{old:?}");
        }
    }
}
