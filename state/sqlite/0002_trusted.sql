-- Every row that plan and apply trust carries a checksum; `head` has the digest of each table, the end of the journal's chain,
-- lineage and serial. Rows of the old form get an empty checksum here and their own one by the program that migrates. The
-- tables are their own index: there is no second copy that could say something else.
CREATE TABLE head (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    -- JSON of store::head::Head.
    body TEXT NOT NULL,
    sum  BLOB NOT NULL
) STRICT;

CREATE TABLE new_resources (
    addr TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    sum  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_resources SELECT addr, body, x'' FROM resources;
DROP TABLE resources;
ALTER TABLE new_resources RENAME TO resources;

CREATE TABLE new_claims (
    node     TEXT NOT NULL PRIMARY KEY,
    instance TEXT NOT NULL UNIQUE,
    sum      BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_claims SELECT node, instance, x'' FROM claims;
DROP TABLE claims;
ALTER TABLE new_claims RENAME TO claims;

CREATE TABLE new_left_behind (
    node         TEXT NOT NULL,
    partitioning TEXT NOT NULL,
    sum          BLOB NOT NULL,
    PRIMARY KEY (node, partitioning)
) STRICT, WITHOUT ROWID;
INSERT INTO new_left_behind SELECT node, partitioning, x'' FROM left_behind;
DROP TABLE left_behind;
ALTER TABLE new_left_behind RENAME TO left_behind;

CREATE TABLE new_secrets (
    name   TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL,
    sum    BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_secrets SELECT name, sealed, x'' FROM secrets;
DROP TABLE secrets;
ALTER TABLE new_secrets RENAME TO secrets;

-- The JSON of a plan, compressed with gzip; the journal names steps by their number in it.
CREATE TABLE plans (
    id   TEXT NOT NULL PRIMARY KEY,
    body BLOB NOT NULL,
    sum  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE new_runs (
    id          TEXT NOT NULL PRIMARY KEY,
    plan        TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    -- JSON of store::Actor; empty for runs of the first form.
    actor       TEXT NOT NULL,
    last_batch  INTEGER NOT NULL,
    finished_at INTEGER,
    outcome     TEXT,
    sum         BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_runs SELECT id, plan, started_at, '', 0, finished_at, outcome, x'' FROM runs;

-- `body` is the outcome of what finished and the verdict on what was settled; of a start, in the first form, the step.
CREATE TABLE new_journal (
    seq     INTEGER PRIMARY KEY,
    run     TEXT NOT NULL,
    step    INTEGER NOT NULL,
    subject TEXT NOT NULL,
    what    TEXT NOT NULL CHECK (what IN ('started', 'finished', 'settled')),
    body    TEXT NOT NULL,
    at      INTEGER NOT NULL,
    sum     BLOB NOT NULL
) STRICT;
INSERT INTO new_journal SELECT seq, run, step, subject, what, body, at, x'' FROM journal;

-- Steps that were started and have not ended, so that a start finds them without reading the journal.
CREATE TABLE open_steps (
    run  TEXT NOT NULL,
    step INTEGER NOT NULL,
    seq  INTEGER NOT NULL,
    sum  BLOB NOT NULL,
    PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;
INSERT INTO open_steps
    SELECT s.run, s.step, max(s.seq), x'' FROM journal s WHERE s.what = 'started' AND NOT EXISTS
        (SELECT 1 FROM journal e WHERE e.run = s.run AND e.step = s.step AND e.what <> 'started')
    GROUP BY s.run, s.step;

DROP TABLE journal;
DROP TABLE runs;
ALTER TABLE new_runs RENAME TO runs;
ALTER TABLE new_journal RENAME TO journal;

CREATE TABLE new_boot (
    mac    TEXT NOT NULL PRIMARY KEY,
    site   TEXT NOT NULL,
    body   TEXT NOT NULL,
    -- 1 when the site's services have taken it up; not part of the checksum.
    served INTEGER NOT NULL DEFAULT 0,
    sum    BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_boot SELECT mac, site, body, served, x'' FROM boot;
DROP TABLE boot;
ALTER TABLE new_boot RENAME TO boot;

-- The order in which deployments were opened.
ALTER TABLE deployments ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE deployments SET number = rowid;

-- Who may write as the one apply, until when. The token rises with each holder; see head for the one that counts.
CREATE TABLE lease (
    name    TEXT NOT NULL PRIMARY KEY,
    token   INTEGER NOT NULL,
    -- JSON of store::Actor; empty when nobody holds it.
    holder  TEXT NOT NULL,
    since   INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    sum     BLOB NOT NULL
) STRICT, WITHOUT ROWID;
