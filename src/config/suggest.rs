//! "Did you mean": the nearest of the names that exist.

/// With more names than this, a guess is not worth the time it takes.
const CANDIDATES_MAX: usize = 2000;

/// The candidate nearest to `found`, when it is near enough to be a slip.
pub fn nearest<'c>(found: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = (found.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .filter(|c| c.len().abs_diff(found.len()) <= 8)
        .map(|c| (distance(found, c), c))
        .filter(|(d, _)| *d <= allowed)
        .min()
        .map(|(_, c)| c)
}

/// `did you mean `x`?`
pub fn did_you_mean<'c>(
    found: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    nearest(found, candidates).map(|c| format!("did you mean `{c}`?"))
}

/// Insertions, deletions, replacements and swaps of neighbours between two names.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let width = b.len() + 1;
    // One row for each beginning of `a`, one column for each of `b`.
    let mut table: Vec<usize> = (0..width).collect();
    let at = |table: &[usize], i: usize, j: usize| {
        table.get(i * width + j).copied().unwrap_or(usize::MAX / 2)
    };
    for (i, ca) in a.iter().enumerate() {
        table.push(i + 1);
        for (j, cb) in b.iter().enumerate() {
            let mut best = (at(&table, i, j) + usize::from(ca != cb))
                .min(at(&table, i, j + 1) + 1)
                .min(at(&table, i + 1, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped {
                best = best.min(at(&table, i - 1, j - 1) + 1);
            }
            table.push(best);
        }
    }
    table.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_only() {
        assert_eq!(
            nearest("memroy_mb", ["cpus", "memory_mb"]),
            Some("memory_mb")
        );
        assert_eq!(nearest("colour", ["cpus", "memory_mb"]), None);
        assert_eq!(nearest("cpu", ["cpus"]), Some("cpus"));
        assert_eq!(nearest("cpsu", ["cpus"]), Some("cpus"));
        assert_eq!((distance("", "abc"), distance("abc", "")), (3, 3));
        assert_eq!(
            (distance("ca", "abc"), distance("kitten", "sitting")),
            (3, 3)
        );
    }
}
