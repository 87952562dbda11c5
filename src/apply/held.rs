//! PURE. Ready steps whose turn in a rollout has not come, by what they wait for: when it happens, only they are asked again.

use std::collections::{BTreeMap, BTreeSet};

use super::queues::Entry;
use super::turns::Hold;

#[derive(Debug, Default)]
pub struct Held {
    waiting: BTreeMap<Hold, BTreeSet<Entry>>,
    hold_of: BTreeMap<Entry, Hold>,
    /// Groups in which a place was given back since somebody found them full.
    freed: BTreeSet<Hold>,
}

impl Held {
    /// Keeps a step until what it waits for happens. Who waits for a place in a group has found it full.
    pub fn keep(&mut self, entry: Entry, hold: Hold) {
        self.freed.remove(&hold);
        self.waiting.entry(hold).or_default().insert(entry);
        self.hold_of.insert(entry, hold);
    }

    /// What they wait for has happened: all who do, or one after the other for as long as a group has places.
    pub fn release(&mut self, hold: Hold) -> BTreeSet<Entry> {
        if matches!(hold, Hold::Group(..)) {
            self.freed.insert(hold);
            return BTreeSet::new();
        }
        let released = self.waiting.remove(&hold).unwrap_or_default();
        for entry in &released {
            self.hold_of.remove(entry);
        }
        released
    }

    /// The most urgent of those who wait for a place in a group that may have one.
    pub fn let_in(&mut self) -> Option<Entry> {
        while let Some(hold) = self.freed.first().copied() {
            let waiting = self.waiting.get_mut(&hold);
            if let Some(entry) = waiting.and_then(BTreeSet::pop_first) {
                self.hold_of.remove(&entry);
                return Some(entry);
            }
            self.freed.remove(&hold);
        }
        None
    }

    /// It waits no more.
    pub fn remove(&mut self, entry: Entry) {
        if let Some(hold) = self.hold_of.remove(&entry)
            && let Some(waiting) = self.waiting.get_mut(&hold)
        {
            waiting.remove(&entry);
        }
    }

    /// All of them, who are not waited for from here on.
    pub fn take(&mut self) -> impl Iterator<Item = Entry> + use<> {
        std::mem::take(self).waiting.into_values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    const GROUP: Hold = Hold::Group(0, 0);

    #[test]
    fn a_free_place_is_offered_until_somebody_finds_none() {
        let mut held = Held::default();
        for who in 0..5 {
            held.keep((Reverse(who % 3), who), GROUP);
        }
        assert_eq!(held.let_in(), None, "no place was given back");
        assert!(held.release(GROUP).is_empty());
        assert_eq!(held.let_in(), Some((Reverse(2), 2)), "the most urgent");
        // It waits for another to begin, and has not taken the place.
        held.keep((Reverse(2), 2), Hold::Member(0, 7));
        assert_eq!(held.let_in(), Some((Reverse(1), 1)));
        let next = held.let_in().unwrap();
        held.keep(next, GROUP);
        assert_eq!(held.let_in(), None, "{next:?} has found it full");
        let all = held.release(Hold::Member(0, 7));
        assert_eq!(all, BTreeSet::from([(Reverse(2), 2)]));
    }

    #[test]
    fn who_is_taken_out_is_not_let_in() {
        let mut held = Held::default();
        held.keep((Reverse(1), 1), GROUP);
        held.keep((Reverse(1), 2), Hold::Wave(0, 3));
        held.remove((Reverse(1), 1));
        held.release(GROUP);
        assert_eq!(held.let_in(), None);
        assert_eq!(held.take().collect::<Vec<_>>(), [(Reverse(1), 2)]);
        assert!(held.release(Hold::Wave(0, 3)).is_empty());
    }

    /// Who ends lets one in, who asks for the next in vain: so many looks for each, however many wait.
    #[test]
    fn what_a_free_place_costs_does_not_grow_with_the_wave() {
        let mut held = Held::default();
        let count = 5_000;
        (1..count).for_each(|who| held.keep((Reverse(9), who), GROUP));
        let mut looks = 0;
        for _ in 1..count {
            held.release(GROUP);
            let mut has_room = true;
            while let Some(entry) = held.let_in() {
                looks += 1;
                if !std::mem::replace(&mut has_room, false) {
                    held.keep(entry, GROUP);
                }
            }
        }
        assert!(held.take().next().is_none(), "everybody had their turn");
        assert!(looks <= 2 * count, "{looks} looks for {count}");
    }
}
