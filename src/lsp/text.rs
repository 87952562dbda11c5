//! A document's text, with the places of the protocol: lines, and UTF-16 units within a line.

use lsp_types::{Position, Range};

#[derive(Debug, Default, Clone)]
pub struct Text {
    content: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Text {
    pub fn new(content: String) -> Text {
        let ends = content.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Text { content, lines }
    }

    pub fn as_str(&self) -> &str {
        &self.content
    }

    /// The byte at a place; what is beyond a line's or the text's end is its end.
    pub fn offset(&self, place: Position) -> usize {
        let Some(start) = self.lines.get(place.line as usize).copied() else {
            return self.content.len();
        };
        let line = self.content.get(start..).unwrap_or_default();
        let line = line.split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut units = 0;
        for (at, c) in line.char_indices() {
            if units >= place.character as usize {
                return start + at;
            }
            units += c.len_utf16();
        }
        start + line.len()
    }

    pub fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.content.len());
        while !self.content.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self
            .lines
            .partition_point(|start| *start <= offset)
            .saturating_sub(1);
        let start = self.lines.get(line).copied().unwrap_or(0);
        let before = self.content.get(start..offset).unwrap_or_default();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Position::new(number(line), number(before.encode_utf16().count()))
    }

    pub fn range(&self, bytes: std::ops::Range<usize>) -> Range {
        Range::new(self.position(bytes.start), self.position(bytes.end))
    }

    /// Replaces a part, or with `None` everything.
    pub fn change(&mut self, range: Option<Range>, new: &str) {
        let content = match range {
            None => new.to_owned(),
            Some(range) => {
                let start = self.offset(range.start);
                let end = self.offset(range.end).max(start);
                let mut content = std::mem::take(&mut self.content);
                content.replace_range(start..end, new);
                content
            }
        };
        *self = Text::new(content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_in_utf_16() {
        let text = Text::new("a = \"😀é\" # x\r\nb\n".to_owned());
        for (offset, line, character) in [
            (0, 0, 0),
            (5, 0, 5),
            (9, 0, 7),
            (11, 0, 8),
            (18, 1, 0),
            (19, 1, 1),
            (20, 2, 0),
        ] {
            assert_eq!(text.position(offset), Position::new(line, character));
            assert_eq!(text.offset(Position::new(line, character)), offset);
        }
        assert_eq!(
            text.offset(Position::new(0, 6)),
            9,
            "half a pair is after it"
        );
        assert_eq!(
            text.offset(Position::new(0, 99)),
            16,
            "before the line's end"
        );
        assert_eq!(text.offset(Position::new(9, 9)), 20);
    }

    #[test]
    fn changes_are_put_in_their_place() {
        let mut text = Text::new("a😀b\nc".to_owned());
        text.change(
            Some(Range::new(Position::new(0, 3), Position::new(1, 0))),
            "X\nY",
        );
        assert_eq!(text.as_str(), "a😀X\nYc");
        text.change(None, "z");
        assert_eq!(text.position(9), Position::new(0, 1));
    }
}
