//! Where heredocs begin and end: an end mark stands alone on its line.

use std::collections::BTreeMap;

use super::lexer::word_len;

#[derive(Debug, Clone, Copy)]
pub struct Heredoc<'t> {
    pub marker: &'t str,
    /// Where its first line starts.
    pub start: usize,
}

impl<'t> Heredoc<'t> {
    /// The heredoc that `<<` at an offset opens, when a name and the end of the line follow.
    pub fn open(text: &'t str, at: usize) -> Option<Heredoc<'t>> {
        let rest = text.get(at..)?.strip_prefix("<<")?;
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        let (marker, after) = rest.split_at_checked(word_len(rest))?;
        let body = after.strip_prefix("\r\n").or(after.strip_prefix('\n'))?;
        (!marker.is_empty()).then_some(Heredoc {
            marker,
            start: text.len() - body.len(),
        })
    }
}

/// The length of a line that is an end mark, without its newline.
pub fn end_mark_len(rest: &str, marker: &str) -> Option<usize> {
    let line = rest.split('\n').next()?;
    // Most lines differ in their first letters; they are not looked at to their end.
    if !line.trim_start().starts_with(marker) || line.trim() != marker {
        return None;
    }
    Some(line.strip_suffix('\r').unwrap_or(line).len())
}

/// Finds end marks, and remembers what it found: many heredocs of one mark, closed or not, cost one pass together.
#[derive(Debug, Default)]
pub struct Ends<'t> {
    /// By mark: from where it was looked for, and the offset after the end mark found, if there is one.
    known: BTreeMap<&'t str, (usize, Option<usize>)>,
}

impl<'t> Ends<'t> {
    pub fn find(&mut self, text: &'t str, marker: &'t str, from: usize) -> Option<usize> {
        if let Some((since, found)) = self.known.get(marker)
            && *since <= from
            && found.is_none_or(|end| end > from)
        {
            return *found;
        }
        let mut at = from;
        let mut found = None;
        for line in text.get(from..).unwrap_or_default().split_inclusive('\n') {
            if let Some(len) = end_mark_len(line, marker) {
                found = Some(at + len);
                break;
            }
            at += line.len();
        }
        self.known.insert(marker, (from, found));
        found
    }
}
