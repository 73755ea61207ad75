"""Any kind of frame as one Arrow schema, its pictures as plain Python values, and the roles of its columns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dataide.errors import ImportProblem, did_you_mean
from dataide.storage import arrow_arrays

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 2048
# Filled from columns of these names when the call does not name another.
BY_NAME = {"label": "label", "split": "split", "sample_id": "sample_id"}


@dataclass(slots=True)
class Rows:
    """Some rows of a frame: the pictures as Python objects, everything else in Arrow."""

    pictures: list[Any]
    table: pa.Table


@dataclass(slots=True)
class Frame:
    """A frame of any kind.

    Attributes:
        names: all columns, the one of the pictures too.
        total: rows, if known before reading.
    """

    names: list[str]
    total: int | None
    rows: Iterator[Rows]


@dataclass(slots=True)
class Roles:
    """Which columns mean what, and how the others come along."""

    sample_id: str | None
    label: str | None
    split: str | None
    notes: list[str] = field(default_factory=list)


def frame_of(source: Any, media: str) -> Frame:
    """Reads pandas, Polars, Arrow, a DuckDB relation, rows as dicts, columns as a dict, or anything that speaks Arrow.

    Raises:
        ImportProblem: it is nothing of that kind, or has no column `media`.
    """
    library = type(source).__module__.partition(".")[0]
    if library == "pandas":
        return _from_pandas(source, media)
    if library == "polars":
        source = from_polars(source)
    if isinstance(source, dict):
        return _from_columns(source, media)
    if isinstance(source, (list, tuple)):
        return _from_rows(source, media)
    if hasattr(source, "__arrow_c_stream__"):
        import pyarrow as pa

        total = getattr(source, "num_rows", None) or (
            len(source) if library in ("polars", "duckdb", "_duckdb") else None
        )
        reader = pa.RecordBatchReader.from_stream(source)
        check_column(media, reader.schema.names, "media")
        return Frame(list(reader.schema.names), total, _from_reader(reader, media))
    raise no_frame(source)


def from_polars(source: Any) -> Any:
    """A Polars frame, lazy or not, as an Arrow table; anything else of Polars as it is."""
    if hasattr(source, "collect"):
        source = source.collect()
    if hasattr(source, "to_arrow"):
        import polars

        # Arrow's newer string views have no kernels in pyarrow yet.
        source = source.to_arrow(compat_level=polars.CompatLevel.oldest())
    return source


def no_frame(source: Any) -> ImportProblem:
    """The error about something that has no rows."""
    return ImportProblem(
        f"{type(source).__name__} is no kind of frame that can be read.",
        hint="Give pandas, Polars, Arrow, a DuckDB relation or a list of dicts: "
        "session.add_frame([{'path': 'cat.jpg', 'label': 'cat'}])",
    )


def check_column(name: str, names: Sequence[str], role: str) -> None:
    """Raises:
    ImportProblem: there is no such column.
    """
    if name not in names:
        near = did_you_mean(name, names)
        raise ImportProblem(
            f"There is no column {name!r} ({role}=).", hint=near or f"Name one with {role}=.", code="unknown_column"
        )


def roles(names: Sequence[str], media: str | None, sample_id: str | None, label: str | None) -> Roles:
    """Checks the columns that the call names, and fills what it does not name from columns of the same name.

    Raises:
        ImportProblem: a named column is not there.
    """
    if media is not None:
        check_column(media, names, "media")
    for role, name in (("sample_id", sample_id), ("label", label)):
        if name is not None:
            check_column(name, names, role)
    others = set(names) - {media}
    return Roles(
        sample_id if sample_id is not None else ("sample_id" if "sample_id" in others else None),
        label if label is not None else ("label" if "label" in others else None),
        "split" if "split" in others - {label, sample_id} else None,
    )


def user_columns(table: pa.Table, drop: Sequence[str | None], notes: list[str]) -> pa.Table | None:
    """The columns that become the user's own, with types that DuckDB has; None if there are none."""
    import pyarrow as pa

    arrays: list[Any] = []
    names: list[str] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if name in drop:
            continue
        if isinstance(kind, pa.BaseExtensionType):
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
            kind = kind.storage_type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or _name(kind) == "binary_view":
            note = f"The column {name!r} holds bytes and was left out."
            if note not in notes:
                notes.append(note)
            continue
        if pa.types.is_null(kind):
            column = column.cast(pa.string())
        elif _name(kind) == "string_view":
            column = column.cast(pa.large_string())
        elif pa.types.is_float16(kind):
            column = column.cast(pa.float32())
        elif pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        elif pa.types.is_timestamp(kind) and kind.unit != "us":
            column = column.cast(pa.timestamp("us", kind.tz), safe=False)
        arrays.append(column)
        names.append(name)
    return pa.Table.from_arrays(arrays, names) if names else None


def text_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Like `texts`, as Arrow; quick where the column is of text or of whole numbers already."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column
    if pa.types.is_integer(kind) or _name(kind) == "string_view":
        return column.cast(pa.large_string())
    return pa.chunked_array([arrow_arrays.text(texts(column))])


def texts(column: pa.ChunkedArray) -> list[str | None]:
    """Any column as text: 7 is "7", so is 7.0 (a whole number beside missing ones), and NaN is nothing."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or _name(kind) == "string_view":
        return list(column.to_pylist())
    return [_text(value) for value in column.to_pylist()]


def _text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _name(kind: pa.DataType) -> str:
    return str(kind)


def _from_reader(reader: pa.RecordBatchReader, media: str) -> Iterator[Rows]:
    import pyarrow as pa

    for batch in reader:
        for start in range(0, batch.num_rows, BATCH):
            part = pa.Table.from_batches([batch.slice(start, BATCH)])
            yield Rows(plain_values(part.column(media)), part.drop_columns([media]))


def plain_values(column: pa.ChunkedArray) -> list[Any]:
    """A column of pictures as Python objects; of nested ones only what `bytes` and `path` say."""
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    return list(column.to_pylist())


def _from_pandas(source: Any, media: str) -> Frame:
    import pyarrow as pa

    names = [str(name) for name in source.columns]
    check_column(media, names, "media")
    if len(set(names)) < len(names):
        raise ImportProblem("Two columns have the same name.", hint="Rename one: frame = frame.rename(columns={...})")
    pictures = source.iloc[:, names.index(media)]
    rest = source.drop(columns=source.columns[names.index(media)])
    rest.columns = [name for name in names if name != media]
    columns = [pandas_column(rest.iloc[:, index]) for index in range(rest.shape[1])]
    table = pa.Table.from_arrays(columns, list(rest.columns)) if columns else None

    def rows() -> Iterator[Rows]:
        for start in range(0, len(source), BATCH):
            part = table.slice(start, BATCH) if table is not None else _no_columns()
            yield Rows(pictures.iloc[start : start + BATCH].tolist(), part)

    return Frame(names, len(source), rows())


def pandas_column(series: Any) -> pa.Array:
    import pyarrow as pa

    try:
        array = pa.Array.from_pandas(series)
    except (pa.ArrowException, TypeError, ValueError):
        array = _mixed([None if _is_missing(value) else value for value in series.tolist()])
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _from_rows(source: Sequence[Any], media: str) -> Frame:
    if source and all(isinstance(row, (str, os.PathLike, bytes)) for row in source):
        source = [{media: row} for row in source]
    if not all(isinstance(row, dict) for row in source):
        raise ImportProblem(
            "The list holds something else than dicts.", hint="session.add_frame([{'path': 'cat.jpg', 'label': 'cat'}])"
        )
    names = list(dict.fromkeys(str(name) for row in source for name in row))
    if not source:
        names = [media]
    return _from_columns({name: [row.get(name) for row in source] for name in names}, media)


def _from_columns(source: dict[str, Any], media: str) -> Frame:
    import pyarrow as pa

    names = [str(name) for name in source]
    check_column(media, names, "media")
    pictures = list(source[media])
    columns: dict[str, pa.Array] = {}
    for name, values in source.items():
        if name == media:
            continue
        if len(values) != len(pictures):
            raise ImportProblem(
                f"{name!r} has {len(values):,} values and {media!r} {len(pictures):,}.",
                hint="Give one value for each picture.",
            )
        columns[str(name)] = column_of(values)
    table = pa.Table.from_arrays(list(columns.values()), list(columns)) if columns else None

    def rows() -> Iterator[Rows]:
        for start in range(0, len(pictures), BATCH):
            part = table.slice(start, BATCH) if table is not None else _no_columns()
            yield Rows(pictures[start : start + BATCH], part)

    return Frame(names, len(pictures), rows())


def column_of(values: Any) -> pa.Array:
    """Values of any kind as an Arrow array; what has no type in common becomes text."""
    import pyarrow as pa

    if not hasattr(values, "dtype"):
        values = [None if _is_missing(value) else value for value in values]
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError):
        array = _mixed(list(values))
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _mixed(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError):
        return pa.array([_text(value) for value in values], pa.string())


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _no_columns() -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_arrays([], [])
