"""Pictures that a frame names by path or address, or holds as bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dataide.errors import DataideError, ImportProblem, MediaError
from dataide.formats.ingest import Batch, Conflict, Ingest, Report
from dataide.formats.progress import Listener
from dataide.formats.table import Roles, Rows, frame_of, roles, texts, user_columns
from dataide.formats.workers import Address
from dataide.storage.addresses import is_url
from dataide.storage.looking import Item, Pixels
from dataide.storage.media import folders_of, url_path
from dataide.storage.pictures import content_hash

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.media import Media


def add_frame(
    database: Database,
    media_store: Media,
    frame: Any,
    *,
    media: str | None = "path",
    label: str | None = None,
    sample_id: str | None = None,
    root: str | os.PathLike[str] | None = None,
    on_conflict: Conflict = "skip",
    progress: bool | Listener = True,
) -> Report:
    """Adds one sample for each row of a frame. Its other columns become columns of the session, with their types.

    Args:
        database: the session's file.
        media_store: the session's reader, which is granted the folders and servers that the frame names.
        frame: pandas, Polars, Arrow, a DuckDB relation, a list of dicts, or anything that speaks Arrow.
        media: the column of paths, URLs, encoded bytes, or dicts of `bytes` and `path` as Hugging Face writes them.
            Bytes are kept in the session file. None: the rows are samples without pictures, and all of them come in, or
            none does.
        label: the column of labels; without it a column called `label` is taken, if there is one.
        sample_id: the column of ids. Without it, and without a column called `sample_id`, the path or address is the
            id, and for bytes a hash of their content.
        root: the folder that relative paths start from; else the working directory.
        on_conflict: what to do when an id is there already.
        progress: False for silence.

    Raises:
        ImportProblem: it is no frame, a column is not there, or an id is taken and on_conflict is "error".
    """
    if media is None:
        from dataide.formats.bare import add_rows

        return add_rows(database, frame, label=label, sample_id=sample_id, on_conflict=on_conflict, progress=progress)
    source = frame_of(frame, media)
    chosen = roles(source.names, media, sample_id, label)
    ingest = Ingest(database, "frame", on_conflict=on_conflict, progress=progress, total=source.total, clash_hint=_HINT)
    base = os.path.abspath(os.path.expanduser(os.fspath(root))) if root is not None else os.getcwd()
    if root is not None:
        media_store.grant(base)
    reader = FrameReader(media_store, base, root is not None, media, chosen, ingest)
    return ingest.run(reader.batch(rows) for rows in source.rows)


_HINT = "Name a column of unique ids with sample_id= to add them too."


class FrameReader:
    """Turns rows into records: cells that name or hold pictures into what the import looks at."""

    def __init__(self, media: Media, base: str, rooted: bool, column: str, chosen: Roles, ingest: Ingest) -> None:
        self._media = media
        self._base = base
        self._rooted = rooted
        self._column = column
        self._roles = chosen
        self._ingest = ingest
        self._row = 0
        self._granted: set[str] = set()
        self._times: dict[str, int] = {}

    def batch(self, rows: Rows) -> Batch:
        chosen, table = self._roles, rows.table
        count = len(rows.pictures)
        given = texts(table.column(chosen.sample_id)) if chosen.sample_id is not None else [None] * count
        named = [self._place(value) for value in rows.pictures]
        self._grant([path for path, _ in named if path is not None and not isinstance(path, Address)])
        batch = Batch([], [], [], names=[])
        assert batch.names is not None
        for offset, ((path, data), known_id) in enumerate(zip(named, given, strict=True)):
            row = self._row + offset
            item, ref = self._item(path, data)
            batch.items.append(item)
            batch.media.append(ref)
            batch.ids.append(known_id if known_id is not None else self._derived_id(rows.pictures[offset], item, row))
            batch.names.append(ref if ref is not None else f"row {row:,}: {batch.ids[-1]}")
        self._row += count
        if chosen.label is not None:
            batch.labels = texts(table.column(chosen.label))
        if chosen.split is not None:
            batch.splits = texts(table.column(chosen.split))
        batch.columns = user_columns(table, (chosen.sample_id, chosen.label, chosen.split), self._ingest.notes)
        return batch

    def _place(self, value: Any) -> tuple[str | None, Item | None]:
        """The absolute path or address that a cell names, or what it holds."""
        if isinstance(value, dict):
            value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return None, bytes(value)
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if isinstance(value, str) and value:
            try:
                value.encode()
                if is_url(value) and value[:7].lower() != "file://":
                    return Address(value), None
                path = url_path(value) if is_url(value) else value
            except UnicodeEncodeError:
                return None, MediaError(
                    "Its name is not valid UTF-8, so it cannot be written down: rename it.", code="unreadable"
                )
            except DataideError as error:
                return None, error
            if "\0" in path:
                return None, MediaError("A path cannot hold a zero byte.", code="missing")
            return os.path.normpath(os.path.join(self._base, os.path.expanduser(path))), None
        pixels = _pixels(value)
        if pixels is not None:
            return None, pixels
        if value is None or value == "" or value != value:
            return None, MediaError("The cell is empty.", code="missing")
        return None, MediaError(
            f"The cell holds {type(value).__name__}, not a path, an address or bytes.", code="unsupported"
        )

    def _grant(self, paths: list[str]) -> None:
        folders = {os.path.dirname(path) for path in paths} - self._granted
        if not folders:
            return
        self._granted |= folders
        if self._rooted:
            return  # what lies outside of the root was not granted
        common = os.path.commonpath(folders) if len(folders) > 1 else next(iter(folders))
        # One folder for a whole data set, but never the machine, and never a home.
        if common.count(os.sep) >= 2 and not os.path.expanduser("~").startswith(common):
            self._media.grant(common)
            return
        for folder in folders_of(os.path.join(folder, "x") for folder in folders):
            self._media.grant(folder)

    def _item(self, path: str | None, data: Item | None) -> tuple[Item, str | None]:
        if path is None:
            assert data is not None
            return data, None
        if isinstance(path, Address):
            self._media.grant_address(path)
            return path, str(path)
        ref = self._media.relative(path)
        try:
            return self._media.trust.checked(path), ref
        except MediaError as error:
            return error, ref

    def _derived_id(self, value: Any, item: Item, row: int) -> str:
        if isinstance(item, bytes):
            return self._numbered(content_hash(item))
        if isinstance(item, Pixels):
            return self._numbered(content_hash(item.data))
        if isinstance(value, dict):
            value = value.get("path")
        if isinstance(value, (str, os.PathLike)) and os.fspath(value):
            text = os.fspath(value)
            return text if isinstance(text, str) else os.fsdecode(text)
        return f"row-{row:06d}"

    def _numbered(self, base: str) -> str:
        """Rows with the same bytes are samples of their own: HASH, HASH-2, HASH-3 … in the order of the frame."""
        times = self._times[base] = self._times.get(base, 0) + 1
        return base if times == 1 else f"{base}-{times}"


def _pixels(value: Any) -> Pixels | None:
    """A Pillow image or an array of uint8, as pixels to keep."""
    if not hasattr(value, "__array_interface__"):
        return None
    from dataide.formats.arrays import checked, pixels_of

    try:
        import numpy as np

        return pixels_of(checked(np.asarray(value)[None])[0])
    except (ImportProblem, TypeError, ValueError):
        return None
