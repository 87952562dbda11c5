//! What a function is given, and how it says no.

use crate::config::convert::Mismatch;
use crate::config::eval::{Scope, Stop};
use crate::config::number::{Number, TooLarge};
use crate::config::types::Type;
use crate::config::value::{Data, Entries, SeqKind, Value};
use crate::diag::Span;

/// What an argument is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Param {
    Any,
    /// Anything, null included.
    Nullable,
    Number,
    String,
    List,
    Strings,
    StringsOrNull,
    Numbers,
    Bools,
    Set,
    MapOfStringLists,
}

impl Param {
    pub fn takes_null(self) -> bool {
        self == Param::Nullable
    }

    pub fn as_type(self) -> Type {
        match self {
            Param::Any | Param::Nullable => Type::Any,
            Param::Number => Type::Number,
            Param::String => Type::String,
            Param::List => Type::list_of(Type::Any),
            Param::Strings | Param::StringsOrNull => Type::list_of(Type::String),
            Param::Numbers => Type::list_of(Type::Number),
            Param::Bools => Type::list_of(Type::Bool),
            Param::Set => Type::Set(Box::new(Type::Any)),
            Param::MapOfStringLists => Type::Map(Box::new(Type::list_of(Type::String))),
        }
    }
}

pub enum Fail {
    /// Which argument, counted from 0, and why.
    Arg(usize, String),
    Call(String),
    /// A file or the environment did not give what was asked for.
    Source(String),
    TooLarge,
    Stop(Stop),
}

impl Fail {
    /// The same without a reason that could quote a sensitive argument.
    pub fn silenced(self) -> Fail {
        let why = "the reason is not shown, because an argument is sensitive".to_owned();
        match self {
            Fail::Arg(i, _) => Fail::Arg(i, why),
            Fail::Call(_) => Fail::Call(why),
            Fail::Source(_) => Fail::Source(why),
            Fail::TooLarge => Fail::TooLarge,
            Fail::Stop(stop) => Fail::Stop(stop),
        }
    }
}

impl From<TooLarge> for Fail {
    fn from(TooLarge: TooLarge) -> Fail {
        Fail::TooLarge
    }
}

impl From<Stop> for Fail {
    fn from(stop: Stop) -> Fail {
        Fail::Stop(stop)
    }
}

impl From<Mismatch> for Fail {
    fn from(m: Mismatch) -> Fail {
        Fail::Call(m.sentence())
    }
}

/// Arguments, converted to what the function's row asks for. The accessors give an empty value where the row does not ask
/// for their type, which the test of all examples would show.
pub struct Args<'a> {
    pub values: &'a [Value],
    pub scope: &'a Scope<'a>,
    pub span: Span,
}

static NULL: Value = Value {
    data: Data::Null,
    sensitive: false,
};

impl Args<'_> {
    pub fn value(&self, i: usize) -> &Value {
        self.values.get(i).unwrap_or(&NULL)
    }

    pub fn text(&self, i: usize) -> &str {
        self.value(i).as_str().unwrap_or_default()
    }

    pub fn number(&self, i: usize) -> Number {
        match &self.value(i).data {
            Data::Number(n) => n.clone(),
            _ => Number::zero(),
        }
    }

    /// A whole number within `i64`.
    pub fn whole(&self, i: usize) -> Result<i64, Fail> {
        let n = self.number(i);
        n.to_i64()
            .ok_or_else(|| Fail::Arg(i, format!("expected a whole number, found {n}")))
    }

    /// The elements of a list, set or tuple.
    pub fn items(&self, i: usize) -> Result<&[Value], Fail> {
        let value = self.value(i);
        value.items().ok_or_else(|| {
            Fail::Arg(
                i,
                format!("expected a list, set or tuple, found {}", value.shown()),
            )
        })
    }

    pub fn entries(&self, i: usize) -> Result<&Entries, Fail> {
        let value = self.value(i);
        value.entries().ok_or_else(|| {
            Fail::Arg(
                i,
                format!("expected a map or an object, found {}", value.shown()),
            )
        })
    }

    /// The texts of a `Strings` argument; a null in it is refused.
    pub fn strings(&self, i: usize) -> Result<Vec<&str>, Fail> {
        let items = self.value(i).items().unwrap_or_default();
        let texts = items.iter().map(|v| {
            v.as_str()
                .ok_or_else(|| Fail::Arg(i, "an element is null".to_owned()))
        });
        texts.collect()
    }

    pub fn seq_kind(&self, i: usize) -> Option<SeqKind> {
        match &self.value(i).data {
            Data::Seq(seq) => Some(seq.kind),
            _ => None,
        }
    }

    /// Pays for work that the size of the result does not show.
    pub fn spend(&self, units: u64) -> Result<(), Fail> {
        Ok(self.scope.world.spend(units, self.span)?)
    }

    /// Refuses a text before it is made.
    pub fn spend_text(&self, bytes: usize) -> Result<(), Fail> {
        Ok(self.scope.world.spend_text(bytes, self.span)?)
    }
}
