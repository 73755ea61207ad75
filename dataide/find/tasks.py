"""The functions of the process for finding, by name: plain arrays in, plain arrays and values out.

Each is one algorithm of this room. They are loaded when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.inference.contract import Arrays

if TYPE_CHECKING:
    from dataide.find.label_errors import LabelErrors

Say = Callable[[str], None]
Stop = Callable[[], bool]
Done = tuple[Arrays, dict[str, Any]]
# The share of samples that must have a number for it to count.
MOSTLY = 0.9
Task = Callable[[Arrays, Mapping[str, Any], Say, Stop], Done]


def labels(arrays: Arrays, arguments: Mapping[str, Any], say: Say, stop: Stop) -> Done:
    """Wrong labels: `label_errors.suspects`, and with `ambiguous` those between two classes.

    arrays: `labels`, of the rows of `vectors` or of `probabilities`; `more_labels` of further annotators.
    """
    from dataide.find.families import with_reason
    from dataide.find.label_errors import suspects

    classes, given = list(arguments["classes"]), arrays["labels"]
    of_run = arrays.get("probabilities")
    found = suspects(
        None if of_run is not None else arrays["vectors"], given, classes=classes, probabilities=of_run,
        more_labels=arrays.get("more_labels"), seed=int(arguments["seed"]), say=say, stop=stop,
    )  # fmt: skip
    rows = with_reason(found.score, found.is_issue)
    rows = rows[found.judged[rows]]
    reasons = [found.reason(row, classes, int(given[row])) for row in rows.tolist()]
    answer = {
        "score": found.score, "is_issue": found.is_issue, "judged": found.judged, "proposal": found.proposal,
        "confidence": found.confidence, "given": found.given, "predicted": found.predicted, "reasoned": rows,
    }  # fmt: skip
    details = {"reasons": reasons, "notes": list(found.notes), "error_rate": found.error_rate}
    if arguments.get("ambiguous"):
        between_classes(found, classes, answer, details)
    return answer, details


def between_classes(found: LabelErrors, classes: list[str], answer: Arrays, details: dict[str, Any]) -> None:
    """Puts what is between two classes beside what is told of labels: `ambiguous`, `ambiguous_score` and sentences."""
    from dataide.find.class_issues import ambiguous

    between = ambiguous(found.probabilities, classes=classes)
    flagged = np.flatnonzero(between.is_issue & found.judged)
    answer |= {"ambiguous": flagged, "ambiguous_score": between.score[flagged]}
    details["ambiguous"] = [between.reasons[row] for row in flagged.tolist()]


def near_duplicates(arrays: Arrays, arguments: Mapping[str, Any], say: Say, stop: Stop) -> Done:
    """`near_duplicates.find_near_duplicates`.

    arrays: `content` (-1 for none), `labels` and `splits` (likewise), `area_px`, `sharpness`; perhaps `pictures`. The
    rows `vector_rows` have the kept `vectors` in the rows `vectors_of`. In the reasons, which are of the members of
    groups in order, {17} stands for the name of row 17.
    """
    from dataide.find.near_duplicates import find_near_duplicates

    count, rows, vectors = len(arrays["labels"]), arrays.get("vector_rows"), None
    if rows is not None and len(rows):
        vectors, of = arrays["vectors"], arrays["vectors_of"]
        if not (len(rows) == len(of) == len(vectors) == count):
            kept = vectors[of]
            vectors = np.zeros((count, kept.shape[1]), np.float32)
            vectors[rows] = kept
    found = find_near_duplicates(
        content=[str(one) if one >= 0 else None for one in arrays["content"].tolist()],
        pictures=arrays.get("pictures"), vectors=vectors, labels=_known(arrays["labels"]),
        splits=_known(arrays["splits"]), area_px=arrays["area_px"], sharpness=arrays["sharpness"], say=say, stop=stop,
    )  # fmt: skip
    members = np.flatnonzero(found.group >= 0)
    reasons = [found.reason(row, lambda other: f"{{{other}}}") for row in members.tolist()]
    answer: Arrays = {"score": found.sample_score, "group": found.group, "keep": found.keep, "leak": found.leak}
    return answer, {"reasons": reasons, "thresholds": found.thresholds}


def boxes(arrays: Arrays, arguments: Mapping[str, Any], say: Say, stop: Stop) -> Done:
    """`box_errors.suspect_boxes`; arrays: `given_` and `predicted_` `boxes`, `class_no` and `row` (of the picture), and
    `predicted_score`."""
    from dataide.find.box_errors import suspect_boxes

    found = suspect_boxes(
        arrays["given_boxes"], arrays["given_class_no"], arrays["given_row"], arrays["predicted_boxes"],
        arrays["predicted_class_no"], arrays["predicted_row"], arrays["predicted_score"], stop=stop,
    )  # fmt: skip
    answer = {
        "picture": found.pictures(arrays["given_row"], arrays["predicted_row"], int(arguments["count"])),
        "proposal": found.proposal, "is_badly_placed": found.is_badly_placed, "is_wrong_class": found.is_wrong_class,
        "is_spurious": found.is_spurious, "is_missed": found.is_missed, "better": found.better,
        "badly_placed": found.badly_placed, "wrong_class": found.wrong_class, "spurious": found.spurious,
        "missed": found.missed,
    }  # fmt: skip
    return answer, {}


def outliers(arrays: Arrays, arguments: Mapping[str, Any], say: Say, stop: Stop) -> Done:
    """`outliers.find_outliers` of the kept `vectors`; arrays: `statistics` and `labels` of them, and perhaps
    `reference_vectors` and `reference_statistics`."""
    from dataide.find.families import with_reason
    from dataide.find.outliers import Known, find_outliers

    statistics, reference = arrays["statistics"], None
    # A column without a value for most would leave out the rows that lack it.
    kept = np.isfinite(statistics).mean(axis=0) > MOSTLY if len(statistics) else np.zeros(statistics.shape[1], bool)
    if "reference_vectors" in arrays:
        theirs = arrays["reference_statistics"]
        kept &= np.isfinite(theirs).mean(axis=0) > MOSTLY
        reference = Known(arrays["reference_vectors"], theirs[:, kept] if kept.any() else None)
    found = find_outliers(
        Known(arrays["vectors"], statistics[:, kept] if kept.any() else None), reference=reference,
        labels=_known(arrays["labels"]), seed=int(arguments["seed"]), say=say, stop=stop,
    )  # fmt: skip
    rows = with_reason(found.score, found.is_outlier)
    answer = {"score": found.score, "is_issue": found.is_outlier, "reasoned": rows}
    return answer, {"reasons": [found.reason(row) for row in rows.tolist()]}


def suggest(arrays: Arrays, arguments: Mapping[str, Any], say: Say, stop: Stop) -> Done:
    """`suggesting.suggest`, or, with a `strategy` among the arguments, `suggesting.rank`.

    arrays: `labels` and `among`, perhaps `vectors` of any length, `probabilities`, `balance` (also among the
    arguments: "class") and `groups`, of which `at_most` so many are chosen.
    """
    from dataide.find import suggesting

    vectors = arrays.get("vectors")
    if vectors is not None:
        _shorten(vectors)
    seed, n = int(arguments["seed"]), arguments["n"]
    given: Any = {"vectors": vectors, "labels": arrays["labels"], "probabilities": arrays.get("probabilities")}
    among = arrays["among"].astype(bool)
    if "strategy" in arguments:
        rows, scores = suggesting.rank(arguments["strategy"], n, **given, among=among, seed=seed, stop=stop)
        return {"rows": rows, "scores": scores}, {"by": arguments["strategy"], "sentence": ""}
    found = suggesting.suggest(
        n, by=arguments["by"], **given, among=among, balance=arrays.get("balance", arguments.get("balance")),
        groups=arrays.get("groups"), at_most=arguments.get("at_most"), seed=seed, say=say, stop=stop,
    )  # fmt: skip
    answer: Arrays = {"rows": found.rows, "scores": found.scores}
    if found.guesses is not None:
        answer["guesses"] = found.guesses
    return answer, {"by": found.by, "sentence": found.sentence}


def tag_head(arrays: Arrays, arguments: Mapping[str, Any], say: Say, stop: Stop) -> Done:
    """`tag_learning.learned`; arrays as `tag_process.Learning` sends them, and `out` empty for None."""
    from dataide.find.tag_learning import Background, learned

    background = Background(arrays["background_rows"], arrays["background_vectors"], float(arguments["spread"]))
    found = learned(
        arrays["marks"], arrays["truth"], background, arrays["rows"], arrays["prototype"], int(arguments["seed"])
    )
    out = np.empty(0) if found.out is None else found.out
    answer = {"direction": found.direction, "base": found.base, "out": out}
    return answer, {"plain": found.plain, "centre": found.centre, "width": found.width}


def _shorten(vectors: np.ndarray) -> None:
    """Gives vectors the length 1 in place, a block at a time; zeros and what is no number stay."""
    for start in range(0, len(vectors), 1 << 15):
        part = vectors[start : start + (1 << 15)]
        length = np.sqrt(np.einsum("ij,ij->i", part, part))
        part /= np.where((length > 0) & np.isfinite(length), length, 1)[:, None]


def _known(codes: np.ndarray) -> list[int | None]:
    return [one if one >= 0 else None for one in codes.tolist()]


TASKS: dict[str, Task] = {
    "labels": labels, "near_duplicates": near_duplicates, "boxes": boxes, "outliers": outliers, "suggest": suggest,
    "tag_head": tag_head,
}  # fmt: skip


def named(function: str) -> Task:
    """One of `TASKS`, or, as "module:name", a function of another room that works the same way.

    Raises:
        KeyError: there is none of that name.
    """
    module, _, name = function.partition(":")
    if not name:
        return TASKS[function]
    if not module.startswith("dataide."):
        raise KeyError(function)
    found: Task = getattr(import_module(module), name)
    return found
