-- +goose Up
-- What a run's newest attempt at its source has fetched.
CREATE TABLE sources (
    uid BIGINT NOT NULL, run INTEGER NOT NULL, kind TEXT NOT NULL, url TEXT NOT NULL, revision TEXT NOT NULL, tree TEXT NOT NULL,
    PRIMARY KEY (uid, run)
);
