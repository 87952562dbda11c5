//! `bmctl image`
