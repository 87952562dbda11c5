//! The blanks at the start of each line, from the brackets that are open.

use super::cells::Line;
use super::tokens::Piece;
use crate::config::syntax::token::Kind;

const STEP: usize = 2;

/// A line that opens brackets is one step of indentation, however many it opens.
pub fn indent(lines: &mut [Line<'_>]) {
    // How many brackets each step stands for.
    let mut steps: Vec<isize> = Vec::new();
    for line in lines {
        let open = net_brackets(&line.pieces);
        let depth_before = steps.len();
        let Some(first) = line.pieces.first_mut() else {
            continue;
        };
        match first.kind {
            Kind::Newline => {
                first.spaces = 0;
                continue;
            }
            Kind::End => continue,
            _ => {}
        }
        if open > 0 {
            steps.push(open);
            first.spaces = STEP * depth_before;
        } else {
            close(&mut steps, -open);
            first.spaces = STEP * steps.len();
        }
    }
}

/// Of a heredoc, what is before its text.
fn net_brackets(pieces: &[Piece<'_>]) -> isize {
    let mut open = 0;
    for piece in pieces {
        open += piece.brackets();
        if piece.kind == Kind::HeredocOpen {
            break;
        }
    }
    open
}

fn close(steps: &mut Vec<isize>, mut closed: isize) {
    while closed > 0
        && let Some(last) = steps.pop()
    {
        if closed < last {
            steps.push(last - closed);
        }
        closed -= last;
    }
}
