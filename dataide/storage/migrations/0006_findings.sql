-- What a search found about objects of samples: several findings of one sample are one issue of it, whose `findings` is a
-- digest of them. An answer is to these findings: when a later search finds others, it is asked again.

CREATE TABLE data.finding (
    kind       VARCHAR  NOT NULL,     -- of the issue: linter, box
    sample_no  UINTEGER NOT NULL,
    object_no  UINTEGER,              -- null: about the sample itself
    other_no   UINTEGER,              -- of two: the one that would stay
    rule       VARCHAR  NOT NULL,
    severity   VARCHAR  NOT NULL,     -- error, warning, hint
    score      FLOAT    NOT NULL,     -- 0..1, low = severe
    message    VARCHAR  NOT NULL,
    act        VARCHAR  NOT NULL,     -- what would mend it: delete, box, relabel, none
    left_px    DOUBLE, top_px DOUBLE, width_px DOUBLE, height_px DOUBLE,    -- the new box
    label      VARCHAR,               -- the new label
    -- The object as it was looked at (of a sample its label alone).
    seen STRUCT(label VARCHAR, left_px DOUBLE, top_px DOUBLE, width_px DOUBLE, height_px DOUBLE)
);
ALTER TABLE data.issue ADD COLUMN findings VARCHAR;

-- A finding holds while its object is as it was looked at.
CREATE VIEW data.finding_now AS
    SELECT f.*, CASE
        WHEN f.object_no IS NULL THEN f.seen IS NULL OR f.seen.label IS NOT DISTINCT FROM s.label
        ELSE coalesce(NOT o.removed, false) AND f.seen IS NOT DISTINCT FROM struct_pack(label := o.label,
            left_px := o.left_px, top_px := o.top_px, width_px := o.width_px, height_px := o.height_px)
            AND (f.other_no IS NULL OR coalesce(NOT p.removed, false))
        END AS holds
    FROM data.finding f JOIN data.sample s ON s.sample_no = f.sample_no
    LEFT JOIN data.object o ON o.object_no = f.object_no LEFT JOIN data.object p ON p.object_no = f.other_no;

CREATE OR REPLACE VIEW data.issue_answer AS
    SELECT sample_no, kind, json_extract_string(answer, '$.state') AS state,
        CAST(json_extract_string(answer, '$.media_revision') AS UINTEGER) AS media_revision,
        json_extract_string(answer, '$.label') AS label, json_extract_string(answer, '$.findings') AS findings
    FROM (
        SELECT c.sample_no, json_extract_string(c.after, '$.kind') AS kind, arg_max(c.after, c.event_no) AS answer
        FROM data.change_each c JOIN data.event e ON e.event_no = c.event_no
        WHERE c.field = 'issues' AND e.state = 'done' GROUP BY ALL
    );

CREATE OR REPLACE VIEW data.issue_now AS
    SELECT i.*, s.excluded, CASE
        WHEN a.state <> 'open' AND a.media_revision = s.media_revision AND a.findings IS NOT DISTINCT FROM i.findings
            AND (NOT i.of_label OR a.label IS NOT DISTINCT FROM s.label) THEN a.state
        WHEN i.media_revision <> s.media_revision OR (i.of_label AND i.label IS DISTINCT FROM s.label) THEN 'stale'
        WHEN NOT f.holds THEN 'stale'
        ELSE 'open' END AS state
    FROM data.issue i JOIN data.sample s ON s.sample_no = i.sample_no
    LEFT JOIN data.issue_answer a ON a.sample_no = i.sample_no AND a.kind = i.kind
    LEFT JOIN (SELECT kind, sample_no, bool_or(holds) AS holds FROM data.finding_now GROUP BY ALL) f
        ON f.kind = i.kind AND f.sample_no = i.sample_no;
