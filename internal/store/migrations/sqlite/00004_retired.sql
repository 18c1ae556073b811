-- +goose Up
-- Published jobs that an administrator takes out of their repository; in which snapshot, 0: not yet.
CREATE TABLE retired (
    uid BIGINT PRIMARY KEY, target TEXT NOT NULL, at BIGINT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,
    snapshot BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX retired_waiting ON retired (target, uid) WHERE snapshot = 0;
CREATE INDEX members_name ON members (target, line, name, version, release, arch);
