//! Slips in what a condition asks of `plan`, found before there is one: names it does not have, and values of the wrong type. What
//! cannot be known before is left to the plan.

use std::sync::Arc;

use super::names::{Object, Says};
use crate::config::codes;
use crate::config::report::Report;
use crate::config::suggest::did_you_mean;
use crate::config::syntax::ast::{BinaryOp, Call, Expr, ExprKind, For, Part, Step, StepKind};
use crate::diag::{Diagnostic, Span};

/// What is wanted of a condition.
const CONDITION: &str = "the condition";

/// Tells the slips of a condition.
pub fn condition(expr: &Expr, report: &Report) {
    let mut asked = Asked::new(report);
    let says = asked.of(expr);
    asked.is_bool(&says, expr.span, CONDITION);
}

/// The same of its message, which may be made from the plan too.
pub fn message(expr: &Expr, report: &Report) {
    Asked::new(report).of(expr);
}

struct Asked<'r> {
    report: &'r Report,
    /// Names that `for` has bound, the last one first looked at.
    bound: Vec<(Arc<str>, Says)>,
}

impl<'r> Asked<'r> {
    fn new(report: &'r Report) -> Asked<'r> {
        let plan = (Arc::from(super::PLAN), Says::Known(Object::Plan));
        Asked {
            report,
            bound: vec![plan],
        }
    }

    fn of(&mut self, expr: &Expr) -> Says {
        match &expr.kind {
            ExprKind::Invalid | ExprKind::Literal(_) => Says::Unknown,
            ExprKind::Template(parts) => self.parts(parts),
            ExprKind::Tuple(items) => {
                let items: Vec<Says> = items.iter().map(|e| self.of(e)).collect();
                Says::Many(Box::new(alike(items)))
            }
            ExprKind::Object(items) => {
                for (key, value) in items {
                    self.of(key);
                    self.of(value);
                }
                Says::Unknown
            }
            ExprKind::Paren(inner) => self.of(inner),
            ExprKind::Name(name) => self.named(name),
            ExprKind::Conditional(three) => {
                let [condition, yes, no] = three.as_ref();
                let says = self.of(condition);
                self.is_bool(&says, condition.span, "a condition");
                alike(vec![self.of(yes), self.of(no)])
            }
            ExprKind::Call(call) => self.call(call),
            ExprKind::Traversal(base, steps) => {
                let says = self.of(base);
                self.follow(says, steps)
            }
            ExprKind::Not(inner) => {
                let says = self.of(inner);
                self.is_bool(&says, inner.span, "the operand of `!`");
                Says::Bool
            }
            ExprKind::Negate(inner) => {
                let says = self.of(inner);
                self.is_number(&says, inner.span);
                Says::Number
            }
            ExprKind::Binary(op, two) => self.binary(*op, two),
            ExprKind::For(f) => self.each(f),
        }
    }

    fn named(&self, name: &str) -> Says {
        let mut bound = self.bound.iter().rev();
        bound
            .find(|(n, _)| &**n == name)
            .map_or(Says::Unknown, |(_, says)| says.clone())
    }

    fn binary(&mut self, op: BinaryOp, [left, right]: &[Expr; 2]) -> Says {
        let sides = [(self.of(left), left.span), (self.of(right), right.span)];
        let numbers = |asked: &Self| {
            for (says, span) in &sides {
                asked.is_number(says, *span);
            }
        };
        match op {
            BinaryOp::Equal | BinaryOp::NotEqual => Says::Bool,
            BinaryOp::And | BinaryOp::Or => {
                let what = match op == BinaryOp::And {
                    true => "the operand of `&&`",
                    false => "the operand of `||`",
                };
                for (says, span) in &sides {
                    self.is_bool(says, *span, what);
                }
                Says::Bool
            }
            BinaryOp::Less | BinaryOp::LessEqual | BinaryOp::Greater | BinaryOp::GreaterEqual => {
                numbers(self);
                Says::Bool
            }
            BinaryOp::Add
            | BinaryOp::Subtract
            | BinaryOp::Multiply
            | BinaryOp::Divide
            | BinaryOp::Modulo => {
                numbers(self);
                Says::Number
            }
        }
    }

    fn call(&mut self, call: &Call) -> Says {
        // What has no value is what these two are for.
        if matches!(&*call.name, "try" | "can") {
            return Says::Unknown;
        }
        let args: Vec<Says> = call.args.iter().map(|e| self.of(e)).collect();
        let first = args.first().cloned().unwrap_or(Says::Unknown);
        match &*call.name {
            "length" | "sum" | "ceil" | "floor" | "abs" => Says::Number,
            "distinct" | "reverse" | "slice" | "sort" | "tolist" | "toset" | "compact" => first,
            "concat" | "setunion" => alike(args),
            "element" | "one" => element(&first),
            "keys" => Says::Many(Box::new(Says::Text)),
            "values" => match first {
                Says::ByName(each) => Says::Many(each),
                Says::Known(object) => Says::Many(Box::new(object.each())),
                Says::Bool | Says::Number | Says::Text | Says::Many(_) | Says::Unknown => {
                    Says::Unknown
                }
            },
            "alltrue" | "anytrue" | "contains" | "startswith" | "endswith" => Says::Bool,
            _ => Says::Unknown,
        }
    }

    fn follow(&mut self, mut says: Says, steps: &[Step]) -> Says {
        let mut steps = steps;
        while let Some((step, rest)) = steps.split_first() {
            steps = rest;
            says = match &step.kind {
                StepKind::Attribute(name) => self.attribute(says, name, step.span),
                StepKind::LegacyIndex(_) => element(&says),
                StepKind::Index(e) => {
                    let literal = match &e.kind {
                        ExprKind::Literal(value) => value.as_str(),
                        _ => None,
                    };
                    match literal {
                        Some(name) => self.attribute(says, name, e.span),
                        None => {
                            self.of(e);
                            element(&says)
                        }
                    }
                }
                StepKind::Splat => {
                    let each = self.follow(splat(&says), rest);
                    return Says::Many(Box::new(each));
                }
                // How far it reaches depends on what follows: an index after it is of the whole.
                StepKind::AttributeSplat => return Says::Unknown,
            };
        }
        says
    }

    fn attribute(&self, says: Says, name: &str, span: Span) -> Says {
        let told = match says {
            Says::Unknown => return Says::Unknown,
            Says::ByName(each) => return *each,
            Says::Known(object) => match object.attribute(name) {
                Some(says) => return says,
                None => {
                    let (of, names) = (object.called(), object.names());
                    let text = format!("{of} has no attribute `{name}`");
                    let d = Diagnostic::error(codes::NO_SUCH_ELEMENT, text)
                        .at(span, "this does not exist")
                        .note(format!("it has {}", names.join(", ")));
                    match did_you_mean(name, names.iter().copied()) {
                        Some(help) => d.help(help),
                        None => d,
                    }
                }
            },
            Says::Many(_) => no_attributes(&says, name, span)
                .help("write [*] for all of them, or look at each with a for-expression"),
            Says::Bool | Says::Number | Says::Text => no_attributes(&says, name, span),
        };
        self.report.push(told);
        Says::Unknown
    }

    fn each(&mut self, f: &For) -> Says {
        let over = self.of(&f.over);
        let (key, value) = self.elements(&over, f.over.span);
        let depth = self.bound.len();
        if let Some(name) = &f.key_name {
            self.bound.push((name.clone(), key));
        }
        self.bound.push((f.value_name.clone(), value));
        if let Some(condition) = &f.condition {
            let says = self.of(condition);
            self.is_bool(&says, condition.span, CONDITION);
        }
        if let Some(key) = &f.key {
            self.of(key);
        }
        let each = Box::new(self.of(&f.value));
        self.bound.truncate(depth);
        match (&f.key, f.grouping) {
            (None, _) => Says::Many(each),
            (Some(_), false) => Says::ByName(each),
            (Some(_), true) => Says::ByName(Box::new(Says::Many(each))),
        }
    }

    /// Keys and values of what a loop goes over.
    fn elements(&self, over: &Says, span: Span) -> (Says, Says) {
        match over {
            Says::Many(each) => (Says::Unknown, each.as_ref().clone()),
            Says::ByName(each) => (Says::Text, each.as_ref().clone()),
            Says::Known(object) => (Says::Text, object.each()),
            Says::Unknown => (Says::Unknown, Says::Unknown),
            Says::Bool | Says::Number | Says::Text => {
                let text = "this cannot be iterated over";
                let found = format!("expected a list, map or object, found {}", over.shown());
                let d = Diagnostic::error(codes::FOR_EXPRESSION, text).at(span, found);
                self.report.push(d);
                (Says::Unknown, Says::Unknown)
            }
        }
    }

    fn parts(&mut self, parts: &[Part]) -> Says {
        for part in parts {
            match part {
                Part::Text(_) => {}
                Part::Value(e) => {
                    self.of(e);
                }
                Part::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let says = self.of(condition);
                    self.is_bool(&says, condition.span, CONDITION);
                    self.parts(then);
                    self.parts(otherwise);
                }
                Part::For {
                    key_name,
                    value_name,
                    over,
                    body,
                } => {
                    let says = self.of(over);
                    let (key, value) = self.elements(&says, over.span);
                    let depth = self.bound.len();
                    if let Some(name) = key_name {
                        self.bound.push((name.clone(), key));
                    }
                    self.bound.push((value_name.clone(), value));
                    self.parts(body);
                    self.bound.truncate(depth);
                }
            }
        }
        Says::Unknown
    }

    fn is_bool(&self, says: &Says, span: Span, what: &str) {
        match says {
            Says::Bool | Says::Unknown => {}
            Says::Number | Says::Text | Says::Many(_) | Says::ByName(_) | Says::Known(_) => {
                self.wrong(says, "a bool", span, what);
            }
        }
    }

    fn is_number(&self, says: &Says, span: Span) {
        match says {
            // A name may be digits.
            Says::Number | Says::Text | Says::Unknown => {}
            Says::Bool | Says::Many(_) | Says::ByName(_) | Says::Known(_) => {
                self.wrong(says, "a number", span, "the operand");
            }
        }
    }

    fn wrong(&self, says: &Says, expected: &str, span: Span, what: &str) {
        let text = format!("{what} has the wrong type");
        let found = format!("expected {expected}, found {}", says.shown());
        let d = Diagnostic::error(codes::OPERATION, text).at(span, found);
        self.report.push(match says {
            Says::Many(_) => d.help("length(...) is how many there are"),
            Says::Bool
            | Says::Number
            | Says::Text
            | Says::ByName(_)
            | Says::Known(_)
            | Says::Unknown => d,
        });
    }
}

fn no_attributes(says: &Says, name: &str, span: Span) -> Diagnostic {
    let text = format!("{} has no attribute `{name}`", says.shown());
    Diagnostic::error(codes::NO_SUCH_ELEMENT, text).at(span, "asked for here")
}

/// What an index gives.
fn element(says: &Says) -> Says {
    match says {
        Says::Many(each) | Says::ByName(each) => each.as_ref().clone(),
        Says::Known(object) => object.each(),
        Says::Bool | Says::Number | Says::Text | Says::Unknown => Says::Unknown,
    }
}

/// What `[*]` gives of each; what is no list is taken for a list of itself.
fn splat(says: &Says) -> Says {
    match says {
        Says::Many(each) => each.as_ref().clone(),
        Says::Bool
        | Says::Number
        | Says::Text
        | Says::ByName(_)
        | Says::Known(_)
        | Says::Unknown => says.clone(),
    }
}

/// The type all of them have.
fn alike(says: Vec<Says>) -> Says {
    let mut all = says.into_iter();
    let first = all.next().unwrap_or(Says::Unknown);
    match all.all(|one| one == first) {
        true => first,
        false => Says::Unknown,
    }
}
