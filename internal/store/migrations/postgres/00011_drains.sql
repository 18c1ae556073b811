-- +goose Up
-- Builders that get nothing new until somebody says so: who drained them (empty: the farm itself), when and why.
CREATE TABLE drains (
    builder TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    ended_at BIGINT NOT NULL DEFAULT 0
);

-- What went on a builder last.
CREATE INDEX attempts_builder ON attempts (builder, ended_at);
