//! `bmctl state prune`, and what commands that look back say of what was pruned.

use super::out::Out;
use super::surgery::{Table, Whose};
use super::{CommandResult, Exit, Failure, Global};
use crate::apply::WallClock;
use crate::drivers::Clock as _;
use crate::store::{Keep, Pruned, Store};
use crate::units::{day_ms, utc};

/// Forget runs, with their plans and their records, and the history of the records, when they are long past. What is recorded
/// stays, and so does what forecasts are made from. The last run is always kept, and so is one that has left steps in doubt.
#[derive(Debug, clap::Args)]
#[group(id = "kept", required = true, multiple = false, args = ["before", "keep"])]
pub struct Args {
    /// What was over before then: a day such as 2026-01-31 (UTC), or an age such as 90d
    #[arg(long, value_name = "WHEN", value_parser = when)]
    before: Option<When>,
    /// All but the last N runs, and what was done since the first of them began
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Milliseconds since 1970.
    At(i64),
    DaysAgo(u32),
}

const DAY_MS: i64 = 86_400_000;

fn when(text: &str) -> Result<When, String> {
    let age = text.strip_suffix('d').and_then(|days| days.parse().ok());
    let day = || day_ms(text).map(When::At);
    let wrong =
        || format!("expected a day such as 2026-01-31, or an age such as 90d, found `{text}`");
    age.map(When::DaysAgo).or_else(day).ok_or_else(wrong)
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let now = WallClock.now_ms();
    let keep = match (args.before, args.keep) {
        (Some(When::At(ms)), _) => Keep::Since(ms),
        (Some(When::DaysAgo(days)), _) => Keep::Since(now - i64::from(days) * DAY_MS),
        (None, Some(count)) => Keep::Runs(count),
        (None, None) => return Err(Failure::new(Exit::Usage, "expected --before or --keep")),
    };
    let table = Table::open(global, &args.whose, out).await?;
    let ended = prune(&table.store, keep, now, out).await;
    table.close(ended).await
}

async fn prune(store: &Store, keep: Keep, now_ms: i64, out: &Out) -> CommandResult {
    let Pruned {
        at_ms: _,
        before_ms,
        runs,
        records,
        changes,
    } = store.prune(keep, now_ms).await?;
    if (runs, records, changes) == (0, 0, 0) {
        out.line("Nothing is that old: nothing was pruned.");
        return Ok(Exit::Done);
    }
    out.line(&format!(
        "Pruned: {runs} runs, {records} records of the journal and {changes} changes of the history, from before {}. What is recorded is as it was.",
        utc(before_ms)
    ));
    Ok(Exit::Done)
}

/// What somebody should know who does not find what is long past; `None` when all of it is there.
pub async fn told(store: &Store) -> Result<Option<String>, Failure> {
    let pruned = store.pruned().await?;
    Ok(pruned.map(|pruned| {
        format!(
            "what was over before {} was pruned on {}: {} runs, {} records of the journal, {} changes of the history",
            utc(pruned.before_ms),
            utc(pruned.at_ms),
            pruned.runs,
            pruned.records,
            pruned.changes
        )
    }))
}

/// A refusal to tell of what is not found, with what may have become of it.
pub async fn not_found(store: &Store, why: &str) -> Failure {
    match told(store).await {
        Ok(Some(pruned)) => Failure::new(Exit::Error, format!("{why}; {pruned}")),
        Ok(None) => Failure::new(Exit::Error, why),
        Err(failure) => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_ages_are_read() {
        assert_eq!(when("90d"), Ok(When::DaysAgo(90)));
        assert_eq!(when("1970-01-02"), Ok(When::At(DAY_MS)));
        assert_eq!(when("2024-02-29"), Ok(When::At(1_709_164_800_000)));
        for wrong in [
            "",
            "d",
            "-1d",
            "2023-02-29",
            "2023-13-01",
            "2023-1",
            "yesterday",
        ] {
            assert!(when(wrong).is_err(), "{wrong}");
        }
    }
}
