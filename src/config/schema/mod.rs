//! The shape of every block as one static table: what its attributes are called, what they take, and what they are for.
//! Takes nothing; gives [`blocks`] to commands, editors and documents, and JSON Schemas made from it. May import L0 alone.
//! Never decodes: `decode` does, and a test holds both to the same names.

mod json;
mod language;
mod resources;
mod shared;
#[cfg(test)]
mod tests;
mod text;

use crate::ids::Kind;

pub use json::{files, table};
pub use text::{attribute_text, block_text, overview};

/// A kind of block, at the top of a file or within another.
#[derive(Debug, Clone, Copy)]
pub struct BlockSchema {
    pub name: &'static str,
    pub doc: &'static str,
    pub labels: &'static [LabelSchema],
    pub attributes: &'static [AttributeSchema],
    pub blocks: &'static [NestedSchema],
    pub others: Others,
}

/// Whether a block holds attributes that are not in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    Refused,
    /// Any name: `locals`, and the arguments of a module.
    Allowed,
}

#[derive(Debug, Clone, Copy)]
pub struct LabelSchema {
    pub name: &'static str,
    /// Empty: any name.
    pub words: &'static [&'static str],
}

#[derive(Debug, Clone, Copy)]
pub struct NestedSchema {
    pub times: Times,
    pub block: &'static BlockSchema,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    Once,
    AtMostOnce,
    Any,
}

#[derive(Debug, Clone, Copy)]
pub struct AttributeSchema {
    pub name: &'static str,
    pub takes: Takes,
    pub need: Need,
    /// Whether it may hold a sensitive value.
    pub sensitive: Sensitive,
    pub doc: &'static str,
    /// As it may be written; empty when the type says enough.
    pub example: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Required,
    Optional,
    /// The value, as it would be written, when it is left out.
    Default(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensitive {
    Refused,
    Allowed,
}

/// What an attribute takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Any,
    Bool,
    /// A whole number within these limits, both included.
    Number(u64, u64),
    String,
    Text(Form),
    Words(&'static [&'static str]),
    ListOf(&'static Takes),
    MapOf(&'static Takes),
    /// A whole object of this kind.
    Reference(Kind),
    /// Resources of any kind, not evaluated: what `depends_on` lists.
    Resources,
    /// Names of attributes, not evaluated.
    Attributes,
    /// An address of a resource or a module, not evaluated.
    Address,
    /// A type constraint, not evaluated.
    Type,
    /// A map, an object or a set of strings.
    Collection,
}

/// Strings of one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Ipv4,
    Subnet,
    Mac,
    Sha256,
    HostName,
    Path,
    Versions,
}

const COUNT_MAX: u64 = u32::MAX as u64;

impl AttributeSchema {
    const fn new(name: &'static str, takes: Takes, doc: &'static str) -> AttributeSchema {
        AttributeSchema {
            name,
            takes,
            need: Need::Optional,
            sensitive: Sensitive::Refused,
            doc,
            example: "",
        }
    }

    const fn required(mut self) -> AttributeSchema {
        self.need = Need::Required;
        self
    }

    const fn default(mut self, value: &'static str) -> AttributeSchema {
        self.need = Need::Default(value);
        self
    }

    const fn secret(mut self) -> AttributeSchema {
        self.sensitive = Sensitive::Allowed;
        self
    }

    const fn example(mut self, text: &'static str) -> AttributeSchema {
        self.example = text;
        self
    }
}

impl BlockSchema {
    const fn new(name: &'static str, doc: &'static str) -> BlockSchema {
        BlockSchema {
            name,
            doc,
            labels: &[],
            attributes: &[],
            blocks: &[],
            others: Others::Refused,
        }
    }

    /// Its own attributes, and for a resource those that every resource has.
    pub fn all_attributes(&self) -> impl Iterator<Item = &'static AttributeSchema> {
        let shared: &'static [AttributeSchema] = match self.kind() {
            Some(_) => &shared::SHARED_ATTRIBUTES,
            None => &[],
        };
        self.attributes.iter().chain(shared)
    }

    pub fn all_blocks(&self) -> impl Iterator<Item = &'static NestedSchema> {
        let shared: &'static [NestedSchema] = match self.kind() {
            Some(_) => &shared::SHARED_BLOCKS,
            None => &[],
        };
        self.blocks.iter().chain(shared)
    }

    pub fn attribute(&self, name: &str) -> Option<&'static AttributeSchema> {
        self.all_attributes().find(|a| a.name == name)
    }

    pub fn nested(&self, name: &str) -> Option<&'static NestedSchema> {
        self.all_blocks().find(|n| n.block.name == name)
    }

    /// The kind of resource it declares.
    pub fn kind(&self) -> Option<Kind> {
        self.name.parse().ok()
    }
}

/// Every block that may stand at the top of a file, in the order of the language's page.
pub fn blocks() -> impl Iterator<Item = &'static BlockSchema> {
    language::BLOCKS.iter().chain(&resources::BLOCKS).copied()
}

/// What stands at a path such as `node`, `node.power` or `node.power.address`.
#[derive(Debug, Clone, Copy)]
pub enum Found {
    Block(&'static BlockSchema),
    Attribute(&'static AttributeSchema),
}

pub fn find(path: &str) -> Option<Found> {
    let mut names = path.split('.');
    let first = names.next()?;
    let mut block = blocks().find(|b| b.name == first)?;
    while let Some(name) = names.next() {
        match block.nested(name) {
            Some(nested) => block = nested.block,
            None => {
                let attribute = block.attribute(name)?;
                return names
                    .next()
                    .is_none()
                    .then_some(Found::Attribute(attribute));
            }
        }
    }
    Some(Found::Block(block))
}

/// Every path that [`find`] knows, for suggestions.
pub fn paths() -> Vec<String> {
    fn below(block: &BlockSchema, path: &str, out: &mut Vec<String>) {
        out.push(path.to_owned());
        out.extend(block.all_attributes().map(|a| format!("{path}.{}", a.name)));
        for nested in block.all_blocks() {
            below(nested.block, &format!("{path}.{}", nested.block.name), out);
        }
    }
    let mut out = Vec::new();
    blocks().for_each(|b| below(b, b.name, &mut out));
    out
}
