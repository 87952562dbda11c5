-- How often steps of a kind took about so long: bucket n holds times from 1.25^n to 1.25^(n+1) ms. For forecasts alone.
CREATE TABLE durations (
    title  TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    count  BIGINT NOT NULL,
    PRIMARY KEY (title, bucket)
);
CREATE INDEX journal_by_subject ON journal (subject, seq);
