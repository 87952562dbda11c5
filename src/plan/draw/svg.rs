//! A picture as SVG: one file that needs no other, readable in light and dark.

use std::fmt::Write;

use super::layers::arrange;
use super::{Card, Picture, Tone};

/// A monospace letter of 12 px, rounded up: no font is at hand to measure.
const LETTER_WIDTH_TENTHS: u32 = 75;
const LINE_HEIGHT: u32 = 16;
const PADDING: u32 = 8;
/// Longer texts are cut; a browser shows the whole on hover.
const LETTERS_MAX: usize = 56;

const TONES: [Tone; 5] = [
    Tone::Plain,
    Tone::Create,
    Tone::Update,
    Tone::Replace,
    Tone::Delete,
];

pub fn svg(picture: &Picture) -> String {
    let sizes: Vec<(u32, u32)> = picture.cards.iter().map(size).collect();
    let arranged = arrange(&sizes, &picture.arrows);
    let (width, height) = (arranged.width, arranged.height);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"12\">\n"
    );
    out.push_str(&style());
    for points in &arranged.arrows {
        arrow(points, &mut out);
    }
    for (card, rect) in picture.cards.iter().zip(&arranged.boxes) {
        let _ = write!(
            out,
            "<g class=\"{}\"><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"4\"/>",
            card.tone.name(),
            escaped(&texts(card).collect::<Vec<_>>().join("\n")),
            rect.x,
            rect.y,
            rect.width,
            rect.height
        );
        for ((line, text), class) in (1u32..)
            .zip(texts(card))
            .zip(["head"].into_iter().chain(std::iter::repeat("rest")))
        {
            let (x, y) = (
                rect.x + PADDING,
                rect.y + PADDING / 2 + line * LINE_HEIGHT - 4,
            );
            let text = escaped(&cut(text));
            let _ = write!(
                out,
                "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"
            );
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn style() -> String {
    let mut out = String::from(
        "<style>\nsvg { background: #fff }\nrect { fill: #fff; stroke-width: 1.5 }\n.rest { opacity: .75 }\n\
         .arrow { fill: none; stroke: #8c959f }\n#head { fill: #8c959f }\n",
    );
    for tone in TONES {
        let (name, color) = (tone.name(), tone.color());
        let _ = writeln!(
            out,
            ".{name} rect {{ stroke: {color} }} .{name} text {{ fill: {color} }}"
        );
    }
    out.push_str(
        "@media (prefers-color-scheme: dark) {\nsvg { background: #0d1117 }\nrect { fill: #161b22 }\ng { filter: brightness(1.5) }\n}\n</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path id=\"head\" d=\"M0,0 L8,4 L0,8 z\"/></marker></defs>\n",
    );
    out
}

fn texts(card: &Card) -> impl Iterator<Item = &str> {
    let lines = card.lines.iter().map(String::as_str);
    std::iter::once(card.title.as_str()).chain(lines)
}

fn size(card: &Card) -> (u32, u32) {
    let letters = texts(card)
        .map(|t| cut(t).chars().map(columns).sum::<u32>())
        .max()
        .unwrap_or(0);
    let lines = u32::try_from(card.lines.len()).unwrap_or(0) + 1;
    (
        letters * LETTER_WIDTH_TENTHS / 10 + 2 * PADDING,
        lines * LINE_HEIGHT + PADDING,
    )
}

/// Letters outside of Latin and its neighbours may be twice as wide.
fn columns(c: char) -> u32 {
    if u32::from(c) < 0x1100 { 1 } else { 2 }
}

fn cut(text: &str) -> String {
    match text.chars().count() > LETTERS_MAX {
        true => text.chars().take(LETTERS_MAX - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// A curve from point to point that leaves and arrives level.
fn arrow(points: &[(u32, u32)], out: &mut String) {
    let Some((x, y)) = points.first() else { return };
    let _ = write!(
        out,
        "<path class=\"arrow\" marker-end=\"url(#tip)\" d=\"M{x},{y}"
    );
    for ((ax, ay), (bx, by)) in points.iter().zip(points.iter().skip(1)) {
        let middle = ax.midpoint(*bx);
        let _ = write!(out, " C{middle},{ay} {middle},{by} {bx},{by}");
    }
    out.push_str("\"/>\n");
}

/// As XML text; characters that XML does not have become blanks.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            '\u{fffe}' | '\u{ffff}' => out.push(' '),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn any_text_gives_well_formed_xml() {
        let card = |title: &str| Card {
            title: title.to_owned(),
            lines: vec!["on <node> & \"co\"".to_owned(), "日本".repeat(60)],
            tone: Tone::Replace,
        };
        let picture = Picture {
            cards: vec![card("a]]>\u{1}\u{ffff}\n"), card("<script>"), card("")],
            arrows: BTreeSet::from([(0, 1), (1, 2), (2, 0)]),
        };
        let text = svg(&picture);
        let document = roxmltree::Document::parse(&text).unwrap();
        let count = |name: &str| {
            document
                .descendants()
                .filter(|n| n.has_tag_name(name))
                .count()
        };
        assert_eq!((count("rect"), count("text"), count("script")), (3, 9, 0));
        roxmltree::Document::parse(&svg(&Picture::default())).unwrap();
    }
}
