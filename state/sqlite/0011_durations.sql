-- How often steps of a kind took about so long: bucket n holds times from 1.25^n to 1.25^(n+1) ms. For forecasts alone.
CREATE TABLE durations (
    title  TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (title, bucket)
) STRICT;
CREATE INDEX journal_by_subject ON journal (subject, seq);
