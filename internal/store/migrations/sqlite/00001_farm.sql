-- +goose Up
-- Times are microseconds UTC, 0 for none. Columns are BIGINT, INTEGER and TEXT only, so that one SQL text serves both databases.
CREATE TABLE farm (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    paused_by TEXT NOT NULL DEFAULT ''
);
CREATE TABLE leader (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    term BIGINT NOT NULL,
    holder TEXT NOT NULL,
    until BIGINT NOT NULL -- by the database's own clock
);
INSERT INTO leader (id, term, holder, until) VALUES (1, 0, '', 0);

CREATE TABLE users (
    email TEXT PRIMARY KEY,
    own_jobs INTEGER NOT NULL DEFAULT 0,
    kill_any_job INTEGER NOT NULL DEFAULT 0,
    modify_users INTEGER NOT NULL DEFAULT 0,
    server_admin INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE imports (path TEXT PRIMARY KEY, at BIGINT NOT NULL);

CREATE TABLE uploads (
    username TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (username, digest)
);
CREATE INDEX uploads_digest ON uploads (digest);
CREATE INDEX uploads_at ON uploads (at);

CREATE TABLE jobs (
    uid INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL DEFAULT 1,
    username TEXT NOT NULL,
    package TEXT NOT NULL,
    source TEXT NOT NULL,
    srpm TEXT NOT NULL,
    srpm_size BIGINT NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL,
    scratch INTEGER NOT NULL,
    after_uid BIGINT NOT NULL,
    priority INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    version TEXT NOT NULL,
    release TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    snapshot BIGINT NOT NULL DEFAULT 0,
    queued_at BIGINT NOT NULL,
    begun_at BIGINT NOT NULL DEFAULT 0,
    ended_at BIGINT NOT NULL DEFAULT 0,
    state_at BIGINT NOT NULL,
    CHECK ((ended_at <> 0) = (state IN ('failed', 'killed', 'needsign', 'released') OR (scratch = 1 AND state = 'finished')))
);
-- One source package of one version is in progress or published once in a target.
CREATE UNIQUE INDEX jobs_evr ON jobs (target, package, epoch, version, release)
    WHERE version <> '' AND scratch = 0 AND state NOT IN ('failed', 'killed');
-- With state in front, or SQLite takes jobs_state and sorts all that waits.
CREATE INDEX jobs_waiting ON jobs (state, priority DESC, uid) WHERE state = 'waiting';
CREATE INDEX jobs_state ON jobs (state, uid);
CREATE INDEX jobs_user ON jobs (username, uid);
CREATE INDEX jobs_package ON jobs (package, uid);
CREATE INDEX jobs_target ON jobs (target, uid);
CREATE INDEX jobs_srpm ON jobs (srpm);

-- Jobs in each state, kept by every transition; sharded so that writers on PostgreSQL do not queue for one row.
CREATE TABLE job_counts (state TEXT NOT NULL, shard INTEGER NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (state, shard));

CREATE TABLE pins (uid BIGINT NOT NULL, run INTEGER NOT NULL, snapshot BIGINT NOT NULL, PRIMARY KEY (uid, run));
CREATE TABLE pin_repos (
    uid BIGINT NOT NULL, run INTEGER NOT NULL, repo TEXT NOT NULL, arch TEXT NOT NULL, url TEXT NOT NULL, repomd TEXT NOT NULL,
    PRIMARY KEY (uid, run, repo, arch)
);

CREATE TABLE arch_jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid BIGINT NOT NULL,
    run INTEGER NOT NULL,
    kind TEXT NOT NULL,
    arch TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    token TEXT NOT NULL DEFAULT '',
    builder TEXT NOT NULL DEFAULT '',
    phase TEXT NOT NULL DEFAULT '',
    lost INTEGER NOT NULL DEFAULT 0,
    infra INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    failure_kind TEXT NOT NULL DEFAULT '', -- how it ended on the builder, or failed
    failure_phase TEXT NOT NULL DEFAULT '',
    queued_at BIGINT NOT NULL,
    begun_at BIGINT NOT NULL DEFAULT 0,
    ended_at BIGINT NOT NULL DEFAULT 0,
    state_at BIGINT NOT NULL,
    CHECK ((ended_at <> 0) = (state IN ('done', 'failed', 'killed')))
);
CREATE UNIQUE INDEX arch_jobs_job ON arch_jobs (uid, run, kind, arch);
CREATE INDEX arch_jobs_queued ON arch_jobs (id) WHERE state = 'queued';
CREATE INDEX arch_jobs_held ON arch_jobs (builder, id) WHERE state IN ('assigned', 'running', 'downloading');

CREATE TABLE attempts (
    arch_job BIGINT NOT NULL,
    number INTEGER NOT NULL,
    token TEXT NOT NULL,
    builder TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (arch_job, number)
);

-- Files that an ended attempt announced, until they are here and checked.
CREATE TABLE downloads (
    arch_job BIGINT PRIMARY KEY,
    number INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due BIGINT NOT NULL,
    claimant TEXT NOT NULL DEFAULT '',
    claimed_until BIGINT NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX downloads_due ON downloads (due);
CREATE TABLE announced (arch_job BIGINT NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, size BIGINT NOT NULL, PRIMARY KEY (arch_job, place));

CREATE TABLE job_files (
    uid BIGINT NOT NULL, run INTEGER NOT NULL, arch TEXT NOT NULL, attempt INTEGER NOT NULL, file TEXT NOT NULL,
    digest TEXT NOT NULL, size BIGINT NOT NULL,
    rpm_name TEXT NOT NULL DEFAULT '', rpm_epoch BIGINT NOT NULL DEFAULT 0, rpm_version TEXT NOT NULL DEFAULT '',
    rpm_release TEXT NOT NULL DEFAULT '', rpm_arch TEXT NOT NULL DEFAULT '', rpm_source INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, run, arch, attempt, file)
);
CREATE INDEX job_files_digest ON job_files (digest);

CREATE TABLE snapshots (target TEXT NOT NULL, line TEXT NOT NULL, number BIGINT NOT NULL, parent BIGINT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (target, line, number));
CREATE TABLE pointers (target TEXT NOT NULL, line TEXT NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (target, line));

-- RPMs of a repository: an identity, apart from the file that holds it now.
CREATE TABLE members (
    target TEXT NOT NULL, line TEXT NOT NULL, uid BIGINT NOT NULL,
    name TEXT NOT NULL, epoch BIGINT NOT NULL, version TEXT NOT NULL, release TEXT NOT NULL, arch TEXT NOT NULL,
    arches TEXT NOT NULL, file TEXT NOT NULL, digest TEXT NOT NULL, size BIGINT NOT NULL,
    from_number BIGINT NOT NULL, until_number BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (target, line, from_number, uid, file)
);
CREATE UNIQUE INDEX members_nevra ON members (target, line, name, epoch, version, release, arch) WHERE until_number = 0;
CREATE INDEX members_digest ON members (digest);

CREATE TABLE builders (
    name TEXT PRIMARY KEY, address TEXT NOT NULL, instance TEXT NOT NULL, alive INTEGER NOT NULL, suspended TEXT NOT NULL,
    arches TEXT NOT NULL, targets TEXT NOT NULL, slots INTEGER NOT NULL, free INTEGER NOT NULL, seen_at BIGINT NOT NULL
);

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL, uid BIGINT NOT NULL, arch_job BIGINT NOT NULL, what TEXT NOT NULL,
    old_state TEXT NOT NULL, new_state TEXT NOT NULL, who TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX events_job ON events (uid, id);
