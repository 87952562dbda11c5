-- The state of one configuration. Every table that a transaction of a step touches changes together with the journal.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- What was applied, one row a resource; `body` is the JSON of model::Resource.
CREATE TABLE resources (
    addr TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

-- One instance a node and one node an instance: the database itself says so (row P19).
CREATE TABLE claims (
    node     TEXT PRIMARY KEY,
    instance TEXT NOT NULL UNIQUE
) STRICT;

-- Partition tables that bmctl wrote, or set out to write, on nodes whose instance is gone: they are nobody else's data.
CREATE TABLE left_behind (
    node         TEXT NOT NULL,
    partitioning TEXT NOT NULL,
    PRIMARY KEY (node, partitioning)
) STRICT;

-- XChaCha20-Poly1305 under the sealing key, the name as associated data.
CREATE TABLE secrets (
    name   TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    plan        TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    outcome     TEXT
) STRICT;

CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    run     TEXT NOT NULL REFERENCES runs (id),
    step    INTEGER NOT NULL,
    subject TEXT NOT NULL,
    what    TEXT NOT NULL CHECK (what IN ('started', 'finished', 'settled')),
    body    TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX journal_by_step ON journal (run, step);

-- What a node's MAC is given when it boots; `body` is the JSON of store::BootEntry.
CREATE TABLE boot (
    mac  TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    body TEXT NOT NULL,
    -- 1 when the site's services have taken it up.
    served INTEGER NOT NULL DEFAULT 0
) STRICT;

-- One a deployment: docs/design/0001-deploy-channel.md. Token and key are sealed.
CREATE TABLE deployments (
    id         TEXT PRIMARY KEY,
    instance   TEXT NOT NULL,
    node       TEXT NOT NULL,
    macs       TEXT NOT NULL,
    token      BLOB NOT NULL,
    key        BLOB,
    expires_at INTEGER NOT NULL,
    served     INTEGER NOT NULL DEFAULT 0,
    status     TEXT NOT NULL CHECK (status IN ('waiting', 'exchanged', 'ready', 'stopped', 'over')),
    mac        TEXT,
    last_seq   INTEGER NOT NULL DEFAULT 0,
    report     TEXT,
    trouble    TEXT
) STRICT;
CREATE UNIQUE INDEX one_deployment_a_node ON deployments (node) WHERE status <> 'over';

CREATE TABLE commands (
    deployment TEXT NOT NULL REFERENCES deployments (id),
    id         INTEGER NOT NULL,
    line       TEXT NOT NULL,
    sent       INTEGER NOT NULL DEFAULT 0,
    status     TEXT,
    message    TEXT,
    PRIMARY KEY (deployment, id)
) STRICT;

-- One-shot tokens of instances that are to phone home; only the token's digest is kept.
CREATE TABLE phones (
    token_sha256 TEXT PRIMARY KEY,
    instance     TEXT NOT NULL,
    expires_at   INTEGER NOT NULL,
    said         TEXT
) STRICT;
