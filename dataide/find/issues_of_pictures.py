"""Faults of single pictures, by their attributes: dark, bright, blurred, empty, odd in size or shape, grey, broken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataide.find.families import Family, Materials, Say, Searched
from dataide.find.picture_issues import KINDS, find_picture_issues
from dataide.storage import evidence
from dataide.storage.issues import Found

# What was measured when pictures came in stands in columns of its own, and is not measured again.
_USED = {
    "brightness": "brightness", "contrast": "contrast", "sharpness": "sharpness", "width": "width_px",
    "height": "height_px", "entropy": None, "is_grey": None,
}  # fmt: skip


class Pictures(Family):
    """All of these at once: they come of one look at the attributes."""

    kinds = KINDS
    sentence = "looking at light, sharpness and shape"
    wants_attributes = True

    def revision(self, materials: Materials) -> str:
        numbers = _numbers(materials)
        return materials.stamp(self.kinds, self.method, list(numbers), *numbers.values(), _errors(materials))

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        nos = materials.looked.nos
        given = find_picture_issues(_numbers(materials), errors=_errors(materials))
        found = {}
        for kind in kinds:
            if kind in given:
                rows = np.flatnonzero(given[kind].is_issue)
                reasons = {place: given[kind].reasons[row] for place, row in enumerate(rows.tolist())}
                found[kind] = Found(nos[rows], given[kind].score[rows], np.ones(len(rows), bool), reasons=reasons)
        return found, []


def _numbers(materials: Materials) -> dict[str, np.ndarray]:
    columns = {name: materials.attributes.get(name, measured) for name, measured in _USED.items()}
    known = {name: column for name, column in columns.items() if column is not None}
    return evidence.numbers(materials.database, materials.looked.nos, known)


def _errors(materials: Materials) -> list[str | None]:
    return evidence.problems(materials.database, materials.looked.nos)
