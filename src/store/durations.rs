//! How long steps have taken: a histogram for each kind, for forecasts. Losing it loses nothing else.

use std::collections::BTreeMap;

use super::StoreError;
use super::handle::Store;
use super::value::values;
use crate::plan::forecast::{Durations, Spread};

/// Each bucket is a quarter wider than the one before: no forecast is better than that.
const STEP: f64 = 1.25;

impl Store {
    /// Adds the times, in milliseconds, that steps took which did something.
    pub async fn learn(&self, times: &BTreeMap<&'static str, Vec<u64>>) -> Result<(), StoreError> {
        if times.is_empty() {
            return Ok(());
        }
        let mut write = self.write().await?;
        for (title, times) in times {
            let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
            for ms in times {
                *counts.entry(bucket(*ms)).or_default() += 1;
            }
            for (bucket, count) in counts {
                let sql = "INSERT INTO durations (title, bucket, count) VALUES ($1, $2, $3)
                     ON CONFLICT (title, bucket) DO UPDATE SET count = durations.count + excluded.count";
                write
                    .tx
                    .execute(sql, values![*title, bucket, count])
                    .await?;
            }
        }
        write.commit().await
    }

    pub async fn durations(&self) -> Result<Durations, StoreError> {
        let sql = "SELECT title, bucket, count FROM durations ORDER BY title, bucket";
        let rows = self.read().await?.tx.rows(sql, values![]).await?;
        let mut buckets: BTreeMap<String, Vec<(i64, u64)>> = BTreeMap::new();
        for row in rows {
            let [title, bucket, count] = row.cells()?;
            let count = u64::try_from(count.int()?).unwrap_or_default();
            let of = buckets.entry(title.text()?).or_default();
            of.push((bucket.int()?, count));
        }
        let spreads = buckets.into_iter();
        Ok(Durations(
            spreads.map(|(title, all)| (title, spread(&all))).collect(),
        ))
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
