-- A state in PostgreSQL of the second form, as pg_dump has it.
CREATE SCHEMA bmctl_sample;
CREATE TABLE bmctl_sample._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE bmctl_sample.boot (
    mac text NOT NULL COLLATE pg_catalog."C",
    site text NOT NULL,
    body text NOT NULL,
    served bigint DEFAULT 0 NOT NULL,
    sum bytea NOT NULL
);
CREATE TABLE bmctl_sample.claims (
    node text NOT NULL COLLATE pg_catalog."C",
    instance text NOT NULL COLLATE pg_catalog."C",
    sum bytea NOT NULL
);
CREATE TABLE bmctl_sample.commands (
    deployment text NOT NULL,
    id bigint NOT NULL,
    line text NOT NULL,
    sent bigint DEFAULT 0 NOT NULL,
    status text,
    message text
);
CREATE TABLE bmctl_sample.deployments (
    id text NOT NULL COLLATE pg_catalog."C",
    instance text NOT NULL,
    node text NOT NULL,
    macs text NOT NULL,
    token bytea NOT NULL,
    key bytea,
    expires_at bigint NOT NULL,
    served bigint DEFAULT 0 NOT NULL,
    status text NOT NULL,
    mac text,
    last_seq bigint DEFAULT 0 NOT NULL,
    report text,
    trouble text,
    number bigint NOT NULL,
    CONSTRAINT deployments_status_check CHECK ((status = ANY (ARRAY['waiting'::text, 'exchanged'::text, 'ready'::text, 'stopped'::text, 'over'::text])))
);
CREATE TABLE bmctl_sample.durations (
    title text NOT NULL,
    bucket bigint NOT NULL,
    count bigint NOT NULL
);
CREATE TABLE bmctl_sample.head (
    id bigint NOT NULL,
    body text NOT NULL,
    sum bytea NOT NULL,
    CONSTRAINT head_id_check CHECK ((id = 1))
);
CREATE TABLE bmctl_sample.history (
    seq bigint NOT NULL,
    serial bigint NOT NULL,
    at bigint NOT NULL,
    by text NOT NULL,
    op text NOT NULL,
    addr text NOT NULL COLLATE pg_catalog."C",
    did text NOT NULL,
    moved_to text,
    before text,
    sum bytea NOT NULL,
    CONSTRAINT history_did_check CHECK ((did = ANY (ARRAY['created'::text, 'changed'::text, 'removed'::text, 'moved'::text, 'claimed'::text, 'released'::text])))
);
CREATE TABLE bmctl_sample.journal (
    seq bigint NOT NULL,
    run text NOT NULL,
    step bigint NOT NULL,
    subject text NOT NULL,
    what text NOT NULL,
    body text NOT NULL,
    at bigint NOT NULL,
    sum bytea NOT NULL,
    CONSTRAINT journal_what_check CHECK ((what = ANY (ARRAY['started'::text, 'finished'::text, 'settled'::text])))
);
CREATE TABLE bmctl_sample.lease (
    name text NOT NULL COLLATE pg_catalog."C",
    token bigint NOT NULL,
    holder text NOT NULL,
    since bigint NOT NULL,
    expires bigint NOT NULL,
    sum bytea NOT NULL
);
CREATE TABLE bmctl_sample.left_behind (
    node text NOT NULL COLLATE pg_catalog."C",
    partitioning text NOT NULL COLLATE pg_catalog."C",
    sum bytea NOT NULL
);
CREATE TABLE bmctl_sample.open_steps (
    run text NOT NULL COLLATE pg_catalog."C",
    step bigint NOT NULL,
    seq bigint NOT NULL,
    sum bytea NOT NULL
);
CREATE TABLE bmctl_sample.phones (
    token_sha256 text NOT NULL,
    instance text NOT NULL,
    expires_at bigint NOT NULL,
    said text
);
CREATE TABLE bmctl_sample.plans (
    id text NOT NULL COLLATE pg_catalog."C",
    body bytea NOT NULL,
    sum bytea NOT NULL
);
CREATE TABLE bmctl_sample.requests (
    seq bigint NOT NULL,
    run text NOT NULL,
    what text NOT NULL,
    by text NOT NULL,
    at bigint NOT NULL,
    heard bigint,
    CONSTRAINT requests_what_check CHECK ((what = ANY (ARRAY['pause'::text, 'resume'::text, 'abort'::text])))
);
ALTER TABLE bmctl_sample.requests ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME bmctl_sample.requests_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE bmctl_sample.resources (
    addr text NOT NULL COLLATE pg_catalog."C",
    body text NOT NULL,
    sum bytea NOT NULL
);
CREATE TABLE bmctl_sample.runs (
    id text NOT NULL COLLATE pg_catalog."C",
    plan text NOT NULL,
    started_at bigint NOT NULL,
    actor text NOT NULL,
    last_batch bigint NOT NULL,
    finished_at bigint,
    outcome text,
    sum bytea NOT NULL
);
CREATE TABLE bmctl_sample.secrets (
    name text NOT NULL COLLATE pg_catalog."C",
    sealed bytea NOT NULL,
    sum bytea NOT NULL
);
INSERT INTO bmctl_sample._sqlx_migrations VALUES (1, 'init', '2026-11-21 18:34:15.751979+00', true, '\xbf67e267e1e85df7128e4519ae6367121e5afe8eb05406cf0eb085bfd36ff1d4191eb072773259274807f46421f8e132', 20056722);
INSERT INTO bmctl_sample._sqlx_migrations VALUES (10, 'requests', '2026-11-21 18:34:15.776084+00', true, '\x3010b6a2951bcd5bdafa54c05773da552f9e8b9704c1de7d4db9a095e960e8bc292f62f0ea8d1996e0521f3f521f01c8', 1695467);
INSERT INTO bmctl_sample._sqlx_migrations VALUES (11, 'durations', '2026-11-21 18:34:15.777901+00', true, '\x40aa7b3b0510bf61127bfef83cf85eb4d5b063653965fca16f70522c5e5d457cdcb5b2d859b4c2301e03500f7a9fffdd', 1262020);
INSERT INTO bmctl_sample._sqlx_migrations VALUES (12, 'history', '2026-11-21 18:34:15.779274+00', true, '\x63da579f8203d60201f250e011a24af747408df86b582d26481111c7710fecf86ce386c547d974b1fed23ac66e9d6a36', 1783172);
INSERT INTO bmctl_sample.boot VALUES ('52:54:00:00:00:03', 'site.lab', '{"entry":"instance","instance":"instance.b","target":{"site":"site.lab","server":"10.99.0.1","http_port":8081,"bios_loader":"ipxe","firmware":"bios","macs":["52:54:00:00:00:03"]},"boot":{"boot":"local_disk"}}', 0, '\x18222440ed0799927588e261d822abf6');
INSERT INTO bmctl_sample.boot VALUES ('52:54:00:00:00:02', 'site.lab', '{"entry":"deploy","deployment":"d-3","target":{"site":"site.lab","server":"10.99.0.1","http_port":8081,"bios_loader":"ipxe","firmware":"bios","macs":["52:54:00:00:00:02"]},"ramdisk":"r","kernel_args":""}', 0, '\x8bd8bb2526fb4b70d889cfea6b626974');
INSERT INTO bmctl_sample.boot VALUES ('52:54:00:00:00:01', 'site.lab', '{"entry":"deploy","deployment":"d-2","target":{"site":"site.lab","server":"10.99.0.1","http_port":8081,"bios_loader":"ipxe","firmware":"bios","macs":["52:54:00:00:00:01"]},"ramdisk":"r","kernel_args":""}', 1, '\x08ed50b4aa3493121a893541aa0b5d74');
INSERT INTO bmctl_sample.claims VALUES ('node.a', 'instance.a', '\x270963e90f37717559bc6b46e40e7148');
INSERT INTO bmctl_sample.claims VALUES ('node.b', 'instance.b', '\x1257d686699106fe1b785e484a0dafe4');
INSERT INTO bmctl_sample.commands VALUES ('d-2', 2, 'id=2 reboot', 0, NULL, NULL);
INSERT INTO bmctl_sample.commands VALUES ('d-2', 1, 'id=1 identify', 0, 'ok', 'fine');
INSERT INTO bmctl_sample.deployments VALUES ('d-1', 'instance.a', 'node.a', '["52:54:00:00:00:01"]', '\x28eb6c36513e7fa221bc744de9500a6b3a479ef3a31c34f78c1adb38db2940d01204b5824d7aa33918e421bdfa7c18c6ae040ff5f8cdfc77427875a50a9b11f5ba03256152db268a', NULL, 1000000, 0, 'over', NULL, 0, NULL, NULL, 1);
INSERT INTO bmctl_sample.deployments VALUES ('d-3', 'instance.a', 'node.b', '["52:54:00:00:00:02"]', '\xa6e9a6f1c2189dc4dc16c5445ab537605fa61f89c6868387294967f9c819ccc6a26028f5965c3e26018d24786b49ec24e6b34dbc0e5c2ab53f7f87134ab00f0fb1cb5a5aa717b64d', NULL, 1000000, 0, 'waiting', NULL, 0, NULL, NULL, 3);
INSERT INTO bmctl_sample.deployments VALUES ('d-2', 'instance.a', 'node.a', '["52:54:00:00:00:01"]', '\xfe92183961be4b54fac3576546a0a04e9ee9a61c1d8af30e49b08a58da20831e60b78b09cf33252fb30073b84a568cbf4a40417fece7b23d75d95b1044f50b999803488c5e073994', '\x29a0b551c60f21637cae54e2f8e78e3fef654cdc8442ce556cf846d4cdde1626ad9390b0cce8e93a91edaea18eb073a275330ed200444d0c417a8509206014807ba66eae76185f20', 1000000, 1, 'ready', '52:54:00:00:00:01', 0, 'report', NULL, 2);
INSERT INTO bmctl_sample.durations VALUES ('identify', -1, 1);
INSERT INTO bmctl_sample.durations VALUES ('power off', 20, 2);
INSERT INTO bmctl_sample.durations VALUES ('power off', 34, 1);
INSERT INTO bmctl_sample.head VALUES (1, '{"format":2,"lineage":"3f6a60b4aa557646d800a00372cdbf4f","serial":6,"digests":{"resources":"1697fabb2d989f0c96621d896bbf7a37","claims":"39613a6f78c878737534c98f2e1c212c","left_behind":"16fa83c862b06c2173b785d18b11cc06","secrets":"e6b597372c0e0abe6e3f6b0e345483eb","plans":"8d3d485031b763b73c5d09e073d1dfcb","runs":"026c79a37faf3c6c7dab34abcf9f8960","open_steps":"b432bbb25012f3d5a9aa921104e06f82","boot":"ace8301abe377815689be78ded9072de"},"journal":{"seq":11,"sum":"ee5afda20071cbeb739bbdeb23028600"},"history":{"seq":3,"sum":"2dcee19de4a98526ec55dceaa04f976e"},"run":{"id":"r-2","last_batch":3},"tokens":{"apply":1}}', '\x36fe884f1169841ec32851af4ecf764c');
INSERT INTO bmctl_sample.history VALUES (1, 1, 2, 'r-1', 'run', 'flavor.f[0]', 'created', NULL, NULL, '\x1ef4728a9b24e2eae841771392ec3621');
INSERT INTO bmctl_sample.history VALUES (2, 2, 2, 'r-1', 'run', 'flavor.f[1]', 'created', NULL, NULL, '\x0b189e77ccabd82855f831f55458f217');
INSERT INTO bmctl_sample.history VALUES (3, 3, 2, 'r-1', 'run', 'flavor.f[2]', 'created', NULL, NULL, '\x2dcee19de4a98526ec55dceaa04f976e');
INSERT INTO bmctl_sample.journal VALUES (1, 'r-1', 0, 'flavor.f[0]', 'started', '', 1, '\x98b0412d03f9926c2ebb95e173ec39bf');
INSERT INTO bmctl_sample.journal VALUES (2, 'r-1', 0, 'flavor.f[0]', 'finished', '{}', 2, '\xfbb477ddea6c5206297eead7c608f1a8');
INSERT INTO bmctl_sample.journal VALUES (3, 'r-1', 1, 'flavor.f[1]', 'started', '', 1, '\x297f4d897b69cca09cab63722cb78288');
INSERT INTO bmctl_sample.journal VALUES (4, 'r-1', 1, 'flavor.f[1]', 'finished', '{}', 2, '\x120e420ac15ce5280d00eaaee96a0897');
INSERT INTO bmctl_sample.journal VALUES (5, 'r-1', 2, 'flavor.f[2]', 'started', '', 1, '\xee68d33dc4628e873e2d1bd8557765b6');
INSERT INTO bmctl_sample.journal VALUES (6, 'r-1', 2, 'flavor.f[2]', 'finished', '{}', 2, '\x73bc6077d3d6dc8204bc846571be644e');
INSERT INTO bmctl_sample.journal VALUES (7, 'r-2', 0, 'flavor.f[0]', 'started', '', 1, '\xc35acb9c5d5d1933473e90a14f4524aa');
INSERT INTO bmctl_sample.journal VALUES (8, 'r-2', 0, 'flavor.f[0]', 'finished', '{}', 2, '\x5b3d01b05450ca1f3d329213dc9c1b63');
INSERT INTO bmctl_sample.journal VALUES (9, 'r-2', 1, 'flavor.f[1]', 'started', '', 1, '\xce80b92ac23637099ea4ece6ad079a28');
INSERT INTO bmctl_sample.journal VALUES (10, 'r-2', 1, 'flavor.f[1]', 'finished', '{}', 2, '\xbc9f213ae37234f01c7876eacb498384');
INSERT INTO bmctl_sample.journal VALUES (11, 'r-2', 2, 'flavor.f[2]', 'started', '', 1, '\xee5afda20071cbeb739bbdeb23028600');
INSERT INTO bmctl_sample.lease VALUES ('apply', 1, '', 1795286055806, 0, '\xcd7d7178748bbc3b493316e775fea323');
INSERT INTO bmctl_sample.left_behind VALUES ('node.a', 'mbr:00000001', '\x5af7a11f5363cc09578b2e853a818a4b');
INSERT INTO bmctl_sample.left_behind VALUES ('node.a', 'mbr:00000002', '\x445c3f3e58d1d2d7b28cbca26aa9e66e');
INSERT INTO bmctl_sample.left_behind VALUES ('node.a', 'mbr:00000003', '\x77a6a36ab67acd40699f9aa9e5e65b4d');
INSERT INTO bmctl_sample.open_steps VALUES ('r-2', 2, 11, '\xb432bbb25012f3d5a9aa921104e06f82');
INSERT INTO bmctl_sample.phones VALUES ('49e2bb7eab54cf09b409ffafd3fa8a8a955a60eb972faacaefbed3dbd3207132', 'instance.b', 1000000, NULL);
INSERT INTO bmctl_sample.phones VALUES ('a70bf50e531ce1a817561f2f5d5b6645d4e806becf58ccc5e8cf6b8045a090a8', 'instance.a', 1000000, '{"hostname":"a","address":"10.99.0.5","root":"/dev/sda1"}');
INSERT INTO bmctl_sample.plans VALUES ('8c2cf2f110f5d46184725d7fb8cf37b4288b052b85cd58f51bbd7c49872c6d00', '\x1f8b08000000000004ffd555db6edb300cfd173d0783ee17ff4a11049444a5de7c0964671704f9f7514edaaded50607b1836bf592229f290e7f0c2ca5c4758592776accfac633ec9546411821793b5155e3b69b22bd1a7a25cd4d2fbc88d8cdea46c7c3122c6ec920edec96433e78ce24c2b4e1492c1e9347ca38311321e4a9d47d65dd8d04f0847a4a754b16079d400c638ab6df69c03e78a22e5587421cf056b0f03ebf88ea5792afdf15c61ede789bc5d88324a9b544ec1391e53d63966d486071b55101eb88ca0adc714ac50c095f51a82ca410a8e39b2eb8e5584bcb4a49615564a89e018e0f35c3f9407be67dd741e861d2b4f47e2ed91bc1f51ac8c69808ab9857b76695198c92e78aeb8125e48850e9c9628282107262296c04594164cc220a24dc0b32c2106996d42ada5211c9e03b61c18085d8a12883e6ae4029334c944a72304ee0c974e06aba2358489f0aaf0120da7a89efc38d729fd1cb055c094028bc597289cb2adc740b6b668b031589324a02f3e2463d172e52380480692905c062595f10dcbc779c8581b9a5742a31fe188db0f75ee11a6ede7e1c220e74acd7bae8700da3148f79e266a08f5811ad32f9fc8ac9f0ea7011252c274b3cc13457cd893c3bad63e9ed7f602059d6044b24ea7f342965056a43768a0179c967eed3fd3658161c1ebeec2eeb6787ac4112b0c8763fce14363f68ecf88e35cbf1dc69f1c8c903bf68e4b9de7f5c50bef67b57c81d38bf8bf4a88ea3f4f69c3346fcc58563c3560f8be15f81a619a1802ec3f4658fd3b088b5f224c14fabf11d6ff0ec2727fa5f97e9ae8cbb6931a09cef123a6b6535e29c78deb4d13f0ebe96631cdeb633f1d89d5c7b9ed0e52f934d78cf940727213fa1d6da1b15f0fc41adba213819a6ce79954a462b326efd744daa4aae2329f2b29126db24ffd4404bcef0772e829dc856d2ad411cfc767b9e84c9389272de8e8ee85fc742d853bf33b7ea58f74aa2d63325cde167e23f45f2c7c7bf04f0b27f6fe7ee14d54df167ee3d95f2c7c7bf04f0b2752fd46e134f4f19c8fb8b619a2fdf905ea44434c7f0ffbeb778f0f4193a6090000', '\x8d3d485031b763b73c5d09e073d1dfcb');
INSERT INTO bmctl_sample.requests OVERRIDING SYSTEM VALUE VALUES (1, 'r-2', 'pause', 'me', 7, 8);
INSERT INTO bmctl_sample.requests OVERRIDING SYSTEM VALUE VALUES (2, 'r-2', 'abort', 'me', 9, NULL);
INSERT INTO bmctl_sample.resources VALUES ('flavor.f[0]', '{"kind":"flavor","is":{"cpus":1,"memory_mb":512,"root_gb":1,"ephemeral_gb":0,"swap_mb":0}}', '\x277ce46f576b42c52f6c4300e08163a9');
INSERT INTO bmctl_sample.resources VALUES ('flavor.f[1]', '{"kind":"flavor","is":{"cpus":1,"memory_mb":513,"root_gb":1,"ephemeral_gb":0,"swap_mb":0}}', '\xf2d73d6433c1036b07ec3b59ba7e53c8');
INSERT INTO bmctl_sample.resources VALUES ('flavor.f[2]', '{"kind":"flavor","is":{"cpus":1,"memory_mb":514,"root_gb":1,"ephemeral_gb":0,"swap_mb":0}}', '\xfc43d8e7a26c58dc5f099f2ed0bfc2c6');
INSERT INTO bmctl_sample.runs VALUES ('r-1', '8c2cf2f110f5d46184725d7fb8cf37b4288b052b85cd58f51bbd7c49872c6d00', 1, '{"user":"uid 0","host":"vm","pid":20069,"boot":"36c3b9f7-8582-48f1-a51a-b338ae3bad70","namespace":"pid:[4026531836]","start_ticks":2473976}', 0, NULL, NULL, '\x827556cce7119abf722d549b1b622cbf');
INSERT INTO bmctl_sample.runs VALUES ('r-2', '8c2cf2f110f5d46184725d7fb8cf37b4288b052b85cd58f51bbd7c49872c6d00', 1, '{"user":"uid 0","host":"vm","pid":20069,"boot":"36c3b9f7-8582-48f1-a51a-b338ae3bad70","namespace":"pid:[4026531836]","start_ticks":2473976}', 0, NULL, NULL, '\x7ff722d6989da1ad0b7de010b43d5ca1');
INSERT INTO bmctl_sample.secrets VALUES ('node.a/password', '\x827d9758497e94c8d08229492d0c774f4afab2fc639581e49d116ff3af254b97439163ae8571b652ecee15f1585b1b', '\xe6b597372c0e0abe6e3f6b0e345483eb');
SELECT pg_catalog.setval('bmctl_sample.requests_seq_seq', 2, true);
ALTER TABLE ONLY bmctl_sample._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY bmctl_sample.boot
    ADD CONSTRAINT boot_pkey PRIMARY KEY (mac);
ALTER TABLE ONLY bmctl_sample.claims
    ADD CONSTRAINT claims_instance_key UNIQUE (instance);
ALTER TABLE ONLY bmctl_sample.claims
    ADD CONSTRAINT claims_pkey PRIMARY KEY (node);
ALTER TABLE ONLY bmctl_sample.commands
    ADD CONSTRAINT commands_pkey PRIMARY KEY (deployment, id);
ALTER TABLE ONLY bmctl_sample.deployments
    ADD CONSTRAINT deployments_pkey PRIMARY KEY (id);
ALTER TABLE ONLY bmctl_sample.durations
    ADD CONSTRAINT durations_pkey PRIMARY KEY (title, bucket);
ALTER TABLE ONLY bmctl_sample.head
    ADD CONSTRAINT head_pkey PRIMARY KEY (id);
ALTER TABLE ONLY bmctl_sample.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY bmctl_sample.journal
    ADD CONSTRAINT journal_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY bmctl_sample.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (name);
ALTER TABLE ONLY bmctl_sample.left_behind
    ADD CONSTRAINT left_behind_pkey PRIMARY KEY (node, partitioning);
ALTER TABLE ONLY bmctl_sample.open_steps
    ADD CONSTRAINT open_steps_pkey PRIMARY KEY (step, run);
ALTER TABLE ONLY bmctl_sample.phones
    ADD CONSTRAINT phones_pkey PRIMARY KEY (token_sha256);
ALTER TABLE ONLY bmctl_sample.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (id);
ALTER TABLE ONLY bmctl_sample.requests
    ADD CONSTRAINT requests_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY bmctl_sample.resources
    ADD CONSTRAINT resources_pkey PRIMARY KEY (addr);
ALTER TABLE ONLY bmctl_sample.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY bmctl_sample.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (name);
CREATE INDEX history_by_addr ON bmctl_sample.history USING btree (addr, seq);
CREATE INDEX history_by_run ON bmctl_sample.history USING btree (by, seq) WHERE (op = 'run'::text);
CREATE INDEX history_by_target ON bmctl_sample.history USING btree (moved_to, seq) WHERE (moved_to IS NOT NULL);
CREATE INDEX history_of_people ON bmctl_sample.history USING btree (serial) WHERE (op <> 'run'::text);
CREATE INDEX journal_by_subject ON bmctl_sample.journal USING btree (subject, seq);
CREATE UNIQUE INDEX one_deployment_a_node ON bmctl_sample.deployments USING btree (node) WHERE (status <> 'over'::text);
CREATE INDEX requests_by_run ON bmctl_sample.requests USING btree (run, seq);
ALTER TABLE ONLY bmctl_sample.commands
    ADD CONSTRAINT commands_deployment_fkey FOREIGN KEY (deployment) REFERENCES bmctl_sample.deployments(id);
