//! `bmctl rack`
