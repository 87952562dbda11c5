//! One block, read attribute by attribute. What is not asked for is unknown; what is asked for and wrong is reported, and the
//! reading goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::field::{Field, Misfit};
use crate::config::codes;
use crate::config::convert::convert;
use crate::config::eval::{Scope, eval, join};
use crate::config::involved::with_values;
use crate::config::report::Report;
use crate::config::suggest::did_you_mean;
use crate::config::syntax::ast::{Block, Body};
use crate::config::types::Type;
use crate::config::value::{Data, Entries, Value};
use crate::diag::{Diagnostic, Span};
use crate::ids::{Addr, Kind};
use crate::model::Origin;
use crate::secret::{Protected, Secret};

pub struct Reader<'b> {
    pub(super) body: &'b Body,
    pub(super) header: Span,
    pub(super) scope: &'b Scope<'b>,
    pub(super) report: &'b Report,
    /// What it is part of, for messages.
    pub(super) subject: &'b str,
    /// `power.` within the block `power`.
    pub(super) prefix: String,
    pub(super) attributes: Vec<&'static str>,
    pub(super) blocks: Vec<&'static str>,
    pub(super) effective: Entries,
    pub(super) origin: BTreeMap<String, Span>,
    pub(super) failed: bool,
}

/// What a reading found: the attributes for others (`None` after a mistake), and where they were written.
type Finished = (Option<Entries>, Origin);

impl<'b> Reader<'b> {
    pub fn new(
        block: &'b Block,
        scope: &'b Scope<'b>,
        report: &'b Report,
        subject: &'b str,
    ) -> Reader<'b> {
        Reader {
            body: &block.body,
            header: block.header,
            scope,
            report,
            subject,
            prefix: String::new(),
            attributes: Vec::new(),
            blocks: Vec::new(),
            effective: Entries::new(),
            origin: BTreeMap::new(),
            failed: false,
        }
    }

    /// Marks names that somebody else reads.
    pub fn known(&mut self, attributes: &[&'static str], blocks: &[&'static str]) {
        self.attributes.extend(attributes);
        self.blocks.extend(blocks);
    }

    /// Notes the place of what somebody else read.
    pub fn written(&mut self, name: &str, span: Span) {
        self.origin.insert(name.to_owned(), span);
    }

    pub fn fail(&mut self, d: Diagnostic) {
        self.failed = true;
        self.report.push(d.note(format!("in {}", self.subject)));
    }

    /// The place of an attribute's value, or of the block.
    pub fn place(&self, name: &str) -> Span {
        self.body
            .attribute(name)
            .map_or(self.header, |a| a.value.span)
    }

    pub fn wrong_value(&mut self, name: &str, why: impl Into<String>) {
        let text = format!("`{}{name}` is not allowed to be this", self.prefix);
        let place = self.place(name);
        self.fail(Diagnostic::error(codes::WRONG_VALUE, text).at(place, why));
    }

    /// The evaluated attribute; `None` when it is absent, null or wrong.
    fn value(&mut self, name: &'static str) -> Option<Value> {
        self.attributes.push(name);
        let attribute = self.body.attribute(name)?;
        let span = attribute.value.span;
        self.origin.insert(format!("{}{name}", self.prefix), span);
        match eval(&attribute.value, self.scope) {
            Ok(value) if value.is_null() => None,
            Ok(value) => Some(value),
            Err(stop) => {
                self.failed = true;
                let stop = with_values(stop, &attribute.value, self.scope);
                self.report.stop(stop, Some(format!("in {}", self.subject)));
                None
            }
        }
    }

    fn plain(&mut self, name: &'static str) -> Option<Value> {
        let value = self.value(name)?;
        if value.contains_sensitive() {
            let text = format!("`{}{name}` would show a sensitive value", self.prefix);
            let place = self.place(name);
            self.fail(
                Diagnostic::error(codes::SENSITIVE, text)
                    .at(place, "sensitive")
                    .help("plans and state print this attribute; if that is fine, wrap the value in nonsensitive()"),
            );
            return None;
        }
        Some(value)
    }

    pub fn optional<T: Field>(&mut self, name: &'static str) -> Option<T> {
        let Some(value) = self.plain(name) else {
            self.effective.insert(Arc::from(name), Value::null());
            return None;
        };
        match T::take(&value) {
            Ok(taken) => {
                self.effective.insert(Arc::from(name), taken.show());
                Some(taken)
            }
            Err(Misfit::Type(why)) => {
                let text = format!("`{}{name}` has the wrong type", self.prefix);
                let place = self.place(name);
                self.fail(Diagnostic::error(codes::WRONG_TYPE, text).at(place, why));
                None
            }
            Err(Misfit::Value(why)) => {
                self.wrong_value(name, why);
                None
            }
        }
    }

    pub fn required<T: Field>(&mut self, name: &'static str) -> Option<T> {
        let value = self.optional(name);
        if value.is_none() {
            self.is_there(name);
        }
        value
    }

    pub fn or<T: Field>(&mut self, name: &'static str, default: T) -> T {
        match self.optional(name) {
            Some(value) => value,
            None => {
                self.effective.insert(Arc::from(name), default.show());
                default
            }
        }
    }

    /// The path of a file, from the root module: a relative one starts where the module's files are.
    pub fn optional_path(&mut self, name: &'static str) -> Option<String> {
        let written: String = self.optional(name)?;
        let path = join(&self.scope.env.dir, &written);
        self.effective.insert(Arc::from(name), path.show());
        Some(path)
    }

    pub fn required_path(&mut self, name: &'static str) -> Option<String> {
        let path = self.optional_path(name);
        if path.is_none() {
            self.is_there(name);
        }
        path
    }

    /// Reports a required attribute that is absent or null.
    fn is_there(&mut self, name: &'static str) {
        let null = match self.body.attribute(name) {
            // It may be what did not parse.
            None if self.body.incomplete => {
                self.failed = true;
                None
            }
            None => Some((self.header, "not in this block")),
            Some(a) => match eval(&a.value, self.scope) {
                Ok(v) if v.is_null() => Some((a.value.span, "this is null")),
                _ => None,
            },
        };
        if let Some((place, label)) = null {
            let text = format!("`{}{name}` is required", self.prefix);
            self.fail(Diagnostic::error(codes::MISSING, text).at(place, label));
        }
    }

    /// A secret, whether or not it is marked as one.
    pub fn protected(&mut self, name: &'static str) -> Option<Protected> {
        let value = self.value(name);
        let shown = value.clone().unwrap_or_else(Value::null);
        self.effective.insert(Arc::from(name), shown.marked(true));
        match convert(&value?, &Type::String) {
            Ok(text) => {
                let text = text.as_str().unwrap_or_default();
                Some(Protected {
                    text: Secret::new(text),
                    fingerprint: self.scope.world.sources.fingerprint(text),
                })
            }
            Err(m) => {
                let text = format!("`{}{name}` has the wrong type", self.prefix);
                let place = self.place(name);
                self.fail(Diagnostic::error(codes::WRONG_TYPE, text).at(place, m.sentence()));
                None
            }
        }
    }

    pub fn required_protected(&mut self, name: &'static str) -> Option<Protected> {
        let value = self.protected(name);
        if value.is_none() {
            self.is_there(name);
        }
        value
    }

    pub fn reference(&mut self, name: &'static str, kind: Kind) -> Option<Addr> {
        let value = self.plain(name);
        let shown = value.clone().unwrap_or_else(Value::null);
        self.effective.insert(Arc::from(name), shown);
        let value = value?;
        if let Data::Resource(r) = &value.data
            && r.addr.kind == kind
        {
            return Some(r.addr.clone());
        }
        let place = self.place(name);
        let text = format!("`{}{name}` must be a {kind}", self.prefix);
        let d = Diagnostic::error(codes::WRONG_KIND, text)
            .at(place, format!("found {}", value.shown()));
        let several = matches!(&value.data, Data::Map(m) if m.entries.values().any(|v| matches!(v.data, Data::Resource(_))))
            || matches!(&value.data, Data::Seq(s) if s.items.iter().any(|v| matches!(v.data, Data::Resource(_))));
        self.fail(if several {
            d.help("this block has several instances: choose one with [\"key\"] or [each.key]")
        } else {
            d.help(format!("write a whole object, such as {kind}.name"))
        });
        None
    }

    pub fn required_reference(&mut self, name: &'static str, kind: Kind) -> Option<Addr> {
        let value = self.reference(name, kind);
        if value.is_none() {
            self.is_there(name);
        }
        value
    }

    pub fn has_attribute(&self, name: &str) -> bool {
        self.body.attribute(name).is_some()
    }

    /// The text of an attribute, without any report; for a look before the reading.
    pub fn peek_text(&self, name: &str) -> Option<String> {
        let value = eval(&self.body.attribute(name)?.value, self.scope).ok()?;
        value.as_str().map(str::to_owned)
    }

    /// Reports what was not asked for.
    pub fn finish(mut self) -> Finished {
        let body = self.body;
        for attribute in &body.attributes {
            let name = attribute.name.as_ref();
            if self.attributes.contains(&name) {
                continue;
            }
            let text = format!("there is no attribute `{}{name}`", self.prefix);
            let d = Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text)
                .at(attribute.name_span, "not known");
            let d = if self.blocks.contains(&name) {
                d.help(format!(
                    "`{name}` is a block: write {name} {{ }} without `=`"
                ))
            } else {
                match did_you_mean(name, self.attributes.iter().copied()) {
                    Some(help) => d.help(help),
                    None => d,
                }
            };
            self.fail(d);
        }
        for block in &body.blocks {
            let name = match block.labels.first() {
                Some(label) if block.kind.as_ref() == "dynamic" => label.text.as_ref(),
                _ => block.kind.as_ref(),
            };
            if self.blocks.contains(&name) {
                continue;
            }
            let d = Diagnostic::error(
                codes::UNKNOWN_BLOCK,
                format!("there is no block `{}{name}`", self.prefix),
            )
            .at(block.header, "not known");
            let d = if self.attributes.contains(&name) {
                d.help(format!("`{name}` is an attribute: write {name} = ..."))
            } else {
                match did_you_mean(name, self.blocks.iter().copied()) {
                    Some(help) => d.help(help),
                    None => d,
                }
            };
            self.fail(d);
        }
        let origin = Origin {
            block: self.header,
            attributes: Arc::new(self.origin),
        };
        ((!self.failed).then_some(self.effective), origin)
    }
}

/// The resources that a value names: one, or all instances of a block, or a list of either.
pub fn addresses(value: &Value, out: &mut Vec<Addr>) -> bool {
    match &value.data {
        Data::Resource(r) => {
            out.push(r.addr.clone());
            true
        }
        Data::Seq(seq) => seq.items.iter().all(|v| addresses(v, out)),
        Data::Map(map) => map.entries.values().all(|v| addresses(v, out)),
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) => false,
    }
}
