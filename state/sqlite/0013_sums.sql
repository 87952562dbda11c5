-- The tables of the deploy channel, of calls, requests and durations carry checksums too, and what a service has taken up is
-- part of its row's: decisions depend on all of them. Rows of the second form get an empty checksum here and their own one by the
-- program that migrates. Second copies of what a chain says, which could say something else, go.
CREATE TABLE new_deployments (
    id         TEXT NOT NULL PRIMARY KEY,
    instance   TEXT NOT NULL,
    node       TEXT NOT NULL,
    macs       TEXT NOT NULL,
    token      BLOB NOT NULL,
    key        BLOB,
    expires_at INTEGER NOT NULL,
    -- 0, or a number that only the call knows which was handed the boot script.
    served     INTEGER NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('waiting', 'exchanged', 'ready', 'stopped', 'over')),
    mac        TEXT,
    last_seq   INTEGER NOT NULL,
    report     TEXT,
    trouble    TEXT,
    -- The order in which they were opened.
    number     INTEGER NOT NULL,
    sum        BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_deployments
    SELECT id, instance, node, macs, token, key, expires_at, served, status, mac, last_seq, report, trouble, number, x''
    FROM deployments;

CREATE TABLE new_commands (
    deployment TEXT NOT NULL,
    id         INTEGER NOT NULL,
    line       TEXT NOT NULL,
    status     TEXT,
    message    TEXT,
    sum        BLOB NOT NULL,
    PRIMARY KEY (deployment, id)
) STRICT, WITHOUT ROWID;
INSERT INTO new_commands SELECT deployment, id, line, status, message, x'' FROM commands;

DROP TABLE commands;
DROP TABLE deployments;
ALTER TABLE new_deployments RENAME TO deployments;
ALTER TABLE new_commands RENAME TO commands;
CREATE UNIQUE INDEX one_deployment_a_node ON deployments (node) WHERE status <> 'over';

CREATE TABLE new_phones (
    token_sha256 TEXT NOT NULL PRIMARY KEY,
    instance     TEXT NOT NULL,
    expires_at   INTEGER NOT NULL,
    said         TEXT,
    sum          BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_phones SELECT token_sha256, instance, expires_at, said, x'' FROM phones;
DROP TABLE phones;
ALTER TABLE new_phones RENAME TO phones;

CREATE TABLE new_requests (
    seq   INTEGER NOT NULL PRIMARY KEY,
    run   TEXT NOT NULL,
    what  TEXT NOT NULL CHECK (what IN ('pause', 'resume', 'abort')),
    by    TEXT NOT NULL,
    at    INTEGER NOT NULL,
    -- When the run has read it; a process that is gone reads nothing.
    heard INTEGER,
    sum   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_requests SELECT seq, run, what, by, at, heard, x'' FROM requests;
DROP TABLE requests;
ALTER TABLE new_requests RENAME TO requests;

CREATE TABLE new_durations (
    title  TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    sum    BLOB NOT NULL,
    PRIMARY KEY (title, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO new_durations SELECT title, bucket, count, x'' FROM durations;
DROP TABLE durations;
ALTER TABLE new_durations RENAME TO durations;

DROP INDEX journal_by_subject;
DROP INDEX history_by_addr;
DROP INDEX history_by_target;
DROP INDEX history_of_people;
DROP INDEX history_by_run;
