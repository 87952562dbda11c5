-- state/sqlite/0013_sums.sql says why.
ALTER TABLE commands DROP CONSTRAINT commands_deployment_fkey;
ALTER TABLE commands DROP COLUMN sent;
ALTER TABLE deployments ADD COLUMN sum bytea NOT NULL DEFAULT '';
ALTER TABLE commands ADD COLUMN sum bytea NOT NULL DEFAULT '';
ALTER TABLE phones ADD COLUMN sum bytea NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN sum bytea NOT NULL DEFAULT '';
ALTER TABLE requests ALTER COLUMN seq DROP IDENTITY;
ALTER TABLE durations ADD COLUMN sum bytea NOT NULL DEFAULT '';
ALTER TABLE deployments ALTER COLUMN sum DROP DEFAULT;
ALTER TABLE commands ALTER COLUMN sum DROP DEFAULT;
ALTER TABLE phones ALTER COLUMN sum DROP DEFAULT;
ALTER TABLE requests ALTER COLUMN sum DROP DEFAULT;
ALTER TABLE durations ALTER COLUMN sum DROP DEFAULT;

DROP INDEX requests_by_run;
DROP INDEX journal_by_subject;
DROP INDEX history_by_addr;
DROP INDEX history_by_target;
DROP INDEX history_of_people;
DROP INDEX history_by_run;
