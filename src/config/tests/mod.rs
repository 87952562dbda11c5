//! Tests over the whole of `config`.

