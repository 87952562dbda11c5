//! L2, PURE. Pictures: what a plan changes, or what a configuration holds, as boxes and arrows. Takes a plan and a fleet; gives
//! a [`Picture`], and text of it as DOT or SVG. An arrow goes from what waits to what it waits for, as in Terraform's graph.

mod dot;
mod layers;
mod reduce;
mod subject;
mod svg;

use std::collections::{BTreeMap, BTreeSet};

pub use dot::dot;
pub use subject::{changes, configuration, steps};
pub use svg::svg;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    pub cards: Vec<Card>,
    /// Indices of cards: the first needs the second.
    pub arrows: BTreeSet<(usize, usize)>,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Card {
    pub title: String,
    pub lines: Vec<String>,
    pub tone: Tone,
}

/// What happens to what a box stands for. Its sign is part of the title, so that colour is not needed to see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    Plain,
    Create,
    Update,
    Replace,
    Delete,
}

impl Tone {
    fn name(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Create => "create",
            Tone::Update => "update",
            Tone::Replace => "replace",
            Tone::Delete => "delete",
        }
    }

    /// Border and text, readable on white.
    fn color(self) -> &'static str {
        match self {
            Tone::Plain => "#57606a",
            Tone::Create => "#1a7f37",
            Tone::Update => "#9a6700",
            Tone::Replace => "#8250df",
            Tone::Delete => "#cf222e",
        }
    }
}

/// Whether the instances of a block are one box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    Together,
    Apart,
}

/// A picture in the making: things under keys, several of which may share a box.
#[derive(Debug, Default)]
struct Sketch<K: Ord> {
    /// The box of each key.
    of: BTreeMap<K, usize>,
    boxes: BTreeMap<(String, Tone), usize>,
    cards: Vec<(Card, usize)>,
    arrows: BTreeSet<(usize, usize)>,
}

impl<K: Ord> Sketch<K> {
    fn new() -> Sketch<K> {
        Sketch {
            of: BTreeMap::new(),
            boxes: BTreeMap::new(),
            cards: Vec::new(),
            arrows: BTreeSet::new(),
        }
    }

    /// Cards with one title and tone are one box; lines that not all of them have are left out.
    fn add(&mut self, key: K, card: Card) {
        let place = (card.title.clone(), card.tone);
        let at = *self.boxes.entry(place).or_insert(self.cards.len());
        match self.cards.get_mut(at) {
            Some((first, count)) => {
                first.lines.retain(|l| card.lines.contains(l));
                *count += 1;
            }
            None => self.cards.push((card, 1)),
        }
        self.of.insert(key, at);
    }

    fn arrow(&mut self, from: &K, to: &K) {
        if let (Some(from), Some(to)) = (self.of.get(from), self.of.get(to))
            && from != to
        {
            self.arrows.insert((*from, *to));
        }
    }

    fn finish(self) -> Picture {
        let arrows = reduce::reduced(self.cards.len(), self.arrows);
        let cards = self.cards.into_iter().map(|(mut card, count)| {
            if count > 1 {
                card.title.push_str(&format!(" ({count})"));
            }
            card
        });
        Picture {
            cards: cards.collect(),
            arrows,
        }
    }
}
