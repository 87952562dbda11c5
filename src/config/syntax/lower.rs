//! hcl-edit's expressions to ours: spans into the whole file, numbers from their text, strings in normal form C.

use std::cell::Cell;
use std::sync::Arc;

use hcl_edit::expr::{
    BinaryOperator, Expression, ForExpr, FuncCall, ObjectKey, Traversal, TraversalOperator,
    UnaryOperator,
};

use super::ast::{BinaryOp, Call, Expr, ExprKind, For, Step, StepKind};
use super::scan::number_end;
use crate::config::codes;
use crate::config::number::Number;
use crate::config::value::Value;
use crate::diag::{Diagnostic, FileId, Span};

pub(super) struct Lower<'t> {
    file: FileId,
    pub(super) text: &'t str,
    /// Where the parsed piece starts in `text`.
    base: usize,
    depth: Cell<usize>,
}

/// Expressions within each other. Chains of operators count, so that nothing that walks the tree runs out of stack.
const EXPRESSION_DEPTH_MAX: usize = 200;

type Lowered<T> = Result<T, Box<Diagnostic>>;

impl<'t> Lower<'t> {
    pub(super) fn new(file: FileId, text: &'t str, base: usize) -> Lower<'t> {
        Lower {
            file,
            text,
            base,
            depth: Cell::new(0),
        }
    }

    /// For a piece of the same text that was parsed by itself.
    pub(super) fn at(&self, base: usize) -> Lower<'t> {
        let inner = Lower::new(self.file, self.text, base);
        inner.depth.set(self.depth.get());
        inner
    }

    pub(super) fn span(&self, node: &impl hcl_edit::Span) -> Span {
        let range = node.span().unwrap_or(0..0);
        Span::new(self.file, range.start + self.base..range.end + self.base)
    }

    pub(super) fn expr(&self, expr: &Expression) -> Lowered<Expr> {
        let depth = self.depth.get();
        if depth >= EXPRESSION_DEPTH_MAX {
            let text = format!("an expression of more than {EXPRESSION_DEPTH_MAX} levels");
            return Err(Diagnostic::error(codes::NESTED_TOO_DEEP, text)
                .at(self.span(expr), "this level is one too many")
                .help("name parts of it in `locals`")
                .into());
        }
        self.depth.set(depth + 1);
        let lowered = self.expr_at_depth(expr);
        self.depth.set(depth);
        lowered
    }

    fn expr_at_depth(&self, expr: &Expression) -> Lowered<Expr> {
        let span = self.span(expr);
        let kind = match expr {
            Expression::Null(_) => ExprKind::Literal(Value::null()),
            Expression::Bool(b) => ExprKind::Literal(Value::bool(*b.value())),
            Expression::Number(_) => ExprKind::Literal(self.number(span)?),
            Expression::String(s) => ExprKind::Literal(Value::string(s.as_str())),
            Expression::Array(items) => ExprKind::Tuple(self.all(items.iter())?),
            Expression::Object(object) => {
                let mut items = Vec::with_capacity(object.len());
                for (key, value) in object {
                    items.push((self.object_key(key)?, self.expr(value.expr())?));
                }
                ExprKind::Object(items)
            }
            Expression::StringTemplate(t) => ExprKind::Template(self.parts(t.iter())?),
            Expression::HeredocTemplate(h) => ExprKind::Template(self.heredoc(h)?),
            Expression::Parenthesis(inner) => ExprKind::Paren(Box::new(self.expr(inner.inner())?)),
            Expression::Variable(name) => ExprKind::Name(Arc::from(name.as_str())),
            Expression::Conditional(c) => ExprKind::Conditional(Box::new([
                self.expr(&c.cond_expr)?,
                self.expr(&c.true_expr)?,
                self.expr(&c.false_expr)?,
            ])),
            Expression::FuncCall(call) => ExprKind::Call(Box::new(self.call(call)?)),
            Expression::Traversal(t) => self.traversal(t)?,
            Expression::UnaryOp(op) => {
                let inner = Box::new(self.expr(&op.expr)?);
                match op.operator.value() {
                    UnaryOperator::Neg => ExprKind::Negate(inner),
                    UnaryOperator::Not => ExprKind::Not(inner),
                }
            }
            Expression::BinaryOp(op) => ExprKind::Binary(
                binary(*op.operator.value()),
                Box::new([self.expr(&op.lhs_expr)?, self.expr(&op.rhs_expr)?]),
            ),
            Expression::ForExpr(f) => ExprKind::For(Box::new(self.for_expr(f)?)),
        };
        Ok(Expr { span, kind })
    }

    fn all<'e>(&self, exprs: impl Iterator<Item = &'e Expression>) -> Lowered<Vec<Expr>> {
        exprs.map(|e| self.expr(e)).collect()
    }

    /// The parser's value is a rounded or masked one: the text counts.
    fn number(&self, span: Span) -> Lowered<Value> {
        let bytes = self.text.as_bytes();
        let mut at = span.start as usize;
        let negative = bytes.get(at) == Some(&b'-');
        while matches!(bytes.get(at), Some(b'-' | b' ' | b'\t')) {
            at += 1;
        }
        let end = number_end(bytes, at);
        let place = Span::new(self.file, at..end);
        match Number::parse(self.text.get(at..end).unwrap_or_default()) {
            Ok(Some(n)) => Ok(Value::number(if negative { n.neg() } else { n })),
            Ok(None) => Err(Box::new(
                Diagnostic::error(codes::SYNTAX, "this is not a number").at(place, "here"),
            )),
            Err(_) => Err(Diagnostic::error(
                codes::NUMBER_TOO_LARGE,
                format!(
                    "numbers have at most {} digits",
                    crate::config::number::DIGITS_MAX
                ),
            )
            .at(place, "this one has more")
            .into()),
        }
    }

    fn object_key(&self, key: &ObjectKey) -> Lowered<Expr> {
        match key {
            ObjectKey::Ident(ident) => Ok(Expr {
                span: self.span(ident),
                kind: ExprKind::Literal(Value::string(ident.as_str())),
            }),
            ObjectKey::Expression(Expression::Variable(name)) => Ok(Expr {
                span: self.span(name),
                kind: ExprKind::Literal(Value::string(name.as_str())),
            }),
            ObjectKey::Expression(expr) => self.expr(expr),
        }
    }

    fn call(&self, call: &FuncCall) -> Lowered<Call> {
        let mut name = String::new();
        for part in &call.name.namespace {
            name.push_str(part.as_str());
            name.push_str("::");
        }
        name.push_str(call.name.name.as_str());
        Ok(Call {
            name: Arc::from(name),
            name_span: self.span(&call.name.name),
            args: self.all(call.args.iter())?,
            expand: call.args.expand_final(),
        })
    }

    fn traversal(&self, t: &Traversal) -> Lowered<ExprKind> {
        let base = self.expr(&t.expr)?;
        let mut steps = Vec::with_capacity(t.operators.len());
        for operator in &t.operators {
            let mut span = self.span(operator);
            let kind = match operator.value() {
                TraversalOperator::AttrSplat(_) => StepKind::AttributeSplat,
                TraversalOperator::FullSplat(_) => StepKind::Splat,
                TraversalOperator::GetAttr(name) => StepKind::Attribute(Arc::from(name.as_str())),
                TraversalOperator::Index(e) => StepKind::Index(self.expr(e)?),
                TraversalOperator::LegacyIndex(n) => StepKind::LegacyIndex(*n.value()),
            };
            if span.end <= span.start {
                span = base.span;
            }
            steps.push(Step { span, kind });
        }
        Ok(ExprKind::Traversal(Box::new(base), steps))
    }

    fn for_expr(&self, f: &ForExpr) -> Lowered<For> {
        let key_name = f.intro.key_var.as_ref();
        Ok(For {
            key_name: key_name.map(|k| Arc::from(k.as_str())),
            value_name: Arc::from(f.intro.value_var.as_str()),
            over: self.expr(&f.intro.collection_expr)?,
            key: f.key_expr.as_ref().map(|e| self.expr(e)).transpose()?,
            value: self.expr(&f.value_expr)?,
            condition: f.cond.as_ref().map(|c| self.expr(&c.expr)).transpose()?,
            grouping: f.grouping,
        })
    }
}

fn binary(op: BinaryOperator) -> BinaryOp {
    match op {
        BinaryOperator::Eq => BinaryOp::Equal,
        BinaryOperator::NotEq => BinaryOp::NotEqual,
        BinaryOperator::LessEq => BinaryOp::LessEqual,
        BinaryOperator::GreaterEq => BinaryOp::GreaterEqual,
        BinaryOperator::Less => BinaryOp::Less,
        BinaryOperator::Greater => BinaryOp::Greater,
        BinaryOperator::Plus => BinaryOp::Add,
        BinaryOperator::Minus => BinaryOp::Subtract,
        BinaryOperator::Mul => BinaryOp::Multiply,
        BinaryOperator::Div => BinaryOp::Divide,
        BinaryOperator::Mod => BinaryOp::Modulo,
        BinaryOperator::And => BinaryOp::And,
        BinaryOperator::Or => BinaryOp::Or,
    }
}
