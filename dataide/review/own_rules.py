"""Rules of one's own: a function over one picture's objects, or one SQL expression over an object's columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from dataide.review.findings import DELETE, NONE, SENTENCES, SEVERITIES, Gathering, Severity
from dataide.review.objects import Floats, Ints, LinterError, Objects

# Halfway between nothing and certain, by severity: rules of one's own have no measure of how bad it is.
SCORES = (0.1, 0.25, 0.4)


@dataclass(frozen=True)
class Picture:
    """One picture's objects, as a rule of one's own sees them: arrays of one length.

    Attributes:
        sample_no: which picture.
        width_px, height_px: its size; NaN where it is not known.
        object_no, label: numbers and class names ("" for none).
        x, y, width, height: boxes in px.
        mask_area, track, frame: as in `Objects`, or None.
    """

    sample_no: int
    width_px: float
    height_px: float
    object_no: Ints
    label: np.ndarray
    x: Floats
    y: Floats
    width: Floats
    height: Floats
    mask_area: Floats | None
    track: Ints | None
    frame: Ints | None

    def __len__(self) -> int:
        return len(self.object_no)

    @property
    def area(self) -> Floats:
        """Areas of the boxes, square px."""
        return self.width * self.height


Check = Callable[[Picture], Any]


@dataclass(frozen=True)
class Rule:
    """A rule of one's own; `linter` makes it.

    Attributes:
        name: how its findings are called.
        severity: "error", "warning" or "hint".
        message: one sentence; {label}, {width} and {height} are filled in.
        check: takes a `Picture`, returns a bool for each object, or the places of those that break the rule, or None.
        where: or a boolean SQL expression over the columns of objects, true for those that break the rule.
        repair: "delete" proposes to delete them.
    """

    name: str
    severity: Severity
    message: str
    check: Check | None = None
    where: str | None = None
    repair: str | None = None

    def __call__(self, picture: Picture) -> Any:
        """The function that was decorated."""
        if self.check is None:
            raise LinterError(f"The rule {self.name} is the expression {self.where}, not a function.")
        return self.check(picture)


# By name, in the order of arrival: a cell that runs again replaces its rule.
RULES: dict[str, Rule] = {}


@overload
def linter(rule: Check, /) -> Rule: ...


@overload
def linter(
    rule: str, /, *, name: str, severity: Severity = "warning", message: str | None = None, repair: str | None = None
) -> Rule: ...


@overload
def linter(
    rule: None = None,
    /,
    *,
    name: str | None = None,
    severity: Severity = "warning",
    message: str | None = None,
    repair: str | None = None,
) -> Callable[[Check], Rule]: ...


def linter(
    rule: Check | str | None = None,
    /,
    *,
    name: str | None = None,
    severity: Severity = "warning",
    message: str | None = None,
    repair: str | None = None,
) -> Rule | Callable[[Check], Rule]:
    """Adds a rule over objects, which then runs with all others.

        @linter
        def small_person(picture):
            "A person below 20 px is not worth a box."
            return (picture.label == "person") & (picture.height < 20)

        linter("width_px > 8 * height_px", name="flat", severity="hint")

    Args:
        rule: a function over one picture's objects, or a boolean SQL expression over the columns of objects.
        name: how findings are called; the function's name when left out.
        severity: "error", "warning" or "hint".
        message: one sentence; the function's docstring, or the expression, when left out.
        repair: "delete" to propose that, or None.

    Returns:
        The rule; as a decorator with arguments, what takes the function.

    Raises:
        LinterError: the severity, the repair or the name is none that can be used.
    """
    if severity not in SEVERITIES:
        raise LinterError(f"There is no severity {severity!r}.", hint=f"Use one of {', '.join(SEVERITIES)}.")
    if repair not in (None, "delete"):
        raise LinterError(f"A rule of one's own cannot repair by {repair!r}.", hint='Use repair="delete", or none.')

    def add(what: Check | str) -> Rule:
        given = what if isinstance(what, str) else getattr(what, "__name__", "")
        title = name if name is not None else ("" if isinstance(what, str) else given)
        if not title:
            raise LinterError(
                f"The rule {given} has no name." if given else "The rule has no name.",
                hint='Give it one: linter("width_px > 8 * height_px", name="flat").',
            )
        if title in SENTENCES:
            raise LinterError(f"A rule called {title} exists already.", hint="Give yours another name.")
        told = message or (what if isinstance(what, str) else (what.__doc__ or title).strip().split("\n")[0])
        made = Rule(
            title,
            severity,
            told,
            check=None if isinstance(what, str) else what,
            where=what if isinstance(what, str) else None,
            repair=repair,
        )
        RULES[title] = made
        return made

    return add if rule is None else add(rule)


def forget(name: str) -> None:
    """Takes a rule of one's own away again.

    Raises:
        LinterError: there is no such rule.
    """
    if name not in RULES:
        raise LinterError(f"There is no rule {name}.", hint=f"There are: {', '.join(RULES) or 'none'}.")
    del RULES[name]


def follow(
    table: Objects,
    rules: Sequence[Rule],
    broken: Mapping[str, np.ndarray],
    found: Gathering,
    stop: Callable[[], bool],
) -> None:
    """Runs rules of one's own. One that fails is left out from there on, and is listed in the problems.

    Args:
        table: objects.
        rules: those to run.
        broken: for rules that are expressions, a bool for each object in the order of the columns that the table was
            made from: the session evaluates SQL. Expressions that are missing here do not run.
    """
    for rule in rules:
        if stop():
            return
        if rule.check is None:
            if rule.name in broken:
                _add(table, rule, np.flatnonzero(np.asarray(broken[rule.name], bool)[table.row]), found)
            continue
        rows: list[np.ndarray] = []
        for place in range(len(table.starts) - 1):
            start, end = int(table.starts[place]), int(table.starts[place + 1])
            picture = _picture(table, start, end)
            try:
                rows.append(start + _places(rule.check(picture), end - start))
            except Exception as error:
                # A user's function may fail in any way, and the other rules still count.
                sentence = str(error) or type(error).__name__
                found.problems.append((rule.name, f"It failed on sample {picture.sample_no}: {sentence}"))
                break
        if rows:
            _add(table, rule, np.concatenate(rows), found)


def _add(table: Objects, rule: Rule, rows: np.ndarray, found: Gathering) -> None:
    found.sentences[rule.name] = rule.message
    severity = SEVERITIES.index(rule.severity)
    act = DELETE if rule.repair == "delete" else NONE
    found.add(rule.name, rows, severity, SCORES[severity], act=act, data=(table.width[rows], table.height[rows]))


def _picture(table: Objects, start: int, end: int) -> Picture:
    def part(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[start:end]

    box = table.boxes[start:end]
    return Picture(
        int(table.sample_no[start]),
        float(table.width_px[start]),
        float(table.height_px[start]),
        table.object_no[start:end],
        table.label[start:end],
        box[:, 0],
        box[:, 1],
        box[:, 2],
        box[:, 3],
        part(table.mask_area),
        part(table.track),
        part(table.frame),
    )


def _places(answer: Any, count: int) -> np.ndarray:
    """What a rule returned as places among the picture's objects."""
    if answer is None:
        return np.empty(0, np.int64)
    values = np.atleast_1d(np.asarray(answer if isinstance(answer, np.ndarray) else list(answer)))
    if not values.size:
        return np.empty(0, np.int64)
    if values.dtype == bool:
        if len(values) != count:
            raise LinterError(f"It returned {len(values)} bools for {count} objects.")
        return np.flatnonzero(values)
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= count:
        raise LinterError(f"It returned {values.dtype} values that are no places among {count} objects.")
    return np.unique(values).astype(np.int64)
