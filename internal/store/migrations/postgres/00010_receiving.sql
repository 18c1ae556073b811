-- +goose Up
-- What users have begun to upload counts against their quota, too.
CREATE TABLE receiving (
    username TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (username, digest)
);
CREATE INDEX receiving_at ON receiving (at);
