-- +goose Up
-- How often the option builders was read again at somebody's wish: each server reads its own when this is more than it knows.
ALTER TABLE farm ADD COLUMN roster BIGINT NOT NULL DEFAULT 0;
