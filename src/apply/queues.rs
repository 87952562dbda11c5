//! PURE. Places that are scarce, and whoever queues for several of them at once: all are taken, or none.
//!
//! Those who need the same places stand in one line, since what keeps one of them keeps all. A line waits at one place that is
//! full. When a place becomes free, the lines that wait there are looked at, most urgent first, until it is taken; a line that
//! finds another place full waits there from then on. So nobody looks through all who wait, nobody holds a place while waiting for
//! another, and no free place is left to itself while somebody could use it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Who waits: its rank, most urgent first, and its name.
pub type Entry = (Reverse<usize>, usize);

/// A kind of place.
pub type PlaceId = usize;

#[derive(Debug, Default)]
pub struct Queues {
    places: Vec<Places>,
    lines: Vec<Line>,
    line_of: BTreeMap<Vec<PlaceId>, usize>,
    /// Places of which one was given back since all who wait there were looked at.
    freed: BTreeSet<PlaceId>,
    #[cfg(test)]
    looks: usize,
}

#[derive(Debug)]
struct Places {
    limit: u32,
    used: u32,
    /// Lines that found it full, by the most urgent in each.
    lines: BTreeSet<(Entry, usize)>,
}

impl Places {
    fn is_full(&self) -> bool {
        self.used >= self.limit
    }
}

/// Those who need the same.
#[derive(Debug)]
struct Line {
    needs: Vec<PlaceId>,
    waiting: BTreeSet<Entry>,
    /// Where it waits, and under whose name.
    at: Option<(PlaceId, Entry)>,
}

impl Queues {
    /// A kind of which there are so many, at least one: of none, everybody would wait for ever.
    pub fn add(&mut self, limit: u32) -> PlaceId {
        self.places.push(Places {
            limit: limit.max(1),
            used: 0,
            lines: BTreeSet::new(),
        });
        self.places.len() - 1
    }

    pub fn limit(&self, place: PlaceId) -> u32 {
        self.places.get(place).map_or(0, |p| p.limit)
    }

    /// Takes one of each, or none, and says which is full. Needs are sorted.
    pub fn take(&mut self, needs: &[PlaceId]) -> Result<(), PlaceId> {
        if let Some(full) = self.full_among(needs) {
            return Err(full);
        }
        for need in needs {
            self.places[*need].used += 1;
        }
        Ok(())
    }

    fn full_among(&self, needs: &[PlaceId]) -> Option<PlaceId> {
        needs.iter().copied().find(|n| self.places[*n].is_full())
    }

    /// Waits until none of these is full; one of them, which was found full, is named.
    pub fn wait(&mut self, entry: Entry, needs: Vec<PlaceId>, full: PlaceId) {
        let line = match self.line_of.get(&needs) {
            Some(line) => *line,
            None => {
                let line = self.lines.len();
                self.line_of.insert(needs.clone(), line);
                self.lines.push(Line {
                    needs,
                    waiting: BTreeSet::new(),
                    at: None,
                });
                line
            }
        };
        self.lines[line].waiting.insert(entry);
        let at = self.lines[line].at.map_or(full, |(at, _)| at);
        self.stand(line, at);
    }

    /// Puts a line where it waits, under the name of its most urgent.
    fn stand(&mut self, line: usize, at: PlaceId) {
        let Line {
            waiting, at: was, ..
        } = &mut self.lines[line];
        if let Some((place, head)) = was.take() {
            self.places[place].lines.remove(&(head, line));
        }
        if let Some(head) = waiting.first().copied() {
            *was = Some((at, head));
            self.places[at].lines.insert((head, line));
        }
    }

    pub fn give_back(&mut self, place: PlaceId) {
        let places = &mut self.places[place];
        places.used = places.used.saturating_sub(1);
        self.freed.insert(place);
    }

    /// One who waits and finds everything free, who waits no more: to be asked again at once, since others may come first.
    /// What it leaves is offered to the next.
    pub fn let_in(&mut self) -> Option<Entry> {
        while let Some(place) = self.freed.first().copied() {
            let head = self.places[place].lines.first().copied();
            let (false, Some((entry, line))) = (self.places[place].is_full(), head) else {
                self.freed.remove(&place);
                continue;
            };
            #[cfg(test)]
            {
                self.looks += 1;
            }
            if let Some(full) = self.full_among(&self.lines[line].needs) {
                self.stand(line, full);
                continue;
            }
            self.lines[line].waiting.remove(&entry);
            self.stand(line, place);
            return Some(entry);
        }
        None
    }

    /// Nobody waits from here on.
    pub fn clear(&mut self) {
        self.freed.clear();
        self.line_of.clear();
        self.lines.clear();
        self.places.iter_mut().for_each(|p| p.lines.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everybody who waits or runs, as a run of the engine would have it, against a check of every rule at every moment.
    struct Model {
        queues: Queues,
        limits: Vec<u32>,
        needs: Vec<Vec<PlaceId>>,
        waiting: BTreeSet<usize>,
        running: BTreeSet<usize>,
    }

    impl Model {
        fn new(limits: &[u32], needs: &[BTreeSet<PlaceId>]) -> Model {
            let mut queues = Queues::default();
            for limit in limits {
                queues.add(*limit);
            }
            let needs = needs.iter().map(|n| n.iter().copied().collect());
            Model {
                queues,
                limits: limits.to_vec(),
                needs: needs.collect(),
                waiting: BTreeSet::new(),
                running: BTreeSet::new(),
            }
        }

        fn ask(&mut self, who: usize) {
            let needs = self.needs[who].clone();
            match self.queues.take(&needs) {
                Ok(()) => {
                    assert!(self.running.insert(who));
                    self.waiting.remove(&who);
                }
                Err(full) => {
                    let rank = Reverse(who * 7 % 5);
                    self.queues.wait((rank, who), needs, full);
                    self.waiting.insert(who);
                }
            }
        }

        fn end(&mut self, who: usize) {
            assert!(self.running.remove(&who));
            for place in &self.needs[who] {
                self.queues.give_back(*place);
            }
        }

        /// Lets in whoever fits; `gives_up` says who has lost interest when it is asked.
        fn settle(&mut self, gives_up: impl Fn(usize) -> bool) {
            while let Some((_, who)) = self.queues.let_in() {
                assert!(self.waiting.contains(&who), "{who} does not wait");
                if gives_up(who) {
                    self.waiting.remove(&who);
                } else {
                    self.ask(who);
                }
            }
            self.check();
        }

        fn used(&self, place: PlaceId) -> u32 {
            let all = self.running.iter();
            let users = all.filter(|who| self.needs[**who].contains(&place));
            u32::try_from(users.count()).unwrap()
        }

        fn check(&self) {
            for (place, limit) in self.limits.iter().enumerate() {
                assert!(self.used(place) <= *limit, "{place} is taken too often");
                assert_eq!(self.used(place), self.queues.places[place].used);
            }
            for who in &self.waiting {
                let is_full = |p: &PlaceId| self.used(*p) == self.limits[*p];
                assert!(
                    self.needs[*who].iter().any(is_full),
                    "{who} waits, and all it needs is free"
                );
            }
        }
    }

    proptest! {
        /// No place is taken twice, none is free while somebody who needs only what is free waits, and all come to their end.
        #[test]
        fn everybody_gets_all_or_nothing_and_nobody_is_forgotten(
            limits in prop::collection::vec(1u32..4, 1..6),
            wants in prop::collection::vec(prop::collection::btree_set(0usize..6, 0..4), 1..60),
            dice in prop::collection::vec(any::<u16>(), 1..200),
            fickle in 0usize..9,
        ) {
            let wants: Vec<BTreeSet<PlaceId>> = wants
                .iter()
                .map(|w| w.iter().map(|p| p % limits.len()).collect())
                .collect();
            let mut model = Model::new(&limits, &wants);
            let gives_up = |who: usize| fickle > 4 && who.is_multiple_of(fickle);
            let mut to_come = 0..wants.len();
            for die in dice {
                let running: Vec<usize> = model.running.iter().copied().collect();
                match (die % 3, running.get(usize::from(die) % running.len().max(1))) {
                    (0, Some(who)) => model.end(*who),
                    _ => {
                        if let Some(who) = to_come.next() {
                            model.ask(who);
                        }
                    }
                }
                model.settle(gives_up);
            }
            to_come.for_each(|who| model.ask(who));
            while let Some(who) = model.running.first().copied() {
                model.end(who);
                model.settle(gives_up);
            }
            prop_assert!(model.waiting.is_empty(), "{:?} wait for ever", model.waiting);
        }
    }

    /// A site with sixteen places, racks with four, power strips with two: so many looks a node, however many wait.
    #[test]
    fn what_a_free_place_costs_does_not_grow_with_the_queue() {
        let looks = |nodes: usize| {
            let (racks, strips) = (nodes / 40, nodes / 10);
            let limits: Vec<u32> = std::iter::once(16)
                .chain(std::iter::repeat_n(4, racks))
                .chain(std::iter::repeat_n(2, strips))
                .collect();
            let needs: Vec<BTreeSet<PlaceId>> = (0..nodes)
                .map(|n| BTreeSet::from([0, 1 + n % racks, 1 + racks + n % strips]))
                .collect();
            let mut model = Model::new(&limits, &needs);
            (0..nodes).for_each(|who| model.ask(who));
            while let Some(who) = model.running.first().copied() {
                model.end(who);
                while let Some((_, next)) = model.queues.let_in() {
                    model.ask(next);
                }
            }
            assert!(model.waiting.is_empty());
            model.queues.looks
        };
        let (few, many) = (looks(1_000), looks(10_000));
        assert!(
            many <= few * 12,
            "{few} looks for 1,000 nodes, {many} for 10,000"
        );
        assert!(many <= 10_000 * 8, "{many} looks for 10,000 nodes");
    }
}
