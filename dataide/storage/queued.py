"""Tasks that each have a reason of their own. Runs inside the caller's transaction, like `storage/decisions.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataide.storage import arrow_arrays, decisions
from dataide.storage.database import registered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dataide.storage.database import Cursor


def enqueue_each(cursor: Cursor, event: int, queue: str, nos: NDArray[np.uint32], reasons: Sequence[str]) -> int:
    """Makes a pending task for each sample of `temp.target` with its own reason, where there is none like it.

    Args:
        cursor: of the transaction.
        event: the decision.
        queue: where they wait.
        nos: numbers of samples, each once; one without a reason here is left out.
        reasons: why, in their order.

    Returns:
        How many tasks are new or changed.
    """
    import numpy
    import pyarrow as pa

    lent = pa.table({"sample_no": arrow_arrays.numbers(nos, numpy.uint32), "reason": arrow_arrays.text(list(reasons))})
    before = decisions.task_text("k.queue", "k.state", "k.reason", "k.priority", "k.owner")
    after = decisions.task_text("$queue", "'pending'", "r.reason", "k.priority", "k.owner")
    with registered(cursor, {"lent_reasons": lent}):
        rows = cursor.execute(
            "INSERT INTO data.change_each SELECT $event, t.sample_no, 'queue', "
            f"CASE WHEN k.sample_no IS NULL THEN NULL ELSE {before} END, {after} "
            "FROM temp.target t JOIN lent_reasons r ON r.sample_no = t.sample_no "
            "LEFT JOIN (SELECT * FROM data.task WHERE queue = $queue) k ON k.sample_no = t.sample_no "
            "WHERE k.sample_no IS NULL OR k.state <> 'pending' OR k.reason IS DISTINCT FROM r.reason",
            {"event": event, "queue": queue},
        ).fetchall()
    count = int(rows[0][0])
    if count:
        decisions.restore(cursor, event, side="after", columns={})
    return count
