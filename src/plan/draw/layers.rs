//! Where boxes stand: columns by the longest way to what needs nothing (Sugiyama's method), the order within a column by the
//! mean place of the neighbours, and a free lane through every column that a long arrow crosses.

use std::collections::{BTreeMap, BTreeSet};

const MARGIN: u32 = 20;
const COLUMN_GAP: u32 = 90;
const ROW_GAP: u32 = 14;
const LANE_HEIGHT: u32 = 6;
/// More sweeps change little.
const SWEEPS: usize = 8;
/// Lanes for all long arrows of a picture; with more, long arrows run behind the boxes.
const LANES_MAX: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

#[derive(Debug)]
pub struct Arranged {
    pub boxes: Vec<Rect>,
    /// The points of each arrow, from the left edge of what waits to the right edge of what it waits for.
    pub arrows: Vec<Vec<(u32, u32)>>,
    pub width: u32,
    pub height: u32,
}

/// `sizes` are widths and heights of the boxes; arrows go from what waits to what it waits for.
pub fn arrange(sizes: &[(u32, u32)], arrows: &BTreeSet<(usize, usize)>) -> Arranged {
    let forward = without_circles(sizes.len(), arrows);
    let layer = longest_ways(sizes.len(), &forward);
    let mut grid = Grid::new(sizes, &layer);
    let long: usize = arrows
        .iter()
        .map(|(a, b)| at(&layer, *a).abs_diff(at(&layer, *b)).saturating_sub(1))
        .sum();
    let ways: Vec<Vec<usize>> = arrows
        .iter()
        .map(|(from, to)| match long <= LANES_MAX {
            true => grid.lanes(*from, *to),
            false => vec![*from, *to],
        })
        .collect();
    grid.order(&ways);
    grid.place(sizes.len(), &ways)
}

fn at<T: Copy + Default>(list: &[T], index: usize) -> T {
    list.get(index).copied().unwrap_or_default()
}

/// The arrows with those turned around that close a circle, so that every box has a column.
fn without_circles(count: usize, arrows: &BTreeSet<(usize, usize)>) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Open,
        Done,
    }
    let mut needs = vec![Vec::new(); count];
    for (from, to) in arrows.iter().filter(|(a, b)| *a < count && *b < count) {
        needs[*from].push(*to);
    }
    let mut out = vec![Vec::new(); count];
    let mut seen = vec![Seen::No; count];
    for start in 0..count {
        if seen[start] != Seen::No {
            continue;
        }
        seen[start] = Seen::Open;
        let mut stack = vec![(start, 0)];
        while let Some((here, next)) = stack.pop() {
            let Some(to) = needs[here].get(next).copied() else {
                seen[here] = Seen::Done;
                continue;
            };
            stack.push((here, next + 1));
            match seen[to] {
                Seen::Open => out[to].push(here),
                Seen::Done => out[here].push(to),
                Seen::No => {
                    out[here].push(to);
                    seen[to] = Seen::Open;
                    stack.push((to, 0));
                }
            }
        }
    }
    out
}

/// For each box the most steps to one that needs nothing.
fn longest_ways(count: usize, needs: &[Vec<usize>]) -> Vec<usize> {
    let mut waiting: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut needed_by = vec![Vec::new(); count];
    for (from, list) in needs.iter().enumerate() {
        list.iter().for_each(|to| needed_by[*to].push(from));
    }
    let mut layer = vec![0; count];
    let mut ready: Vec<usize> = (0..count).filter(|n| waiting[*n] == 0).collect();
    while let Some(here) = ready.pop() {
        for from in &needed_by[here] {
            layer[*from] = layer[*from].max(layer[here] + 1);
            waiting[*from] -= 1;
            if waiting[*from] == 0 {
                ready.push(*from);
            }
        }
    }
    layer
}

/// Boxes and lanes in columns. A lane is numbered after the boxes.
struct Grid {
    columns: Vec<Vec<usize>>,
    column_of: Vec<usize>,
    sizes: Vec<(u32, u32)>,
}

impl Grid {
    fn new(sizes: &[(u32, u32)], layer: &[usize]) -> Grid {
        let mut columns = vec![Vec::new(); layer.iter().max().map_or(0, |m| m + 1)];
        for (item, column) in layer.iter().enumerate() {
            columns[*column].push(item);
        }
        Grid {
            columns,
            column_of: layer.to_vec(),
            sizes: sizes.to_vec(),
        }
    }

    /// The items on the way of an arrow, with a new lane in each column between its ends.
    fn lanes(&mut self, from: usize, to: usize) -> Vec<usize> {
        let (a, b) = (at(&self.column_of, from), at(&self.column_of, to));
        let mut way = vec![from];
        let between: Vec<usize> = match a < b {
            true => (a + 1..b).collect(),
            false => (b + 1..a).rev().collect(),
        };
        for column in between {
            let lane = self.sizes.len();
            self.sizes.push((0, LANE_HEIGHT));
            self.column_of.push(column);
            self.columns[column].push(lane);
            way.push(lane);
        }
        way.push(to);
        way
    }

    /// Puts each column into the order of the mean places of its neighbours, to and fro.
    fn order(&mut self, ways: &[Vec<usize>]) {
        let mut left: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut right: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (a, b) in ways.iter().flat_map(|w| w.iter().zip(w.iter().skip(1))) {
            let (low, high) = match at(&self.column_of, *a) < at(&self.column_of, *b) {
                true => (*a, *b),
                false => (*b, *a),
            };
            right.entry(low).or_default().push(high);
            left.entry(high).or_default().push(low);
        }
        let mut place = vec![0; self.sizes.len()];
        for column in &self.columns {
            remember(column, &mut place);
        }
        for sweep in 0..SWEEPS {
            let count = self.columns.len();
            for n in 0..count {
                let (column, neighbours) = match sweep % 2 {
                    0 => (n, &left),
                    _ => (count - 1 - n, &right),
                };
                let items = &mut self.columns[column];
                items.sort_by_cached_key(|item| match neighbours.get(item) {
                    Some(near) => {
                        let sum: usize = near.iter().map(|n| at(&place, *n)).sum();
                        // In thousandths: whole numbers sort the same everywhere.
                        (sum * 1000 / near.len().max(1), at(&place, *item))
                    }
                    None => (at(&place, *item) * 1000, at(&place, *item)),
                });
                remember(items, &mut place);
            }
        }
    }

    fn place(&self, boxes: usize, ways: &[Vec<usize>]) -> Arranged {
        let tall = |column: &Vec<usize>| -> u32 {
            column.iter().map(|i| at(&self.sizes, *i).1 + ROW_GAP).sum()
        };
        let height = self.columns.iter().map(tall).max().unwrap_or(0);
        let mut rects = vec![
            Rect {
                x: 0,
                y: 0,
                width: 0,
                height: 0
            };
            self.sizes.len()
        ];
        let mut ends = vec![0; self.sizes.len()];
        let mut x = MARGIN;
        for column in &self.columns {
            let wide = column
                .iter()
                .map(|i| at(&self.sizes, *i).0)
                .max()
                .unwrap_or(0);
            let mut y = MARGIN + (height - tall(column)) / 2;
            for item in column {
                let (width, tall) = at(&self.sizes, *item);
                rects[*item] = Rect {
                    x,
                    y,
                    // A lane is as wide as its column: an arrow crosses it straight.
                    width: if *item < boxes { width } else { wide },
                    height: tall,
                };
                ends[*item] = x + wide;
                y += tall + ROW_GAP;
            }
            x += wide + COLUMN_GAP;
        }
        let arrows = ways.iter().map(|way| points(way, &rects, &ends)).collect();
        rects.truncate(boxes);
        Arranged {
            boxes: rects,
            arrows,
            width: x.saturating_sub(COLUMN_GAP) + MARGIN,
            height: height + 2 * MARGIN,
        }
    }
}

fn remember(column: &[usize], place: &mut [usize]) {
    for (n, item) in column.iter().enumerate() {
        place[*item] = n;
    }
}

/// Out of the side that faces the next item, through lanes from end to end, into the side that faces back. `ends` are the right
/// edges of the columns: up to there an arrow runs level, so that it crosses no wider box of the same column.
fn points(way: &[usize], rects: &[Rect], ends: &[u32]) -> Vec<(u32, u32)> {
    let mut out = Vec::new();
    for (n, item) in way.iter().enumerate() {
        let Some(r) = rects.get(*item) else { continue };
        let other = if n == 0 { way.get(1) } else { way.get(n - 1) };
        let other = other.and_then(|o| rects.get(*o)).unwrap_or(r);
        let middle = r.y + r.height / 2;
        let (left, right) = ((r.x, middle), (r.x + r.width, middle));
        let end = (at(ends, *item), middle);
        match other.x < r.x {
            true => out.push(left),
            false if n == 0 => out.extend([right, end]),
            false => out.extend([end, right]),
        }
        if n > 0 && n + 1 < way.len() {
            out.push(if other.x < r.x { right } else { left });
        }
    }
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn overlap(a: &Rect, b: &Rect) -> bool {
        a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the arrows, circles among them: no two boxes share a spot, and all are inside.
        #[test]
        fn boxes_never_overlap(
            sizes in proptest::collection::vec((40u32..300, 20u32..80), 0..60),
            arrows in proptest::collection::btree_set((0usize..60, 0usize..60), 0..150),
        ) {
            let arrows: BTreeSet<_> = arrows
                .into_iter()
                .filter(|(a, b)| a != b && *a < sizes.len() && *b < sizes.len())
                .collect();
            let found = arrange(&sizes, &arrows);
            prop_assert_eq!(found.arrows.len(), arrows.len());
            for (i, a) in found.boxes.iter().enumerate() {
                prop_assert!(a.x + a.width <= found.width && a.y + a.height <= found.height);
                for b in &found.boxes[i + 1..] {
                    prop_assert!(!overlap(a, b), "{:?} {:?}", a, b);
                }
            }
        }
    }

    #[test]
    fn what_is_needed_stands_left_of_what_needs_it() {
        let arrows = BTreeSet::from([(0, 1), (1, 2), (0, 2)]);
        let found = arrange(&[(50, 20); 3], &arrows);
        let x: Vec<u32> = found.boxes.iter().map(|r| r.x).collect();
        assert!(x[2] < x[1] && x[1] < x[0], "{x:?}");
        // The long arrow has a lane past the box between its ends.
        let lane = &found.arrows[1];
        assert_eq!(lane.len(), 4);
        let middle = &found.boxes[1];
        assert!(lane[1].1 < middle.y || lane[1].1 > middle.y + middle.height);
    }
}
