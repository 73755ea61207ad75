"""The tables that people read: views in `main` over the physical tables in `data`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataide.storage import object_tables, run_tables

if TYPE_CHECKING:
    import duckdb

FIXED = {
    "tag": "SELECT s.sample_id, t.tag FROM data.tag t JOIN data.sample s USING (sample_no)",
    "task": "SELECT k.queue, s.sample_id, k.state, k.reason, k.priority, k.owner "
    "FROM data.task k JOIN data.sample s USING (sample_no)",
    "event": "SELECT event_no AS event, decided_at, author, verb, arguments, target, sample_count, state, refers_to "
    "FROM data.event",
    "change": "SELECT c.event_no AS event, s.sample_id, c.field, c.before, c.after "
    "FROM data.change c JOIN data.sample s USING (sample_no)",
    "issue": "SELECT s.sample_id, i.kind, i.score, i.is_issue, i.proposal, i.confidence, i.reason, i.group_no, "
    "i.state, r.revision FROM data.issue_now i JOIN data.sample s USING (sample_no) "
    "LEFT JOIN data.issue_search r USING (search_no)",
    "finding": "SELECT s.sample_id, o.object_id, f.kind, f.rule, f.severity, f.score, f.message, f.act AS repair, "
    f"{', '.join(f'f.{side}' for side in object_tables.BOX)}, f.label, p.object_id AS other_id, f.holds "
    "FROM data.finding_now f JOIN data.sample s ON s.sample_no = f.sample_no "
    "LEFT JOIN data.object o ON o.object_no = f.object_no LEFT JOIN data.object p ON p.object_no = f.other_no",
    "object": object_tables.DOCUMENTED,
    "object_label": object_tables.LABELS,
    "problem": "SELECT found_at, source, media, code, reason FROM data.problem",
    "point": "SELECT p.name AS projection, s.sample_id, q.x, q.y "
    "FROM data.point q JOIN data.projection p USING (projection_no) JOIN data.sample s USING (sample_no)",
}


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def version_of(source: str | None) -> str:
    """What a vector was made of, as SQL over `data.sample s`: a number that is another one when that is.

    Args:
        source: the column of texts that was embedded; None for the picture.
    """
    # MD5 because every version of DuckDB has the same; NULL has none, so it equals nothing.
    return "s.media_revision" if source is None else f"('0x' || md5(s.{quoted(source)})[1:8])::UINTEGER"


def rebuild(cursor: duckdb.DuckDBPyConnection) -> None:
    """Makes the views of `main` anew. Always: what a stranger's file has under their names may be anything."""
    for name, body in definitions(cursor).items():
        cursor.execute(f"CREATE OR REPLACE VIEW main.{quoted(name)} AS {body}")


def definitions(cursor: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The query of each documented table, by name, for the columns and embeddings that the file has now."""
    cursor.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = 'data' AND table_name = 'sample' AND column_name <> 'sample_no' ORDER BY column_index"
    )
    columns = dict(cursor.fetchall())
    names = ", ".join(quoted(name) for name in columns)
    # The number comes last: it is the order of arrival, which `ORDER BY` needs and people rarely do.
    views = {"sample": f"SELECT {names}, sample_no FROM data.sample", **FIXED}
    cursor.execute(
        "SELECT e.embedding_no, e.name, e.source FROM data.embedding e JOIN duckdb_tables() t "
        "ON t.table_name = 'vector_' || e.embedding_no AND t.schema_name = 'data' "
        "AND t.database_name = current_database() ORDER BY e.embedding_no"
    )
    for number, name, source in cursor.fetchall():
        if source is not None and columns.get(source) != "VARCHAR":
            continue  # a stranger's file may name any
        # A vector of an earlier picture or text says nothing about the present one.
        views[f"vector_{name}"] = (
            f"SELECT s.sample_id, v.vector FROM data.vector_{int(number)} v "
            f"JOIN data.sample s ON s.sample_no = v.sample_no AND {version_of(source)} = v.media_revision"
        )
    return {**views, **run_tables.documented(cursor)}
