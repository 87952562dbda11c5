//! The syntax tree that is evaluated, with spans into the whole file and exact numbers.

use std::sync::Arc;

use crate::config::value::Value;
use crate::diag::{FileId, Span};

#[derive(Debug)]
pub struct Expr {
    pub span: Span,
    /// Expressions within each other, this one counted.
    pub levels: u8,
    pub kind: ExprKind,
}

#[derive(Debug)]
pub enum ExprKind {
    /// It did not parse, which has been reported.
    Invalid,
    Literal(Value),
    Template(Vec<Part>),
    Tuple(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    Paren(Box<Expr>),
    /// A name by itself, or the root of a traversal.
    Name(Arc<str>),
    Conditional(Box<[Expr; 3]>),
    Call(Box<Call>),
    Traversal(Box<Expr>, Vec<Step>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(BinaryOp, Box<[Expr; 2]>),
    For(Box<For>),
}

#[derive(Debug)]
pub struct Call {
    pub name: Arc<str>,
    pub name_span: Span,
    pub args: Vec<Expr>,
    /// Whether the last argument is followed by `...`.
    pub expand: bool,
}

#[derive(Debug)]
pub struct Step {
    pub span: Span,
    pub kind: StepKind,
}

#[derive(Debug)]
pub enum StepKind {
    /// `.name`
    Attribute(Arc<str>),
    /// `[expression]`
    Index(Expr),
    /// `.0`
    LegacyIndex(u64),
    /// `[*]`
    Splat,
    /// `.*`
    AttributeSplat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    And,
    Or,
}

#[derive(Debug)]
pub struct For {
    pub key_name: Option<Arc<str>>,
    pub value_name: Arc<str>,
    pub over: Expr,
    /// `Some`: an object is made.
    pub key: Option<Expr>,
    pub value: Expr,
    pub condition: Option<Expr>,
    /// `...` after the value: the values of a key are collected in a tuple.
    pub grouping: bool,
}

/// A piece of a template.
#[derive(Debug)]
pub enum Part {
    Text(Arc<str>),
    Value(Expr),
    If {
        condition: Expr,
        then: Vec<Part>,
        otherwise: Vec<Part>,
    },
    For {
        key_name: Option<Arc<str>>,
        value_name: Arc<str>,
        over: Expr,
        body: Vec<Part>,
    },
}

#[derive(Debug)]
pub struct Body {
    /// With its braces; for a file, all of it.
    pub span: Span,
    pub attributes: Vec<Attribute>,
    pub blocks: Vec<Block>,
    /// Something in it did not parse, not even its name: what seems to be missing may be there.
    pub incomplete: bool,
}

/// From the start of its name to the end of its value.
#[derive(Debug)]
pub struct Attribute {
    pub name: Arc<str>,
    pub name_span: Span,
    pub value: Expr,
}

/// From the start of its header to the end of its body.
#[derive(Debug)]
pub struct Block {
    pub kind: Arc<str>,
    pub labels: Vec<Label>,
    /// The kind and the labels.
    pub header: Span,
    pub body: Body,
}

#[derive(Debug)]
pub struct Label {
    pub text: Arc<str>,
    pub span: Span,
}

impl Default for Body {
    fn default() -> Body {
        Body::new(Span::new(FileId(0), 0..0))
    }
}

impl Body {
    pub fn new(span: Span) -> Body {
        Body {
            span,
            attributes: Vec::new(),
            blocks: Vec::new(),
            incomplete: false,
        }
    }

    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name.as_ref() == name)
    }
}

impl Expr {
    pub fn new(span: Span, kind: ExprKind) -> Expr {
        let levels = kind.levels_within().saturating_add(1);
        Expr { span, levels, kind }
    }

    pub fn invalid(span: Span) -> Expr {
        Expr::new(span, ExprKind::Invalid)
    }

    /// Calls `f` with every name used as a root, and the steps that follow it. Names bound by `for` inside are left out.
    pub fn roots<'e>(&'e self, f: &mut dyn FnMut(&'e str, Span, &'e [Step])) {
        walk(self, &mut Vec::new(), f);
    }
}

impl ExprKind {
    fn levels_within(&self) -> u8 {
        let most = |exprs: &[Expr]| exprs.iter().map(|e| e.levels).max().unwrap_or(0);
        match self {
            ExprKind::Invalid | ExprKind::Literal(_) | ExprKind::Name(_) => 0,
            ExprKind::Template(parts) => levels_of(parts),
            ExprKind::Tuple(items) => most(items),
            ExprKind::Object(items) => {
                let levels = items.iter().map(|(k, v)| k.levels.max(v.levels));
                levels.max().unwrap_or(0)
            }
            ExprKind::Paren(e) | ExprKind::Not(e) | ExprKind::Negate(e) => e.levels,
            ExprKind::Conditional(three) => most(three.as_slice()),
            ExprKind::Call(call) => most(&call.args),
            ExprKind::Traversal(base, steps) => {
                let indexes = steps.iter().map(|step| match &step.kind {
                    StepKind::Index(e) => e.levels,
                    StepKind::Attribute(_)
                    | StepKind::LegacyIndex(_)
                    | StepKind::Splat
                    | StepKind::AttributeSplat => 0,
                });
                indexes.max().unwrap_or(0).max(base.levels)
            }
            ExprKind::Binary(_, two) => most(two.as_slice()),
            ExprKind::For(f) => {
                let optional = f.key.iter().chain(&f.condition).map(|e| e.levels).max();
                let levels = f.over.levels.max(f.value.levels);
                levels.max(optional.unwrap_or(0))
            }
        }
    }
}

fn levels_of(parts: &[Part]) -> u8 {
    let levels = parts.iter().map(|part| match part {
        Part::Text(_) => 0,
        Part::Value(e) => e.levels,
        Part::If {
            condition,
            then,
            otherwise,
        } => {
            let inside = levels_of(then).max(levels_of(otherwise));
            inside.saturating_add(1).max(condition.levels)
        }
        Part::For { over, body, .. } => levels_of(body).saturating_add(1).max(over.levels),
    });
    levels.max().unwrap_or(0)
}

type Visit<'e, 'f> = &'f mut dyn FnMut(&'e str, Span, &'e [Step]);

fn walk<'e>(expr: &'e Expr, bound: &mut Vec<&'e str>, f: Visit<'e, '_>) {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Invalid => {}
        ExprKind::Template(parts) => walk_parts(parts, bound, f),
        ExprKind::Tuple(items) => items.iter().for_each(|e| walk(e, bound, f)),
        ExprKind::Object(items) => items.iter().for_each(|(k, v)| {
            walk(k, bound, f);
            walk(v, bound, f);
        }),
        ExprKind::Paren(e) | ExprKind::Not(e) | ExprKind::Negate(e) => walk(e, bound, f),
        ExprKind::Name(name) => name_used(name, expr.span, &[], bound, f),
        ExprKind::Conditional(three) => three.iter().for_each(|e| walk(e, bound, f)),
        ExprKind::Call(call) => call.args.iter().for_each(|e| walk(e, bound, f)),
        ExprKind::Traversal(base, steps) => {
            match &base.kind {
                ExprKind::Name(name) => name_used(name, base.span, steps, bound, f),
                _ => walk(base, bound, f),
            }
            for step in steps {
                if let StepKind::Index(e) = &step.kind {
                    walk(e, bound, f);
                }
            }
        }
        ExprKind::Binary(_, two) => two.iter().for_each(|e| walk(e, bound, f)),
        ExprKind::For(inner) => {
            walk(&inner.over, bound, f);
            let depth = bound.len();
            bound.extend(inner.key_name.as_deref());
            bound.push(&inner.value_name);
            let rest = [
                inner.key.as_ref(),
                Some(&inner.value),
                inner.condition.as_ref(),
            ];
            for e in rest.into_iter().flatten() {
                walk(e, bound, f);
            }
            bound.truncate(depth);
        }
    }
}

fn walk_parts<'e>(parts: &'e [Part], bound: &mut Vec<&'e str>, f: Visit<'e, '_>) {
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Value(e) => walk(e, bound, f),
            Part::If {
                condition,
                then,
                otherwise,
            } => {
                walk(condition, bound, f);
                walk_parts(then, bound, f);
                walk_parts(otherwise, bound, f);
            }
            Part::For {
                key_name,
                value_name,
                over,
                body,
            } => {
                walk(over, bound, f);
                let depth = bound.len();
                bound.extend(key_name.as_deref());
                bound.push(value_name);
                walk_parts(body, bound, f);
                bound.truncate(depth);
            }
        }
    }
}

fn name_used<'e>(
    name: &'e str,
    span: Span,
    steps: &'e [Step],
    bound: &[&'e str],
    f: Visit<'e, '_>,
) {
    if !bound.contains(&name) {
        f(name, span, steps);
    }
}
