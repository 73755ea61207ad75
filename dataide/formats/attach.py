"""What `session.attach` takes: Parquet here or in object storage, tables in this process, tables of DuckDB."""

from __future__ import annotations

import glob as globbing
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataide.errors import ImportProblem
from dataide.formats.bare import whole
from dataide.formats.candidates import Candidates
from dataide.storage import attached, remote_files
from dataide.storage.addresses import is_url

if TYPE_CHECKING:
    from dataide.core.context import Context

_KEPT = "candidates"
_DATABASES = (".duckdb", ".ddb", ".db")


def attach(
    context: Context,
    name: str,
    source: Any,
    *,
    table: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Candidates:
    """Makes a table readable in place; see `Session.attach`.

    Raises:
        ImportProblem: it is not there, cannot be reached, or is nothing of the kind.
    """
    if not isinstance(name, str) or not name.strip():
        raise ImportProblem(f"{name!r} is no name.", hint="session.attach('candidates', 'folder/*.parquet')")
    opened = _opened(source, table, storage_options, context.database.cache_dir / "spill-attached")
    kept: dict[str, Candidates] = attached_to(context)
    if not kept:
        context.at_close(lambda: _close(kept))
    made = kept[name] = Candidates(context, name, opened)
    return made


def attached_to(context: Context) -> dict[str, Candidates]:
    """What is attached to a session, by name."""
    kept: dict[str, Candidates] = context.attached.setdefault(_KEPT, {})
    return kept


def _close(kept: dict[str, Candidates]) -> None:
    for candidates in kept.values():
        candidates.close()
    kept.clear()


def _opened(source: Any, table: str | None, storage_options: Mapping[str, Any] | None, spill: Path) -> attached.Source:
    if attached.is_connection(source):
        if table is None:
            raise ImportProblem("A connection has many tables.", hint="Name one: table='main.pictures'.")
        return attached.connection_table(source, table)
    if isinstance(source, (str, os.PathLike)):
        return _at(os.fspath(source), table, storage_options, spill)
    if table is not None:
        raise ImportProblem(
            f"table={table!r} names a table of a DuckDB file or connection, and this is {type(source).__name__}."
        )
    library = type(source).__module__
    if library.startswith("pyarrow") and hasattr(source, "scanner"):
        return attached.arrow_table(source, "an Arrow dataset", spill)
    frame = whole(source)
    if not hasattr(frame, "num_rows"):
        frame = frame.read_all()  # a stream can be read once only
    kind = {"pandas": "a pandas frame", "polars": "a Polars frame", "pyarrow": "an Arrow table"}
    return attached.arrow_table(frame, kind.get(library.partition(".")[0], "a table in memory"), spill)


def _at(place: str, table: str | None, storage_options: Mapping[str, Any] | None, spill: Path) -> attached.Source:
    if "://" in place and place[:7].lower() != "file://":
        if table is not None:
            raise ImportProblem(
                f"{place[:200]} is no DuckDB file on this machine.",
                hint="Attach it to a connection of yours, and give that: session.attach('c', connection, table='t')",
            )
        system, files = remote_files.found(place, storage_options, ".parquet")
        return attached.remote_parquet(system, files, _files_at(len(files), place), spill)
    if is_url(place):
        from dataide.storage.media import url_path

        place = url_path(place)
    path = os.path.abspath(os.path.expanduser(place))
    if table is not None or path.endswith(_DATABASES):
        if not os.path.isfile(path):
            raise ImportProblem(f"There is no file {path}.", hint="session.attach('c', 'file.duckdb', table='t')")
        if table is None:
            raise ImportProblem(f"{os.path.basename(path)} has many tables.", hint="Name one: table='pictures'.")
        return attached.database_file(Path(path), table, spill)
    files_here, root = _local(path)
    return attached.local_parquet(files_here, root, _files_at(len(files_here), place), spill)


def _local(pattern: str) -> tuple[list[str], str]:
    """Parquet files in order, and the folder that holds them all."""
    if os.path.isfile(pattern):
        found = [pattern]
    elif os.path.isdir(pattern):
        found = sorted(globbing.glob(os.path.join(globbing.escape(pattern), "**", "*.parquet"), recursive=True))
    else:
        found = sorted(globbing.glob(pattern, recursive=True))
    files = [os.path.realpath(path) for path in found if os.path.isfile(path)]
    if not files:
        raise ImportProblem(f"There is no file {pattern}.", hint="session.attach('candidates', 'folder/*.parquet')")
    wrong = next((path for path in files if not _is_parquet(path)), None)
    if wrong is not None:
        raise ImportProblem(
            f"{wrong} is no Parquet file.",
            hint="Read it into a frame and attach that: session.attach('candidates', pandas.read_csv(path))",
        )
    return files, os.path.commonpath([os.path.dirname(path) for path in files])


def _is_parquet(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PAR1"
    except OSError as error:
        raise ImportProblem(f"{path} cannot be read: {error.strerror}.") from None


def _files_at(count: int, place: str) -> str:
    return place if count == 1 else f"{count:,} Parquet files of {place}"
