//! `--target`, `--exclude`, `--replace`: what a plan is confined to, and what is written anew although nothing asks for it.
//!
//! A target brings along what it stands on; what is excluded takes along what stands on it. Whatever is not selected stays as
//! state has it: on its node, with its addresses, and without a step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::meant;
use super::place::Placed;
use super::reads::is_ground;
use crate::diag::{Diagnostic, Diagnostics};
use crate::ids::{Addr, Kind, ParseError};
use crate::model::{Fleet, Node, Recorded, Resource};

/// What was asked for on the command line. Nothing asked for means everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Selection {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Pattern>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<Pattern>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Pattern>,
}

impl Selection {
    /// Whether the plan is confined at all.
    pub fn is_confined(&self) -> bool {
        !self.targets.is_empty() || !self.excludes.is_empty()
    }
}

/// One way of naming resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// An address; without a key all its instances, of a module everything in it.
    Address(String),
    /// `*` stands for any text, `?` for one character.
    Glob(String),
    /// Nodes with this label, their NICs, and the instances on them.
    Label { key: String, value: String },
}

impl FromStr for Pattern {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Pattern, ParseError> {
        const FORM: &str = "an address such as 'instance.web[\"a\"]' (within ' ', or the shell takes its quotes), a glob such as 'instance.web[*]', or label:KEY=VALUE";
        if let Some(label) = text.strip_prefix("label:") {
            return match label.split_once('=') {
                Some((key, value)) if !key.is_empty() => Ok(Pattern::Label {
                    key: key.to_owned(),
                    value: value.to_owned(),
                }),
                _ => Err(ParseError::new(FORM, text)),
            };
        }
        if text.contains(['*', '?']) {
            return Ok(Pattern::Glob(text.to_owned()));
        }
        let is_module = text.starts_with("module.") && text.len() > "module.".len();
        if is_module || text.parse::<Addr>().is_ok() {
            return Ok(Pattern::Address(text.to_owned()));
        }
        Err(ParseError::new(FORM, text))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Address(text) | Pattern::Glob(text) => f.write_str(text),
            Pattern::Label { key, value } => write!(f, "label:{key}={value}"),
        }
    }
}

impl Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Pattern, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Pattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

impl Pattern {
    /// Whether it names this address by its text; a label never does.
    pub fn names(&self, addr: &str) -> bool {
        match self {
            Pattern::Address(text) => addr
                .strip_prefix(text.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.'])),
            Pattern::Glob(glob) => matches_glob(glob.as_bytes(), addr.as_bytes()),
            Pattern::Label { .. } => false,
        }
    }
}

/// Greedy with one place to come back to: linear for one star, and never worse than the product of both lengths.
fn matches_glob(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                back = Some((g, t));
                g += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                g += 1;
                t += 1;
            }
            Some(_) | None => match back {
                Some((star, from)) => {
                    g = star + 1;
                    t = from + 1;
                    back = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

/// What is declared and recorded, seen as a graph.
pub(super) struct Everything<'a> {
    fleet: &'a Fleet,
    recorded: &'a Recorded,
    written: &'a Fleet,
}

impl<'a> Everything<'a> {
    /// `written` is what the configuration says, also when all of it is to be destroyed: it can be named.
    pub(super) fn of(
        fleet: &'a Fleet,
        recorded: &'a Recorded,
        written: &'a Fleet,
    ) -> Everything<'a> {
        Everything {
            fleet,
            recorded,
            written,
        }
    }

    fn all(&self) -> BTreeSet<&'a Addr> {
        let written = self.written;
        let declared = written
            .networks
            .keys()
            .chain(written.sites.keys())
            .chain(written.flavors.keys())
            .chain(written.images.keys())
            .chain(written.nodes.keys())
            .chain(written.nics.keys())
            .chain(written.instances.keys());
        declared.chain(self.recorded.resources.keys()).collect()
    }

    /// The resources that patterns name; a pattern that names none is a mistake.
    pub(super) fn named(
        &self,
        patterns: &[Pattern],
        option: &str,
        diagnostics: &mut Diagnostics,
    ) -> BTreeSet<Addr> {
        let mut out = BTreeSet::new();
        let texts = Texts::of(match patterns {
            [] => BTreeSet::new(),
            _ => self.all(),
        });
        for pattern in patterns {
            let found: Vec<&Addr> = match pattern {
                Pattern::Label { key, value } => self.labelled(key, value),
                Pattern::Address(text) => texts.named(pattern, text),
                Pattern::Glob(_) => texts.named(pattern, ""),
            };
            if found.is_empty() {
                diagnostics.push(
                    Diagnostic::error(
                        "E0616",
                        format!("{option} {pattern} names nothing that is declared or recorded"),
                    )
                    .help(meant::instead_of(
                        pattern,
                        self.all().into_iter().filter_map(|a| self.node(a)),
                    )),
                );
            }
            out.extend(found.into_iter().cloned());
        }
        out
    }

    fn labelled(&self, key: &str, value: &str) -> Vec<&'a Addr> {
        let has = |node: &Node| node.labels.get(key).is_some_and(|v| v == value);
        let on = |node: &Addr| self.node(node).is_some_and(has);
        let all = self.all().into_iter();
        all.filter(|addr| match addr.kind {
            Kind::Node => on(addr),
            Kind::Nic | Kind::Instance => self.stands_on(addr).into_iter().any(on),
            Kind::Network | Kind::Site | Kind::Flavor | Kind::Image => false,
        })
        .collect()
    }

    fn node(&self, addr: &Addr) -> Option<&'a Node> {
        let recorded = self.recorded.resources.get(addr);
        let declared = self.fleet.nodes.get(addr);
        declared.or_else(|| recorded.and_then(Resource::as_node))
    }

    /// What a resource needs, as declared and as recorded.
    fn stands_on(&self, addr: &Addr) -> Vec<&'a Addr> {
        let mut out = Vec::new();
        if let Some(resource) = self.recorded.resources.get(addr) {
            recorded_needs(resource, &mut out);
        }
        let fleet = self.fleet;
        match addr.kind {
            Kind::Network | Kind::Flavor | Kind::Image => {}
            Kind::Site => out.extend(fleet.sites.get(addr).map(|s| &s.network)),
            Kind::Node => out.extend(fleet.nodes.get(addr).map(|n| &n.site)),
            Kind::Nic => {
                if let Some(nic) = fleet.nics.get(addr) {
                    out.extend([&nic.node, &nic.network]);
                }
            }
            Kind::Instance => {
                if let Some(instance) = fleet.instances.get(addr) {
                    out.extend([&instance.flavor, &instance.image]);
                    out.extend(&instance.node);
                    out.extend(instance.addresses.iter().map(|a| &a.network));
                }
                if let Some(rules) = fleet.lifecycle.get(addr) {
                    out.extend(rules.replace_triggered_by.iter().map(|t| &t.addr));
                }
            }
        }
        out.extend(fleet.depends_on.get(addr).into_iter().flatten());
        out
    }

    fn users(&self) -> BTreeMap<&'a Addr, Vec<&'a Addr>> {
        let mut out: BTreeMap<&Addr, Vec<&Addr>> = BTreeMap::new();
        for addr in self.all() {
            for needed in self.stands_on(addr) {
                out.entry(needed).or_default().push(addr);
            }
        }
        out
    }

    /// Everything that leads from these to others, themselves included.
    fn spread(start: BTreeSet<Addr>, next: impl Fn(&Addr) -> Vec<&'a Addr>) -> BTreeSet<Addr> {
        let mut out = start.clone();
        let mut open: Vec<Addr> = start.into_iter().collect();
        while let Some(addr) = open.pop() {
            for other in next(&addr) {
                if out.insert(other.clone()) {
                    open.push(other.clone());
                }
            }
        }
        out
    }

    /// What is to be planned for, before what it stands on is added.
    pub(super) fn chosen(
        &self,
        selection: &Selection,
        diagnostics: &mut Diagnostics,
    ) -> BTreeSet<Addr> {
        let users = self.users();
        let users_of = |addr: &Addr| users.get(addr).cloned().unwrap_or_default();
        let mut chosen: BTreeSet<Addr> = if selection.targets.is_empty() {
            self.all().into_iter().cloned().collect()
        } else {
            let named = self.named(&selection.targets, "--target", diagnostics);
            // Who stands on what goes away has to go first.
            let going: BTreeSet<Addr> = named
                .iter()
                .filter(|addr| !self.declares(addr))
                .cloned()
                .collect();
            let gone = Everything::spread(going, |addr| {
                if self.declares(addr) {
                    Vec::new()
                } else {
                    users_of(addr)
                }
            });
            named.into_iter().chain(gone).collect()
        };
        let excluded = self.named(&selection.excludes, "--exclude", diagnostics);
        for addr in Everything::spread(excluded, users_of) {
            chosen.remove(&addr);
        }
        // What stays needs what it stands on: that must not go away under it.
        let staying = self
            .recorded
            .resources
            .keys()
            .filter(|a| !chosen.contains(*a));
        let needed = Everything::spread(staying.cloned().collect(), |addr| {
            let mut needs = Vec::new();
            if let Some(resource) = self.recorded.resources.get(addr) {
                recorded_needs(resource, &mut needs);
            }
            // A node's NICs are what its boot files go by.
            if addr.kind == Kind::Node {
                let users = users.get(addr).into_iter().flatten();
                needs.extend(users.filter(|user| user.kind == Kind::Nic));
            }
            needs
        });
        chosen.retain(|addr| self.declares(addr) || !needed.contains(addr));
        chosen
    }

    /// These, and everything they stand on: what has to be as it was when a plan for them is carried out.
    pub(super) fn grounds(&self, start: BTreeSet<Addr>) -> BTreeSet<Addr> {
        let mut nics: BTreeMap<&Addr, Vec<&Addr>> = BTreeMap::new();
        for (addr, nic) in &self.fleet.nics {
            nics.entry(&nic.node).or_default().push(addr);
        }
        Everything::spread(start, |addr| {
            let mut needs = self.stands_on(addr);
            needs.retain(|needed| is_ground(needed.kind));
            if addr.kind == Kind::Node {
                needs.extend(nics.get(addr).into_iter().flatten().copied());
            }
            needs
        })
    }

    fn declares(&self, addr: &Addr) -> bool {
        self.fleet.declares(addr)
    }

    /// What was chosen and what it stands on. Where an instance stands is known once it is placed.
    pub(super) fn with_needs(
        &self,
        chosen: BTreeSet<Addr>,
        placed: &'a BTreeMap<Addr, Placed>,
    ) -> BTreeSet<Addr> {
        let mut nics: BTreeMap<&Addr, Vec<&Addr>> = BTreeMap::new();
        for (addr, nic) in &self.fleet.nics {
            nics.entry(&nic.node).or_default().push(addr);
        }
        Everything::spread(chosen, |addr| {
            let mut needs = self.stands_on(addr);
            needs.extend(placed.get(addr).map(|p| &p.node));
            if addr.kind == Kind::Node {
                needs.extend(nics.get(addr).into_iter().flatten().copied());
            }
            // What is not declared would be destroyed: nobody has asked for that.
            needs.retain(|needed| self.declares(needed));
            needs
        })
    }
}

/// Addresses in the order of their texts: thousands of targets, one an address, find theirs without a walk through all.
struct Texts<'a>(Vec<(String, &'a Addr)>);

impl<'a> Texts<'a> {
    fn of(all: BTreeSet<&'a Addr>) -> Texts<'a> {
        let mut texts: Vec<_> = all.into_iter().map(|a| (a.to_string(), a)).collect();
        texts.sort_unstable();
        Texts(texts)
    }

    /// Those that a pattern names, all of which begin with the same text.
    fn named(&self, pattern: &Pattern, prefix: &str) -> Vec<&'a Addr> {
        let first = self.0.partition_point(|(text, _)| text.as_str() < prefix);
        let from = self.0.get(first..).unwrap_or_default().iter();
        let near = from.take_while(|(text, _)| text.starts_with(prefix));
        let named = near.filter(|(text, _)| pattern.names(text));
        named.map(|(_, addr)| *addr).collect()
    }
}

fn recorded_needs<'a>(resource: &'a Resource, out: &mut Vec<&'a Addr>) {
    match resource {
        Resource::Network(_) | Resource::Flavor(_) | Resource::Image(_) => {}
        Resource::Site(site) => out.push(&site.network),
        Resource::Node(node) => out.push(&node.site),
        Resource::Nic(nic) => out.extend([&nic.node, &nic.network]),
        Resource::Instance(record) => {
            out.extend([&record.node, &record.desired.flavor, &record.desired.image]);
            out.extend(record.desired.addresses.iter().map(|a| &a.network));
        }
    }
}

/// The fleet as if instances that were not chosen had not changed; those that were never applied are left out.
pub(super) fn confine(fleet: &Fleet, recorded: &Recorded, chosen: &BTreeSet<Addr>) -> Fleet {
    let mut out = fleet.clone();
    out.instances.retain(|addr, _| chosen.contains(addr));
    for (addr, resource) in &recorded.resources {
        if let Resource::Instance(record) = resource
            && !chosen.contains(addr)
        {
            out.instances.insert(addr.clone(), record.desired.clone());
        }
    }
    out.imports.retain(|import| chosen.contains(&import.to));
    out
}

/// The instances that `--replace` names.
pub(super) fn replaced(
    everything: &Everything<'_>,
    selection: &Selection,
    diagnostics: &mut Diagnostics,
) -> BTreeSet<Addr> {
    let mut out = BTreeSet::new();
    for pattern in &selection.replace {
        let named = everything.named(std::slice::from_ref(pattern), "--replace", diagnostics);
        let is_any = !named.is_empty();
        let declared = |addr: &Addr| everything.fleet.instances.contains_key(addr);
        let instances: BTreeSet<Addr> = named.into_iter().filter(declared).collect();
        // A pattern that names nothing at all has been told.
        if is_any && instances.is_empty() {
            let text = format!("--replace {pattern} names no instance that is declared");
            diagnostics.push(Diagnostic::error("E0617", text).help(
                "only an instance can be written anew: give its address, such as instance.web",
            ));
        }
        out.extend(instances);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_what_they_should() {
        let names = |pattern: &str, addr: &str| pattern.parse::<Pattern>().unwrap().names(addr);
        assert!(names("instance.web", "instance.web"));
        assert!(names("instance.web", r#"instance.web["a"]"#));
        assert!(!names("instance.web", "instance.web2"));
        assert!(names(r#"instance.web["a"]"#, r#"instance.web["a"]"#));
        assert!(!names(r#"instance.web["a"]"#, r#"instance.web["ab"]"#));
        assert!(names("module.rack", r#"module.rack["r1"].node.a"#));
        assert!(names(r#"module.rack["r1"]"#, r#"module.rack["r1"].node.a"#));
        assert!(!names("module.rack", "module.racks.node.a"));
        assert!(names(r#"node.rack["r1-*"]"#, r#"node.rack["r1-07"]"#));
        assert!(!names(r#"node.rack["r1-*"]"#, r#"node.rack["r2-07"]"#));
        assert!(names("*.web?", "instance.web2"));
        assert!(names("instance.*", "instance.web"));
        assert!(names("*", "anything.at.all"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "web", "label:rack", "label:=x", "module.", "instance."] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        let label: Pattern = "label:rack=r=1".parse().unwrap();
        assert_eq!(label.to_string(), "label:rack=r=1");
    }
}
