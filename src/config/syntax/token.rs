//! Tokens: a kind and a byte range. The text of one is looked up where it is needed.

use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ident,
    Number,
    /// `"`
    QuoteOpen,
    QuoteClose,
    /// `<<EOT` or `<<-EOT`, with the end of its line.
    HeredocOpen,
    /// The line that holds the end mark, without its newline.
    HeredocClose,
    /// Text of a string, a heredoc or a template file; in the last two, one line at most.
    Text,
    /// `${` or `${~`
    Interpolation,
    /// `%{` or `%{~`
    Directive,
    /// The `}` or `~}` of an interpolation or directive.
    SequenceEnd,
    BraceOpen,
    BraceClose,
    BracketOpen,
    BracketClose,
    ParenOpen,
    ParenClose,
    Assign,
    Arrow,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Not,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Question,
    Colon,
    DoubleColon,
    Dot,
    Comma,
    Ellipsis,
    Newline,
    /// Without the newline that ends a `#` or `//` comment.
    Comment,
    End,
    /// `/*` without `*/`.
    UnclosedComment,
    /// `<<EOT` without a line that ends it.
    UnclosedHeredoc,
    /// The end of a line inside a quoted string; the string is taken to end there.
    LineInString,
    /// `'text'` or `'`: no string here.
    Apostrophe,
    /// A character that has no meaning here.
    Stray,
}

impl Token {
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Kind {
    pub fn starts_expression(self) -> bool {
        matches!(
            self,
            Kind::Ident
                | Kind::Number
                | Kind::QuoteOpen
                | Kind::HeredocOpen
                | Kind::BraceOpen
                | Kind::BracketOpen
                | Kind::ParenOpen
                | Kind::Not
                | Kind::Apostrophe
        )
    }

    /// How a report names the token, when its own text says less.
    pub fn describe(self) -> Option<&'static str> {
        match self {
            Kind::End => Some("the end of the file"),
            Kind::Newline => Some("the end of the line"),
            Kind::QuoteOpen => Some("a string"),
            Kind::QuoteClose => Some("the end of the string"),
            Kind::HeredocOpen | Kind::UnclosedHeredoc => Some("a heredoc"),
            Kind::HeredocClose => Some("the end of the heredoc"),
            Kind::LineInString => Some("the end of the line"),
            Kind::Comment | Kind::UnclosedComment => Some("a comment"),
            Kind::Text => Some("text"),
            Kind::Ident
            | Kind::Number
            | Kind::Interpolation
            | Kind::Directive
            | Kind::SequenceEnd
            | Kind::BraceOpen
            | Kind::BraceClose
            | Kind::BracketOpen
            | Kind::BracketClose
            | Kind::ParenOpen
            | Kind::ParenClose
            | Kind::Assign
            | Kind::Arrow
            | Kind::Equal
            | Kind::NotEqual
            | Kind::Less
            | Kind::LessEqual
            | Kind::Greater
            | Kind::GreaterEqual
            | Kind::And
            | Kind::Or
            | Kind::Not
            | Kind::Plus
            | Kind::Minus
            | Kind::Star
            | Kind::Slash
            | Kind::Percent
            | Kind::Question
            | Kind::Colon
            | Kind::DoubleColon
            | Kind::Dot
            | Kind::Comma
            | Kind::Ellipsis
            | Kind::Apostrophe
            | Kind::Stray => None,
        }
    }
}
