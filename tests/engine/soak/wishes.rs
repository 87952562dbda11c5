//! What is wanted of the rack, how that changes, and the dice.

use std::collections::{BTreeMap, BTreeSet};

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

/// What things are called. A name grows by an `x` each time it changes, so that a wish and the number of a node can be told from it.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// How often each wish has been given another name, and the nodes.
    instances: BTreeMap<String, usize>,
    nodes: usize,
    is_moving: bool,
    /// Not wanted, and left as they are.
    left: BTreeSet<String>,
}

/// The wish that an instance of this name is.
pub fn wish_of(name: &str) -> String {
    name.trim_end_matches('x').to_owned()
}

fn grown(name: &str, times: usize) -> String {
    format!("{name}{}", "x".repeat(times))
}

impl Names {
    /// After the wishes have changed: some get other names, and some that went are left as they are.
    pub fn change(&mut self, before: &Wishes, after: &Wishes, chance: &mut Chance) {
        self.is_moving = true;
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            if chance.one_in(2) {
                self.left.insert(name.clone());
            }
        }
        self.left.retain(|name| !after.contains_key(name));
        for name in after.keys() {
            if chance.one_in(3) {
                *self.instances.entry(name.clone()).or_default() += 1;
            }
        }
        if chance.one_in(4) {
            self.nodes += 1;
        }
    }

    /// Somebody was told that there is nothing to leave.
    pub fn leave_nothing(&mut self) {
        self.left.clear();
    }

    pub fn node(&self, n: usize) -> String {
        format!("node.{}[{n}]", grown("n", self.nodes))
    }

    fn instance(&self, wish: &str) -> String {
        grown(wish, self.times(wish))
    }

    fn times(&self, wish: &str) -> usize {
        self.instances.get(wish).copied().unwrap_or_default()
    }

    /// A state may have stayed behind by any number of changes, so all of them are said.
    fn text(&self, wishes: &Wishes) -> String {
        let moved =
            |from: String, to: String| format!("\nmoved {{\n  from = {from}\n  to   = {to}\n}}\n");
        let chain = |kind: &str, name: &str, times: usize| -> String {
            let each = (0..times).map(|n| {
                let (from, to) = (grown(name, n), grown(name, n + 1));
                moved(format!("{kind}.{from}"), format!("{kind}.{to}"))
            });
            each.collect()
        };
        let mut text = chain("node", "n", self.nodes);
        for name in wishes.keys() {
            text.push_str(&chain("instance", name, self.times(name)));
        }
        for name in &self.left {
            for n in 0..=self.times(name) {
                text.push_str(&format!(
                    "\nremoved {{\n  from = instance.{}\n  lifecycle {{ destroy = false }}\n}}\n",
                    grown(name, n)
                ));
            }
        }
        text
    }
}

/// Every other machine stands in another rack.
const RACKS: &str = "  local_gb  = 20\n  labels    = { rack = \"r${count.index % 2}\" }\n";

/// What was left to itself has a table on its disk that is nobody's; whoever is given the node next may write over it.
const OVERWRITES: &str = "  on_existing_data = \"overwrite\"\n";

pub fn text_of(many: usize, wishes: &Wishes, turns: Option<&Turns>, names: &Names) -> String {
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
        let called = names.instance(name);
        let overwrites = if names.is_moving { OVERWRITES } else { "" };
        text.push_str(&format!(
            "\ninstance \"{called}\" {{\n  hostname = \"{name}\"\n  flavor = flavor.small\n  image = image.{}\n  erase = \"{}\"\n  power_state = \"{}\"\n  wait_for_phone_home = {}\n{data}{pin}{overwrites}  address {{ network = network.pxe }}\n}}\n",
            wish.image, wish.erase, wish.power, wish.waits
        ));
    }
    let block = grown("n", names.nodes);
    text = text
        .replace("node \"n\"", &format!("node \"{block}\""))
        .replace("node.n[", &format!("node.{block}["));
    text.push_str(&names.text(wishes));
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
