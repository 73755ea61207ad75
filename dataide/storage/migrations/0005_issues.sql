-- What is suspicious about samples. Results of a search stand here; what people answered stands in the journal, as
-- changes of the field `issues`, so that undo and redo need nothing else.

CREATE TABLE data.issue (
    sample_no      UINTEGER NOT NULL,
    kind           VARCHAR  NOT NULL, -- label, near_duplicate, leak, outlier, dark …
    score          FLOAT    NOT NULL, -- 0..1, low = severe
    is_issue       BOOLEAN  NOT NULL,
    proposal       VARCHAR,           -- a label; of duplicates keep or exclude
    confidence     FLOAT,             -- of the proposal, 0..1
    reason         VARCHAR,
    group_no       UINTEGER,          -- duplicates of each other
    media_revision UINTEGER NOT NULL, -- the picture and
    label          VARCHAR,           -- the label that were looked at
    of_label       BOOLEAN  NOT NULL, -- with another label it no longer holds
    search_no      UINTEGER NOT NULL
);
CREATE TABLE data.issue_search (
    search_no UINTEGER NOT NULL, kind VARCHAR NOT NULL,
    revision VARCHAR NOT NULL,        -- of everything that went in: method, samples, labels, vectors
    fresh BOOLEAN NOT NULL,           -- no later search has replaced any of it
    sample_count UBIGINT NOT NULL, issue_count UBIGINT NOT NULL,
    note VARCHAR, made_at TIMESTAMP WITH TIME ZONE NOT NULL
);

-- The latest answer about each sample and kind that was not undone.
CREATE VIEW data.issue_answer AS
    SELECT sample_no, kind, json_extract_string(answer, '$.state') AS state,
        CAST(json_extract_string(answer, '$.media_revision') AS UINTEGER) AS media_revision,
        json_extract_string(answer, '$.label') AS label
    FROM (
        SELECT c.sample_no, json_extract_string(c.after, '$.kind') AS kind, arg_max(c.after, c.event_no) AS answer
        FROM data.change_each c JOIN data.event e ON e.event_no = c.event_no
        WHERE c.field = 'issues' AND e.state = 'done' GROUP BY ALL
    );

-- An answer holds while picture and label are as they were right after it; a result while they are as it saw them.
CREATE VIEW data.issue_now AS
    SELECT i.*, s.excluded, CASE
        WHEN a.state <> 'open' AND a.media_revision = s.media_revision
            AND (NOT i.of_label OR a.label IS NOT DISTINCT FROM s.label) THEN a.state
        WHEN i.media_revision <> s.media_revision OR (i.of_label AND i.label IS DISTINCT FROM s.label) THEN 'stale'
        ELSE 'open' END AS state
    FROM data.issue i JOIN data.sample s ON s.sample_no = i.sample_no
    LEFT JOIN data.issue_answer a ON a.sample_no = i.sample_no AND a.kind = i.kind;
