"""Functions of the process for finding that look at objects, by vectors of their crops (the kept array `crops`).

`Computing.call` finds them as "dataide.find.object_tasks:NAME". They put algorithms that know only arrays to objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dataide.find.tasks import Done, Say, Stop, between_classes
from dataide.find.tasks import outliers as outliers_by_vectors
from dataide.inference.contract import Arrays

LABELS, DUPLICATES, OUTLIERS = (f"dataide.find.object_tasks:{name}" for name in ("labels", "duplicates", "outliers"))


def labels(arrays: Arrays, arguments: Mapping[str, Any], say: Say, stop: Stop) -> Done:
    """Wrong labels: `label_errors.suspects` by crops, shapes and surroundings, of those that `mixture.wrong_at_most`
    finds worth a look; with `ambiguous` those between two classes.

    arrays: of the objects that have crops, in their order: `labels`, `pictures`, `boxes` and `sizes` as
    `object_columns.joined` takes them, and of further objects `other_labels` and `other_pictures`.
    """
    from dataide.find.label_errors import agreement, likeliest_errors, suspects
    from dataide.find.mixture import wrong_at_most
    from dataide.find.object_columns import joined

    classes, given, crops = list(arguments["classes"]), arrays["labels"], arrays["crops"]
    seed = int(arguments["seed"])
    say("putting crops, shapes and surroundings together")
    columns = joined(
        crops, given, arrays["pictures"], arrays["boxes"], arrays["sizes"],
        others=(arrays["other_labels"], arrays["other_pictures"]), stop=stop,
    )  # fmt: skip
    found = suspects(columns, given, classes=classes, seed=seed, say=say, stop=stop)
    del columns
    wrong, part = wrong_at_most(found.probabilities, np.where(found.judged, given, -1), seed=seed)
    told = found.is_issue & found.judged
    if told.any():
        told &= likeliest_errors(wrong)
    rows = np.flatnonzero(told)
    counts = agreement(crops, given, rows, found.proposal[rows], stop=stop)
    for kept, counted in zip((found.agreeing, found.proposing, found.compared), counts, strict=True):
        kept[:] = 0
        kept[rows] = counted
    found = replace(found, is_issue=told)
    answer = {
        "judged": found.judged, "score": found.score, "told": rows, "proposal": found.proposal[rows],
        "confidence": found.confidence[rows],
    }  # fmt: skip
    # What `suspects` says of samples it says here of objects.
    notes = [note.replace("samples", "objects") for note in found.notes]
    details: dict[str, Any] = {
        "messages": [label_message(found, row, classes, int(given[row])) for row in rows.tolist()],
        "notes": notes, "error_rate": part,
    }  # fmt: skip
    if arguments.get("ambiguous"):
        between_classes(found, classes, answer, details)
    return answer, details


def label_message(found: Any, row: int, classes: list[str], given: int) -> str:
    """One sentence that says why the label of an object is doubted; `found` is a `LabelErrors`."""
    proposal, own = classes[int(found.proposal[row])], classes[given]
    model = f"the model gives {proposal} {found.model[row]:.2f} and {own} {found.given[row]:.2f}."
    agreeing, proposing, compared = (int(part[row]) for part in (found.agreeing, found.proposing, found.compared))
    if not compared:
        return f"{model[0].upper()}{model[1:]}"
    many, name = (proposing, proposal) if proposing > agreeing else (agreeing, own)
    return f"{many} of {compared} nearest crops are labelled {name}; {model}"


def duplicates(arrays: Arrays, arguments: Mapping[str, Any], say: Say, stop: Stop) -> Done:
    """`near_duplicates.find_near_duplicates` of crops; arrays: `labels`, `splits` (-1 for none) and `area_px`."""
    from dataide.find.near_duplicates import find_near_duplicates

    def known(name: str) -> list[int | None]:
        return [one if one >= 0 else None for one in arrays[name].tolist()]

    found = find_near_duplicates(
        vectors=arrays["crops"], labels=known("labels"), splits=known("splits"), area_px=arrays["area_px"],
        say=say, stop=stop,
    )  # fmt: skip
    likeness = np.where(found.best_pair >= 0, found.likeness[found.best_pair], 0) if len(found.likeness) else None
    return {
        "score": found.sample_score, "group": found.group, "keep": found.keep, "leak": found.leak,
        "conflict": found.conflict, "partner": found.partner,
        "likeness": np.zeros(len(found.group), np.float32) if likeness is None else likeness.astype(np.float32),
    }, {}  # fmt: skip


def outliers(arrays: Arrays, arguments: Mapping[str, Any], say: Say, stop: Stop) -> Done:
    """`outliers.find_outliers` of crops; arrays: `labels`, and perhaps `reference_vectors`."""
    none = np.zeros((len(arrays["labels"]), 0))
    given = {**arrays, "vectors": arrays["crops"], "statistics": none}
    if "reference_vectors" in arrays:
        given["reference_statistics"] = np.zeros((len(arrays["reference_vectors"]), 0))
    return outliers_by_vectors(given, arguments, say, stop)
