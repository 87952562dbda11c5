//! The blanks at the start of each line, from the brackets that are open.

use super::cells::Line;
use super::tokens::Piece;
use crate::config::syntax::token::Kind;

const STEP: u32 = 2;

/// Lines beyond these are not indented: a bracket within 40 others may hold a million of them.
const INDENTED_BLANKS_MAX: u32 = 512 * 1024 * 1024;

/// A line that opens brackets is one step of indentation, however many it opens.
pub fn indent(tokens: &mut [Piece<'_>], lines: &[Line]) {
    // How many brackets each step stands for.
    let mut steps: Vec<isize> = Vec::new();
    let mut left = INDENTED_BLANKS_MAX;
    for line in lines {
        let pieces = tokens.get_mut(line.all.clone()).unwrap_or_default();
        let open = net_brackets(pieces);
        let depth = |steps: &Vec<isize>| u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let depth_before = depth(&steps);
        let Some(first) = pieces.first_mut() else {
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
            first.spaces = STEP.saturating_mul(depth_before);
        } else {
            close(&mut steps, -open);
            first.spaces = STEP.saturating_mul(depth(&steps));
        }
        match left.checked_sub(first.spaces) {
            Some(less) => left = less,
            None => first.spaces = 0,
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
