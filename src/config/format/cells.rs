//! Lines in three cells: what leads, what is assigned, and the comment at the end. The second and third stand in columns with
//! those of the lines around.

use std::ops::Range;

use super::tokens::Piece;
use crate::config::syntax::token::Kind;

#[derive(Debug, Default)]
pub struct Line<'t> {
    /// Those of a line, its newline last.
    pub pieces: Vec<Piece<'t>>,
    /// Where the `=` of an attribute stands whose whole value is on the line.
    assign: Option<usize>,
    /// Where a comment stands after something else.
    comment: Option<usize>,
}

impl Line<'_> {
    pub fn lead(&self) -> Range<usize> {
        0..self.assign.unwrap_or(self.before_comment())
    }

    pub fn assigned(&self) -> Range<usize> {
        self.assign.unwrap_or(self.before_comment())..self.before_comment()
    }

    fn before_comment(&self) -> usize {
        self.comment.unwrap_or(self.pieces.len())
    }

    fn columns(&self, range: Range<usize>) -> usize {
        let pieces = self.pieces.get(range).unwrap_or_default();
        pieces.iter().map(Piece::columns).sum()
    }
}

pub fn lines(tokens: Vec<Piece<'_>>) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut line = Line::default();
    for piece in tokens {
        let ends = piece.kind == Kind::Newline;
        line.pieces.push(piece);
        if ends {
            lines.push(std::mem::take(&mut line));
        }
    }
    lines.push(line);
    lines.iter_mut().for_each(find_cells);
    lines
}

fn find_cells(line: &mut Line<'_>) {
    let pieces = &line.pieces;
    // A comment that goes to the end of its line, and is not the line.
    let content = pieces
        .iter()
        .rposition(|p| !matches!(p.kind, Kind::Newline | Kind::End))
        .unwrap_or(0);
    let is_last = pieces.last().is_some_and(|p| p.kind == Kind::End);
    let to_the_end =
        |p: &Piece<'_>| p.kind == Kind::Comment && (is_last || !p.text.starts_with("/*"));
    if content > 0 && pieces.get(content).is_some_and(to_the_end) {
        line.comment = Some(content);
    }
    let lead = pieces.get(..line.before_comment()).unwrap_or_default();
    let equals = lead.iter().skip(1).position(|p| p.kind == Kind::Assign);
    let Some(at) = equals.map(|n| n + 1) else {
        return;
    };
    let value = lead.get(at..).unwrap_or_default();
    let open: isize = value.iter().map(Piece::brackets).sum();
    if open == 0 {
        line.assign = Some(at);
    }
}

pub fn align(lines: &mut [Line<'_>]) {
    let lead = |line: &Line<'_>| line.columns(line.lead());
    chains(lines, |line| line.assign, lead);
    let both = |line: &Line<'_>| line.columns(0..line.before_comment());
    chains(lines, |line| line.comment, both);
}

/// Neighbouring lines that have a cell get it into one column, a blank behind the longest of what stands before it.
fn chains<'t>(
    lines: &mut [Line<'t>],
    cell: impl Fn(&Line<'t>) -> Option<usize>,
    before: impl Fn(&Line<'t>) -> usize,
) {
    for chain in lines.chunk_by_mut(|a, b| cell(a).is_some() && cell(b).is_some()) {
        let widest = chain.iter().map(&before).max().unwrap_or(0);
        for line in chain {
            let spaces = widest - before(line) + 1;
            if let Some(piece) = cell(line).and_then(|at| line.pieces.get_mut(at)) {
                piece.spaces = spaces;
            }
        }
    }
}

pub fn text(lines: &[Line<'_>]) -> String {
    let mut out = String::new();
    for piece in lines.iter().flat_map(|line| &line.pieces) {
        out.extend(std::iter::repeat_n(' ', piece.spaces));
        out.push_str(&piece.text);
    }
    out
}
