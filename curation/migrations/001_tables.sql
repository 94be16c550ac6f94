-- Append-only: nothing here is updated or deleted; counters are views (002_views.sql).
-- pid, mid, vid, run are small integers given by the one writer; problem_id is the content hash.

CREATE TABLE problems (
    pid         INTEGER NOT NULL,
    problem_id  VARCHAR NOT NULL,       -- content hash of prompt and reward spec, 32 hex digits
    type        VARCHAR NOT NULL,       -- of the reward: math, code, ...
    prompt      VARCHAR NOT NULL,
    reward      JSON NOT NULL           -- the reward spec of the wire format
);

CREATE TABLE tests (
    pid     INTEGER NOT NULL,
    test    INTEGER NOT NULL,           -- from 0, in the order of the spec
    tier    INTEGER,
    weight  DOUBLE
);

CREATE TABLE solutions (
    pid       INTEGER NOT NULL,
    hash      UBIGINT NOT NULL,         -- of language and program
    language  VARCHAR NOT NULL,
    program   VARCHAR NOT NULL
);

CREATE TABLE verifiers (
    vid      INTEGER NOT NULL,
    name     VARCHAR NOT NULL,          -- math, code, ...
    version  VARCHAR NOT NULL,
    settings JSON NOT NULL
);

CREATE TABLE models (
    mid   INTEGER NOT NULL,
    name  VARCHAR NOT NULL              -- "@gold" and "@golden": the pool's own answers and programs
);

CREATE TABLE rollouts (
    pid       INTEGER NOT NULL,
    mid       INTEGER NOT NULL,
    sample    INTEGER NOT NULL,         -- from 0 within (pid, mid)
    hash      UBIGINT NOT NULL,         -- of the response
    length    INTEGER NOT NULL,         -- characters; -1: only its recorded score is known
    recorded  DOUBLE,                   -- another grader's score, if the row brought one
    sampling  VARCHAR,
    file      VARCHAR NOT NULL,
    line      BIGINT NOT NULL
);

CREATE TABLE grades (
    pid           INTEGER NOT NULL,
    mid           INTEGER NOT NULL,
    sample        INTEGER NOT NULL,
    vid           INTEGER NOT NULL,
    hash          UBIGINT NOT NULL,
    verdict       VARCHAR NOT NULL,
    score         DOUBLE,               -- null exactly for IE
    reason        VARCHAR NOT NULL,
    detail        VARCHAR NOT NULL,
    cpu_s         DOUBLE NOT NULL,
    wall_s        DOUBLE NOT NULL,
    memory_bytes  BIGINT,
    graded_at     TIMESTAMP NOT NULL
);

CREATE TABLE test_outcomes (
    pid     INTEGER NOT NULL,
    mid     INTEGER NOT NULL,
    sample  INTEGER NOT NULL,
    vid     INTEGER NOT NULL,
    ran     INTEGER NOT NULL,           -- tests that were run, from the first
    passed  BIT NOT NULL                -- one bit a test that was run
);

CREATE TABLE runs (
    run          INTEGER NOT NULL,
    recipe       VARCHAR NOT NULL,
    recipe_hash  VARCHAR NOT NULL,
    recipe_json  JSON NOT NULL,
    inputs       JSON NOT NULL,
    version      VARCHAR NOT NULL,
    started_at   TIMESTAMP NOT NULL
);

CREATE TABLE run_verifiers (
    run  INTEGER NOT NULL,
    vid  INTEGER NOT NULL
);

CREATE TABLE run_ends (                 -- a run without a row here was stopped; its grades count, its decisions were never made
    run          INTEGER NOT NULL,
    rows_in      BIGINT NOT NULL,
    roles        JSON NOT NULL,         -- {"policy": [names], "advanced": [names]}
    finished_at  TIMESTAMP NOT NULL
);

CREATE TABLE pool_rows (                -- one row an input row of a run
    run        INTEGER NOT NULL,
    row        BIGINT NOT NULL,         -- from 0, in input order over all files
    pid        INTEGER,                 -- null: the row is no problem
    id         VARCHAR,
    source     VARCHAR,
    domain     VARCHAR,
    licence    VARCHAR,
    url        VARCHAR,
    revision   VARCHAR,
    file       VARCHAR NOT NULL,
    line       BIGINT NOT NULL,
    solutions  UBIGINT[],
    metadata   JSON
);

CREATE TABLE decisions (                -- exactly one a row of pool_rows
    run       INTEGER NOT NULL,
    row       BIGINT NOT NULL,
    status    VARCHAR NOT NULL,         -- kept, rejected, undecided
    stage     VARCHAR NOT NULL,
    reason    VARCHAR NOT NULL,
    evidence  JSON NOT NULL
);

CREATE TABLE test_tiers (               -- of problems with enough rollouts; goes before the tier of the spec
    run   INTEGER NOT NULL,
    pid   INTEGER NOT NULL,
    test  INTEGER NOT NULL,
    tier  INTEGER NOT NULL
);

CREATE TABLE clusters (
    run      INTEGER NOT NULL,
    cluster  INTEGER NOT NULL,
    row      BIGINT NOT NULL,
    best     BOOLEAN NOT NULL,
    rule     VARCHAR NOT NULL,          -- exact, near
    jaccard  DOUBLE NOT NULL            -- to the best member
);

CREATE TABLE contamination (
    run        INTEGER NOT NULL,
    row        BIGINT NOT NULL,
    benchmark  VARCHAR NOT NULL,
    item_id    VARCHAR NOT NULL,
    rule       VARCHAR NOT NULL,        -- ngram, short_exact
    span       VARCHAR NOT NULL         -- what they share
);
