-- Vectors of crops, one for each object, and maps of objects. A vector counts while its picture and its box are as they
-- were when it was computed: both stand beside it.

CREATE TABLE data.object_embedding (
    embedding_no UINTEGER NOT NULL,
    name         VARCHAR  NOT NULL,
    revision     VARCHAR  NOT NULL, -- of the model
    dimension    UINTEGER NOT NULL,
    created_at   TIMESTAMP WITH TIME ZONE NOT NULL
);
-- data.object_vector_<embedding_no>(object_no, media_revision, left_px, top_px, width_px, height_px, vector) come with it.

CREATE TABLE data.object_projection (
    projection_no UINTEGER NOT NULL,
    name          VARCHAR  NOT NULL,
    embedding_no  UINTEGER NOT NULL,
    method        VARCHAR  NOT NULL,
    created_at    TIMESTAMP WITH TIME ZONE NOT NULL
);
CREATE TABLE data.object_point (
    projection_no UINTEGER NOT NULL,
    object_no     UINTEGER NOT NULL,
    x             FLOAT    NOT NULL,
    y             FLOAT    NOT NULL
);
