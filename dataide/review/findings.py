"""What linters find, in columns: a million findings are a few arrays; sentences are made for those that are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dataide.review.objects import Objects

Severity = Literal["error", "warning", "hint"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "hint")
ERROR, WARNING, HINT = range(3)

Act = Literal["none", "delete", "box", "relabel"]
ACTS: tuple[Act, ...] = ("none", "delete", "box", "relabel")
NONE, DELETE, BOX, RELABEL = range(4)

# The sentence of each rule. {0} to {2} are numbers of the finding, {label} and {other} names of classes.
SENTENCES = {
    "not_a_number": "The box has a coordinate that is not a number.",
    "inverted_box": "The box is inverted: {0:g} x {1:g} px.",
    "empty_box": "The box is empty: {0:g} x {1:g} px.",
    "outside_image": "The box lies outside the picture.",
    "partly_outside": "{0:.0%} of the box lies outside the picture, by up to {1:.0f} px.",
    "too_small": "The box is {0:.1f} x {1:.1f} px: too small to hold anything.",
    "duplicate_box": "Two boxes of {label} overlap by {0:.0%}: one thing was drawn twice.",
    "two_labels": "Boxes of {label} and {other} overlap by {0:.0%}: one thing has two labels.",
    "empty_mask": "The mask has no pixels.",
    "mask_outside_box": "The mask covers {0:.0f} square px, its box {1:.0f}.",
    "no_label": "The object has no label.",
    "unknown_label": "{label} is not in the vocabulary.",
    "impossible_aspect": "The box is {0:.2g} times as wide as high; half of the boxes of {label} lie near {1:.2g}.",
    "too_large": (
        "The box takes {0:.1%} of the picture's side, boxes of {label} usually {1:.1%}; here one expects {2:.1%}."
    ),
    "too_small_for_class": (
        "The box takes {0:.1%} of the picture's side, boxes of {label} usually {1:.1%}; here one expects {2:.1%}."
    ),
    "class_swap": "The box looks more like {other} than {label}, by its shape, its size and what is around it.",
    "track_jump": "The track jumps by {0:.1f} times the size of the box within {1:.0f} frames.",
    "track_resize": "The box of the track changes its size {0:.1f} times within {1:.0f} frames.",
    "track_twice": "The track has two boxes in frame {0:.0f}.",
    "track_class": "The track is {other} mostly, here it is {label}.",
    "twins_differ": "{0:.0f} pictures look the same, {1:.0f} of them have another label.",
    "unknown_sample_label": "The label {label} of the picture is not in the vocabulary.",
    "twins_differ_in_objects": "{0:.0f} pictures look the same, and their objects differ.",
}


@dataclass(frozen=True)
class Repair:
    """What would mend a finding.

    Attributes:
        act: "delete" the object, give it another "box", "relabel" it, or "none": somebody has to look.
        box: x, y, width, height in px, for "box".
        class_no, label: for "relabel": the number of the class and its name.
    """

    act: Act
    box: tuple[float, float, float, float] | None = None
    class_no: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Finding:
    """One finding, as it is shown.

    Attributes:
        objects: numbers of the objects it is about: none (the sample itself), one or two. A repair is of the first.
        sample_no: the sample they are in.
        rule: name of the rule.
        severity: "error" (cannot be right), "warning" (hardly right), "hint" (unusual).
        score: in [0, 1], low = severe.
        message: one sentence.
        repair: what would mend it.
    """

    objects: tuple[int, ...]
    sample_no: int
    rule: str
    severity: Severity
    score: float
    message: str
    repair: Repair


@dataclass
class Findings:
    """Findings of many rules in columns, M of them.

    Attributes:
        rules: names of rules.
        rule: M uint16, places in `rules`.
        object_no, other_no: M int64; -1 where there is none.
        sample_no: M int64.
        severity: M uint8, places in `SEVERITIES`.
        score: M float32 in [0, 1], low = severe.
        act: M uint8, places in `ACTS`.
        repair: M x 4 float64: the new box, or the new class in the first place; NaN otherwise.
        data: M x 3 float64, what the sentence tells.
        label, other_label: M int64, classes that the sentence names, -1 for none.
        classes: names by class number.
        sentences: sentences of rules that are not ours, by name.
        problems: rules of one's own that failed: (name, sentence).
    """

    rules: list[str]
    rule: NDArray[np.uint16]
    object_no: NDArray[np.int64]
    other_no: NDArray[np.int64]
    sample_no: NDArray[np.int64]
    severity: NDArray[np.uint8]
    score: NDArray[np.float32]
    act: NDArray[np.uint8]
    repair: NDArray[np.float64]
    data: NDArray[np.float64]
    label: NDArray[np.int64]
    other_label: NDArray[np.int64]
    classes: tuple[str, ...] = ()
    sentences: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rule)

    def __getitem__(self, index: int) -> Finding:
        act, values = ACTS[self.act[index]], self.repair[index]
        repair = Repair(
            act,
            box=(float(values[0]), float(values[1]), float(values[2]), float(values[3])) if act == "box" else None,
            class_no=int(values[0]) if act == "relabel" else None,
            label=self._name(int(values[0])) if act == "relabel" else None,
        )
        return Finding(
            tuple(int(no[index]) for no in (self.object_no, self.other_no) if no[index] >= 0),
            int(self.sample_no[index]),
            self.rules[self.rule[index]],
            SEVERITIES[self.severity[index]],
            float(self.score[index]),
            self.message(index),
            repair,
        )

    def __iter__(self) -> Iterator[Finding]:
        return (self[index] for index in range(len(self)))

    def of(self, rule: str) -> NDArray[np.int64]:
        """Places of one rule's findings."""
        if rule not in self.rules:
            return np.empty(0, np.int64)
        return np.flatnonzero(self.rule == self.rules.index(rule))

    def take(self, which: np.ndarray) -> Findings:
        """Those that a mask names, or places."""
        columns = ("rule", "object_no", "other_no", "sample_no", "severity", "score", "act", "repair", "data", "label")
        taken = {name: getattr(self, name)[which] for name in (*columns, "other_label")}
        return replace(self, **taken)

    def counts(self) -> dict[str, int]:
        """How many findings each rule has, those without left out."""
        found = np.bincount(self.rule, minlength=len(self.rules))
        return {name: int(count) for name, count in zip(self.rules, found, strict=True) if count}

    def message(self, index: int) -> str:
        """One sentence for people."""
        name = self.rules[self.rule[index]]
        label, other = self._name(self.label[index]), self._name(self.other_label[index])
        if name in self.sentences:
            width, height, _ = self.data[index].tolist()
            try:
                return self.sentences[name].format(label=label, width=width, height=height)
            except (KeyError, IndexError, ValueError):
                # Braces in a sentence of somebody's own may mean anything.
                return self.sentences[name]
        return SENTENCES[name].format(*self.data[index], label=label, other=other)

    def _name(self, class_no: int) -> str:
        if class_no < 0:
            return "no class"
        return self.classes[class_no] if class_no < len(self.classes) else f"class {class_no}"


class Gathering:
    """Findings while rules add to them."""

    def __init__(self, table: Objects) -> None:
        self._table = table
        self._parts: list[tuple[np.ndarray, ...]] = []
        self.rules: list[str] = []
        self.sentences: dict[str, str] = {}
        self.problems: list[tuple[str, str]] = []

    def add(
        self,
        rule: str,
        rows: np.ndarray,
        severity: int | np.ndarray,
        score: float | np.ndarray,
        *,
        others: np.ndarray | None = None,
        act: int | np.ndarray = NONE,
        repair: np.ndarray | None = None,
        data: Sequence[np.ndarray | float] = (),
        other_label: np.ndarray | None = None,
        sample_no: np.ndarray | None = None,
        label: np.ndarray | None = None,
    ) -> None:
        """Adds what a rule found on these rows of the table.

        With `sample_no` it is about samples, and `rows` is not read; `label` says what their labels are.
        """
        count = len(rows) if sample_no is None else len(sample_no)
        if not count:
            return
        if rule not in self.rules:
            self.rules.append(rule)
        table, nobody = self._table, np.full(count, -1, np.int64)
        mending = np.full((count, 4), np.nan)
        if repair is not None:
            mending[:, : repair.shape[1] if repair.ndim == 2 else 1] = repair if repair.ndim == 2 else repair[:, None]
        numbers = np.full((count, 3), np.nan)
        for place, values in enumerate(data):
            numbers[:, place] = values
        about_objects = sample_no is None
        self._parts.append(
            (
                np.full(count, self.rules.index(rule), np.uint16),
                table.object_no[rows] if about_objects else nobody,
                nobody if others is None else table.object_no[others],
                table.sample_no[rows] if sample_no is None else sample_no,
                np.full(count, severity, np.uint8),
                np.clip(np.full(count, score, np.float32), 0, 1),
                np.full(count, act, np.uint8),
                mending,
                numbers,
                table.class_no[rows] if about_objects else nobody if label is None else label,
                nobody if other_label is None else other_label,
            )
        )

    def done(self) -> Findings:
        if self._parts:
            columns: list[np.ndarray] = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        else:
            kinds = (np.uint16, np.int64, np.int64, np.int64, np.uint8, np.float32, np.uint8)
            columns = [np.empty(0, kind) for kind in kinds]
            columns += [np.empty((0, 4)), np.empty((0, 3)), np.empty(0, np.int64), np.empty(0, np.int64)]
        names = ("rule", "object_no", "other_no", "sample_no", "severity", "score", "act", "repair", "data")
        by_name: dict[str, Any] = dict(zip((*names, "label", "other_label"), columns, strict=True))
        return Findings(
            self.rules,
            **by_name,
            classes=self._table.classes,
            sentences=self.sentences,
            problems=self.problems,
        )
