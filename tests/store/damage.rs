//! Damage is found, named, and left as it is: flipped bits, lost and replayed rows, cut files, full disks, old copies.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bmctl::apply::lifecycle;
use bmctl::plan::step::{BootTarget, InstanceBoot};
use bmctl::secret::{Key32, Secret};
use bmctl::store::{
    Actor, Batch, BootEntry, HighWater, NewDeployment, Note, Request, StateChange, Store,
    StoreError, TERM, Which,
};
use tempfile::TempDir;

use super::{Place, begin, on_both, plan_of, run, sealer};
use crate::fleet::addr;

on_both! {
    a_row_that_was_changed_lost_or_put_back_is_found,
    a_journal_that_was_touched_is_found,
    an_old_copy_is_refused_until_it_is_accepted,
}

/// A state with something in every table that plan and apply read.
pub async fn fill(store: &Store, steps: u64) {
    let plan = plan_of(store, steps as usize).await;
    for id in ["r-1", "r-2"] {
        begin(store, id, &plan).await;
        for (number, step) in (1..).zip(&plan.steps) {
            let started = Note::Started { step, at_ms: 1 };
            let finished = Note::Finished {
                step,
                outcome: "{}".to_owned(),
                at_ms: 2,
            };
            // The last one of the second run stays open.
            let notes = if number == steps && id == "r-2" {
                vec![started]
            } else {
                vec![started, finished]
            };
            let mut changes =
                lifecycle::effects(&step.step, None, &std::collections::BTreeMap::new());
            changes.push(StateChange::LeaveBehind {
                node: addr("node.a"),
                tables: vec![format!("mbr:{number:08x}").parse().unwrap()],
            });
            let batch = Batch {
                number,
                notes,
                changes,
            };
            store.append(id, &batch).await.unwrap();
        }
    }
    store
        .claim(&addr("node.a"), &addr("instance.a"))
        .await
        .unwrap();
    store
        .claim(&addr("node.b"), &addr("instance.b"))
        .await
        .unwrap();
    store
        .put_secret("node.a/password", &Secret::new("hunter2"))
        .await
        .unwrap();
    let entry = BootEntry::Instance {
        instance: addr("instance.a"),
        target: BootTarget {
            site: addr("site.lab"),
            server: [10, 99, 0, 1].into(),
            http_port: 8081,
            bios_loader: bmctl::model::BiosLoader::Ipxe,
            firmware: bmctl::model::Firmware::Bios,
            macs: vec!["52:54:00:00:00:01".parse().unwrap()],
            address: None,
        },
        boot: InstanceBoot::LocalDisk,
    };
    store.put_boot_entry(&entry).await.unwrap();
    fill_channel(store).await;
    let lease = store.acquire(&Actor::here(), TERM).await.unwrap();
    lease.release().await.unwrap();
}

/// What booting nodes and other terminals have said.
async fn fill_channel(store: &Store) {
    let target = BootTarget {
        site: addr("site.lab"),
        server: [10, 99, 0, 1].into(),
        http_port: 8081,
        bios_loader: bmctl::model::BiosLoader::Ipxe,
        firmware: bmctl::model::Firmware::Bios,
        macs: vec!["52:54:00:00:00:02".parse().unwrap()],
        address: None,
    };
    let entry = BootEntry::Deploy {
        deployment: "d-1".to_owned(),
        target,
        ramdisk: "r".to_owned(),
        kernel_args: String::new(),
    };
    let new = NewDeployment {
        id: "d-1",
        instance: &addr("instance.b"),
        node: &addr("node.b"),
        token: &Key32::new([1; 32]),
        expires_ms: 100,
    };
    store.open_deployment(&new, &entry).await.unwrap();
    let mac = "52:54:00:00:00:02".parse().unwrap();
    let key = Key32::new([2; 32]);
    assert!(store.exchange("d-1", mac, &key).await.unwrap());
    for line in ["verb=identify", "verb=reboot"] {
        store.send_command("d-1", line).await.unwrap();
    }
    assert!(store.answer_command("d-1", 1, "ok", "yes").await.unwrap());
    let phone = addr("instance.b");
    store.expect_phone(&phone, "t", 100).await.unwrap();
    store.ask("r-2", Request::Pause, "me", 1).await.unwrap();
    store.hear("r-2", 2).await.unwrap();
    store.ask("r-2", Request::Abort, "me", 3).await.unwrap();
    let times = [("power off", vec![100, 2000]), ("identify", vec![0])];
    store.learn(&times.into()).await.unwrap();
}

/// What is read of booting nodes, of requests, and by those who look back.
pub async fn more(store: &Store) -> Result<String, StoreError> {
    let deployment = store.deployment_of(&addr("node.b")).await?;
    let of_other = store.deployment_of(&addr("node.c")).await?.is_some();
    let commands = (
        store.command("d-1", 1).await?,
        store.next_command("d-1").await?,
    );
    let phoned = store.phoned(&addr("instance.b")).await?;
    let heard = (store.was_heard(1).await?, store.was_heard(2).await?);
    let mac = "52:54:00:00:00:01".parse().unwrap();
    let served = store.is_served(&[mac]).await?;
    let durations = store.durations().await?;
    let about = store.records_about(&addr("flavor.f[3]")).await?;
    let of_run = store.records_of_run("r-1").await?;
    let all = store.history(Which::All, 20).await?;
    let of_one = store.history(Which::Of(&addr("flavor.f[2]")), 1000).await?;
    let open = store.open_run().await?;
    Ok(format!(
        "{:?} {of_other} {commands:?} {phoned:?} {heard:?} {served} {durations:?} {about:?} {of_run:?} {all:?} {of_one:?} {open:?}",
        deployment.map(|d| (d.id, d.status, d.mac, d.last_seq, d.expires_ms)),
    ))
}

/// Everything that plan and apply read, as one text.
async fn everything(store: &Store) -> Result<String, StoreError> {
    let recorded = store.recorded().await?;
    let (claims, runs) = (store.claims().await?, store.runs().await?);
    let mut plans = Vec::new();
    for run in &runs {
        plans.push(store.plan(&run.plan).await?);
    }
    let unfinished = store.unfinished().await?;
    let secret = store.secret("node.a/password").await?;
    let boot = store.boot_entries(&addr("site.lab")).await?;
    let leases = store.leases().await?;
    let leases: Vec<_> = leases
        .iter()
        .map(|l| (&l.holder, l.token, l.since_ms))
        .collect();
    let more = more(store).await?;
    let verified = store.verify().await?;
    Ok(format!(
        "{more} {recorded:?} {claims:?} {runs:?} {plans:?} {unfinished:?} {} {boot:?} {leases:?} {verified:?}",
        secret.expose()
    ))
}

/// The bytes of a filled SQLite state, and what is read from it.
fn filled() -> (Vec<u8>, String) {
    let mut out = None;
    run(async {
        let place = Place::sqlite();
        let Place::Sqlite(dir) = &place else { return };
        let store = place.open().await;
        // Pages that hold something, rather than empty ones.
        fill(&store, 100).await;
        let read = everything(&store).await.unwrap();
        store.close().await;
        out = Some((std::fs::read(dir.path().join("state.db")).unwrap(), read));
    });
    out.unwrap()
}

/// xorshift64*: the seed is printed, and gives the same damage again.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

fn seed() -> u64 {
    match std::env::var("BMCTL_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => u64::from(std::process::id()) << 20 | 1,
    }
}

async fn read_from(dir: &Path, bytes: &[u8]) -> Result<String, StoreError> {
    for name in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(dir.join(name));
    }
    std::fs::write(dir.join("state.db"), bytes).unwrap();
    let store = Store::open(dir, sealer()).await?;
    let read = everything(&store).await;
    store.close().await;
    read
}

/// Each flip is refused with a place, or everything reads as before.
fn flips(count: usize) {
    let (bytes, expected) = filled();
    let seed = seed();
    eprintln!("BMCTL_SEED={seed}");
    let mut draw = Draw(seed);
    let Place::Sqlite(dir) = Place::sqlite() else {
        return;
    };
    let mut refused = 0;
    run(async {
        for _ in 0..count {
            let (at, bit) = (draw.below(bytes.len()), draw.below(8));
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            match read_from(dir.path(), &damaged).await {
                Ok(read) => assert_eq!(read, expected, "bit {bit} of byte {at}, seed {seed}"),
                Err(error) => {
                    refused += 1;
                    named(&error);
                }
            }
        }
    });
    assert!(refused > count / 10, "{refused} of {count} were noticed");
}

/// An error of damage says where it is, or that it is everything.
fn named(error: &StoreError) {
    match error {
        StoreError::Corrupt { what, why } => {
            assert!(!what.is_empty() && !why.is_empty(), "{error}")
        }
        StoreError::Database { place, .. }
        | StoreError::Migrate { place, .. }
        | StoreError::NewerForm { place, .. }
        | StoreError::ReadOnly { place } => assert!(!place.is_empty(), "{error}"),
        StoreError::WrongKey(name) | StoreError::NoSecret(name) => assert!(!name.is_empty()),
        other => panic!("{other}"),
    }
}

/// The files that a killed process leaves, with most of what it did in the log, and what is read from them.
fn killed() -> (Vec<(&'static str, Vec<u8>)>, String) {
    let mut out = None;
    run(async {
        let place = Place::sqlite();
        let Place::Sqlite(dir) = &place else { return };
        let store = place.open().await;
        fill(&store, 40).await;
        // What a lease says of its time is not counted, so it is not the last.
        let last = bmctl::secret::Secret::new("last".to_owned());
        store.put_secret("last", &last).await.unwrap();
        let read = everything(&store).await.unwrap();
        let files = ["state.db", "state.db-wal", "state.db-shm", "state.mark"];
        let files = files.map(|name| (name, std::fs::read(dir.path().join(name)).unwrap()));
        out = Some((files.to_vec(), read));
        store.close().await;
    });
    out.unwrap()
}

async fn read_all_of(dir: &Path, files: &[(&'static str, Vec<u8>)]) -> Result<String, StoreError> {
    for (name, bytes) in files {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
    let store = Store::open(dir, sealer()).await?;
    let read = everything(&store).await;
    store.close().await;
    read
}

/// SQLite would take what is before the damage, which is an older state, without a word.
fn flips_after_a_kill(count: usize) {
    let (files, expected) = killed();
    let seed = seed();
    eprintln!("BMCTL_SEED={seed}");
    let mut draw = Draw(seed);
    let Place::Sqlite(dir) = Place::sqlite() else {
        return;
    };
    run(async {
        let whole = read_all_of(dir.path(), &files).await.unwrap();
        assert_eq!(whole, expected);
        let mut refused = 0;
        for round in 0..count {
            // Of the log, every tenth time of its index.
            let file = if round % 10 == 9 { 2 } else { 1 };
            let mut damaged = files.clone();
            let bytes = &mut damaged[file].1;
            let (at, bit) = (draw.below(bytes.len()), draw.below(8));
            bytes[at] ^= 1 << bit;
            match read_all_of(dir.path(), &damaged).await {
                Ok(read) => assert_eq!(
                    read, expected,
                    "bit {bit} of byte {at} of {file}, seed {seed}"
                ),
                Err(error) => {
                    refused += 1;
                    named(&error);
                }
            }
        }
        assert!(refused > count / 2, "{refused} of {count} were noticed");
        let mut cut = files.clone();
        let length = cut[1].1.len();
        cut[1].1.truncate(length / 2);
        named(&read_all_of(dir.path(), &cut).await.unwrap_err());
        std::fs::remove_file(dir.path().join("state.db-wal")).unwrap();
        cut.remove(1);
        let lost = read_all_of(dir.path(), &cut).await.unwrap_err();
        assert!(
            lost.to_string().contains("was committed last stands there"),
            "{lost}"
        );
    });
}

#[test]
fn a_log_that_lost_what_was_committed_is_refused() {
    flips_after_a_kill(100);
}

#[test]
#[ignore = "1,000 databases: make test-store"]
fn a_log_that_lost_what_was_committed_is_refused_1000_times() {
    flips_after_a_kill(1000);
}

/// After a power cut the index is made anew and tells nothing: what was committed is counted beside the database.
#[test]
fn a_log_that_lost_its_end_is_refused_without_its_index_too() {
    const FRAME_BYTES: usize = 24 + 4096;
    let (mut files, expected) = killed();
    files.remove(2);
    let seed = seed();
    eprintln!("BMCTL_SEED={seed}");
    let mut draw = Draw(seed);
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let log = files[1].1.len();
        assert!(log > 20 * FRAME_BYTES, "{log}");
        for round in 0..60 {
            // Of the last frames most of the time: the last transaction by itself.
            let within = if round % 3 == 2 {
                log - 32
            } else {
                2 * FRAME_BYTES
            };
            let (at, bit) = (log - 1 - draw.below(within), draw.below(8));
            let mut damaged = files.clone();
            damaged[1].1[at] ^= 1 << bit;
            let _ = std::fs::remove_file(dir.path().join("state.db-shm"));
            let found = read_all_of(dir.path(), &damaged).await;
            let found = found.map(|all| all == expected);
            assert!(
                matches!(found, Err(StoreError::Behind { .. })),
                "bit {bit} of byte {at}, seed {seed}: {found:?}"
            );
        }
        // Cut off while the next one was written: nobody was told that it is there.
        let mut torn = files.clone();
        let frame = torn[1].1[log - FRAME_BYTES..log - 100].to_vec();
        torn[1].1.extend(frame);
        let _ = std::fs::remove_file(dir.path().join("state.db-shm"));
        assert_eq!(read_all_of(dir.path(), &torn).await.unwrap(), expected);
        // One line of the count is damaged, then the other as well.
        for (byte, is_whole) in [(20, true), (520, false)] {
            files[2].1[byte] ^= 1;
            let _ = std::fs::remove_file(dir.path().join("state.db-shm"));
            let found = read_all_of(dir.path(), &files).await;
            assert_eq!(found.is_ok(), is_whole);
        }
    });
}

/// Cut off between a commit and its count, a transaction is there and not counted. An older copy of the database is behind its
/// count, until somebody takes it.
#[test]
fn what_is_there_and_not_counted_is_no_loss_and_what_is_missing_can_be_accepted() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let commit = async |name: &str| {
            let store = Store::open(dir.path(), sealer()).await.unwrap();
            let secret = bmctl::secret::Secret::new("s".to_owned());
            store.put_secret(name, &secret).await.unwrap();
            store.close().await;
            let read = |file: &str| std::fs::read(path(file)).unwrap();
            (read("state.db"), read("state.mark"))
        };
        let (_, first) = commit("a").await;
        let (database, _) = commit("b").await;
        std::fs::write(path("state.mark"), first).unwrap();
        commit("c").await;
        std::fs::write(path("state.db"), database).unwrap();
        let old = Store::open(dir.path(), sealer()).await.unwrap();
        for refused in [
            old.recorded().await.unwrap_err(),
            old.check_key().await.unwrap_err(),
            old.put_secret("d", &bmctl::secret::Secret::new("s".to_owned()))
                .await
                .unwrap_err(),
        ] {
            let told = refused.to_string();
            assert!(
                told.contains("1 transactions") && told.contains("state accept"),
                "{told}"
            );
        }
        old.accept().await.unwrap();
        old.close().await;
        commit("d").await;
    });
}

#[test]
fn flipped_bits_are_refused_or_without_effect() {
    flips(300);
}

#[test]
#[ignore = "1,000 databases: make test-store"]
fn a_thousand_flipped_bits_are_refused_or_without_effect() {
    flips(1000);
}

/// A file that was cut at any page, or within one, is not taken for a smaller state.
#[test]
fn a_cut_file_is_refused() {
    let (bytes, _) = filled();
    let Place::Sqlite(dir) = Place::sqlite() else {
        return;
    };
    run(async {
        for length in (512..bytes.len()).step_by(1536) {
            let read = read_from(dir.path(), &bytes[..length]).await;
            let error = read
                .err()
                .unwrap_or_else(|| panic!("cut to {length} bytes: taken as whole"));
            named(&error);
        }
    });
}

/// A statement of somebody else, past every check; it touches one row.
pub async fn meddle(place: &Place, statement: &'static str) {
    let touched = match place {
        Place::Sqlite(dir) => {
            let file = dir.path().join("state.db");
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            let done = sqlx::query(statement).execute(&pool).await.unwrap();
            pool.close().await;
            done.rows_affected()
        }
        Place::Postgres(workspace) => {
            let url = crate::postgres::shared().url();
            let pool = sqlx::PgPool::connect(url.expose()).await.unwrap();
            let mut tx = pool.begin().await.unwrap();
            let path = format!("SET LOCAL search_path TO bmctl_{workspace}");
            let path = sqlx::query(sqlx::AssertSqlSafe(path));
            path.execute(&mut *tx).await.unwrap();
            let done = sqlx::query(statement).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
            pool.close().await;
            done.rows_affected()
        }
    };
    assert_eq!(touched, 1, "{statement}");
}

/// Statements of somebody else, such as those that put back what was there.
async fn aside(place: &Place, statements: String) {
    let sql = |text: String| sqlx::raw_sql(sqlx::AssertSqlSafe(text));
    match place {
        Place::Sqlite(dir) => {
            let file = dir.path().join("state.db");
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            sql(statements).execute(&pool).await.unwrap();
            pool.close().await;
        }
        Place::Postgres(workspace) => {
            let url = crate::postgres::shared().url();
            let pool = sqlx::PgPool::connect(url.expose()).await.unwrap();
            let all = format!("SET search_path TO bmctl_{workspace}; {statements}");
            sql(all).execute(&pool).await.unwrap();
            pool.close().await;
        }
    }
}

/// The place that is named for what a statement does. What was there is put back.
async fn found_after(place: &Place, store: &Store, statement: &'static str) -> String {
    let mut words = statement
        .split(' ')
        .skip_while(|w| ["UPDATE", "DELETE", "FROM"].contains(w));
    let table = words.next().unwrap();
    aside(place, format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
    meddle(place, statement).await;
    let found = everything(store).await;
    aside(
        place,
        format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept"),
    )
    .await;
    match found {
        Err(StoreError::Corrupt { what, .. }) => what,
        other => panic!("{statement}: {other:?}"),
    }
}

/// Each statement on the same state, which is whole before and after.
async fn all_are_found(place: &Place, statements: &[(&'static str, &str)]) {
    let store = place.open().await;
    fill(&store, 12).await;
    let whole = everything(&store).await.unwrap();
    for (statement, expected) in statements {
        let found = found_after(place, &store, statement).await;
        assert!(found.contains(expected), "{statement}: {found}");
    }
    assert_eq!(everything(&store).await.unwrap(), whole);
}

async fn a_row_that_was_changed_lost_or_put_back_is_found(place: Place) {
    let statements = [
        (
            "UPDATE resources SET body = replace(body, '512', '513') WHERE addr = 'flavor.f[0]'",
            "flavor.f[0] (table resources)",
        ),
        (
            "UPDATE resources SET addr = 'flavor.g' WHERE addr = 'flavor.f[1]'",
            "flavor.g (table resources)",
        ),
        (
            "DELETE FROM resources WHERE addr = 'flavor.f[3]'",
            "table resources",
        ),
        ("DELETE FROM claims WHERE node = 'node.a'", "table claims"),
        (
            "UPDATE claims SET instance = 'instance.c' WHERE node = 'node.b'",
            "node.b (table claims)",
        ),
        (
            "DELETE FROM left_behind WHERE partitioning = 'mbr:00000003'",
            "table left_behind",
        ),
        ("DELETE FROM runs WHERE id = 'r-1'", "table runs"),
        (
            "UPDATE runs SET outcome = 'done' WHERE id = 'r-2'",
            "r-2 (table runs)",
        ),
        ("DELETE FROM open_steps", "table open_steps"),
        (
            "UPDATE secrets SET name = 'node.b/password'",
            "table secrets",
        ),
        (
            "UPDATE deployments SET status = 'ready' WHERE id = 'd-1'",
            "d-1 (table deployments)",
        ),
        (
            "UPDATE deployments SET node = 'node.x' WHERE id = 'd-1'",
            "d-1 (table deployments)",
        ),
        ("DELETE FROM deployments", "table deployments"),
        (
            "UPDATE commands SET status = 'ok' WHERE id = 2",
            "d-1 2 (table commands)",
        ),
        (
            "DELETE FROM commands WHERE id = 1",
            "command 1 of deployment d-1",
        ),
        ("DELETE FROM commands WHERE id = 2", "table commands"),
        (
            "UPDATE phones SET expires_at = expires_at + 1",
            "(table phones)",
        ),
        ("DELETE FROM phones", "table phones"),
        (
            "UPDATE requests SET what = 'abort' WHERE seq = 1",
            "1 (table requests)",
        ),
        ("DELETE FROM requests WHERE seq = 2", "table requests"),
        (
            "UPDATE durations SET count = count + 1 WHERE title = 'identify'",
            "identify -1 (table durations)",
        ),
        (
            "DELETE FROM durations WHERE title = 'identify'",
            "table durations",
        ),
        (
            "UPDATE boot SET served = 1 WHERE mac = '52:54:00:00:00:01'",
            "52:54:00:00:00:01 (table boot)",
        ),
        ("UPDATE lease SET expires = expires + 100000", "the lease"),
        (
            "UPDATE head SET body = replace(body, '\"serial\":24', '\"serial\":12')",
            "the head of the state",
        ),
        ("DELETE FROM head", "the head of the state"),
        (
            "UPDATE history SET addr = 'flavor.g' WHERE seq = 3",
            "history row 3",
        ),
        ("DELETE FROM history WHERE seq = 4", "history row 5"),
        (
            "DELETE FROM history WHERE seq = (SELECT max(seq) FROM history)",
            "the history",
        ),
    ];
    all_are_found(&place, &statements).await;
}

async fn a_journal_that_was_touched_is_found(place: Place) {
    let statements = [
        (
            "UPDATE journal SET body = 'x' WHERE seq = 10",
            "journal record 10",
        ),
        (
            "UPDATE journal SET at = 7 WHERE seq = 20",
            "journal record 20",
        ),
        ("DELETE FROM journal WHERE seq = 5", "journal record 6"),
        // The last one, which is the start of the step that is open.
        ("DELETE FROM journal WHERE seq = 47", "journal record 47"),
        ("UPDATE journal SET seq = 99 WHERE seq = 30", "the journal"),
    ];
    all_are_found(&place, &statements).await;
}

async fn an_old_copy_is_refused_until_it_is_accepted(place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let seen = HighWater::of(dir.path());
    let store = place.open().await;
    fill(&store, 12).await;
    let remembering = store.remembering(seen.clone());
    assert_eq!(remembering.recorded().await.unwrap().serial, 24);
    let file = dir.path().join(".bmctl/high-water");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What an older copy of this state would say.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(":24", ":25")).unwrap();
    let refused = remembering.recorded().await;
    assert!(
        matches!(
            refused,
            Err(StoreError::OldCopy {
                serial: 24,
                seen: 25,
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(remembering.accept().await.unwrap(), 24);
    remembering.recorded().await.unwrap();
    // What a state that was emptied, or another one, would say.
    let lineage = store.recorded().await.unwrap().lineage;
    let other = text.replace(&lineage, "0123456789abcdef0123456789abcdef");
    std::fs::write(&file, other).unwrap();
    let refused = remembering.recorded().await;
    assert!(
        matches!(refused, Err(StoreError::OtherState { .. })),
        "{refused:?}"
    );
}

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// Many flavors, and their state in a directory of its own.
fn configuration() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let text = "bmctl {\n  state \"sqlite\" { path = \"state\" }\n}\nflavor \"f\" {\n  count = 1500\n  cpus = 1\n  memory_mb = 512\n  root_gb = 1\n}\n";
    std::fs::write(dir.path().join("main.hcl"), text).unwrap();
    (dir, state)
}

fn shell(script: &str, dir: &Path) -> (Option<i32>, String) {
    let ended = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .env("BMCTL", env!("CARGO_BIN_EXE_bmctl"))
        .env("BMCTL_KEY", KEY)
        .current_dir(dir)
        .output()
        .unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    (
        ended.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// On a disk that is full in the middle of an apply: it says so, what is there stays whole, and with more room the next apply
/// goes on from there.
#[test]
fn a_full_disk_is_named_and_nothing_is_lost() {
    let (dir, _) = configuration();
    let script = "mount -t tmpfs -o size=640k,mode=700 state state || exit 99
$BMCTL apply --auto-approve >log 2>&1; echo \"first $?\"; grep -i error log
mount -o remount,size=64m state
$BMCTL state verify; $BMCTL apply --auto-approve >log 2>&1; echo \"second $?\"; tail -n1 log
$BMCTL state list | wc -l";
    let (code, said) = shell(script, dir.path());
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "first 1",
        "the disk is full",
        "state/state.db",
        "Whole:",
        "second 0",
        "1500",
    ] {
        assert!(said.contains(part), "`{part}` in {said}");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let (dir, state) = configuration();
    let script = "mount -t tmpfs -o size=64m,mode=700 state state || exit 99
mount -o remount,ro state
$BMCTL apply --auto-approve 2>&1; echo \"ended $?\"";
    let (code, said) = shell(script, dir.path());
    assert_eq!(code, Some(0), "{said}");
    let place = state.display().to_string();
    for part in ["Read-only file system", place.as_str(), "ended 1"] {
        assert!(said.contains(part), "`{part}` in {said}");
    }
}

/// A mount that may only be read is read, whatever stands in the log; what would write says why it does not.
#[test]
fn a_state_that_may_only_be_read_is_read() {
    let (dir, _) = configuration();
    let script = "mount -t tmpfs -o size=64m,mode=700 state state || exit 99
$BMCTL apply --auto-approve >log 2>&1; tail -n1 log
look() {
  $BMCTL state list | wc -l; $BMCTL state verify; $BMCTL plan; $BMCTL lock list
  $BMCTL state rm 'flavor.f[0]' 2>&1; echo \"rm $?\"
}
mount -o remount,ro state; echo as it is left; look
mount -o remount,rw state; python3 -c \"import shutil, sqlite3
d = sqlite3.connect('state/state.db'); d.execute('CREATE TABLE other (a)'); d.commit()
shutil.copy('state/state.db-wal', 'log-kept'); d.close()\"
cp log-kept state/state.db-wal; rm -f state/state.db-shm; mount -o remount,ro state; echo without its index
$BMCTL state list 2>&1; echo \"list $?\"
mount -o remount,rw state; $BMCTL lock list; python3 -c \"import sqlite3
d = sqlite3.connect('state/state.db'); d.execute('PRAGMA wal_checkpoint(TRUNCATE)'); d.close()\"
rm -f state/state.db-wal state/state.db-shm; mount -o remount,ro state; echo without a log; look";
    let (code, said) = shell(script, dir.path());
    assert_eq!(code, Some(0), "{said}");
    let refused = "may only be read; nothing was written: give this user the right to write";
    let parts: Vec<&str> = said.split("without ").collect();
    assert_eq!(parts.len(), 3, "{said}");
    for part in [parts[0], parts[2]] {
        for word in [
            "1500\n",
            "Whole:",
            "No changes.",
            "Nobody holds",
            refused,
            "rm 1",
        ] {
            assert!(part.contains(word), "`{word}` in {said}");
        }
    }
    assert!(
        parts[1].contains(refused) && parts[1].contains("list 1"),
        "{said}"
    );
}
