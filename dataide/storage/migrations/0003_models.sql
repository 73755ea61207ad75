-- What models said of samples. Results of run n stand in data.result_n: sample_no, media_revision, revision_no (which
-- revision of the model said it); of a classifier also class_no, confidence and probabilities; detected objects in
-- data.object_n: sample_no, class_no, score, place in px, and the mask as runs (column by column, off first).
-- What people filter by (the class, attributes) stands in columns of data.sample as well.

CREATE TABLE data.model (
    name VARCHAR NOT NULL, kind VARCHAR NOT NULL, revision VARCHAR NOT NULL,
    details VARCHAR NOT NULL,         -- JSON: task, classes, parameters …
    state BLOB,                       -- the weights of a network that was trained here (an .npz archive)
    first_used_at TIMESTAMP WITH TIME ZONE NOT NULL, used_at TIMESTAMP WITH TIME ZONE NOT NULL
);
CREATE TABLE data.run (
    run_no UINTEGER NOT NULL, name VARCHAR NOT NULL,
    task VARCHAR NOT NULL,            -- classification, detection, attributes
    classes VARCHAR[] NOT NULL,
    fields VARCHAR[] NOT NULL,        -- what it says of a sample (class, confidence, aspect …)
    sample_columns VARCHAR[] NOT NULL, -- and in which column of data.sample each stands
    made_at TIMESTAMP WITH TIME ZONE NOT NULL
);
CREATE TABLE data.run_revision (
    run_no UINTEGER NOT NULL, revision_no UINTEGER NOT NULL, revision VARCHAR NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL
);
-- The column of texts that were embedded; NULL where it was the picture.
ALTER TABLE data.embedding ADD COLUMN source VARCHAR;
