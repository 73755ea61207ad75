"""COCO's JSON of boxes, masks and keypoints (Lin et al. 2014): images, annotations, categories."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from dataide.errors import ImportProblem
from dataide.formats import coco_images
from dataide.formats.coco_images import Picture
from dataide.formats.ingest import Conflict, check_conflict
from dataide.formats.json_stream import items
from dataide.formats.object_frame import ObjectReport, write
from dataide.formats.object_parts import Parts
from dataide.formats.progress import Listener, Progress
from dataide.storage import arrow_arrays, objects
from dataide.storage.object_tables import BOX
from dataide.storage.samples import Fault

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.media import Media

LOT = 20_000
_LISTS = frozenset({"images", "annotations", "categories"})
_OWN = frozenset(
    {"id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd", "keypoints", "num_keypoints"}
    | {"track_id", "instance_id", "attributes"}
)


@dataclass
class Head:
    """What a file says beside its annotations.

    Attributes:
        pictures: by id as text.
        labels: names of categories by id as text.
        declared: what is known of each label.
        annotations: how many there are.
        faults: entries that cannot be used.
    """

    pictures: dict[str, Picture] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    declared: list[dict[str, Any]] = field(default_factory=list)
    annotations: int = 0
    faults: list[Fault] = field(default_factory=list)


def add_coco(
    database: Database,
    media: Media,
    annotations: str | os.PathLike[str] | Mapping[str, Any],
    *,
    images: str | os.PathLike[str] | None = None,
    missing_media: Literal["keep", "error"] = "keep",
    prefix: str = "",
    split: str | None = None,
    on_conflict: Conflict = "skip",
    progress: bool | Listener = True,
) -> ObjectReport:
    """Adds the objects of a COCO file, and its images as samples where they are not there yet.

    The file is read twice, item by item: a broken one changes nothing, and a large one is never in memory as a whole.
    Images are matched with samples by file name (the id of the sample, or the end of it or of its path), by name
    without ending, or by number where the sizes agree. Bad entries are counted and listed in session.problems().

    Places are taken as px of the upright picture. COCO's own pictures carry no EXIF rotation; where a picture is turned
    and its annotations are not, sizes are swapped, which is listed as `rotated`, and nothing is turned on a guess.

    Args:
        database: the session's file.
        media: the session's reader, which is granted the folder.
        annotations: the JSON file (.json or .json.gz), or what was read from it.
        images: the folder that the file names of the images start from; without it no pictures come in.
        missing_media: "keep" takes images whose picture is not found as samples of the size that the file says;
            "error" adds nothing where one is not found.
        prefix: before the ids of objects, where the numbers of two files mean different ones: prefix="val/".
        split: of new samples.
        on_conflict: what to do when an object id is there already: skip, replace or error.
        progress: False for silence.

    Raises:
        ImportProblem: it is no such file, it breaks off, or a picture is missing and that is to be an error.
    """
    check_conflict(on_conflict)
    if missing_media not in ("keep", "error"):
        raise ImportProblem(f"missing_media is {missing_media!r}.", hint="Say missing_media='keep' or 'error'.")
    started = time.monotonic()
    head = read_head(annotations)
    name = "COCO" if isinstance(annotations, Mapping) else os.path.basename(os.fspath(annotations))
    # Pictures and objects are two works in one line, which ends with the one report.
    with Progress(name, progress) as shown:
        found = coco_images.settle(
            database, media, head.pictures, head.faults,
            images=images, missing=missing_media, split=split, progress=shown.part,
        )  # fmt: skip
        with database.write() as cursor:
            objects.declare_labels(cursor, head.declared)
            report = write(
                database, lots(annotations, head, found.sample_ids, prefix), name, on_conflict, shown.part,
                head.annotations, notes=found.notes, samples=found.added, missing=found.missing,
            )  # fmt: skip
        report = replace(report, seconds=time.monotonic() - started)
        shown.finish(head.annotations, f"{name}: {report!r}", report)
    return report


def read_head(source: str | os.PathLike[str] | Mapping[str, Any]) -> Head:
    """Images and categories, and whether the whole file can be read.

    Raises:
        ImportProblem: it cannot, or has neither images nor annotations.
    """
    head, seen = Head(), set()
    for name, one in items(source, _LISTS):
        seen.add(name)
        if name == "annotations":
            head.annotations += 1
        elif name == "images":
            _picture(one, head)
        else:
            _category(one, head)
    if not seen & {"images", "annotations"}:
        raise ImportProblem(
            "There are no images and no annotations in it, so it is no COCO file.",
            hint='It looks like {"images": […], "annotations": […], "categories": […]}.',
            code="json",
        )
    return head


def lots(
    source: str | os.PathLike[str] | Mapping[str, Any], head: Head, sample_ids: Mapping[str, str], prefix: str
) -> Iterator[objects.Lot]:
    """The annotations as lots of objects; `sample_ids` says the sample of each image id."""
    reader = _Annotations(head, sample_ids, prefix)
    number = 0
    for name, one in items(source, _LISTS):
        if name == "annotations":
            reader.take(one, number)
            number += 1
            if number % LOT == 0:
                yield reader.lot()
    reader.faults[:0] = head.faults
    yield reader.lot()


class _Annotations:
    """Annotations under way into columns."""

    def __init__(self, head: Head, sample_ids: Mapping[str, str], prefix: str) -> None:
        self._head = head
        self._sample_ids = sample_ids
        self._prefix = prefix
        self._seen: set[Any] = set()
        self._again: dict[Any, int] = {}
        self._start()

    def _start(self) -> None:
        self.faults: list[Fault] = []
        self._parts = Parts()
        self._texts: dict[str, list[Any]] = {
            name: [] for name in ("object_id", "sample_id", "label", "track", "attributes")
        }
        self._boxes: list[Any] = []
        self._areas: list[float] = []
        self._crowds: list[bool] = []

    def take(self, given: Any, number: int) -> None:
        if not isinstance(given, dict):
            self.faults.append(
                Fault(f"annotation {number:,}", "bad_entry", f"It is {type(given).__name__}, no object.")
            )
            return
        object_id = self._id(given.get("id"), number)
        image = _key(given.get("image_id"))
        sample_id = self._sample_ids.get(image) if image is not None else None
        if sample_id is None:
            said = f"There is no image {given.get('image_id')!r}" if image is not None else "It names no image"
            self.faults.append(Fault(object_id, "unknown_image", f"{said}, so the object could not come in."))
            return
        box, area, wrong = self._parts.add(given.get("segmentation"), given.get("keypoints"))
        for one in wrong:
            code = "bad_keypoints" if "keypoints" in one else "bad_mask"
            self.faults.append(Fault(object_id, code, f"On {sample_id}: {one}"))
        said_box = given.get("bbox")
        if said_box is not None:
            box = _box(said_box)
        said_area: Any = given.get("area")
        self._boxes.append(box if box is not None else (math.nan,) * 4)
        self._areas.append(float(said_area) if _is_number(said_area) else math.nan if area is None else area)
        self._crowds.append(bool(given.get("iscrowd")))
        label, unknown = self._label(given, object_id, sample_id)
        more = {key: value for key, value in given.items() if key not in _OWN}
        told = given.get("attributes")
        if isinstance(told, dict):
            more.update(told)
        elif told not in (None, []):
            more["attributes"] = told
        track = given.get("track_id", given.get("instance_id"))
        row = {
            "object_id": object_id, "sample_id": sample_id, "label": label,
            "track": None if track is None else str(track),
            "attributes": _json({**more, **unknown}) if more or unknown else None,
        }  # fmt: skip
        for name, value in row.items():
            self._texts[name].append(value)

    def lot(self) -> objects.Lot:
        """What was taken since the last one."""
        import numpy as np
        import pyarrow as pa

        columns: dict[str, Any] = {name: arrow_arrays.text(values) for name, values in self._texts.items()}
        places = np.asarray(self._boxes, np.float64).reshape(-1, 4)
        for side, name in enumerate(BOX):
            columns[name] = arrow_arrays.numbers(places[:, side], np.float64)
        columns["area_px"] = arrow_arrays.numbers(self._areas, np.float64)
        columns["crowd"] = arrow_arrays.numbers(np.asarray(self._crowds, np.uint8), np.uint8)
        columns.update(self._parts.columns())
        lot = objects.Lot(pa.Table.from_arrays(list(columns.values()), list(columns)), faults=self.faults)
        self._start()
        return lot

    def _id(self, given: Any, number: int) -> str:
        known = _key(given)
        if known is None:
            return f"{self._prefix}annotation-{number}"
        if known not in self._seen:
            self._seen.add(known)
            return f"{self._prefix}{known}"
        again = self._again[known] = self._again.get(known, 1) + 1
        name = f"{self._prefix}{known}-{again}"
        self.faults.append(Fault(name, "id_twice", f"The id {known} comes more than once; this object is {name}."))
        return name

    def _label(self, given: Mapping[str, Any], object_id: str, sample_id: str) -> tuple[str | None, dict[str, Any]]:
        """The name of its category; else nothing, and the number as an attribute."""
        category = given.get("category_id")
        key = _key(category)
        label = self._head.labels.get(key) if key is not None else None
        if label is not None:
            return label, {}
        said = "It names no category" if category is None else f"There is no category {category!r}"
        self.faults.append(Fault(object_id, "unknown_category", f"On {sample_id}: {said}, so it has no label."))
        return None, {} if category is None else {"category_id": category}


def _picture(one: Any, head: Head) -> None:
    key = _key(one.get("id")) if isinstance(one, dict) else None
    if key is None:
        head.faults.append(Fault(f"image {len(head.pictures):,}", "bad_entry", "An entry of images has no id."))
        return
    if key in head.pictures:
        head.faults.append(
            Fault(f"image {key}", "id_twice", f"The image id {key} comes more than once; the first counts.")
        )
        return
    name = one.get("file_name")
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        head.faults.append(
            Fault(f"image {key}", "bad_entry", f"The image {key} has no file name; its id stands for it.")
        )
        name = key
    width, height = one.get("width"), one.get("height")
    head.pictures[key] = Picture(key, name.replace("\\", "/"), _side(width), _side(height))


def _category(one: Any, head: Head) -> None:
    key = _key(one.get("id")) if isinstance(one, dict) else None
    name = str(one.get("name", "")).strip() if key is not None else ""
    if key is None or not name:
        head.faults.append(
            Fault("categories", "bad_entry", f"An entry of categories has no id or name: {str(one)[:80]}")
        )
        return
    head.labels.setdefault(key, name)
    keypoints, skeleton = one.get("keypoints"), one.get("skeleton")
    pairs = isinstance(skeleton, list) and all(
        isinstance(pair, list) and all(isinstance(end, int) and 0 <= end < 1 << 31 for end in pair) for pair in skeleton
    )
    above = one.get("supercategory")
    head.declared.append(
        {
            "label": name,
            "category_id": int(key) if key.lstrip("-").isdigit() and abs(int(key)) < 1 << 62 else None,
            "supercategory": above if isinstance(above, str) else None,
            "keypoint_names": [str(point) for point in keypoints] if isinstance(keypoints, list) else None,
            "skeleton": skeleton if pairs else None,
        }
    )


def _key(given: Any) -> str | None:
    """An id as text, so that 7, 7.0 and "7" are one."""
    if isinstance(given, bool) or given is None:
        return None
    if isinstance(given, float):
        return str(int(given)) if given.is_integer() else None
    return str(given) if isinstance(given, int | str) and str(given) else None


def _side(given: Any) -> int:
    """A width or height in px; 0 where the file does not say it."""
    return int(given) if _is_number(given) and 0 < given < 1 << 31 else 0


def _box(given: Any) -> tuple[float, ...] | None:
    if not isinstance(given, list | tuple) or len(given) != 4:
        return None
    # What is no number is missing; the storage lists it as no_box.
    return tuple(float(value) if _is_number(value) else math.nan for value in given)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _json(value: Any) -> str:
    import json

    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None), ensure_ascii=False)
