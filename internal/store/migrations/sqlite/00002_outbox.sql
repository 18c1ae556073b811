-- +goose Up
-- How far a reader of the events has come. What it makes of them is written in the transaction that moves the cursor.
CREATE TABLE cursors (name TEXT PRIMARY KEY, event BIGINT NOT NULL);

-- Mails, until the mail server has accepted them, and for a while after.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event BIGINT NOT NULL, -- that caused it
    recipient TEXT NOT NULL,
    about TEXT NOT NULL,   -- what may withdraw it while it is not due yet
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL,    -- of the event
    tries INTEGER NOT NULL DEFAULT 0,
    due BIGINT NOT NULL,
    claimant TEXT NOT NULL DEFAULT '',
    claimed_until BIGINT NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT '',
    ended_at BIGINT NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT '',
    CHECK ((ended_at <> 0) = (outcome IN ('sent', 'given up', 'withdrawn')))
);
CREATE UNIQUE INDEX outbox_once ON outbox (event, recipient);
CREATE INDEX outbox_due ON outbox (due, id) WHERE ended_at = 0;
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE ended_at <> 0;
CREATE INDEX outbox_about ON outbox (about) WHERE ended_at = 0 AND about <> '';

CREATE TABLE mail_choices (email TEXT PRIMARY KEY, choice TEXT NOT NULL);

CREATE TABLE hooks (
    name TEXT PRIMARY KEY,
    event BIGINT NOT NULL, -- the newest that was delivered or not wanted
    tries INTEGER NOT NULL DEFAULT 0,
    due BIGINT NOT NULL DEFAULT 0,
    claimant TEXT NOT NULL DEFAULT '',
    claimed_until BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE hook_answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hook TEXT NOT NULL,
    event BIGINT NOT NULL,
    at BIGINT NOT NULL,
    took BIGINT NOT NULL,  -- microseconds
    status INTEGER NOT NULL, -- HTTP's; 0: there was no answer
    error TEXT NOT NULL
);
CREATE INDEX hook_answers_hook ON hook_answers (hook, id);
