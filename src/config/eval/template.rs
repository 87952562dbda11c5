//! Templates: text with values and directives in it.

use super::{Evaluated, Frame, Scope, Stop, eval as eval_expr, for_each, operate};
use crate::config::codes;
use crate::config::convert::convert;
use crate::config::syntax::ast::Part;
use crate::config::types::Type;
use crate::config::value::Value;
use crate::diag::{Diagnostic, Span};

pub fn eval(parts: &[Part], span: Span, scope: &Scope<'_>) -> Evaluated {
    // "${x}" alone is x, of whatever type.
    if let [Part::Value(only)] = parts {
        return eval_expr(only, scope);
    }
    render(parts, span, scope)
}

/// Always a string.
pub fn render(parts: &[Part], span: Span, scope: &Scope<'_>) -> Evaluated {
    let mut out = Out {
        text: String::new(),
        sensitive: false,
        span,
    };
    out.parts(parts, scope)?;
    Ok(Value::string(out.text).marked(out.sensitive))
}

struct Out {
    text: String,
    sensitive: bool,
    span: Span,
}

impl Out {
    fn push(&mut self, text: &str, scope: &Scope<'_>) -> Result<(), Stop> {
        scope.world.spend_text(text.len(), self.span)?;
        self.text.push_str(text);
        if self.text.len() > super::scope::STRING_BYTES_MAX {
            scope.world.spend_text(self.text.len(), self.span)?;
        }
        Ok(())
    }

    fn parts(&mut self, parts: &[Part], scope: &Scope<'_>) -> Result<(), Stop> {
        for part in parts {
            match part {
                Part::Text(text) => self.push(text, scope)?,
                Part::Value(expr) => {
                    let value = eval_expr(expr, scope)?;
                    self.value(&value, expr.span, scope)?;
                }
                Part::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let value = eval_expr(condition, scope)?;
                    self.sensitive |= value.sensitive;
                    let yes = operate::truth(&value, condition.span, "a condition")?;
                    self.parts(if yes { then } else { otherwise }, scope)?;
                }
                Part::For {
                    key_name,
                    value_name,
                    over,
                    body,
                } => {
                    let collection = eval_expr(over, scope)?;
                    self.sensitive |= collection.sensitive;
                    for (key, value) in for_each::elements(&collection, over.span)? {
                        scope.world.spend(1, self.span)?;
                        let sensitive = collection.sensitive;
                        let outer = key_name.as_deref().map(|name| Frame {
                            name,
                            value: key.marked(sensitive),
                            parent: scope.frame,
                        });
                        let inner = Frame {
                            name: value_name,
                            value: value.marked(sensitive),
                            parent: outer.as_ref().or(scope.frame),
                        };
                        self.parts(body, &scope.with(&inner))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, span: Span, scope: &Scope<'_>) -> Result<(), Stop> {
        self.sensitive |= value.sensitive;
        let wrong = |label: String| {
            Diagnostic::error(codes::OPERATION, "this cannot be put into a text").at(span, label)
        };
        if value.is_null() {
            return Err(wrong("this is null".to_owned())
                .help("use coalesce(), or a conditional, for the case that it is null")
                .into());
        }
        match convert(value, &Type::String) {
            Ok(text) => self.push(text.as_str().unwrap_or_default(), scope),
            Err(m) => Err(wrong(m.sentence())
                .help("name one attribute of it, or use join() or jsonencode()")
                .into()),
        }
    }
}
