"""Issues of objects by what their crops look like: wrong labels, look-alikes, outliers, labels of few objects.

An issue is of a sample, as all are: it is as severe as the severest of its objects, and has a finding for each of
them. So lists, badges, the panel and every answer know them. Vectors of crops come from `session.objects.embed()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataide.core.boxes import iou
from dataide.find import object_tasks
from dataide.find.class_issues import imbalance
from dataide.find.families import Family, Materials, Say, Searched, no_crops
from dataide.find.object_rows import DELETE, NOTHING, RELABEL, Told, as_issues
from dataide.find.seen_objects import crops_of, object_ids
from dataide.storage import evidence, findings
from dataide.storage.issues import Found
from dataide.storage.query import ids_of

# Boxes that look the same and share so much of their area are two of one thing.
ONE_THING = 0.5


class OfCrops(Family):
    """Kinds of issues that take vectors of crops."""

    wants_crops = True

    def hindrance(self, materials: Materials) -> str | None:
        if not len(materials.seen_objects.nos):
            return "there are no objects on these samples: session.add_objects(frame) or session.add_coco(file)."
        if self.wants_crops and materials.crops is None:
            return "objects have no vectors of their crops yet: session.objects.embed() makes them."
        return self.lacking(materials)

    def lacking(self, materials: Materials) -> str | None:
        """What else is missing, in a sentence; None when nothing is."""
        return None


class CropLabels(OfCrops):
    """Labels of objects that are probably wrong, with the class they should be, and objects that fit two classes."""

    kinds = ("object_label", "object_ambiguous")
    sentence = "looking for wrong labels of objects"

    def lacking(self, materials: Materials) -> str | None:
        return _too_few_classes(materials)

    def revision(self, materials: Materials) -> str:
        return materials.stamp(self.kinds, self.method, materials.seed, *materials.crop_stamp)

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        rows, seen = materials.with_crops(say), materials.seen_objects
        others = np.setdiff1d(np.arange(len(seen.nos)), rows)
        arrays = {
            "labels": seen.label_nos[rows], "pictures": seen.samples[rows], "boxes": seen.boxes[rows],
            "sizes": seen.sizes[rows], "other_labels": seen.label_nos[others], "other_pictures": seen.samples[others],
        }  # fmt: skip
        arguments = {"classes": list(seen.classes), "seed": materials.seed, "ambiguous": "object_ambiguous" in kinds}
        given, details = materials.computing.call(object_tasks.LABELS, arguments, arrays, say=say)
        at, judged = given["told"], np.flatnonzero(given["judged"])
        proposed = [seen.classes[no] for no in given["proposal"].tolist()]
        told = Told(
            rows[at], given["score"][at], details["messages"], [RELABEL] * len(at), proposed, given["confidence"],
            np.full(len(at), -1, np.int64),
        )  # fmt: skip
        found: dict[str, Found] = {}
        if "object_label" in kinds:
            found["object_label"] = as_issues(
                materials, "object_label", told, rows[judged], given["score"][judged]
            )  # fmt: skip
        if "object_ambiguous" in kinds:
            between = Told.hints(rows[given["ambiguous"]], given["ambiguous_score"], details["ambiguous"])
            found["object_ambiguous"] = as_issues(materials, "object_ambiguous", between, between.rows)
        return found, [*_without(materials, rows), *details["notes"]]


class CropClasses(OfCrops):
    """Objects of classes that have hardly any; by labels alone."""

    kinds = ("object_imbalance",)
    sentence = "counting classes of objects"
    wants_crops = False

    def lacking(self, materials: Materials) -> str | None:
        return _too_few_classes(materials)

    def revision(self, materials: Materials) -> str:
        return materials.stamp(self.kinds, self.method, *materials.seen_objects.stamp)

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        seen = materials.seen_objects
        asked = np.flatnonzero(seen.asked)
        labels = seen.label_nos[asked]
        given = imbalance(labels, classes=seen.classes)
        sizes, rows = np.bincount(labels[labels >= 0], minlength=len(seen.classes)), np.flatnonzero(given.is_issue)
        messages = [
            f"Only {sizes[no]:,} of {sizes.sum():,} objects are labelled {seen.classes[no]}."
            for no in labels[rows].tolist()
        ]
        told = Told.hints(asked[rows], given.score[rows], messages)
        return {"object_imbalance": as_issues(materials, "object_imbalance", told, told.rows)}, []


class CropDuplicates(OfCrops):
    """Crops that look the same: on several pictures, under different labels, across splits, or two boxes of one thing.

    Alike things beside each other in one picture are none: a shelf is full of them.
    """

    kinds = ("object_duplicate", "object_leak")
    sentence = "looking for objects that look the same"

    def lacking(self, materials: Materials) -> str | None:
        return None if materials.seen_objects.asked.sum() > 1 else "it takes two objects at least."

    def revision(self, materials: Materials) -> str:
        splits, names = evidence.words(materials.database, materials.looked.nos, "split")
        return materials.stamp(self.kinds, self.method, *materials.crop_stamp, splits, names)

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        rows, seen = materials.with_crops(say), materials.seen_objects
        splits = evidence.words(materials.database, materials.looked.nos, "split")[0]
        arrays = {
            "labels": seen.label_nos[rows], "splits": splits[seen.samples[rows]],
            "area_px": np.nan_to_num(seen.boxes[rows, 2] * seen.boxes[rows, 3]),
        }  # fmt: skip
        given, _ = materials.computing.call(object_tasks.DUPLICATES, {}, arrays, say=say)
        members = np.flatnonzero((given["group"] >= 0) & (given["partner"] >= 0))
        same = _one_thing(given, members, rows, seen)
        worth = (
            same
            | given["conflict"][members]
            | given["leak"][members]
            | _apart(given["group"], seen.samples[rows])[members]
        )
        found: dict[str, Found] = {}
        for kind in kinds:
            chosen = given["leak"][members] if kind == "object_leak" else worth
            at = members[chosen]
            partner = rows[given["partner"][at]]
            delete = (same & ~given["keep"][members])[chosen] if kind == "object_duplicate" else np.zeros(len(at), bool)
            told = Told(
                rows[at], np.minimum(given["score"][at], np.float32(0.5)),
                _alike(materials, given, at, rows, delete), [DELETE if one else NOTHING for one in delete.tolist()],
                [None] * len(at), np.full(len(at), np.nan, np.float32), seen.nos[partner].astype(np.int64),
            )  # fmt: skip
            found[kind] = as_issues(materials, kind, told, told.rows)
        return found, _without(materials, rows)


class CropOutliers(OfCrops):
    """Objects whose crops are far from all others, or from those of their class."""

    kinds = ("object_outlier",)
    method = 2
    sentence = "looking for outliers among objects"

    def revision(self, materials: Materials) -> str:
        return materials.stamp(self.kinds, self.method, materials.seed, *materials.crop_stamp, materials.reference)

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        rows, seen = materials.with_crops(say), materials.seen_objects
        arrays = {"labels": seen.label_nos[rows]}
        if materials.reference is not None:
            assert materials.crops is not None
            theirs = materials.reference
            if materials.objects is None:  # they are samples then
                theirs = np.asarray(findings.object_columns(materials.database, theirs)[0]["object_no"], np.uint32)
            vectors = crops_of(materials.database, materials.crops, theirs)
            arrays["reference_vectors"] = vectors[np.isfinite(vectors).all(axis=1)]
            if not len(arrays["reference_vectors"]):
                raise no_crops()
        given, details = materials.computing.call(object_tasks.OUTLIERS, {"seed": materials.seed}, arrays, say=say)
        reasons = dict(zip(given["reasoned"].tolist(), details["reasons"], strict=True))
        at = np.flatnonzero(given["is_issue"])
        told = Told.hints(rows[at], given["score"][at], [reasons[row] for row in at.tolist()])
        found = as_issues(materials, "object_outlier", told, rows, given["score"])
        return {"object_outlier": found}, _without(materials, rows)


def _too_few_classes(materials: Materials) -> str | None:
    seen = materials.seen_objects
    used = np.unique(seen.label_nos[seen.asked])
    if (used >= 0).sum() >= 2:
        return None
    return "it takes objects of two labels at least: session.objects.where(…).relabel('…') gives labels."


def _without(materials: Materials, rows: np.ndarray) -> list[str]:
    """What to say of the objects that have no vector."""
    lacking = int(materials.seen_objects.asked.sum()) - len(rows)
    if not lacking:
        return []
    return [f"{lacking:,} objects have no vector of their crop; session.objects.embed() makes what is missing."]


def _apart(group: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Whether the group of each object has members in several pictures."""
    count = int(group.max(initial=-1)) + 1
    low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, -1, np.int64)
    inside = group >= 0
    np.minimum.at(low, group[inside], samples[inside])
    np.maximum.at(high, group[inside], samples[inside])
    apart: np.ndarray = np.append(high > low, False)[group] & inside
    return apart


def _one_thing(given: dict[str, np.ndarray], members: np.ndarray, rows: np.ndarray, seen: Any) -> np.ndarray:
    """Which members are a second box of what another member of their group shows: the same place of the same picture.

    It is compared with its partner and with the one of its group that stays.
    """
    keeper = np.full(int(given["group"].max(initial=-1)) + 1, -1, np.int64)
    kept = np.flatnonzero(given["keep"] & (given["group"] >= 0))
    keeper[given["group"][kept]] = kept
    found = np.zeros(len(members), bool)
    for other in (given["partner"][members], keeper[given["group"][members]]):
        mine, theirs = rows[members], rows[np.maximum(other, 0)]
        alike = (other >= 0) & (mine != theirs) & (seen.samples[mine] == seen.samples[theirs])
        alike &= seen.label_nos[mine] == seen.label_nos[theirs]
        found |= alike & (iou(seen.boxes[mine], seen.boxes[theirs]) >= ONE_THING)
    return found


def _alike(
    materials: Materials, given: dict[str, np.ndarray], at: np.ndarray, rows: np.ndarray, delete: np.ndarray
) -> list[str]:
    """A sentence for each of these members of groups."""
    seen = materials.seen_objects
    partner = rows[given["partner"][at]]
    names = object_ids(materials.database, seen.nos[partner])
    of = seen.samples[partner]
    sample_ids = dict(zip(of.tolist(), ids_of(materials.database, materials.looked.nos[of]), strict=False))
    said = []
    for row, other, mine, gone in zip(at.tolist(), partner.tolist(), rows[at].tolist(), delete.tolist(), strict=True):
        sample = int(seen.samples[other])
        where = "in the same picture" if seen.samples[mine] == sample else f"on {sample_ids.get(sample, 'another')}"
        name = names.get(int(seen.nos[other]), "another")
        text = f"Its crop looks like that of {name} {where}: similarity {given['likeness'][row]:.3f}"
        if given["leak"][row]:
            text += ", and copies are in different splits"
        if given["conflict"][row]:
            text += ", and copies have different labels"
        if gone:
            text += "; they are two boxes of one thing"
        said.append(f"{text}.")
    return said
