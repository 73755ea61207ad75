"""The tables of objects: what stands where, and how people read it. Knows nothing of an open file."""

from __future__ import annotations

# What is said of an object, beside where it belongs.
KINDS = {
    "label": "VARCHAR", "left_px": "DOUBLE", "top_px": "DOUBLE", "width_px": "DOUBLE", "height_px": "DOUBLE",
    "area_px": "DOUBLE", "crowd": "BOOLEAN", "track": "VARCHAR", "polygons": "DOUBLE[][]", "mask_runs": "UINTEGER[]",
    "mask_height_px": "UINTEGER", "keypoints": "STRUCT(x_px DOUBLE, y_px DOUBLE, visibility UTINYINT)[]",
    "attributes": "VARCHAR",
}  # fmt: skip
BOX = ("left_px", "top_px", "width_px", "height_px")
# What moves with an object.
PLACE = (*BOX, "area_px", "polygons", "mask_runs", "mask_height_px", "keypoints")
# What conditions and orders may name. An object knows the picture that it lies in.
COLUMNS = {
    "object_id": "VARCHAR", "sample_id": "VARCHAR", **KINDS, "split": "VARCHAR", "picture_width_px": "UINTEGER",
    "picture_height_px": "UINTEGER", "excluded": "BOOLEAN", "object_no": "UINTEGER", "sample_no": "UINTEGER",
}  # fmt: skip
_LISTED = ", ".join(f"o.{name}" for name in KINDS)
# The documented table `object`; deleted ones are left out.
DOCUMENTED = (
    f"SELECT o.object_id, s.sample_id, {_LISTED}, s.split, s.width_px AS picture_width_px, "
    "s.height_px AS picture_height_px, s.excluded, o.object_no, o.sample_no "
    "FROM data.object o JOIN data.sample s USING (sample_no) WHERE NOT o.removed"
)
LABELS = "SELECT label, category_id, supercategory, keypoint_names, skeleton FROM data.object_label"
