"""Objects that a frame holds, a row each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dataide.errors import ImportProblem, did_you_mean
from dataide.formats.bare import parts, stem, whole
from dataide.formats.ingest import Conflict, check_conflict
from dataide.formats.object_parts import Parts
from dataide.formats.progress import Listener, Progress
from dataide.formats.table import text_column, user_columns
from dataide.storage import arrow_arrays, objects
from dataide.storage.object_tables import BOX
from dataide.storage.samples import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Database

BoxFormat = Literal["xywh", "xyxy", "cxcywh"]
BOX_FORMATS: tuple[BoxFormat, ...] = ("xywh", "xyxy", "cxcywh")
_KNOWN: dict[tuple[str, ...], BoxFormat] = {
    BOX: "xywh", ("x", "y", "width", "height"): "xywh", ("x", "y", "w", "h"): "xywh",
    ("left", "top", "width", "height"): "xywh", ("xmin", "ymin", "xmax", "ymax"): "xyxy",
    ("x_min", "y_min", "x_max", "y_max"): "xyxy", ("x1", "y1", "x2", "y2"): "xyxy",
    ("left", "top", "right", "bottom"): "xyxy", ("cx", "cy", "w", "h"): "cxcywh",
}  # fmt: skip
_ALIKE = {
    "track": ("track", "track_id"), "crowd": ("crowd", "iscrowd"), "area_px": ("area_px", "area"),
    "polygons": ("polygons",), "mask_runs": ("mask_runs",), "mask_height_px": ("mask_height_px",),
    "attributes": ("attributes",),
}  # fmt: skip
_LOOSE = ("segmentation", "keypoints")
_LABELS = ("label", "class", "category")


@dataclass(frozen=True)
class ObjectReport:
    """What an import of objects did. Its repr is a sentence.

    Attributes:
        added: new objects.
        replaced: objects that were there and are other ones now.
        skipped: objects that were there already.
        problems: how many of each kind, such as inverted_box or unknown_sample; session.problems() lists them. Objects
            with a wrong box are kept, those of unknown samples are not.
        seconds: it took.
        samples: new samples that came along.
        missing: samples whose picture was not found.
        notes: what else is worth knowing.
    """

    added: int
    replaced: int
    skipped: int
    problems: dict[str, int]
    seconds: float
    samples: int = 0
    missing: int = 0
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        said = [f"{_count(self.added, 'object')} added"]
        if self.samples:
            said.append(f"with {_count(self.samples, 'new sample')}")
        if self.replaced:
            said.append(f"{self.replaced:,} replaced")
        if self.skipped:
            said.append(f"{self.skipped:,} skipped because they were there already")
        text = f"{', '.join(said)} in {self.seconds:.1f} s."
        if self.missing:
            text += f" {_count(self.missing, 'sample')} {'has' if self.missing == 1 else 'have'} no picture yet."
        if self.problems:
            listed = ", ".join(f"{count:,} {code}" for code, count in sorted(self.problems.items()))
            text += f" Problems: {listed}; session.problems() says more."
        return " ".join([text, *self.notes])


def add_objects(
    database: Database,
    frame: Any,
    *,
    sample_id: str = "sample_id",
    label: str | None = None,
    box: str | Sequence[str] | None = None,
    box_format: BoxFormat | None = None,
    relative: bool = False,
    object_id: str | None = None,
    on_conflict: Conflict = "skip",
    progress: bool | Listener = True,
) -> ObjectReport:
    """Adds an object for each row of a frame, all or none of them.

    Places are px of the upright picture, as panels show it after EXIF orientation. Boxes that are inverted, empty,
    outside or no numbers are kept and listed in session.problems(), because linters and people are to see them. Columns
    that mean nothing else become attributes.

    Args:
        database: the session's file.
        frame: pandas, Polars, Arrow, a DuckDB relation, a list of dicts, or anything that speaks Arrow. Beside box and
            label these columns are taken by name: track, crowd, area_px, segmentation (as in COCO), polygons, mask_runs
            with mask_height_px, keypoints (x, y, visibility …), attributes (JSON).
        sample_id: the column that says on which sample the object is.
        label: the column of classes; by default `label`, `class` or `category`.
        box: four columns, or one of lists of four; by default found by their names.
        box_format: "xywh" (left, top, width, height), "xyxy" (left, top, right, bottom) or "cxcywh" (centre and size).
        relative: places are shares of width and height of the picture.
        object_id: the column of ids; by default `object_id`, else ids are made of the content and the position, so that
            the same frame is the same objects.
        on_conflict: what to do when an object id is there already: skip, replace or error.
        progress: False for silence.

    Raises:
        ImportProblem: it is no frame, a column is not there or holds no numbers, or an id is taken and on_conflict is
            "error".
    """
    table, loose = taken_apart(frame)
    reader = Reader(table.schema.names, sample_id, label, box, box_format, object_id, loose)
    lots = (reader.lot(part, first) for first, part in parts(table))
    total = getattr(table, "num_rows", None)
    return write(database, lots, "objects", on_conflict, progress, total, relative=relative, notes=reader.notes)


def write(
    database: Database,
    lots: Iterator[objects.Lot],
    source: str,
    on_conflict: Conflict,
    progress: bool | Listener,
    total: int | None,
    *,
    relative: bool = False,
    notes: list[str],
    samples: int = 0,
    missing: int = 0,
) -> ObjectReport:
    """Writes lots and reports; `notes` may grow while they are read."""
    check_conflict(on_conflict)
    started = time.monotonic()
    shown = Progress(source, progress, total, "objects")
    writing = objects.insert(database, lots, source=source, on_conflict=on_conflict, relative=relative)
    done = 0
    try:
        while True:
            done = next(writing)
            shown.update(done)
    except StopIteration as end:
        inserted: objects.Inserted = end.value
    except objects.Taken as taken:
        raise ImportProblem(
            f"There is an object {taken.object_id!r} already; nothing was added.",
            hint="on_conflict='skip' leaves those that are there, 'replace' takes the new ones.",
            code="id_taken",
        ) from None
    finally:
        writing.close()
    report = ObjectReport(
        inserted.added, inserted.replaced, inserted.skipped, inserted.faults, time.monotonic() - started, samples,
        missing, tuple(dict.fromkeys(notes)),
    )  # fmt: skip
    shown.finish(done, f"{source}: {report!r}", report)
    return report


def taken_apart(frame: Any) -> tuple[pa.Table | pa.RecordBatchReader, dict[str, list[Any]]]:
    """A frame as Arrow, and its masks and keypoints as they are where they are Python's: Arrow has no type for a column
    of outlines and runs.

    Raises:
        ImportProblem: it is no frame.
    """
    loose: dict[str, list[Any]] = {}
    if isinstance(frame, list | tuple) and all(isinstance(row, dict) for row in frame):
        for name in _LOOSE:
            if any(name in row for row in frame):
                loose[name] = [row.get(name) for row in frame]
        rows = [{key: value for key, value in row.items() if key not in loose} for row in frame] if loose else frame
        return whole(rows), loose
    if isinstance(frame, dict):
        loose = {name: list(frame[name]) for name in _LOOSE if name in frame}
        table = whole({name: values for name, values in frame.items() if name not in loose})
    elif type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "columns"):
        loose = {name: frame[name].tolist() for name in _LOOSE if name in frame.columns}
        table = whole(frame.drop(columns=list(loose)))
    else:
        return whole(frame), {}
    for name, values in loose.items():
        if len(values) != table.num_rows:
            raise ImportProblem(
                f"{name!r} has {len(values):,} values, and the other columns {table.num_rows:,}.",
                hint="Give one value for each object.",
            )
    return table, loose


class Reader:
    """Knows which columns mean what, and makes lots of rows.

    Raises:
        ImportProblem: a column is not there.
    """

    def __init__(
        self,
        names: Sequence[str],
        sample_id: str,
        label: str | None,
        box: str | Sequence[str] | None,
        box_format: BoxFormat | None,
        object_id: str | None,
        loose: dict[str, list[Any]] | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._loose = loose or {}
        self._names = list(names)
        for role, name in (("sample_id", sample_id), ("label", label), ("object_id", object_id)):
            if name is not None and name not in self._names:
                near = did_you_mean(name, self._names)
                raise ImportProblem(
                    f"There is no column {name!r} ({role}=).",
                    hint=near or f"Name one with {role}=.",
                    code="unknown_column",
                )
        if box_format is not None and box_format not in BOX_FORMATS:
            raise ImportProblem(f"{box_format!r} is no format of boxes.", hint=f"There are: {', '.join(BOX_FORMATS)}.")
        self._sample_id = sample_id
        self._label = label if label is not None else next((one for one in _LABELS if one in self._names), None)
        self._object_id = object_id if object_id is not None else "object_id" if "object_id" in self._names else None
        self._box, self._format = self._found(box, box_format)
        self._alike = {
            kind: name for kind, known in _ALIKE.items() if (name := next((n for n in known if n in self._names), None))
        }
        self._shapes = [name for name in _LOOSE if name in self._names or name in self._loose]
        if not self._box and not (self._shapes or "polygons" in self._alike):
            raise ImportProblem(
                f"None of the columns {', '.join(self._names[:12])} says where the objects are.",
                hint="session.add_objects(frame, box=('xmin', 'ymin', 'xmax', 'ymax'), box_format='xyxy')",
            )
        used = {self._sample_id, self._label, self._object_id, *self._box, *self._alike.values()}
        self._used = (*used, *self._shapes)

    def lot(self, part: pa.Table, first: int) -> objects.Lot:
        """Some rows as objects.

        Raises:
            ImportProblem: a column of places holds no numbers.
        """
        import pyarrow as pa

        columns: dict[str, Any] = {"sample_id": text_column(part.column(self._sample_id))}
        if self._object_id is not None:
            columns["object_id"] = self._ids(part, first)
        if self._label is not None:
            columns["label"] = text_column(part.column(self._label))
        columns.update(self._places(part))
        for kind, name in self._alike.items():
            column = part.column(name)
            columns[kind] = text_column(column) if kind in ("track", "attributes") else column
        faults: list[Fault] = []
        if self._shapes:
            self._gather(part, first, columns, faults)
        table = pa.Table.from_arrays(list(columns.values()), list(columns))
        extra = None if "attributes" in columns else user_columns(part, self._used, self.notes)
        return objects.Lot(table, stem(part) if self._object_id is None else "", first, extra, faults)

    def _found(
        self, box: str | Sequence[str] | None, box_format: BoxFormat | None
    ) -> tuple[tuple[str, ...], BoxFormat]:
        if box is None:
            for names, known in _KNOWN.items():
                if all(name in self._names for name in names):
                    return names, box_format or known
            return (("bbox",), box_format or "xywh") if "bbox" in self._names else ((), "xywh")
        named = (box,) if isinstance(box, str) else tuple(box)
        if len(named) not in (1, 4):
            raise ImportProblem(f"A box has four columns, or one of lists; {len(named)} were named.")
        for name in named:
            if name not in self._names:
                raise ImportProblem(
                    f"There is no column {name!r} (box=).", hint=did_you_mean(name, self._names), code="unknown_column"
                )
        known_format = _KNOWN.get(tuple(name.lower() for name in named))
        if box_format is None and known_format is None and len(named) == 4:
            raise ImportProblem(
                f"The names {', '.join(named)} do not say what they mean.",
                hint="box_format='xywh' (left, top, width, height), 'xyxy' (left, top, right, bottom) or 'cxcywh'.",
            )
        return named, box_format or known_format or "xywh"

    def _ids(self, part: pa.Table, first: int) -> pa.ChunkedArray:
        assert self._object_id is not None
        given = text_column(part.column(self._object_id))
        if not given.null_count:
            return given
        import pyarrow as pa

        beginning = stem(part)
        filled = [one if one is not None else f"{beginning}{first + row}" for row, one in enumerate(given.to_pylist())]
        return pa.chunked_array([arrow_arrays.text(filled)])

    def _places(self, part: pa.Table) -> dict[str, Any]:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._box:
            return {}
        try:
            if len(self._box) == 1:
                lists = part.column(self._box[0])
                flat = [pc.list_element(_four(lists), index) for index in range(4)]
            else:
                flat = [part.column(name) for name in self._box]
            one, two, three, four = (column.cast(pa.float64()) for column in flat)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise ImportProblem(
                f"The columns {', '.join(self._box)} hold something else than numbers: {str(error)[:120]}",
                hint="frame[['x', 'y', 'width', 'height']].astype(float) shows where.",
            ) from error
        if self._format == "xyxy":
            three, four = pc.subtract(three, one), pc.subtract(four, two)
        elif self._format == "cxcywh":
            one, two = pc.subtract(one, pc.divide(three, 2.0)), pc.subtract(two, pc.divide(four, 2.0))
        return dict(zip(BOX, (one, two, three, four), strict=True))

    def _gather(self, part: pa.Table, first: int, columns: dict[str, Any], faults: list[Fault]) -> None:
        """Reads masks and keypoints, and takes box and area from them where nothing else says so."""
        import pyarrow as pa

        gathered = Parts()
        shapes, points = (self._values(name, part, first) for name in _LOOSE)
        ids = columns["object_id"].to_pylist() if "object_id" in columns else None
        boxes: list[Sequence[float]] = []
        areas: list[float] = []
        for row, (shape, keypoints) in enumerate(zip(shapes, points, strict=True)):
            box, area, wrong = gathered.add(shape, keypoints)
            boxes.append(box if box is not None else [float("nan")] * 4)
            areas.append(area if area is not None else float("nan"))
            name = str(ids[row]) if ids is not None else f"row {first + row:,}"
            faults.extend(Fault(name, "bad_mask" if "keypoints" not in one else "bad_keypoints", one) for one in wrong)
        columns.update(gathered.columns())
        if not self._box:
            places = pa.Table.from_arrays([_numbers([box[side] for box in boxes]) for side in range(4)], list(BOX))
            columns.update(zip(BOX, places.columns, strict=True))
        if "area_px" not in columns:
            columns["area_px"] = _numbers(areas)

    def _values(self, name: str, part: pa.Table, first: int) -> list[Any]:
        if name in self._loose:
            return self._loose[name][first : first + part.num_rows]
        return list(part.column(name).to_pylist()) if name in self._names else [None] * part.num_rows


def _four(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of four; what has another length becomes null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = lists.type
    if pa.types.is_fixed_size_list(kind):
        lists = lists.cast(pa.list_(kind.value_type))
    elif not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise TypeError(f"{kind} is no list")
    good = pc.equal(pc.list_value_length(lists), 4)
    if pc.all(good).as_py():
        return lists
    return pa.chunked_array(
        [pa.array([one if one is not None and len(one) == 4 else [None] * 4 for one in lists.to_pylist()],
                  pa.list_(pa.float64()))]
    )  # fmt: skip


def _numbers(values: Sequence[float]) -> pa.Array:
    """float64; NaN is null, so that the next best is taken."""
    import numpy as np
    import pyarrow as pa

    array = np.asarray(values, np.float64)
    validity = pa.py_buffer(np.packbits(~np.isnan(array), bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.float64(), len(array), [validity, pa.py_buffer(array)])


def _count(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
