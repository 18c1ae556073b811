-- +goose Up
-- Artifacts that nothing names, since when this is known, and whether their files are being deleted.
CREATE TABLE condemned (digest TEXT PRIMARY KEY, at BIGINT NOT NULL, dying INTEGER NOT NULL DEFAULT 0);
