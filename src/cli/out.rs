//! The terminal: what is asked for goes to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use super::When;
use crate::diag::{Color, Diagnostic, Diagnostics, SourceMap};

#[derive(Debug, Clone, Copy)]
pub struct Out {
    color_out: Color,
    color_err: Color,
}

impl Out {
    pub fn new(when: When) -> Out {
        let decide = |terminal: bool| {
            let wanted = match when {
                When::Always => true,
                When::Never => false,
                // no-color.org: any value that is not empty.
                When::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
            };
            if wanted { Color::Always } else { Color::Never }
        };
        Out {
            color_out: decide(std::io::stdout().is_terminal()),
            color_err: decide(std::io::stderr().is_terminal()),
        }
    }

    /// For those who paint for standard error what goes to standard output here.
    pub fn as_answer(self) -> Out {
        Out {
            color_err: self.color_out,
            ..self
        }
    }

    pub fn color(&self) -> Color {
        self.color_out
    }

    /// To standard output, as it is. A reader that has gone away is no error.
    pub fn print(&self, text: &str) {
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    pub fn line(&self, text: &str) {
        self.print(&format!("{text}\n"));
    }

    /// To standard error: progress and remarks.
    pub fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    pub fn error(&self, text: &str) {
        self.titled(AnsiColor::Red.on_default().bold(), "Error", text);
    }

    pub fn warning(&self, text: &str) {
        self.titled(AnsiColor::Yellow.on_default(), "Warning", text);
    }

    fn titled(&self, style: Style, title: &str, text: &str) {
        self.note(&format!("{}: {text}", self.paint_err(style, title)));
    }

    pub fn paint_err(&self, style: Style, text: &str) -> String {
        crate::plan::render::paint(self.color_err, style, text)
    }

    /// Every mistake, and how many more there were.
    pub fn diagnostics(&self, all: &Diagnostics, sources: &SourceMap) {
        for diagnostic in all.iter() {
            self.diagnostic(diagnostic, sources);
        }
        if all.dropped() > 0 {
            self.note(&format!("and {} more", all.dropped()));
        }
        let codes: std::collections::BTreeSet<&str> = all.iter().map(|d| d.code).collect();
        if let Some(first) = codes.first() {
            self.note(&format!(
                "`bmctl explain {first}` says more about such a mistake."
            ));
        }
    }

    fn diagnostic(&self, diagnostic: &Diagnostic, sources: &SourceMap) {
        self.note(&diagnostic.render(sources, self.color_err));
        self.note("");
    }
}
