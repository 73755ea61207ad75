"""Issues that pictures have with each other: near duplicates, and copies on both sides of a split."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from dataide.find import small_pictures
from dataide.find.families import Family, Materials, Say, Searched
from dataide.storage import evidence
from dataide.storage.issues import EXCLUDE, KEEP, Found
from dataide.storage.query import ids_of

# In colour up to so many: 3 KB each. Of more, brightness alone is a third of it.
MOST_IN_COLOUR = 200_000
_LUMA = np.asarray([0.299, 0.587, 0.114], np.float32)
_PIECE = 8_192
_ROW = re.compile(r"\{(\d+)\}")


class Duplicates(Family):
    """Groups of near duplicates with the one to keep, and groups that stand in several splits."""

    kinds = ("near_duplicate", "leak")
    sentence = "looking for near duplicates"
    wants_pictures = True

    def wants_vectors(self, materials: Materials) -> bool:
        return True

    def hindrance(self, materials: Materials) -> str | None:
        return None if len(materials.looked.nos) > 1 else "it takes two samples at least."

    def revision(self, materials: Materials) -> str:
        looked = materials.looked
        splits, names = evidence.words(materials.database, looked.nos, "split")
        content, _ = evidence.bits(materials.database, looked.nos, "content_hash")
        vectors = materials.vector_stamp if materials.embedding is not None else None
        return materials.stamp(self.kinds, self.method, *materials.label_stamp, splits, names, content, vectors)

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        looked, database = materials.looked, materials.database
        say("reading small pictures")
        nos, small = small_pictures.fetch(database, looked.nos)
        notes, arrays = list[str](), dict[str, np.ndarray]()
        rows = np.arange(len(looked.nos))
        if 2 * len(nos) >= len(looked.nos):
            rows = np.searchsorted(looked.nos, nos)
            arrays["pictures"] = small if len(nos) <= MOST_IN_COLOUR else _grey(small)
            if len(rows) < len(looked.nos):
                notes.append(f"{len(looked.nos) - len(rows):,} have no picture that could be read.")
        del small
        content, there = evidence.bits(database, looked.nos[rows], "content_hash")
        codes = np.full(len(rows), -1, np.int64)
        codes[there] = np.unique(content[there], return_inverse=True)[1]
        measured = evidence.numbers(database, looked.nos[rows], _measures(materials))
        arrays |= {
            "content": codes, "labels": looked.label_nos[rows].astype(np.int64),
            "splits": evidence.words(database, looked.nos[rows], "split")[0],
            "area_px": np.nan_to_num(measured["width"] * measured["height"]),
            "sharpness": np.nan_to_num(measured["sharpness"]),
        }  # fmt: skip
        if materials.embedding is not None:
            having = materials.with_vectors(say)
            kept = np.flatnonzero(np.isin(having, rows))
            arrays["vector_rows"], arrays["vectors_of"] = np.searchsorted(rows, having[kept]), kept
        given, details = materials.computing.call("near_duplicates", {}, arrays, say=say)
        reasons = _named(materials, looked.nos[rows], details["reasons"])
        return {kind: _found(kind, looked.nos[rows], given, reasons) for kind in kinds}, notes


def _measures(materials: Materials) -> dict[str, str]:
    columns = {"width": "width_px", "height": "height_px", "sharpness": "sharpness"}
    return columns | {name: materials.attributes[name] for name in columns if name in materials.attributes}


def _grey(small: np.ndarray) -> np.ndarray:
    grey = np.empty(small.shape[:3], np.uint8)
    for start in range(0, len(small), _PIECE):
        grey[start : start + _PIECE] = np.rint(small[start : start + _PIECE] @ _LUMA)
    return grey


def _found(kind: str, nos: np.ndarray, given: dict[str, np.ndarray], reasons: list[str]) -> Found:
    """The members of groups; for `leak` only of those in several splits."""
    members = np.flatnonzero(given["group"] >= 0)
    chosen = np.flatnonzero(given["leak"][members]) if kind == "leak" else np.arange(len(members))
    rows = members[chosen]
    # A member can be close to the centre of its group while no pair of its own was flagged.
    score = np.minimum(given["score"][rows], np.float32(0.5))
    return Found(
        nos[rows], score, np.ones(len(rows), bool), np.where(given["keep"][rows], 0, 1), None,
        given["group"][rows].astype(np.int64), words=(KEEP, EXCLUDE),
        reasons={place: reasons[at] for place, at in enumerate(chosen.tolist())},
    )  # fmt: skip


def _named(materials: Materials, nos: np.ndarray, reasons: Sequence[str]) -> list[str]:
    """Sentences about members of groups, with the ids of samples in place of {row}."""
    rows = sorted({int(row) for reason in reasons for row in _ROW.findall(reason)})
    ids = dict(zip(rows, ids_of(materials.database, nos[rows]), strict=False)) if rows else {}

    def named(match: re.Match[str]) -> str:
        return ids.get(int(match[1]), "another")

    return [_ROW.sub(named, reason) or "Close to the others of its group." for reason in reasons]
