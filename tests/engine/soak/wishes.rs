//! What is wanted of the rack, how that changes, and the dice.

use std::collections::BTreeMap;

use crate::engine::racks::nodes;
use crate::fleet::CANARY;

/// The next number of a seed: splitmix64.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// What a configuration wants: the model's whole knowledge of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub image: &'static str,
    pub erase: &'static str,
    pub power: &'static str,
    pub has_data: bool,
    pub waits: bool,
    /// Pinned to this node.
    pub node: Option<usize>,
}

pub type Wishes = BTreeMap<String, Wish>;

/// How a change goes through the rack.
#[derive(Clone, Debug, PartialEq)]
pub struct Turns {
    has_canary: bool,
    wave: usize,
    failures: usize,
    at_most_down: Option<usize>,
    gate: Option<&'static str>,
}

impl Turns {
    /// Most changes go in turn, in many ways.
    pub fn any(chance: &mut Chance) -> Option<Turns> {
        let turns = Turns {
            has_canary: chance.one_in(2),
            wave: 1 + chance.below(3),
            failures: chance.below(3),
            at_most_down: chance.one_in(2).then(|| 1 + chance.below(2)),
            gate: chance.of(&[None, Some("tcp"), Some("phone_home")]),
        };
        (!chance.one_in(5)).then_some(turns)
    }

    fn text(&self) -> String {
        let Turns {
            has_canary,
            wave,
            failures,
            at_most_down,
            gate,
        } = self;
        let mut text = format!("\nrollout \"all\" {{\n  wave = {wave}\n  failures = {failures}\n");
        if *has_canary {
            text.push_str("  canary = 1\n");
        }
        if let Some(n) = at_most_down {
            text.push_str(&format!(
                "  at_most_down {{\n    label = \"rack\"\n    n = {n}\n  }}\n"
            ));
        }
        match gate {
            Some("tcp") => text.push_str("  gate \"tcp\" {\n    port = 22\n  }\n"),
            Some(other) => text.push_str(&format!("  gate \"{other}\" {{\n  }}\n")),
            None => {}
        }
        text.push_str("}\n");
        text
    }
}

/// Every other machine stands in another rack.
const RACKS: &str = "  local_gb  = 20\n  labels    = { rack = \"r${count.index % 2}\" }\n";

pub fn text_of(many: usize, wishes: &Wishes, turns: Option<&Turns>) -> String {
    let mut text = nodes(many);
    if let Some(turns) = turns {
        text = text.replace("  local_gb  = 20\n", RACKS);
        text.push_str(&turns.text());
    }
    for (name, wish) in wishes {
        let data = if wish.has_data {
            format!("  user_data = \"password: {CANARY}\"\n")
        } else {
            String::new()
        };
        let pin = wish
            .node
            .map_or(String::new(), |n| format!("  node = node.n[{n}]\n"));
        text.push_str(&format!(
            "\ninstance \"{name}\" {{\n  flavor = flavor.small\n  image = image.{}\n  erase = \"{}\"\n  power_state = \"{}\"\n  wait_for_phone_home = {}\n{data}{pin}}}\n",
            wish.image, wish.erase, wish.power, wish.waits
        ));
    }
    text
}

pub fn change(wishes: &mut Wishes, many: usize, chance: &mut Chance) {
    let name = format!("i{}", chance.below(many + 1));
    if wishes.contains_key(&name) && chance.one_in(4) {
        wishes.remove(&name);
        return;
    }
    let pin = chance.one_in(3).then(|| chance.below(many));
    let free_pin = pin.filter(|pin| wishes.values().all(|w| w.node != Some(*pin)));
    let fresh = Wish {
        image: chance.of(&["part", "disk"]),
        erase: chance.of(&["none", "metadata", "zero"]),
        power: chance.of(&["on", "on", "off"]),
        has_data: chance.one_in(2),
        waits: !chance.one_in(4),
        node: free_pin,
    };
    let has_room = wishes.len() < many;
    match wishes.get_mut(&name) {
        None if has_room => {
            wishes.insert(name, fresh);
        }
        None => {}
        Some(wish) => match chance.below(4) {
            0 => wish.power = fresh.power,
            1 => wish.image = fresh.image,
            2 => wish.has_data = fresh.has_data,
            _ => *wish = fresh,
        },
    }
}
