-- +goose Up
-- A claim asks which builders have enough of them: that must not read all that wait.
CREATE INDEX downloads_claimed ON downloads (builder) WHERE claimant <> '';
