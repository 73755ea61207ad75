"""Which samples the images of a file of annotations are, and the images that become samples."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from dataide.errors import ImportProblem
from dataide.storage import arrow_arrays
from dataide.storage.samples import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.formats.progress import Listener
    from dataide.storage.database import Database
    from dataide.storage.media import Media

_SHOWN = 3
# From the surest to the least sure; where two samples fit alike, the next one decides, and it is listed.
_TIERS = (
    "s.sample_id = p.name",
    "parse_filename(s.sample_id) = p.base AND (ends_with(s.sample_id, '/' || p.name) "
    "OR ends_with(p.name, '/' || s.sample_id))",
    "s.media <> '' AND parse_filename(s.media) = p.base AND (s.media = p.name OR ends_with(s.media, '/' || p.name))",
    "s.sample_id = p.stem",
    "s.sample_id = p.key AND (s.width_px IS NULL OR p.width = 0 OR (s.width_px = p.width AND s.height_px = p.height))",
)


class Picture(NamedTuple):
    """An image of a file of annotations.

    Attributes:
        key: its id as text.
        name: its path below the folder of images.
        width_px: or 0 where it is not said.
        height_px: or 0.
    """

    key: str
    name: str
    width_px: int
    height_px: int


@dataclass
class Found:
    """What became of images.

    Attributes:
        sample_ids: the sample of each image, by the key of the image.
        added: new samples.
        missing: new samples whose picture was not found.
        notes: what is worth knowing.
    """

    sample_ids: dict[str, str] = field(default_factory=dict)
    added: int = 0
    missing: int = 0
    notes: list[str] = field(default_factory=list)


def settle(
    database: Database,
    media: Media,
    pictures: Mapping[str, Picture],
    faults: list[Fault],
    *,
    images: str | os.PathLike[str] | None,
    missing: Literal["keep", "error"],
    split: str | None,
    progress: bool | Listener,
) -> Found:
    """Finds the sample of each image, and makes samples of those that have none.

    Raises:
        ImportProblem: the folder is not there, or a picture is missing and that is to be an error.
    """
    found = Found()
    found.sample_ids = matched(database, pictures.values(), faults)
    left = [one for key, one in pictures.items() if key not in found.sample_ids]
    folder = None
    if images is not None:
        folder = os.path.abspath(os.path.expanduser(os.fspath(images)))
        if not os.path.isdir(folder):
            raise ImportProblem(f"There is no folder {folder}.", hint="images= is the folder of the pictures.")
    here = [one for one in left if folder is not None and os.path.isfile(os.path.join(folder, one.name))]
    there = {one.key for one in here}
    absent = [one for one in left if one.key not in there]
    if absent and missing == "error":
        shown = ", ".join(one.name for one in absent[:_SHOWN])
        more = f" and {len(absent) - _SHOWN:,} more" if len(absent) > _SHOWN else ""
        where = f"in {folder}" if folder is not None else "among the samples"
        raise ImportProblem(
            f"{len(absent):,} of {len(pictures):,} pictures are not {where}: {shown}{more}; nothing was added.",
            hint="missing_media='keep' takes them as samples without a picture."
            if folder is not None
            else "images='folder' says where they are; missing_media='keep' does without them.",
            code="missing",
        )
    before = database.sample_count
    if here and folder is not None:
        _add(database, media, folder, here, split, progress)
    if absent:
        _keep(database, media, folder, absent, split)
    found.added = database.sample_count - before
    found.missing = len(absent)
    found.sample_ids.update(matched(database, left, faults) if left else {})
    _compare(database, found.sample_ids, pictures, faults)
    return found


def matched(database: Database, pictures: Iterable[Picture], faults: list[Fault]) -> dict[str, str]:
    """The sample of each image that has exactly one, by the key of the image."""
    listed = list(pictures)
    if not listed or not database.sample_count:
        return {}
    sample_ids: dict[str, str] = {}
    for condition in _TIERS:
        table = _table([one for one in listed if one.key not in sample_ids])
        if not table.num_rows:
            break
        # An equality first, for a hash join.
        sql = (
            f"SELECT p.key, count(*), min(s.sample_id) FROM data.sample s JOIN pictures p ON {condition} GROUP BY p.key"
        )
        with database.query(sql, frames={"pictures": table}) as cursor:
            rows = cursor.fetchall()
        for key, times, sample_id in rows:
            if times == 1:
                sample_ids[key] = sample_id
            else:
                faults.append(
                    Fault(
                        f"image {key}", "ambiguous_image", f"{times:,} samples fit the image {key} alike: {sample_id} …"
                    )
                )
    return sample_ids


def _add(
    database: Database, media: Media, folder: str, pictures: list[Picture], split: str | None, progress: bool | Listener
) -> None:
    from dataide.formats.frame import add_frame

    rows = [{"path": one.name, "sample_id": one.name, **({"split": split} if split else {})} for one in pictures]
    add_frame(database, media, rows, root=folder, progress=progress)


def _keep(database: Database, media: Media, folder: str | None, pictures: list[Picture], split: str | None) -> None:
    """Samples without a picture, or with one that may come; their size is what the file says."""
    from dataide.storage import bulk
    from dataide.storage.database import registered

    lot = bulk.Lot(len(pictures), sample_id=arrow_arrays.text([one.name for one in pictures]))
    if folder is not None:
        media.grant(folder)
        lot.media = arrow_arrays.text([media.relative(os.path.join(folder, one.name)) for one in pictures])
    if split:
        lot.split = arrow_arrays.text([split] * len(pictures))
    for _ in bulk.insert(database, [lot], on_conflict="skip"):
        pass
    with database.write() as cursor, registered(cursor, {"pictures": _table(pictures)}):
        cursor.execute(
            "UPDATE data.sample SET width_px = p.width, height_px = p.height FROM pictures p "
            "WHERE p.name = sample.sample_id AND sample.content_hash IS NULL AND sample.width_px IS NULL "
            "AND p.width > 0 AND p.height > 0"
        ).fetchall()


def _compare(
    database: Database, sample_ids: Mapping[str, str], pictures: Mapping[str, Picture], faults: list[Fault]
) -> None:
    """Lists pictures of another size than the file says: their objects may stand elsewhere."""
    table = _table([pictures[key] for key in sample_ids if pictures[key].width_px and pictures[key].height_px])
    if not table.num_rows:
        return
    table = table.append_column("sample_id", arrow_arrays.text([sample_ids[key] for key in table["key"].to_pylist()]))
    sql = (
        "SELECT s.sample_id, s.width_px, s.height_px, p.width, p.height FROM data.sample s "
        "JOIN pictures p ON p.sample_id = s.sample_id WHERE s.width_px <> p.width OR s.height_px <> p.height "
        "ORDER BY s.sample_no"
    )
    with database.query(sql, frames={"pictures": table}) as cursor:
        rows = cursor.fetchall()
    for sample_id, width, height, said_width, said_height in rows:
        turned = (width, height) == (said_height, said_width)
        said = f"The picture is {width} x {height} px, and the file of objects says {said_width} x {said_height}"
        why = (
            "it was probably turned by EXIF, and its objects were not" if turned else "its objects may stand elsewhere"
        )
        faults.append(Fault(sample_id, "rotated" if turned else "size_differs", f"{said}: {why}."))


def _table(pictures: list[Picture]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    bases = [one.name.rpartition("/")[2] for one in pictures]
    columns = {
        "key": arrow_arrays.text([one.key for one in pictures]),
        "name": arrow_arrays.text([one.name for one in pictures]),
        "base": arrow_arrays.text(bases),
        "stem": arrow_arrays.text([os.path.splitext(base)[0] for base in bases]),
        "width": arrow_arrays.numbers([one.width_px for one in pictures], np.uint32),
        "height": arrow_arrays.numbers([one.height_px for one in pictures], np.uint32),
    }
    return pa.Table.from_arrays(list(columns.values()), list(columns))
