-- What became of the records of resources: a chain, like the journal. `before` is the record as it was; what it became is the
-- `before` of the next row of the same address, or the record itself. For a claim it is the instance.
CREATE TABLE history (
    seq      INTEGER PRIMARY KEY,
    serial   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    -- A run, or the JSON of a person.
    by       TEXT NOT NULL,
    op       TEXT NOT NULL,
    addr     TEXT NOT NULL,
    did      TEXT NOT NULL CHECK (did IN ('created', 'changed', 'removed', 'moved', 'claimed', 'released')),
    moved_to TEXT,
    before   TEXT,
    sum      BLOB NOT NULL
) STRICT;
CREATE INDEX history_by_addr ON history (addr, seq);
CREATE INDEX history_by_target ON history (moved_to, seq) WHERE moved_to IS NOT NULL;
CREATE INDEX history_of_people ON history (serial) WHERE op <> 'run';
CREATE INDEX history_by_run ON history (by, seq) WHERE op = 'run';
