-- +goose Up
-- Claims of downloads count those of each builder. What a server of the version before adds has none: all of those count
-- as of one.
ALTER TABLE downloads ADD COLUMN builder TEXT NOT NULL DEFAULT '';
UPDATE downloads SET builder = COALESCE((SELECT builder FROM arch_jobs WHERE id = downloads.arch_job), '');
