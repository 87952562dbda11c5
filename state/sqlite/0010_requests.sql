-- What people ask of a run from another terminal; the process that carries it out reads them in order.
CREATE TABLE requests (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    run  TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('pause', 'resume', 'abort')),
    by   TEXT NOT NULL,
    at   INTEGER NOT NULL,
    -- When the run has read it; a process that is gone reads nothing.
    heard INTEGER
) STRICT;
CREATE INDEX requests_by_run ON requests (run, seq);
