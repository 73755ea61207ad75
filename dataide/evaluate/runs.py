"""What a run of a session is worth on samples of it, and which samples it gets wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.core.predicate import column_named
from dataide.errors import EvaluationError, did_you_mean
from dataide.evaluate import comparing, intervals, own_metrics
from dataide.evaluate.classification import TOP, Classification, classification
from dataide.evaluate.comparing import Comparison
from dataide.evaluate.figures import counted
from dataide.storage import run_answers, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataide.core.context import Context
    from dataide.core.view import View
    from dataide.evaluate.run_boxes import RunDetection
    from dataide.storage.run_answers import Answers
    from dataide.storage.run_tables import Run

_NAMED = 5


@dataclass(frozen=True, eq=False, repr=False)
class RunEvaluation(Classification):
    """What a run is worth: figures with intervals as of `Classification`, and its samples as Views.

    Attributes:
        run: its name.
        nos: the numbers of the samples that were compared; `rows.index` names places among them.
        context: the session's.
    """

    run: str = field(kw_only=True)
    nos: NDArray[np.uint32] = field(kw_only=True)
    context: Context = field(kw_only=True)

    @property
    def title(self) -> str:
        return f"Run {self.run!r}: {super().title}"

    @property
    def wrong(self) -> View:
        """The samples whose class is not the predicted one, the worst first, with their loss as a column."""
        rows = np.flatnonzero(~self.right)
        rows = rows[np.argsort(-self.loss[rows], kind="stable")]
        column = {f"{runs.column_name(self.run)}_loss": self.loss[rows].astype(np.float32)}
        return self.context.view().ranked(self.of(rows), f"that run {self.run!r} gets wrong", **column)

    def taken_for(self, label: str, predicted: str) -> View:
        """The samples of one cell of the confusion matrix, those that the run was surest about first.

        Args:
            label: what they are.
            predicted: what the run took them for.

        Raises:
            EvaluationError: the run has no such class.
        """
        truth, said = (self._number(name) for name in (label, predicted))
        rows = np.flatnonzero((self.rows.labels == truth) & (self.rows.predicted == said))
        if self.rows.confidence is not None:
            rows = rows[np.argsort(-self.rows.confidence[rows], kind="stable")]
        return self.context.view().ranked(
            self.of(rows), f"labelled “{label}” that {self.run!r} takes for “{predicted}”"
        )

    def of(self, rows: NDArray[np.intp]) -> NDArray[np.uint32]:
        """The numbers of samples, by their places among the rows that count."""
        return self.nos[self.rows.index[rows]]

    def _number(self, name: str) -> int:
        if name not in self.classes:
            raise EvaluationError(
                f"Run {self.run!r} has no class {name!r}.", hint=did_you_mean(name, self.classes), code="unknown_class"
            )
        return self.classes.index(name)


@dataclass(frozen=True, eq=False, repr=False)
class RunComparison(Comparison):
    """What a run has won and lost against another: differences as of `Comparison`, and samples as Views.

    Attributes:
        nos: the numbers of the samples that both were compared on.
        context: the session's.
    """

    nos: NDArray[np.uint32] = field(kw_only=True)
    context: Context = field(kw_only=True)

    @property
    def fixed(self) -> View:
        """The samples that only the second run has right."""
        return self.context.view().ranked(self.nos[self.won], f"fixed by {self.names[1]!r}")

    @property
    def broken(self) -> View:
        """The samples that only the first run has right."""
        return self.context.view().ranked(self.nos[self.lost], f"broken by {self.names[1]!r}")


def evaluate(
    context: Context,
    run: str,
    on: View | None,
    *,
    label: str = "label",
    groups: str | None = None,
    top: Sequence[int] = TOP,
    metrics: Mapping[str, own_metrics.Metric] | None = None,
    level: float = intervals.LEVEL,
) -> RunEvaluation | RunDetection:
    """Compares what a run said with the labels, or the objects, of samples; see `ways_in.Evaluating.evaluate`."""
    known = runs.require(context.database, run)
    if known.task == "detection":
        from dataide.evaluate import run_boxes

        if groups is not None or metrics:
            raise EvaluationError(
                f"Run {run!r} is one of a detector, and groups= and metrics= are for classes.",
                hint=f"session.evaluate({run!r})",
                code="task",
            )
        return run_boxes.evaluate(context, known, numbers(context, on), level)
    known = classifier(context, run)
    found = run_answers.answers(context.database, known, numbers(context, on), *columns_named(context, label, groups))
    require(found, run)
    probabilities = run_answers.probabilities(context.database, known, found.nos)
    result = _judged(found, probabilities, known.classes, top, metrics, level)
    return RunEvaluation(**_parts(result, left_out(found, run)), run=run, nos=found.nos, context=context)


def compare(
    context: Context,
    before: str,
    after: str,
    on: View | None,
    *,
    label: str = "label",
    groups: str | None = None,
    top: Sequence[int] = TOP,
    metrics: Mapping[str, own_metrics.Metric] | None = None,
    level: float = intervals.LEVEL,
) -> RunComparison:
    """Compares two runs on the samples that both have a result for; see `ways_in.Evaluating.compare`."""
    if before == after:
        raise EvaluationError(f"{before!r} is one run, and comparing takes two.", hint="session.runs lists them.")
    pair = [classifier(context, name) for name in (before, after)]
    order = _same_classes(*pair)
    nos = numbers(context, on)
    asked = columns_named(context, label, groups)
    found = [run_answers.answers(context.database, run, nos, *asked) for run in pair]
    for answers, run in zip(found, pair, strict=True):
        require(answers, run.name)
    both = np.intersect1d(found[0].nos, found[1].nos, assume_unique=True)
    if not len(both):
        raise EvaluationError(
            f"No labelled sample has a result of both {before!r} and {after!r}.",
            hint=f"session.predict(model, run={after!r}) on the same samples.",
            code="empty",
        )
    results = []
    for answers, run in zip(found, pair, strict=True):
        probabilities = run_answers.probabilities(context.database, run, both)
        some = _some(answers, np.searchsorted(answers.nos, both))
        if run is pair[1] and order is not None:  # its classes stand in another order: as in the first
            place = np.argsort(order)
            probabilities = probabilities[:, order]
            some = _renumbered(some, place)
        results.append(_judged(some, probabilities, pair[0].classes, top, None, level))
    compared = comparing.compare(*results, names=(before, after), metrics=metrics)
    notes = [
        f"Left out: {counted(answers.nos.size - both.size, 'sample')} with a result of {run.name!r} alone."
        for answers, run in zip(found, pair, strict=True)
        if answers.nos.size > both.size
    ]
    return RunComparison(**_parts(compared, notes), nos=both, context=context)


def _judged(
    found: Answers,
    probabilities: NDArray[np.float32],
    classes: tuple[str, ...],
    top: Sequence[int],
    metrics: Mapping[str, own_metrics.Metric] | None,
    level: float,
) -> Classification:
    return classification(
        found.labels, found.predicted, probabilities=probabilities, classes=_told_apart(classes),
        groups=found.groups, top=top, metrics=metrics, level=level, normalise=True,
    )  # fmt: skip


def _told_apart(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The names, with a number behind those that an earlier class has: nothing is labelled or predicted as these."""
    first = run_answers.first_named(classes)
    return tuple(name if first[at] == at else f"{name} ({at})" for at, name in enumerate(classes))


def _parts(result: Classification | Comparison, notes: Sequence[str]) -> dict[str, Any]:
    """The fields of a result, with more notes before its own."""
    return {one.name: getattr(result, one.name) for one in fields(result)} | {"notes": (*notes, *result.notes)}


def classifier(context: Context, name: str) -> Run:
    """The run of this name, which has to be one of classification."""
    run = runs.require(context.database, name)
    if run.task != "classification":
        raise EvaluationError(
            f"Run {name!r} is one of {run.task}, and this compares classes.",
            hint="session.runs says what each run is.",
            code="task",
        )
    return run


def numbers(context: Context, on: View | None) -> NDArray[np.uint32]:
    """The numbers of samples of a View, or of all, ascending; at least one."""
    view = context.view() if on is None else on
    if not hasattr(view, "nos"):
        raise EvaluationError(f"on= takes a View, not {type(on).__name__}.", hint='on=session.where(split="test")')
    nos = view.nos()
    if not (nos[1:] > nos[:-1]).all():
        nos = np.unique(nos)
    if not len(nos):
        raise EvaluationError("There are no samples to evaluate on: the View is empty.", code="empty")
    return nos


def columns_named(context: Context, label: str, groups: str | None) -> tuple[str, str | None]:
    """The columns of labels and of groups, as the file spells them."""
    known = context.database.columns()
    return column_named(label, known), None if groups is None else column_named(groups, known)


def require(found: Answers, run: str) -> None:
    """Raises EvaluationError where nothing is left to compare, and says why."""
    if len(found.nos):
        return
    left = " ".join(left_out(found, run)) or "Nothing was predicted."
    raise EvaluationError(
        f"None of the {found.asked:,} samples can be compared with run {run!r}. {left}",
        hint=f"Label some of them, or predict them: session.predict(model, run={run!r})",
        code="empty",
    )


def left_out(found: Answers, run: str) -> list[str]:
    """Which samples do not count, and why."""
    notes = []
    for count, why in (
        (found.unpredicted, f"without a result of run {run!r}"),
        (found.stale, "with one of an earlier picture or model: predict again"),
        (found.unlabelled, "without a label"),
    ):
        if count:
            notes.append(f"Left out: {counted(count, 'sample')} {why}.")
    if found.unknown:
        listed = ", ".join(f"{name!r} {count:,}" for name, count in list(found.unknown.items())[:_NAMED])
        more = ", …" if len(found.unknown) > _NAMED else ""
        samples = counted(sum(found.unknown.values()), "sample")
        notes.append(f"Left out: {samples} with a label that the run has no class for ({listed}{more}).")
    return notes


def _same_classes(before: Run, after: Run) -> NDArray[np.intp] | None:
    """Where each class of the first run stands in the second; None where it is the same place."""
    if before.classes == after.classes:
        return None
    if set(before.classes) != set(after.classes):
        alone = sorted(set(before.classes) ^ set(after.classes))
        raise EvaluationError(
            f"Runs {before.name!r} and {after.name!r} have different classes; only one has {alone[0]!r}.",
            hint="Compare runs of the same classes.",
            code="classes",
        )
    return np.array([after.classes.index(name) for name in before.classes], np.intp)


def _some(found: Answers, rows: NDArray[np.intp]) -> Answers:
    return run_answers.Answers(
        found.nos[rows], found.labels[rows], found.predicted[rows], found.confidence[rows],
        None if found.groups is None else found.groups[rows],
        found.asked, found.unpredicted, found.stale, found.unlabelled, found.unknown,
    )  # fmt: skip


def _renumbered(found: Answers, place: NDArray[np.intp]) -> Answers:
    return run_answers.Answers(
        found.nos, place[found.labels].astype(np.int64), place[found.predicted].astype(np.int64), found.confidence,
        found.groups, found.asked, found.unpredicted, found.stale, found.unlabelled, found.unknown,
    )  # fmt: skip
