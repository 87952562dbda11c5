-- The state of one configuration, in a schema of its own. The tables are those of state/sqlite, which says what they hold.
-- Text is compared byte by byte: an address is the same everywhere, whatever the server's language.
CREATE TABLE head (
    id   bigint PRIMARY KEY CHECK (id = 1),
    body text NOT NULL,
    sum  bytea NOT NULL
);

CREATE TABLE resources (
    addr text COLLATE "C" PRIMARY KEY,
    body text NOT NULL,
    sum  bytea NOT NULL
);

CREATE TABLE claims (
    node     text COLLATE "C" PRIMARY KEY,
    instance text COLLATE "C" NOT NULL UNIQUE,
    sum      bytea NOT NULL
);

CREATE TABLE left_behind (
    node         text COLLATE "C" NOT NULL,
    partitioning text COLLATE "C" NOT NULL,
    sum          bytea NOT NULL,
    PRIMARY KEY (node, partitioning)
);

CREATE TABLE secrets (
    name   text COLLATE "C" PRIMARY KEY,
    sealed bytea NOT NULL,
    sum    bytea NOT NULL
);

CREATE TABLE plans (
    id   text COLLATE "C" PRIMARY KEY,
    body bytea NOT NULL,
    sum  bytea NOT NULL
);

CREATE TABLE runs (
    id          text COLLATE "C" PRIMARY KEY,
    plan        text NOT NULL,
    started_at  bigint NOT NULL,
    actor       text NOT NULL,
    last_batch  bigint NOT NULL,
    finished_at bigint,
    outcome     text,
    sum         bytea NOT NULL
);

CREATE TABLE journal (
    seq     bigint PRIMARY KEY,
    run     text NOT NULL,
    step    bigint NOT NULL,
    subject text NOT NULL,
    what    text NOT NULL CHECK (what IN ('started', 'finished', 'settled')),
    body    text NOT NULL,
    at      bigint NOT NULL,
    sum     bytea NOT NULL
);

CREATE TABLE open_steps (
    run  text COLLATE "C" NOT NULL,
    step bigint NOT NULL,
    seq  bigint NOT NULL,
    sum  bytea NOT NULL,
    -- In this order because all steps of a batch are of one run: with the run first, each would be looked for among all.
    PRIMARY KEY (step, run)
);

CREATE TABLE boot (
    mac    text COLLATE "C" PRIMARY KEY,
    site   text NOT NULL,
    body   text NOT NULL,
    served bigint NOT NULL DEFAULT 0,
    sum    bytea NOT NULL
);

CREATE TABLE deployments (
    id         text COLLATE "C" PRIMARY KEY,
    instance   text NOT NULL,
    node       text NOT NULL,
    macs       text NOT NULL,
    token      bytea NOT NULL,
    key        bytea,
    expires_at bigint NOT NULL,
    served     bigint NOT NULL DEFAULT 0,
    status     text NOT NULL CHECK (status IN ('waiting', 'exchanged', 'ready', 'stopped', 'over')),
    mac        text,
    last_seq   bigint NOT NULL DEFAULT 0,
    report     text,
    trouble    text,
    number     bigint NOT NULL
);
CREATE UNIQUE INDEX one_deployment_a_node ON deployments (node) WHERE status <> 'over';

CREATE TABLE commands (
    deployment text NOT NULL REFERENCES deployments (id),
    id         bigint NOT NULL,
    line       text NOT NULL,
    sent       bigint NOT NULL DEFAULT 0,
    status     text,
    message    text,
    PRIMARY KEY (deployment, id)
);

CREATE TABLE phones (
    token_sha256 text PRIMARY KEY,
    instance     text NOT NULL,
    expires_at   bigint NOT NULL,
    said         text
);

CREATE TABLE lease (
    name    text COLLATE "C" PRIMARY KEY,
    token   bigint NOT NULL,
    holder  text NOT NULL,
    since   bigint NOT NULL,
    expires bigint NOT NULL,
    sum     bytea NOT NULL
);
