-- +goose Up
-- Arches of the buildroots that an arch job may run in, the best first.
ALTER TABLE arch_jobs ADD COLUMN roots TEXT NOT NULL DEFAULT '';
-- Of a noarch RPM: what those of one name that the arches of a run make have in common.
ALTER TABLE job_files ADD COLUMN likeness TEXT NOT NULL DEFAULT '';
