//! Lines in three cells: what leads, what is assigned, and the comment at the end. The second and third stand in columns with
//! those of the lines around.

use std::ops::Range;

use super::tokens::Piece;
use crate::config::syntax::token::Kind;

/// Where a line and its cells begin and end among all tokens.
#[derive(Debug)]
pub struct Line {
    pub all: Range<usize>,
    /// Where the `=` of an attribute stands whose whole value is on the line.
    assign: Option<usize>,
    /// Where a comment stands after something else.
    comment: Option<usize>,
}

impl Line {
    pub fn lead(&self) -> Range<usize> {
        self.all.start..self.assign.unwrap_or(self.before_comment())
    }

    pub fn assigned(&self) -> Range<usize> {
        self.assign.unwrap_or(self.before_comment())..self.before_comment()
    }

    fn before_comment(&self) -> usize {
        self.comment.unwrap_or(self.all.end)
    }
}

pub fn lines(tokens: &[Piece<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (i, piece) in tokens.iter().enumerate() {
        if piece.kind == Kind::Newline {
            lines.push(line(tokens, start..i + 1));
            start = i + 1;
        }
    }
    lines.push(line(tokens, start..tokens.len()));
    lines
}

fn line(tokens: &[Piece<'_>], all: Range<usize>) -> Line {
    let mut line = Line {
        all,
        assign: None,
        comment: None,
    };
    let pieces = tokens.get(line.all.clone()).unwrap_or_default();
    // A comment that goes to the end of its line, and is not the line.
    let content = pieces
        .iter()
        .rposition(|p| !matches!(p.kind, Kind::Newline | Kind::End))
        .unwrap_or(0);
    let is_last = pieces.last().is_some_and(|p| p.kind == Kind::End);
    let to_the_end =
        |p: &Piece<'_>| p.kind == Kind::Comment && (is_last || !p.text.starts_with("/*"));
    if content > 0 && pieces.get(content).is_some_and(to_the_end) {
        line.comment = Some(line.all.start + content);
    }
    let lead = tokens
        .get(line.all.start..line.before_comment())
        .unwrap_or_default();
    let equals = lead.iter().skip(1).position(|p| p.kind == Kind::Assign);
    if let Some(at) = equals.map(|n| n + 1) {
        let value = lead.get(at..).unwrap_or_default();
        let open: isize = value.iter().map(Piece::brackets).sum();
        if open == 0 {
            line.assign = Some(line.all.start + at);
        }
    }
    line
}

/// Blanks that may be put before cells: one line of a million columns would push a million lines as far. Where they are used up,
/// one blank stands before a cell.
const PADDING_MAX: usize = 64 * 1024 * 1024;

pub fn align(tokens: &mut [Piece<'_>], lines: &[Line]) {
    chains(tokens, lines, |line| line.assign);
    chains(tokens, lines, |line| line.comment);
}

/// Neighbouring lines that have a cell get it into one column, a blank behind the longest of what stands before it.
fn chains(tokens: &mut [Piece<'_>], lines: &[Line], cell: impl Fn(&Line) -> Option<usize>) {
    let mut padding = PADDING_MAX;
    for chain in lines.chunk_by(|a, b| cell(a).is_some() && cell(b).is_some()) {
        let columns = |tokens: &[Piece<'_>], line: &Line| {
            let before = cell(line).and_then(|at| tokens.get(line.all.start..at));
            let columns = before.unwrap_or_default().iter().map(Piece::columns);
            columns.sum::<usize>()
        };
        let widest = chain.iter().map(|line| columns(tokens, line)).max();
        for line in chain {
            let missing = widest.unwrap_or(0) - columns(tokens, line);
            let spaces = match padding.checked_sub(missing) {
                Some(left) => {
                    padding = left;
                    missing + 1
                }
                None => 1,
            };
            if let Some(piece) = cell(line).and_then(|at| tokens.get_mut(at)) {
                piece.spaces = u32::try_from(spaces).unwrap_or(u32::MAX);
            }
        }
    }
}

pub fn text(tokens: &[Piece<'_>]) -> String {
    let mut out = String::new();
    for piece in tokens {
        out.extend(std::iter::repeat_n(' ', piece.spaces as usize));
        out.push_str(piece.text);
    }
    out
}
