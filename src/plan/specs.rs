//! nova's extra_specs: what a flavor demands of a node (row P23, S1.18).
//!
//! `"s== x86_64"` and the like: `s== s!= s< s<= s> s>=` compare as text, `= == != >= <=` as numbers, `<in>` looks for a
//! substring, `<or>` lists alternatives, and a bare value must be equal. `=` means "at least", as it did in nova.
//! Keys may be scoped by `capabilities:`; other scopes are not for placement.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::model::Node;

/// What a node answers for each key. Labels are capabilities too; the built-in names win.
pub fn capabilities(node: &Node) -> BTreeMap<&str, String> {
    let mut all: BTreeMap<&str, String> = node
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.clone()))
        .collect();
    all.insert("cpu_arch", node.arch.to_string());
    all.insert("arch", node.arch.to_string());
    all.insert("cpus", node.cpus.to_string());
    all.insert("memory_mb", node.memory_mb.to_string());
    all.insert("local_gb", node.local_gb.to_string());
    all.insert("firmware", node.firmware.to_string());
    all
}

/// Why the node does not satisfy the specs; `None` when it does.
pub fn mismatch(specs: &BTreeMap<String, String>, node: &Node) -> Option<String> {
    if specs.is_empty() {
        return None;
    }
    let has = capabilities(node);
    for (key, wanted) in specs {
        let key = match key.split_once(':') {
            Some(("capabilities", rest)) => rest,
            Some(_) => continue,
            None => key.as_str(),
        };
        let Some(value) = has.get(key) else {
            return Some(format!("has no `{key}` (wanted {wanted})"));
        };
        if !satisfies(wanted, value) {
            return Some(format!("{key} is {value}, wanted {wanted}"));
        }
    }
    None
}

/// One requirement against one value.
pub fn satisfies(requirement: &str, value: &str) -> bool {
    let mut words = requirement.split_whitespace();
    let Some(op) = words.next() else {
        return value.is_empty();
    };
    let rest: Vec<&str> = words.collect();
    if op == "<or>" {
        return rest
            .split(|w| *w == "<or>")
            .any(|alternative| alternative.join(" ") == value);
    }
    let operand = rest.join(" ");
    if rest.is_empty() {
        return requirement.trim() == value;
    }
    let number =
        |wanted: &[Ordering]| compare_numbers(value, &operand).is_some_and(|o| wanted.contains(&o));
    match op {
        "s==" => value == operand,
        "s!=" => value != operand,
        "s<" => value < operand.as_str(),
        "s<=" => value <= operand.as_str(),
        "s>" => value > operand.as_str(),
        "s>=" => value >= operand.as_str(),
        "=" | ">=" => number(&[Ordering::Greater, Ordering::Equal]),
        "==" => number(&[Ordering::Equal]),
        "!=" => number(&[Ordering::Less, Ordering::Greater]),
        "<=" => number(&[Ordering::Less, Ordering::Equal]),
        "<in>" => value.contains(&operand),
        _ => requirement.trim() == value,
    }
}

fn compare_numbers(a: &str, b: &str) -> Option<Ordering> {
    a.parse::<f64>().ok()?.partial_cmp(&b.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn novas_operators_row_p23() {
        for (requirement, value, expected) in [
            ("s== x86_64", "x86_64", true),
            ("s== x86_64", "tilepro64", false),
            ("s!= a", "b", true),
            ("s< b", "a", true),
            ("s>= b", "b", true),
            ("s> 9", "10", false),
            ("= 4", "8", true),
            ("= 4", "2", false),
            ("== 4", "4.0", true),
            ("!= 4", "4", false),
            (">= 4", "4", true),
            ("<= 4", "5", false),
            ("<= 4", "many", false),
            ("<in> sse4", "mmx sse4 avx", true),
            ("<in> sse5", "mmx sse4 avx", false),
            ("<or> r1 <or> r2", "r2", true),
            ("<or> r1 <or> r2", "r3", false),
            ("r1", "r1", true),
            ("", "", true),
        ] {
            assert_eq!(
                satisfies(requirement, value),
                expected,
                "{requirement} / {value}"
            );
        }
    }
}
