-- +goose Up
-- What builders say of their machines: bytes, load in hundredths.
ALTER TABLE builders ADD COLUMN memory BIGINT NOT NULL DEFAULT 0;
ALTER TABLE builders ADD COLUMN free_memory BIGINT NOT NULL DEFAULT 0;
ALTER TABLE builders ADD COLUMN free_disk BIGINT NOT NULL DEFAULT 0;
ALTER TABLE builders ADD COLUMN load BIGINT NOT NULL DEFAULT 0;
ALTER TABLE builders ADD COLUMN labels TEXT NOT NULL DEFAULT '';

-- What attempts used at most: bytes; how the memory was measured.
ALTER TABLE attempts ADD COLUMN memory BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN disk BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN meter TEXT NOT NULL DEFAULT '';

-- What the builds of a package took, in microseconds, and used before.
CREATE TABLE learned (
    package TEXT NOT NULL,
    arch TEXT NOT NULL,
    took BIGINT NOT NULL,
    memory BIGINT NOT NULL,
    disk BIGINT NOT NULL,
    PRIMARY KEY (package, arch)
);

-- What an attempt of the run ran out of, memory or disk, and how many bytes of it its builder had.
ALTER TABLE arch_jobs ADD COLUMN outgrew TEXT NOT NULL DEFAULT '';
ALTER TABLE arch_jobs ADD COLUMN above BIGINT NOT NULL DEFAULT 0;
