"""Issues that are about labels: probably wrong, as likely as another one, of a class with hardly any samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataide.find.class_issues import imbalance
from dataide.find.families import Family, Materials, Say, Searched
from dataide.storage import evidence, runs
from dataide.storage.issues import Found


class Labels(Family):
    """Labels that are probably wrong, with the class they should be, and samples that fit two classes equally well."""

    kinds = ("label", "ambiguous")
    sentence = "looking for wrong labels"

    def wants_vectors(self, materials: Materials) -> bool:
        return materials.run is None

    def hindrance(self, materials: Materials) -> str | None:
        return too_few_classes(materials)

    def revision(self, materials: Materials) -> str:
        further = [evidence.words(materials.database, materials.looked.nos, name) for name in materials.annotators]
        return materials.stamp(
            self.kinds, self.method, materials.seed, *materials.label_stamp, _source(materials), *further
        )

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        places, words, arrays, notes = judged_by(materials, say)
        if materials.annotators:
            arrays["more_labels"] = _further(materials, places, words)
        arguments = {"classes": words, "seed": materials.seed, "ambiguous": "ambiguous" in kinds}
        given, details = materials.computing.call("labels", arguments, arrays, say=say)
        # What nothing can be said of is no issue, and not "all right" either: it has no row.
        kept = np.flatnonzero(given["judged"])
        row_of = np.full(len(given["judged"]), -1, np.int64)
        row_of[kept] = np.arange(len(kept))
        reasons = dict(zip(row_of[given["reasoned"]].tolist(), details["reasons"], strict=True))
        found = Found(
            materials.looked.nos[places][kept], given["score"][kept], given["is_issue"][kept],
            given["proposal"][kept], given["confidence"][kept], words=words, reasons=reasons, of_label=True,
        )  # fmt: skip
        both = {"label": found}
        if "ambiguous" in kinds:
            rows = given["ambiguous"]
            both["ambiguous"] = Found(
                materials.looked.nos[places][rows], given["ambiguous_score"], np.ones(len(rows), bool),
                reasons=dict(enumerate(details["ambiguous"])), of_label=True,
            )  # fmt: skip
        return {kind: both[kind] for kind in kinds}, [*notes, *details["notes"]]


class Classes(Family):
    """Samples of classes that have hardly any."""

    kinds = ("imbalance",)
    sentence = "counting classes"

    def hindrance(self, materials: Materials) -> str | None:
        return too_few_classes(materials)

    def revision(self, materials: Materials) -> str:
        return materials.stamp(self.kinds, self.method, *materials.label_stamp)

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        looked = materials.looked
        given = imbalance(looked.label_nos, classes=looked.classes)
        rows = np.flatnonzero(given.is_issue)
        reasons = {place: given.reasons[row] for place, row in enumerate(rows.tolist())}
        found = Found(looked.nos[rows], given.score[rows], np.ones(len(rows), bool), reasons=reasons, of_label=True)
        return {"imbalance": found}, []


def judged_by(materials: Materials, say: Say) -> tuple[np.ndarray, list[str], dict[str, np.ndarray], list[str]]:
    """What labels are judged by: probabilities of the run, or the vectors, which are kept in the process.

    Returns:
        which of the samples they are of (ascending places), the classes, the arrays `labels` and perhaps
        `probabilities`, and what to say of the rest.
    """
    looked, notes = materials.looked, list[str]()
    words = list(looked.classes)
    arrays: dict[str, np.ndarray] = {}
    if materials.run is not None:
        say(f"reading the run {materials.run.name}")
        nos, rows = evidence.probabilities(materials.database, materials.run, looked.nos)
        places = np.searchsorted(looked.nos, nos)
        words += [name for name in materials.run.classes if name not in looked.classes]
        known = np.asarray([words.index(name) for name in materials.run.classes], np.int64)
        arrays["probabilities"] = np.zeros((len(nos), len(words)), np.float32)
        arrays["probabilities"][:, known] = rows
        if len(places) < len(looked.nos):
            notes.append(f"{len(looked.nos) - len(places):,} have no result of the run {materials.run.name!r}.")
    else:
        places = materials.with_vectors(say)
        if len(places) < len(looked.nos):
            notes.append(f"{len(looked.nos) - len(places):,} have no vector to judge their label by.")
    arrays["labels"] = looked.label_nos[places].astype(np.int64)
    return places, words, arrays, notes


def too_few_classes(materials: Materials) -> str | None:
    """Why nothing can be said of these labels; None when something can."""
    used = np.unique(materials.looked.label_nos)
    if (used >= 0).sum() >= 2:
        return None
    return "it takes samples of two labels at least: session.where(…).relabel('…') gives labels."


def _source(materials: Materials) -> tuple[Any, ...]:
    run = materials.run
    if run is None:
        return materials.vector_stamp
    return run.number, run.name, tuple(runs.revisions(materials.database, run))


def _further(materials: Materials, places: np.ndarray, words: list[str]) -> np.ndarray:
    """Labels that other people gave, as places in `words`, -1 for none; int64, shape (n, annotators)."""
    columns = []
    for name in materials.annotators:
        found, values = evidence.words(materials.database, materials.looked.nos, name)
        place_of = {word: place for place, word in enumerate(words)}
        renumbered = np.asarray([place_of.get(value, -1) for value in values] + [-1], np.int64)
        columns.append(renumbered[found[places]])
    return np.stack(columns, axis=1)
