//! Forgetting what is long past: runs with their plans and records, and the history of the records. The chains begin later then, and are
//! as verifiable as before: the head keeps the link that the first row which is kept follows on.

use std::collections::BTreeSet;

use super::StoreError;
use super::chain::{Chain, Link};
use super::database::Sql;
use super::handle::{Store, Write, cells};
use super::head::Pruned;
use super::history;
use super::runs::{RunRow, read_run};
use super::sums::Table;
use super::value::{Value, values};

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The last runs, and what was done since the first of them began.
    Runs(u32),
    /// What was not over by then: milliseconds since 1970.
    Since(i64),
}

impl Store {
    /// What is not kept any more.
    pub async fn pruned(&self) -> Result<Option<Pruned>, StoreError> {
        Ok(self.read().await?.head.pruned)
    }

    /// One transaction. The last run, runs without an end and those whose steps are in doubt are always kept, and everything since
    /// the first that is kept. What went this time.
    pub async fn prune(&self, keep: Keep, at_ms: i64) -> Result<Pruned, StoreError> {
        let mut write = self.write().await?;
        let cut = write.cut(keep).await?;
        let gone = Pruned {
            at_ms,
            before_ms: cut.before_ms,
            runs: u64::try_from(cut.runs.len()).unwrap_or(u64::MAX),
            records: write.cut_journal(&cut).await?,
            changes: write.cut_history(&cut).await?,
        };
        if (gone.runs, gone.records, gone.changes) == (0, 0, 0) {
            return Ok(gone);
        }
        write.cut_runs(&cut).await?;
        let before = write.head.pruned.unwrap_or_default();
        write.head.pruned = Some(Pruned {
            at_ms,
            before_ms: cut.before_ms.max(before.before_ms),
            runs: before.runs + gone.runs,
            records: before.records + gone.records,
            changes: before.changes + gone.changes,
        });
        write.commit().await?;
        Ok(gone)
    }
}

/// What goes.
struct Cut {
    runs: BTreeSet<String>,
    plans: BTreeSet<String>,
    /// What people did by hand goes when it is older.
    before_ms: i64,
}

impl Write {
    async fn cut(&mut self, keep: Keep) -> Result<Cut, StoreError> {
        let rows = self.all(Table::Runs).await?;
        let runs: Result<Vec<RunRow>, StoreError> = rows.into_iter().map(read_run).collect();
        let mut runs = runs?;
        runs.sort_by(|a, b| (a.started_ms, &a.id).cmp(&(b.started_ms, &b.id)));
        let mut in_doubt = BTreeSet::new();
        for row in self.all(Table::OpenSteps).await? {
            let [run, _, _] = cells(row)?;
            in_doubt.insert(run.text()?);
        }
        let last = self.head.run.as_ref().map(|r| r.id.as_str());
        let wanted = match keep {
            Keep::Runs(count) => runs
                .len()
                .saturating_sub(usize::try_from(count).unwrap_or(0)),
            Keep::Since(_) => runs.len(),
        };
        let is_kept = |(place, run): (usize, &RunRow)| {
            let is_over = match (keep, run.finished_ms) {
                (_, None) => false,
                (Keep::Since(since), Some(end)) => end < since,
                (Keep::Runs(_), Some(_)) => place < wanted,
            };
            !is_over || in_doubt.contains(&run.id) || last == Some(run.id.as_str())
        };
        let first = runs.iter().enumerate().position(is_kept);
        let kept = runs.split_off(first.unwrap_or(runs.len()));
        let begun = kept.first().map(|run| run.started_ms);
        let before_ms = match (keep, begun) {
            (Keep::Since(since), begun) => begun.map_or(since, |begun| since.min(begun)),
            // With no run gone there is nothing that is older than what is kept.
            (Keep::Runs(_), Some(begun)) if !runs.is_empty() => begun,
            (Keep::Runs(_), _) => i64::MIN,
        };
        let still: BTreeSet<&str> = kept.iter().map(|run| run.plan.as_str()).collect();
        let plans = runs.iter().map(|run| run.plan.clone());
        Ok(Cut {
            plans: plans
                .filter(|plan| !still.contains(plan.as_str()))
                .collect(),
            runs: runs.into_iter().map(|run| run.id).collect(),
            before_ms,
        })
    }

    async fn cut_journal(&mut self, cut: &Cut) -> Result<u64, StoreError> {
        let goes = |row: &[Value]| {
            let run = row.get(1).cloned().unwrap_or(Value::Null).text()?;
            Ok(cut.runs.contains(&run))
        };
        self.cut_chain(Chain::Journal, goes).await
    }

    async fn cut_history(&mut self, cut: &Cut) -> Result<u64, StoreError> {
        let goes = |row: &[Value]| {
            let past = history::past(row.to_vec())?;
            Ok(match &past.by {
                history::By::Run(run) => cut.runs.contains(run),
                history::By::Person(_) => past.at_ms < cut.before_ms,
            })
        };
        self.cut_chain(Chain::History, goes).await
    }

    /// From the beginning up to the first row that stays: how many went.
    async fn cut_chain(
        &mut self,
        chain: Chain,
        goes: impl Fn(&[Value]) -> Result<bool, StoreError>,
    ) -> Result<u64, StoreError> {
        let (mut end, mut count) = (chain.start(&self.head), 0);
        'rows: loop {
            let mut at = end;
            let rows = chain.after(&mut self.tx, &mut at).await?;
            if rows.is_empty() {
                break;
            }
            for mut row in rows {
                let sum = row.pop().unwrap_or(Value::Null);
                if !goes(&row)? {
                    break 'rows;
                }
                end = Link::of(&row, sum)?;
                count += 1;
            }
        }
        let sql = format!("DELETE FROM {} WHERE seq <= $1", chain.table());
        self.tx.execute(Sql::Built(sql), values![end.seq]).await?;
        chain.begin_at(&mut self.head, end);
        Ok(count)
    }

    async fn cut_runs(&mut self, cut: &Cut) -> Result<(), StoreError> {
        let keys = |all: &BTreeSet<String>| all.iter().map(|id| values![id.as_str()]).collect();
        self.remove(Table::Runs, keys(&cut.runs)).await?;
        self.remove(Table::Plans, keys(&cut.plans)).await?;
        let mut requests = Vec::new();
        for row in self.all(Table::Requests).await? {
            let [seq, run, _, _, _, _] = cells(row)?;
            if cut.runs.contains(&run.text()?) {
                requests.push(vec![seq]);
            }
        }
        self.remove(Table::Requests, requests).await.map(drop)
    }
}
