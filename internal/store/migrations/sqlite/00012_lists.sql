-- +goose Up
-- Lists are in the order in which jobs were submitted; no requeue changes that, so it is the key of pages.
ALTER TABLE jobs ADD COLUMN submitted_at BIGINT NOT NULL DEFAULT 0;
UPDATE jobs SET submitted_at = COALESCE((SELECT at FROM events WHERE events.uid = jobs.uid ORDER BY id LIMIT 1), queued_at);

-- A list reads a page of one of these for each state. What they have behind the key is compared without the job.
DROP INDEX jobs_user;
DROP INDEX jobs_package;
DROP INDEX jobs_target;
CREATE INDEX jobs_list ON jobs (state, submitted_at, uid);
CREATE INDEX jobs_user ON jobs (username, state, submitted_at, uid);
CREATE INDEX jobs_target ON jobs (target, state, submitted_at, uid);
CREATE INDEX jobs_user_target ON jobs (username, target, state, submitted_at, uid);
CREATE INDEX jobs_package ON jobs (package, state, submitted_at, uid, username, target);
