"""`session.objects.find_issues(kinds)`: looks for what is suspicious about objects; `finding` does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataide.core.context import Context
from dataide.core.object_actions import things
from dataide.errors import ModelError, did_you_mean
from dataide.find.finding import IssueReport, find_issues
from dataide.find.issue_kinds import OBJECT_KINDS
from dataide.inference.job import Job
from dataide.storage import object_vectors

# How kinds of issues of objects are called where it is clear that objects are meant.
NAMES = {kind.removeprefix("object_"): kind for kind in OBJECT_KINDS} | {"near_duplicate": "object_duplicate"}


def find_object_issues(
    context: Context,
    objects: np.ndarray,
    samples: np.ndarray,
    kinds: Sequence[str] | str | None = None,
    *,
    embedding: str | None = None,
    **options: Any,
) -> IssueReport | Job[IssueReport]:
    """Looks for issues among objects, by vectors of their crops; methods stand in `issues_of_crops`.

    Args:
        context: the session's.
        objects: their numbers.
        samples: numbers of the samples they are on.
        kinds: "label", "ambiguous", "imbalance", "near_duplicate", "leak", "outlier", or as issues are listed:
            "object_label" …; None for all of them.
        embedding: whose vectors; by default the latest of objects.
        **options: of `finding.find_issues`.

    Raises:
        ModelError: there is no such kind or embedding, or objects have no vectors.
    """
    given = list(OBJECT_KINDS) if kinds is None else [kinds] if isinstance(kinds, str) else list(kinds)
    wanted = []
    for kind in given:
        known = kind if kind in OBJECT_KINDS else NAMES.get(kind)
        if known is None:
            raise ModelError(
                f"There is no kind of issue of objects {kind!r}.", hint=did_you_mean(str(kind), list(NAMES)),
                code="no_kind",
            )  # fmt: skip
        wanted.append(known)
    if len(objects) and not object_vectors.embeddings(context.database) and wanted != ["object_imbalance"]:
        raise ModelError(
            f"{things(len(objects)).capitalize()} to look at, and none has a vector of its crop.",
            hint="session.objects.embed() makes them; without, session.objects.find_issues('imbalance') counts labels.",
            code="no_vectors",
        )
    # What nobody asked for by name is left out where it is not possible, and said.
    asked = {"objects": objects, "crops": embedding, "lenient": kinds is None, **options}
    return find_issues(context.database, context.media, samples, wanted, **asked)
