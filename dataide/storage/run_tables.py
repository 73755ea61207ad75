"""The tables of runs: what stands where, and how people read it. Knows nothing of an open file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

# Only those whose tables are there: a stranger's file may name any.
LIST = """
SELECT run_no, name, task, classes, fields, sample_columns FROM data.run
WHERE EXISTS (FROM duckdb_tables() t WHERE t.database_name = current_database() AND t.schema_name = 'data'
    AND t.table_name = 'result_' || run_no) ORDER BY run_no
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its results stand in `data.result_<number>`, detected objects in `data.object_<number>`.

    `columns` says in which column of `sample` each of its fields stands.
    """

    number: int
    name: str
    task: str
    classes: tuple[str, ...]
    columns: dict[str, str]

    @property
    def table(self) -> str:
        return f"data.result_{self.number}"

    @property
    def objects(self) -> str:
        return f"data.object_{self.number}"


def stale(of: Run) -> str:
    """The condition for a stale result `r` of a sample `s`, in SQL."""
    latest = f"(SELECT max(v.revision_no) FROM data.run_revision v WHERE v.run_no = {of.number})"
    return f"(r.media_revision <> s.media_revision OR r.revision_no <> {latest})"


def filled_columns(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    """The columns of `sample` that runs fill: they say nothing of a picture that came later."""
    cursor.execute(
        "SELECT DISTINCT r.name FROM (SELECT unnest(sample_columns) AS name FROM data.run) r JOIN duckdb_columns() c "
        "ON c.column_name = r.name WHERE c.database_name = current_database() AND c.schema_name = 'data' "
        "AND c.table_name = 'sample'"
    )
    return sorted(name for (name,) in cursor.fetchall() if _may_fill(name))


def documented(cursor: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The query of each documented table of runs, by name."""
    cursor.execute(LIST)
    found = [of_row(row) for row in cursor.fetchall()]
    views = {
        "run": "SELECT r.name AS run, r.task, r.classes, r.sample_columns AS columns, r.made_at FROM data.run r",
    }
    for one in found:
        joined = f"FROM {one.table} r JOIN data.sample s USING (sample_no)"
        if one.task == "classification":
            views[f"prediction_{one.name}"] = (
                f"SELECT s.sample_id, n.classes[r.class_no + 1] AS class, r.confidence, r.probabilities, "
                f"{stale(one)} AS stale {joined} JOIN data.run n ON n.run_no = {one.number}"
            )
        elif one.task == "detection":
            views[f"prediction_{one.name}"] = (
                f"SELECT s.sample_id, n.classes[o.class_no + 1] AS class, o.score, o.left_px, o.top_px, o.width_px, "
                f"o.height_px, o.mask_runs, {stale(one)} AS stale FROM {one.objects} o "
                f"JOIN {one.table} r USING (sample_no) JOIN data.sample s USING (sample_no) "
                f"JOIN data.run n ON n.run_no = {one.number}"
            )
    return views


def of_row(row: Sequence[Any]) -> Run:
    """A run as `LIST` reads it."""
    number, name, task, classes, fields, stands = row
    columns = {field: column for field, column in zip(fields, stands, strict=False) if _may_fill(column)}
    return Run(int(number), str(name), str(task), tuple(classes), columns)


def _may_fill(column: str | None) -> bool:
    """Whether this can be a column of a run. A stranger's file may name those that say what a sample is."""
    from dataide.storage.columns import OPEN, TAKEN  # not above: columns needs documented, which needs this

    return column is not None and column.lower() not in TAKEN | OPEN
