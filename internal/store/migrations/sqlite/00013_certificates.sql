-- +goose Up
-- Builders that joined by a token, beside those of the option builders.
CREATE TABLE enrolled (
    name TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    at BIGINT NOT NULL,
    who TEXT NOT NULL
);

-- Certificates that the farm has issued, or was shown at its doors; by the SHA-256 of each.
CREATE TABLE certificates (
    fingerprint TEXT PRIMARY KEY,
    serial TEXT NOT NULL,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL DEFAULT 0,
    revoked_by TEXT NOT NULL DEFAULT '',
    why TEXT NOT NULL DEFAULT ''
);
