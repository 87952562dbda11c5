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

/// Insertions, deletions and replacements between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for (cb, pair) in b.iter().zip(row.windows(2)) {
            let (diagonal, above) = match pair {
                [d, a] => (*d, *a),
                _ => (0, 0),
            };
            left = (diagonal + usize::from(ca != *cb))
                .min(above + 1)
                .min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
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
    }
}
