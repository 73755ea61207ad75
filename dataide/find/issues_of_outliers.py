"""Samples far from everything, from a reference, or from their class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataide.find.families import Family, Materials, Say, Searched, no_vectors
from dataide.storage import evidence, vectors
from dataide.storage.issues import Found

# Measured when pictures came in; attributes of `enrich("quality")` of the same name say it better.
_MEASURED = ("brightness", "contrast", "sharpness", "mean_red", "mean_green", "mean_blue")
_ATTRIBUTES = ("entropy", "noise", "colourfulness")


class Outliers(Family):
    """What lies far out by its vector, by the numbers of its picture, or within its class."""

    kinds = ("outlier",)
    method = 2
    sentence = "looking for outliers"

    def wants_vectors(self, materials: Materials) -> bool:
        return True

    def revision(self, materials: Materials) -> str:
        return materials.stamp(
            self.kinds, self.method, materials.seed, *materials.label_stamp, materials.vector_stamp,
            _statistics(materials, materials.looked.nos), materials.reference,
        )  # fmt: skip

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        looked = materials.looked
        places = materials.with_vectors(say)
        nos = looked.nos[places]
        notes = []
        if len(places) < len(looked.nos):
            notes.append(
                f"{len(looked.nos) - len(places):,} have no vector, so nothing is said of how far out they are."
            )
        arrays = {"statistics": _statistics(materials, nos), "labels": looked.label_nos[places].astype(np.int64)}
        if materials.reference is not None:
            assert materials.embedding is not None
            say("reading the vectors of the reference")
            theirs, rows = vectors.fetch(materials.database, materials.embedding, materials.reference)
            if not len(theirs):
                raise no_vectors()
            arrays |= {"reference_vectors": rows, "reference_statistics": _statistics(materials, theirs)}
        given, details = materials.computing.call("outliers", {"seed": materials.seed}, arrays, say=say)
        reasons = dict(zip(given["reasoned"].tolist(), details["reasons"], strict=True))
        return {"outlier": Found(nos, given["score"], given["is_issue"], reasons=reasons)}, notes


def _statistics(materials: Materials, nos: np.ndarray) -> np.ndarray:
    """Numbers about pictures, float64, shape (n, columns); columns without any value are left out."""
    columns = {name: materials.attributes.get(name, name) for name in _MEASURED}
    columns |= {name: materials.attributes[name] for name in _ATTRIBUTES if name in materials.attributes}
    found = evidence.numbers(materials.database, nos, columns)
    return np.stack(list(found.values()), axis=1)
