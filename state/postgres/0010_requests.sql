-- What people ask of a run from another terminal; the process that carries it out reads them in order.
CREATE TABLE requests (
    seq  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run  TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('pause', 'resume', 'abort')),
    by   TEXT NOT NULL,
    at   BIGINT NOT NULL,
    -- When the run has read it; a process that is gone reads nothing.
    heard BIGINT
);
CREATE INDEX requests_by_run ON requests (run, seq);
