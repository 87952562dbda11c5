//! How long steps have taken: a histogram for each kind, for forecasts and for what is begun in a window.

use std::collections::BTreeMap;

use super::StoreError;
use super::handle::{Store, cells};
use super::sums::Table;
use super::value::values;
use crate::plan::forecast::{Durations, Spread};

/// Each bucket is a quarter wider than the one before: no forecast is better than that.
const STEP: f64 = 1.25;

impl Store {
    /// Adds the times, in milliseconds, that steps took which did something. When the answer to its COMMIT is lost they may be
    /// counted twice, which moves no forecast.
    pub async fn learn(&self, times: &BTreeMap<&'static str, Vec<u64>>) -> Result<(), StoreError> {
        if times.is_empty() {
            return Ok(());
        }
        self.patiently(|| async { self.learn_once(times).await })
            .await
    }

    async fn learn_once(&self, times: &BTreeMap<&'static str, Vec<u64>>) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        for (title, times) in times {
            let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
            for ms in times {
                *counts.entry(bucket(*ms)).or_default() += 1;
            }
            let keys = counts.keys().map(|bucket| values![*title, *bucket]);
            for row in write.take(Table::Durations, keys.collect()).await? {
                let [_, bucket, count] = cells(row)?;
                *counts.entry(bucket.int()?).or_default() += count.int()?;
            }
            let rows = counts.iter();
            let rows = rows.map(|(bucket, count)| values![*title, *bucket, *count]);
            write.add(Table::Durations, rows.collect()).await?;
        }
        write.commit().await
    }

    pub async fn durations(&self) -> Result<Durations, StoreError> {
        self.patiently(|| async {
            let mut buckets: BTreeMap<String, Vec<(i64, u64)>> = BTreeMap::new();
            for row in self.read().await?.all(Table::Durations).await? {
                let [title, bucket, count] = cells(row)?;
                let count = u64::try_from(count.int()?).unwrap_or_default();
                let of = buckets.entry(title.text()?).or_default();
                of.push((bucket.int()?, count));
            }
            let spreads = buckets.into_iter();
            Ok(Durations(
                spreads.map(|(title, all)| (title, spread(&all))).collect(),
            ))
        })
        .await
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the logarithm of a time is small"
)]
fn bucket(ms: u64) -> i64 {
    if ms == 0 {
        return -1;
    }
    (ms as f64).log(STEP).floor() as i64
}

/// The upper end of a bucket: a forecast may be too long rather than too short.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no bucket is above the largest time there is"
)]
fn upper_ms(bucket: i64) -> u64 {
    let power = i32::try_from(bucket + 1).unwrap_or(i32::MAX);
    if bucket < 0 {
        0
    } else {
        STEP.powi(power) as u64
    }
}

fn spread(buckets: &[(i64, u64)]) -> Spread {
    let count: u64 = buckets.iter().map(|(_, n)| n).sum();
    let at = |percent: u64| {
        let wanted = (count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, n) in buckets {
            seen += n;
            if seen >= wanted {
                return upper_ms(*bucket);
            }
        }
        0
    };
    Spread {
        p50_ms: at(50),
        p95_ms: at(95),
        count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_a_quarter_wide() {
        assert_eq!(upper_ms(bucket(0)), 0);
        for ms in [1, 2, 99, 1000, 86_400_000] {
            let upper = upper_ms(bucket(ms));
            assert!(upper >= ms && upper <= ms + ms / 4 + 1, "{ms}: {upper}");
        }
        let spread = spread(&[(bucket(100), 90), (bucket(10_000), 10)]);
        assert!(spread.p50_ms < 130 && spread.p95_ms >= 10_000, "{spread:?}");
    }
}
