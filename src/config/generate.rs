//! Configuration written for somebody: blocks for systems that run already. What it writes is for people to read and correct.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::format::format;
use crate::diag::SourceMap;
use crate::ids::{Addr, Key};
use crate::model::PowerState;
use crate::units::Hostname;

/// An instance to be declared. What it refers to is written as an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub to: Addr,
    pub node: String,
    pub flavor: String,
    pub image: String,
    pub power: PowerState,
}

const HEAD: &str = "\
# Systems that run already, to be taken over as they are: `bmctl plan` shows how, and nothing is written to a disk.
# Read it before you keep it: what flavor and image a system was made with cannot be seen from outside.
";

const PROTECTED: &str = "\
  lifecycle {
    # It was not bmctl that wrote its disk. Take this out once it may be written anew.
    prevent_destroy = true
  }
";

/// Blocks for all of them: one for each name, over a map where the name has keys. With `import` blocks, unless there are some.
pub fn running(systems: &[Running], imports: bool) -> String {
    let mut by_name: BTreeMap<&str, Vec<&Running>> = BTreeMap::new();
    for system in systems {
        by_name
            .entry(system.to.name.as_str())
            .or_default()
            .push(system);
    }
    let mut out = HEAD.to_owned();
    for (name, systems) in by_name {
        match systems.as_slice() {
            [one] if one.to.key.is_none() => single(one, imports, &mut out),
            _ => keyed(name, &systems, imports, &mut out),
        }
    }
    let file = SourceMap::default().add("generated", out.as_str());
    // Were a text of it no configuration, whoever reads it is told better by `validate` than by nothing.
    format(file, &out).unwrap_or(out)
}

fn single(system: &Running, imports: bool, out: &mut String) {
    let Running {
        to,
        node,
        flavor,
        image,
        power,
    } = system;
    // Writing to a text never fails.
    if imports {
        let _ = write!(out, "\nimport {{\n  to = {to}\n  id = {node}\n}}\n");
    }
    let _ = writeln!(
        out,
        "\ninstance {} {{\n  node = {node}\n  flavor = {flavor}\n  image = {image}",
        quoted(to.name.as_str())
    );
    if *power == PowerState::Off {
        out.push_str("  power_state = \"off\"\n");
    }
    let _ = writeln!(out, "{PROTECTED}}}");
}

/// What a name's instances have in common stands in the block, what they do not in the map.
fn keyed(name: &str, systems: &[&Running], imports: bool, out: &mut String) {
    type Part = (&'static str, fn(&Running) -> String);
    const PARTS: [Part; 3] = [
        ("flavor", |s| s.flavor.clone()),
        ("image", |s| s.image.clone()),
        ("power_state", |s| power(s.power).to_owned()),
    ];
    let differs = |(_, of): &Part| systems.windows(2).any(|pair| of(pair[0]) != of(pair[1]));
    let (own, common): (Vec<Part>, Vec<Part>) = PARTS.into_iter().partition(differs);
    let map = format!("running_{}", name.replace('-', "_"));
    let node = if own.is_empty() {
        "each.value"
    } else {
        "each.value.node"
    };

    let _ = writeln!(out, "\nlocals {{\n  {map} = {{");
    for system in systems {
        let key = quoted(&key_of(&system.to));
        let mut value = system.node.clone();
        if !own.is_empty() {
            value = format!("{{ node = {value}");
            own.iter().for_each(|(part, of)| {
                let _ = write!(value, ", {part} = {}", of(system));
            });
            value.push_str(" }");
        }
        let _ = writeln!(out, "    {key} = {value}");
    }
    out.push_str("  }\n}\n");
    if imports {
        let _ = write!(
            out,
            "\nimport {{\n  for_each = local.{map}\n  to = instance.{name}[each.key]\n  id = {node}\n}}\n"
        );
    }
    let _ = writeln!(
        out,
        "\ninstance {} {{\n  for_each = local.{map}\n  node = {node}",
        quoted(name)
    );
    let are_hostnames = systems
        .iter()
        .all(|s| key_of(&s.to).parse::<Hostname>().is_ok());
    if are_hostnames {
        out.push_str("  hostname = each.key\n");
    }
    for (part, _) in &own {
        let _ = writeln!(out, "  {part} = each.value.{part}");
    }
    for (part, of) in common {
        let Some(value) = systems.first().map(|s| of(s)) else {
            continue;
        };
        if part != "power_state" || value != power(PowerState::On) {
            let _ = writeln!(out, "  {part} = {value}");
        }
    }
    let _ = writeln!(out, "{PROTECTED}}}");
}

fn power(state: PowerState) -> &'static str {
    match state {
        PowerState::On => "\"on\"",
        PowerState::Off => "\"off\"",
    }
}

fn key_of(addr: &Addr) -> String {
    match &addr.key {
        Some(Key::Text(text)) => text.to_string(),
        Some(Key::Index(n)) => n.to_string(),
        None => addr.name.to_string(),
    }
}

/// A quoted string without anything that a template would read.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out.replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(to: &str, node: &str, power: PowerState) -> Running {
        Running {
            to: to.parse().unwrap(),
            node: node.to_owned(),
            flavor: "flavor.small".to_owned(),
            image: "image.a".to_owned(),
            power,
        }
    }

    #[test]
    fn what_differs_stands_in_the_map() {
        let one = system("instance.edge", "node.edge", PowerState::Off);
        let text = running(&[one], true);
        assert!(
            text.contains("import {\n  to = instance.edge\n  id = node.edge\n}\n"),
            "{text}"
        );
        assert!(text.contains("  power_state = \"off\"\n"), "{text}");

        let a = system("instance.web[\"a\"]", "node.r[\"a\"]", PowerState::On);
        let b = system(
            "instance.web[\"b${c}\"]",
            "node.r[\"b$${c}\"]",
            PowerState::On,
        );
        let same = running(&[a.clone(), b.clone()], true);
        assert!(
            same.contains("    \"b$${c}\" = node.r[\"b$${c}\"]\n"),
            "{same}"
        );
        assert!(!same.contains("power_state"), "{same}");
        // A key that is no host name leaves the name to its default.
        assert!(!same.contains("hostname"), "{same}");

        let b = Running {
            power: PowerState::Off,
            ..b
        };
        let differ = running(&[a, b], false);
        assert!(
            differ.contains("\"a\"      = { node = node.r[\"a\"], power_state = \"on\" }"),
            "{differ}"
        );
        assert!(
            differ.contains("  power_state = each.value.power_state\n"),
            "{differ}"
        );
        assert!(!differ.contains("import"), "{differ}");
    }
}
