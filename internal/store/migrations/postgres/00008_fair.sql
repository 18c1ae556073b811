-- +goose Up
-- Users take turns: each one's waiting jobs are found without reading those of others.
DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs (username, priority DESC, uid) WHERE state = 'waiting';
