//! What goes into the database and comes out of it: a closed set of values, so that one text of SQL serves both backends.

use super::StoreError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Int(i64),
    Blob(Vec<u8>),
    Null,
}

/// One row, in the order of the columns that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub Vec<Value>);

impl Row {
    pub fn cells<const N: usize>(self) -> Result<[Value; N], StoreError> {
        let found = self.0.len();
        self.0
            .try_into()
            .map_err(|_| unexpected(&format!("{N} columns"), &format!("{found}")))
    }
}

impl Value {
    pub fn text(self) -> Result<String, StoreError> {
        match self {
            Value::Text(text) => Ok(text),
            Value::Int(_) | Value::Blob(_) | Value::Null => Err(self.not("a text")),
        }
    }

    pub fn int(self) -> Result<i64, StoreError> {
        match self {
            Value::Int(number) => Ok(number),
            Value::Text(_) | Value::Blob(_) | Value::Null => Err(self.not("a number")),
        }
    }

    pub fn blob(self) -> Result<Vec<u8>, StoreError> {
        match self {
            Value::Blob(bytes) => Ok(bytes),
            Value::Text(_) | Value::Int(_) | Value::Null => Err(self.not("bytes")),
        }
    }

    /// `None` for a null; else what `read` makes of it.
    pub fn maybe<T>(
        self,
        read: impl FnOnce(Value) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match self {
            Value::Null => Ok(None),
            Value::Text(_) | Value::Int(_) | Value::Blob(_) => read(self).map(Some),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Int(_) => "a number",
            Value::Blob(_) => "bytes",
            Value::Null => "nothing",
        }
    }

    fn not(&self, expected: &str) -> StoreError {
        unexpected(expected, self.kind())
    }
}

fn unexpected(expected: &str, found: &str) -> StoreError {
    StoreError::corrupt(
        "a row of the state",
        format!("expected {expected}, found {found}"),
    )
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<&crate::ids::Addr> for Value {
    fn from(addr: &crate::ids::Addr) -> Value {
        Value::Text(addr.to_string())
    }
}

impl From<crate::units::Mac> for Value {
    fn from(mac: crate::units::Mac) -> Value {
        Value::Text(mac.to_string())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Blob(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(maybe: Option<T>) -> Value {
        maybe.map_or(Value::Null, Into::into)
    }
}

/// The arguments of a statement, each made a [`Value`].
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::value::Value::from($value)),*] };
}
pub(super) use values;
