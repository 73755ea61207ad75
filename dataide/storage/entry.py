"""Before a file is a session: may it be opened, what does DuckDB say about it, which version is it."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from dataide.errors import NotASession, SessionError


def unopened(path: Path, refusal: duckdb.Error) -> SessionError:
    """The error for a file that DuckDB does not open."""
    said = first_line(refusal)
    if "not a valid DuckDB" in said:
        return NotASession(
            f"{path.name} is not a DuckDB file, so it is no session.",
            hint="Give another path, or move that file away.",
        )
    if "ermission denied" in said or "ead-only file system" in said:
        return SessionError(
            f"{path} may not be written to.",
            hint=f"Look at it with di.open({path.name!r}, read_only=True), or copy it to a folder of yours.",
        )
    return NotASession(f"{path.name} cannot be opened: {said}")


def check_place(path: Path, read_only: bool) -> None:
    """Refuses what cannot be a session file, and makes its folder.

    Raises:
        NotASession: it is a folder, or there is none to look at.
        SessionError: the folder cannot be made.
    """
    if path.is_dir():
        raise NotASession(
            f"{path.name} is a folder; a session is a file.",
            hint=f"di.open('{path.name}.duckdb').add_folder({path.name!r})",
        )
    if path.exists() and path.stat().st_size == 0 and not read_only:
        path.unlink()  # DuckDB takes an empty file for a damaged one; there is nothing in it to lose
    if not path.exists():
        if read_only:
            raise NotASession(
                f"There is no file {path.name} in {path.parent}.", hint="Without read_only=True it is created."
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SessionError(f"The folder {path.parent} cannot be made: {error.strerror}.") from error


def version(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """The version of the tables; 0 where the file is empty."""
    tables, meta = connection.execute(
        "SELECT count(*), count(*) FILTER (schema_name = 'data' AND table_name = 'meta') FROM duckdb_tables() "
        "WHERE database_name = current_database()"
    ).fetchall()[0]
    if tables == 0:
        return 0
    if meta == 0:
        raise NotASession(
            f"{path.name} is a DuckDB file, but not a session of dataide.",
            hint="Give another path; session.add_frame(...) takes tables out of any DuckDB.",
        )
    stored = connection.execute("SELECT value FROM data.meta WHERE key = 'version'").fetchall()
    try:
        return int(stored[0][0]) if stored else 0
    except (TypeError, ValueError):
        raise NotASession(f"{path.name} does not say which version it is.") from None


def memory_limit_mib() -> int:
    """A quarter of the machine's memory, between 512 MiB and 4 GiB: the rest is the user's and the models'."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (ValueError, OSError, AttributeError):
        total = 4096
    return max(512, min(4096, total // 4))


def first_line(error: BaseException) -> str:
    """The first line of a message."""
    return str(error).split("\n", 1)[0]
