//! Arrows that say nothing new: who waits for B, which waits for A, waits for A anyway.

use std::collections::BTreeSet;

/// Looking costs boxes times arrows; a picture of more is not looked at by anybody.
const WORK_MAX: usize = 50_000_000;

/// The arrows without those that a longer way replaces. A picture with a circle keeps all of its arrows: in a circle every
/// arrow is replaced by others, which would be gone as well.
pub fn reduced(boxes: usize, arrows: BTreeSet<(usize, usize)>) -> BTreeSet<(usize, usize)> {
    let mut needs = vec![Vec::new(); boxes];
    for (from, to) in &arrows {
        if let Some(list) = needs.get_mut(*from) {
            list.push(*to);
        }
    }
    if boxes.saturating_mul(arrows.len()) > WORK_MAX || has_circle(&needs) {
        return arrows;
    }
    let mut out = BTreeSet::new();
    let mut seen = vec![usize::MAX; boxes];
    for (from, direct) in needs.iter().enumerate() {
        let next = |at: usize| needs.get(at).into_iter().flatten().copied();
        let mut stack: Vec<usize> = direct.iter().flat_map(|to| next(*to)).collect();
        while let Some(at) = stack.pop() {
            if let Some(mark) = seen.get_mut(at).filter(|mark| **mark != from) {
                *mark = from;
                stack.extend(next(at));
            }
        }
        let new = direct.iter().filter(|to| seen.get(**to) != Some(&from));
        out.extend(new.map(|to| (from, *to)));
    }
    out
}

fn has_circle(needs: &[Vec<usize>]) -> bool {
    let mut waited_for = vec![0usize; needs.len()];
    for to in needs.iter().flatten() {
        waited_for[*to] += 1;
    }
    let mut free: Vec<usize> = (0..needs.len()).filter(|n| waited_for[*n] == 0).collect();
    let mut taken = 0;
    while let Some(at) = free.pop() {
        taken += 1;
        for to in &needs[at] {
            waited_for[*to] -= 1;
            if waited_for[*to] == 0 {
                free.push(*to);
            }
        }
    }
    taken < needs.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arrows_with_a_longer_way_go() {
        for (boxes, arrows, expected) in [
            (3, vec![(0, 1), (1, 2), (0, 2)], vec![(0, 1), (1, 2)]),
            (
                4,
                vec![(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)],
                vec![(0, 1), (0, 2), (1, 3), (2, 3)],
            ),
            (
                3,
                vec![(0, 1), (1, 0), (2, 0), (2, 1)],
                vec![(0, 1), (1, 0), (2, 0), (2, 1)],
            ),
            (0, vec![], vec![]),
        ] {
            let found = reduced(boxes, arrows.into_iter().collect());
            assert_eq!(found, expected.into_iter().collect());
        }
    }
}
