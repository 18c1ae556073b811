-- +goose Up
-- Up to which snapshot a target's repository script has run, and whether it has failed since.
CREATE TABLE scripts (target TEXT PRIMARY KEY, snapshot BIGINT NOT NULL, failing INTEGER NOT NULL);
