-- Physical tables live in the schema `data`, keyed by sample_no: a dense integer, 0, 1, 2 … in order of arrival, never reused.
-- People read the views in `main` (sample, tag, task, event, change …), which speak of sample_id.

CREATE SCHEMA data;

CREATE TABLE data.meta (key VARCHAR NOT NULL, value VARCHAR);

CREATE TABLE data.sample (
    sample_no     UINTEGER NOT NULL,
    sample_id     VARCHAR  NOT NULL,
    media         VARCHAR  NOT NULL,  -- a reference: path, URL, blob:HASH, parquet:PATH#COLUMN:ROW
    label         VARCHAR,
    split         VARCHAR,
    excluded      BOOLEAN  NOT NULL DEFAULT false,
    width_px      UINTEGER,
    height_px     UINTEGER,
    bytes         UBIGINT,
    format        VARCHAR,            -- as Pillow names it: JPEG, PNG …
    brightness    FLOAT,              -- mean luma, 0..1
    contrast      FLOAT,              -- standard deviation of luma, 0..0.5
    sharpness     FLOAT,              -- variance of the Laplacian of luma in 0..1
    mean_red      FLOAT,
    mean_green    FLOAT,
    mean_blue     FLOAT,
    content_hash  VARCHAR,            -- BLAKE2b-128 of the encoded bytes, hex
    media_revision UINTEGER NOT NULL DEFAULT 1,
    added_at      TIMESTAMP NOT NULL
    -- the user's own columns follow, added as they come
);

CREATE TABLE data.tag  (sample_no UINTEGER NOT NULL, tag VARCHAR NOT NULL);
CREATE TABLE data.task (queue VARCHAR NOT NULL, sample_no UINTEGER NOT NULL, state VARCHAR NOT NULL, reason VARCHAR, priority DOUBLE, owner VARCHAR);

CREATE TABLE data.event (
    event_no     UBIGINT NOT NULL,
    uuid         VARCHAR NOT NULL,    -- a client repeats a write with the same uuid, and it is done once
    decided_at   TIMESTAMP WITH TIME ZONE NOT NULL,  -- AT is a reserved word since DuckDB 2.0
    author       VARCHAR NOT NULL,
    verb         VARCHAR NOT NULL,    -- tag, untag, relabel, enqueue, exclude, include, set, undo, redo
    arguments    VARCHAR NOT NULL,    -- JSON
    target       VARCHAR NOT NULL,    -- for people: what was acted on
    sample_count UBIGINT NOT NULL,    -- samples that really changed
    state        VARCHAR NOT NULL,    -- done, undone, dropped (undone, then overtaken by a new decision)
    refers_to    UBIGINT              -- of undo and redo: the event
);
CREATE TABLE data.change (event_no UBIGINT NOT NULL, sample_no UINTEGER NOT NULL, field VARCHAR NOT NULL, before VARCHAR, after VARCHAR);

CREATE TABLE data.problem (found_at TIMESTAMP WITH TIME ZONE NOT NULL, source VARCHAR NOT NULL, media VARCHAR NOT NULL, code VARCHAR NOT NULL, reason VARCHAR NOT NULL);
CREATE TABLE data.blob (content_hash VARCHAR NOT NULL, bytes BLOB NOT NULL);

CREATE TABLE data.embedding (embedding_no UINTEGER NOT NULL, name VARCHAR NOT NULL, revision VARCHAR NOT NULL, dimension UINTEGER NOT NULL, created_at TIMESTAMP WITH TIME ZONE NOT NULL);
-- The vectors of embedding n stand in data.vector_n (sample_no UINTEGER, media_revision UINTEGER, vector FLOAT[dimension]).
CREATE TABLE data.projection (
    projection_no UINTEGER NOT NULL, name VARCHAR NOT NULL, embedding_no UINTEGER NOT NULL, method VARCHAR NOT NULL,
    parameters VARCHAR NOT NULL,      -- JSON
    state BLOB,                       -- what is needed to place new samples (an .npz archive), NULL when they are placed by neighbours
    created_at TIMESTAMP WITH TIME ZONE NOT NULL
);
CREATE TABLE data.point (projection_no UINTEGER NOT NULL, sample_no UINTEGER NOT NULL, media_revision UINTEGER NOT NULL, x FLOAT NOT NULL, y FLOAT NOT NULL);
