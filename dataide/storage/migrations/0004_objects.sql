-- Objects: boxes, masks, keypoints and tracks as parts of samples. object_no is dense from 0 in order of arrival and never
-- reused: an object that was taken away keeps its row (`removed`), so that taking back is a bit, and masks never go through
-- the journal. Places are pixels of the upright picture, named as in data.object_n of a run; width and height may be
-- negative or null where the source says so, because that is for people and linters to see.

CREATE TABLE data.object (
    object_no     UINTEGER NOT NULL,
    sample_no     UINTEGER NOT NULL,
    object_id     VARCHAR  NOT NULL,
    label         VARCHAR,
    left_px       DOUBLE,
    top_px        DOUBLE,
    width_px      DOUBLE,
    height_px     DOUBLE,
    area_px       DOUBLE,             -- as the source says it, else of the mask, else of the box
    crowd         BOOLEAN  NOT NULL DEFAULT false,  -- stands for many of its kind (COCO's iscrowd)
    track         VARCHAR,            -- the same thing in several pictures
    polygons      DOUBLE[][],         -- outlines: x, y, x, y …
    mask_runs     UINTEGER[],         -- column by column, off first
    mask_height_px UINTEGER,          -- of the picture that the runs go through
    keypoints     STRUCT(x_px DOUBLE, y_px DOUBLE, visibility UTINYINT)[],
    attributes    VARCHAR,            -- JSON
    removed       BOOLEAN  NOT NULL DEFAULT false,
    added_at      TIMESTAMP NOT NULL
);
-- What is known of labels of objects, in the order in which they came.
CREATE TABLE data.object_label (
    label VARCHAR NOT NULL, category_id BIGINT, supercategory VARCHAR, keypoint_names VARCHAR[], skeleton UINTEGER[][]
);
-- What a decision did to objects; data.alike has one line (field 'objects') for their samples.
CREATE TABLE data.object_change (
    event_no UBIGINT NOT NULL, object_no UINTEGER NOT NULL,
    field VARCHAR NOT NULL,           -- label, removed, or place (JSON of everything that moves)
    before VARCHAR, after VARCHAR
);
