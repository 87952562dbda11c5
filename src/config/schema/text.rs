//! The table for people: a block as a page, an attribute as a paragraph.

use super::{AttributeSchema, BlockSchema, Form, Need, Others, Sensitive, Takes, Times, blocks};

impl std::fmt::Display for Takes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Takes::Any => f.write_str("any value"),
            Takes::Bool => f.write_str("bool"),
            Takes::Number(0, most) if *most >= super::COUNT_MAX => f.write_str("number"),
            Takes::Number(least, most) if *most >= super::COUNT_MAX => {
                write!(f, "number, {least} or more")
            }
            Takes::Number(least, most) => write!(f, "number, {least} to {most}"),
            Takes::String => f.write_str("string"),
            Takes::Text(form) => f.write_str(form.describe()),
            Takes::Words(words) => {
                for (i, word) in words.iter().enumerate() {
                    write!(f, "{}\"{word}\"", if i > 0 { " or " } else { "" })?;
                }
                Ok(())
            }
            Takes::ListOf(of) => write!(f, "list({of})"),
            Takes::MapOf(of) => write!(f, "map({of})"),
            Takes::Reference(kind) => write!(f, "a whole {kind}"),
            Takes::Resources => f.write_str("list of resources"),
            Takes::Attributes => f.write_str("bare names"),
            Takes::Address => f.write_str("address"),
            Takes::Type => f.write_str("type"),
            Takes::Collection => f.write_str("map, object or set of strings"),
        }
    }
}

impl Form {
    pub fn describe(self) -> &'static str {
        match self {
            Form::Ipv4 => "IPv4 address",
            Form::Subnet => "IPv4 subnet",
            Form::Mac => "MAC address",
            Form::Sha256 => "64 hex digits",
            Form::HostName => "host name",
            Form::Path => "path",
            Form::Versions => "versions",
        }
    }
}

impl AttributeSchema {
    /// `required`, or what holds when it is left out.
    pub fn when_left_out(&self) -> String {
        match self.need {
            Need::Required => "required".to_owned(),
            Need::Optional => String::new(),
            Need::Default("") => "\"\"".to_owned(),
            Need::Default(value) => value.to_owned(),
        }
    }
}

/// One line per kind of block.
pub fn overview() -> String {
    let width = blocks().map(|b| b.name.len()).max().unwrap_or(0);
    let lines = blocks().map(|b| format!("{:width$}  {}\n", b.name, b.doc));
    lines.collect()
}

/// A block with everything in it, nested blocks after its attributes.
pub fn block_text(block: &BlockSchema) -> String {
    let mut out = format!("{}\n{}\n", header(block), block.doc);
    body(block, 0, &mut out);
    out
}

fn header(block: &BlockSchema) -> String {
    let labels = block.labels.iter().map(|l| match l.words {
        [] => format!(" \"{}\"", l.name.to_uppercase()),
        words => format!(" \"{}\"", words.join("\" or \"")),
    });
    format!("{}{} {{ }}", block.name, labels.collect::<String>())
}

fn body(block: &BlockSchema, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth + 1);
    let attributes: Vec<&AttributeSchema> = block.all_attributes().collect();
    let rows = attributes
        .iter()
        .map(|a| (a.name, a.takes.to_string(), a.when_left_out()));
    let rows: Vec<_> = rows.collect();
    let names = rows.iter().map(|r| r.0.len()).max().unwrap_or(0);
    let types = rows.iter().map(|r| r.1.len()).max().unwrap_or(0);
    let defaults = rows.iter().map(|r| r.2.len()).max().unwrap_or(0);
    for (attribute, (name, takes, left_out)) in attributes.iter().zip(&rows) {
        let secret = match attribute.sensitive {
            Sensitive::Allowed => " May be sensitive.",
            Sensitive::Refused => "",
        };
        let line = format!(
            "{pad}{name:names$}  {takes:types$}  {left_out:defaults$}  {}{secret}",
            attribute.doc
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    if block.others == Others::Allowed {
        out.push_str(&format!("{pad}any other name\n"));
    }
    for nested in block.all_blocks() {
        let times = match nested.times {
            Times::Once => "once",
            Times::AtMostOnce => "at most once",
            Times::Any => "any number",
        };
        let head = header(nested.block);
        out.push_str(&format!("{pad}{head}  {times}  {}\n", nested.block.doc));
        body(nested.block, depth + 1, out);
    }
}

/// An attribute: type, what holds when it is left out, what it is for, how it may be written.
pub fn attribute_text(attribute: &AttributeSchema) -> String {
    let left_out = match attribute.need {
        Need::Required => ", required".to_owned(),
        Need::Optional => String::new(),
        Need::Default(_) => format!(", default {}", attribute.when_left_out()),
    };
    let mut out = format!(
        "{}: {}{left_out}\n{}",
        attribute.name, attribute.takes, attribute.doc
    );
    if attribute.sensitive == Sensitive::Allowed {
        out.push_str(" May be sensitive.");
    }
    if !attribute.example.is_empty() {
        out.push_str(&format!("\n{} = {}", attribute.name, attribute.example));
    }
    out.push('\n');
    out
}
