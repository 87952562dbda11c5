//! A picture in Graphviz's language.

use super::{Card, Picture};

/// What is needed stands at the left.
pub fn dot(picture: &Picture) -> String {
    let mut out = String::from(
        "digraph bmctl {\n  rankdir = \"RL\";\n  node [shape = rect, fontname = \"monospace\"];\n",
    );
    for (id, Card { title, lines, tone }) in picture.cards.iter().enumerate() {
        let text = [title].into_iter().chain(lines);
        let text: Vec<String> = text.map(|t| escaped(t)).collect();
        out.push_str(&format!(
            "  n{id} [label = \"{}\", color = \"{}\"];\n",
            text.join("\\n"),
            tone.color()
        ));
    }
    for (from, to) in &picture.arrows {
        out.push_str(&format!("  n{from} -> n{to};\n"));
    }
    out.push_str("}\n");
    out
}

/// Within quotes; control characters have no place in a label.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
