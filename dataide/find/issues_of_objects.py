"""What a detector says of single boxes, as findings: each with the object that it is about, and what would mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dataide.core.repairs import in_words
from dataide.storage import findings

if TYPE_CHECKING:
    import pyarrow as pa

WARNING = "warning"
Columns = Mapping[str, np.ndarray]


@dataclass
class _Rows:
    """Findings while kinds of them are added: lists of one length."""

    row: list[int] = field(default_factory=list)
    object_no: list[int] = field(default_factory=list)
    rule: list[str] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    message: list[str] = field(default_factory=list)
    act: list[str] = field(default_factory=list)
    box: list[Sequence[float]] = field(default_factory=list)
    label: list[str | None] = field(default_factory=list)


_NO_BOX = (float("nan"),) * 4


def box_findings(
    nos: np.ndarray, given: Columns, predicted: Columns, told: Columns, words: Sequence[str]
) -> tuple[pa.Table, dict[int, str]]:
    """The boxes that a detector disagrees with, and things that it sees and that have no box.

    Args:
        nos: sample numbers.
        given: of N boxes: `row` (place in `nos`), `object_no`, `class_no` (-1 for none).
        predicted: of M boxes: `row`, `class_no`, `boxes` (M x 4, px), `score`.
        told: what `box_errors.suspect_boxes` says of them: flags, scores, `proposal`, `better`.
        words: names by class number.

    Returns:
        findings as `storage.findings` keeps them, and for the places in `nos` that have some to accept, these in words.
        Nobody draws a missed thing but people: its finding proposes nothing.
    """
    rows = _Rows()

    def name(no: int, otherwise: str = "thing") -> str:
        return words[no] if no >= 0 else otherwise

    def add(place: int, rule: str, message: str, act: str, box: Sequence[float] = _NO_BOX, to: int = -1) -> None:
        rows.row.append(int(given["row"][place]))
        rows.object_no.append(int(given["object_no"][place]))
        rows.rule.append(rule)
        rows.score.append(float(told[rule][place]))
        rows.message.append(message)
        rows.act.append(act)
        rows.box.append(box)
        rows.label.append(words[to] if to >= 0 else None)

    for place in np.flatnonzero(told["is_wrong_class"]).tolist():
        proposal = int(told["proposal"][place])
        message = f"The {name(int(given['class_no'][place]))} looks like a {name(proposal, 'something else')}."
        add(place, "wrong_class", message, "relabel" if proposal >= 0 else "none", to=proposal)
    for place in np.flatnonzero(told["is_spurious"]).tolist():
        add(place, "spurious", f"Nothing is seen in the box of a {name(int(given['class_no'][place]))}.", "delete")
    for place in np.flatnonzero(told["is_badly_placed"]).tolist():
        better = int(told["better"][place])
        box = predicted["boxes"][better].tolist() if better >= 0 else _NO_BOX
        message = f"The box of the {name(int(given['class_no'][place]))} is badly placed."
        add(place, "badly_placed", message, "box" if better >= 0 else "none", box)
    for place in np.flatnonzero(told["is_missed"]).tolist():
        no = int(predicted["class_no"][place])
        rows.row.append(int(predicted["row"][place]))
        rows.object_no.append(-1)
        rows.rule.append("missed")
        rows.score.append(float(told["missed"][place]))
        rows.message.append(f"A {name(no)} ({float(predicted['score'][place]):.2f}) has no box.")
        rows.act.append("none")
        rows.box.append(predicted["boxes"][place].tolist())
        rows.label.append(words[no] if no >= 0 else None)
    places = np.asarray(rows.row, np.int64)
    table = findings.table(
        nos[places], np.asarray(rows.object_no, np.int64), np.full(len(places), -1, np.int64), rows.rule,
        [WARNING] * len(places), np.clip(rows.score, 0, 1), rows.message, rows.act,
        np.asarray(rows.box, np.float64).reshape(-1, 4), rows.label,
    )  # fmt: skip
    acts: dict[int, list[str]] = {}
    for place, act in zip(rows.row, rows.act, strict=True):
        if act != "none":
            acts.setdefault(place, []).append(act)
    return table, {place: in_words(listed) for place, listed in acts.items()}
