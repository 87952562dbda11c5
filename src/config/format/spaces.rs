//! The blanks between neighbours on a line.

use super::cells::Line;
use super::tokens::Piece;
use crate::config::syntax::token::Kind;

pub fn spaces(tokens: &mut [Piece<'_>], lines: &[Line]) {
    for line in lines {
        let (lead, assigned) = (line.lead(), line.assigned());
        for range in [lead, assigned] {
            let Some(cell) = tokens.get_mut(range) else {
                continue;
            };
            let mut before = None;
            for at in 1..cell.len() {
                let (head, tail) = cell.split_at_mut(at);
                let (Some(subject), Some(after)) = (head.last(), tail.first_mut()) else {
                    break;
                };
                // Blanks at the end of the file stay.
                if after.kind != Kind::End {
                    after.spaces = u32::from(is_space_between(before, subject, after));
                }
                before = Some(subject.kind);
            }
        }
    }
}

/// Whether a blank stands after `subject`. The order of the rules matters: the first that fits decides.
fn is_space_between(before: Option<Kind>, subject: &Piece<'_>, after: &Piece<'_>) -> bool {
    let is_text = |kind| matches!(kind, Kind::Text);
    match (subject.kind, after.kind) {
        (_, Kind::Newline) => false,
        (Kind::Ident, Kind::ParenOpen) => false,
        (Kind::Ident, Kind::DoubleColon) | (Kind::DoubleColon, Kind::Ident) => false,
        (Kind::Dot, _) | (_, Kind::Dot) => false,
        (_, Kind::Comma | Kind::Ellipsis) => false,
        (Kind::Comma, _) => true,
        (Kind::QuoteOpen | Kind::HeredocOpen, _) => false,
        (_, Kind::QuoteClose | Kind::HeredocClose) => false,
        (one, other) if is_text(one) || is_text(other) => false,
        // `for x in [a]`: no index.
        (Kind::Ident, _) if subject.text == "in" && before == Some(Kind::Ident) => true,
        (Kind::Ident | Kind::Number, Kind::BracketOpen) => false,
        (_, Kind::BracketOpen) if subject.brackets() < 0 => false,
        (Kind::Not, _) => false,
        (Kind::Minus, _) => is_subtraction(before),
        (Kind::BraceOpen, Kind::BraceClose) => false,
        (Kind::BraceOpen, _) | (_, Kind::BraceClose) => true,
        (Kind::Interpolation | Kind::Directive, Kind::BraceOpen) => true,
        (Kind::BraceClose, Kind::SequenceEnd) => true,
        (Kind::SequenceEnd, Kind::Interpolation | Kind::Directive) => false,
        _ => subject.brackets() <= 0 && after.brackets() >= 0,
    }
}

/// A minus after the end of an expression takes away; any other one is a sign.
fn is_subtraction(before: Option<Kind>) -> bool {
    !matches!(
        before,
        None | Some(
            Kind::ParenOpen
                | Kind::BraceOpen
                | Kind::BracketOpen
                | Kind::Assign
                | Kind::Colon
                | Kind::Comma
                | Kind::Question
                | Kind::Plus
                | Kind::Star
                | Kind::Slash
                | Kind::Percent
                | Kind::Minus
                | Kind::Equal
                | Kind::NotEqual
                | Kind::Greater
                | Kind::GreaterEqual
                | Kind::Less
                | Kind::LessEqual
                | Kind::And
                | Kind::Or
                | Kind::Not
        )
    )
}
