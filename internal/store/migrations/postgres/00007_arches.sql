-- +goose Up
-- Arches of the buildroots that an arch job may run in, the best first.
ALTER TABLE arch_jobs ADD COLUMN roots TEXT NOT NULL DEFAULT '';
