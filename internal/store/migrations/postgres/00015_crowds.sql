-- +goose Up
-- Claims of downloads count those of each builder. What a server of the version before adds has none: all of those count
-- as of one.
ALTER TABLE downloads ADD COLUMN builder TEXT NOT NULL DEFAULT '';
UPDATE downloads SET builder = COALESCE((SELECT builder FROM arch_jobs WHERE id = downloads.arch_job), '');

-- Every transaction of a leader shares a lock, (2006, 1), that the next one's first has to have alone. A lock on the
-- leader's row did the same, and was written to the disk by each of them. Terms may be begun by servers of the version
-- before, which lock the row only: so it is the row that asks.
-- +goose StatementBegin
CREATE FUNCTION fenced_term() RETURNS BIGINT LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock_shared(2006, 1);
    RETURN (SELECT term FROM leader WHERE id = 1); -- as it is now that nobody can change it
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION fence_term() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock(2006, 1);
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER fence BEFORE UPDATE ON leader FOR EACH ROW WHEN (NEW.term <> OLD.term) EXECUTE FUNCTION fence_term();
