"""What the run of a detector is worth on samples of a session, and what it misses, invents and confuses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dataide.errors import EvaluationError, did_you_mean
from dataide.evaluate import object_kinds
from dataide.evaluate.detection import Detection, Predictions, Truth, detection
from dataide.evaluate.figures import Figures, Table, counted
from dataide.evaluate.intervals import LEVEL, Figure
from dataide.storage import evidence, run_objects

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.core.object_views import ObjectView
    from dataide.core.view import View
    from dataide.storage.run_tables import Run

# Kinds of predictions that are wrong.
WRONG = tuple(name for name in object_kinds.KINDS if name not in ("true_positive", "miss", "uncounted"))


@dataclass(frozen=True, eq=False, repr=False)
class RunDetection(Figures):
    """What a detector is worth: COCO's figures by name (`result["AP50"]`), and where it fails as Views.

    Attributes:
        run: its name.
        detection: everything else, such as curves: `evaluate.detection.Detection`; its rows are those of `truths` and
            of `predicted`.
        truths: `object_no` of each true object, uint32.
        predicted: `sample_no` of each predicted object, uint32.
        context: the session's.
    """

    run: str = field(kw_only=True)
    detection: Detection = field(kw_only=True)
    truths: NDArray[np.uint32] = field(kw_only=True)
    predicted: NDArray[np.uint32] = field(kw_only=True)
    context: Context = field(kw_only=True)

    @property
    def title(self) -> str:
        pictures = counted(self.count, "sample")
        return f"Run {self.run!r}: boxes on {pictures}, {counted(len(self.truths), 'true object')}"

    @property
    def per_class(self) -> Table:
        """A row for each class: how many there are and were predicted, and the figures; NaN where there is no truth."""
        columns = dict(self.detection.per_class)
        names = [str(name) for name in columns.pop("class").tolist()]
        return Table({"class": names} | {name: _known(values) for name, values in columns.items()})

    @property
    def errors(self) -> Table:
        """How many objects are right, missed, or predicted wrongly in which way (TIDE: Bolya et al., ECCV 2020)."""
        counts = self.detection.objects.counts()
        return Table({"kind": list(counts), "objects": np.array(list(counts.values()), np.int64)})

    @property
    def missed(self) -> ObjectView:
        """The true objects that no prediction tells of, as a View of objects."""
        return self.objects("miss")

    def objects(self, kind: str) -> ObjectView:
        """The true objects of one kind.

        Args:
            kind: "miss", "true_positive", or "wrong_class" or "badly_placed" for those that a prediction has in a
                wrong way.

        Raises:
            EvaluationError: there is no such kind.
        """
        at = self.detection.objects.truths.kind == _kind(kind, ("miss", "true_positive", "wrong_class", "badly_placed"))
        known = self.context.view().objects  # type: ignore[attr-defined]
        said = f"that {self.run!r} has as {kind.replace('_', ' ')}"
        return known.ranked(self.truths[at], None, said)  # type: ignore[no-any-return]

    def samples(self, kind: str) -> View:
        """The samples with predictions of one kind, those with most of them first, and how many as a column.

        Args:
            kind: "false_positive", "wrong_class", "badly_placed", "duplicate", "wrong_class_and_place" or
                "true_positive".

        Raises:
            EvaluationError: there is no such kind.
        """
        at = self.detection.objects.predictions.kind == _kind(kind, ("true_positive", *WRONG))
        nos, many = np.unique(self.predicted[at], return_counts=True)
        order = np.argsort(-many, kind="stable")
        said = f"where {self.run!r} has {kind.replace('_', ' ')} objects"
        return self.context.view().ranked(nos[order], said, **{kind: many[order].astype(np.int64)})

    def _more_html(self) -> str:
        return self.errors.html() + self.per_class.html()


def evaluate(context: Context, run: Run, nos: NDArray[np.uint32], level: float = LEVEL) -> RunDetection:
    """Compares the boxes that a run found with the objects of samples; see `ways_in.Evaluating.evaluate`.

    Args:
        context: the session's.
        run: of a detector.
        nos: sample numbers, ascending.
        level: of the intervals.

    Raises:
        EvaluationError: the run has no fresh result of any of them.
    """
    database = context.database
    images = nos[evidence.judged_by(database, run, nos)]
    if not len(images):
        raise EvaluationError(
            f"None of the {len(nos):,} samples has a result of run {run.name!r} as its picture and the model are now.",
            hint=f"session.predict(model, run={run.name!r}, task='detection')",
            code="empty",
        )
    notes = []
    if len(images) < len(nos):
        notes.append(f"Left out: {counted(len(nos) - len(images), 'sample')} without a fresh result of {run.name!r}.")
    truth = run_objects.true_boxes(database, images)
    said = evidence.predicted_boxes(database, run, images)
    if truth.left_out:
        notes.append(f"Left out: {counted(truth.left_out, 'object')} without a class or a box.")
    bare = len(images) - len(np.unique(truth.sample_no))
    if bare:
        notes.append(f"{counted(bare, 'sample')} without true objects: whatever is predicted there counts as false.")
    sound = np.isfinite(said["boxes"]).all(axis=1) & (said["boxes"][:, 2:] >= 0).all(axis=1)
    sound &= np.isfinite(said["score"])
    if not sound.all():
        notes.append(f"Left out: {counted(int((~sound).sum()), 'prediction')} whose box or score is none.")
    said = {name: values[sound] for name, values in said.items()}
    strange = sorted(set(truth.label) - set(run.classes))
    if strange:
        more = ", …" if len(strange) > 5 else ""
        listed = ", ".join(repr(name) for name in strange[:5])
        notes.append(f"The run has no class for {listed}{more}: such objects count as missed.")
    names = np.array(run.classes, dtype=object)
    result = detection(
        Truth(image=truth.sample_no.astype(np.int64), label=truth.label, boxes=truth.boxes, crowd=truth.crowd,
              area=truth.area),
        Predictions(image=images[said["row"]].astype(np.int64), label=names[said["class_no"]].tolist(),
                    score=said["score"], boxes=said["boxes"]),
        images=images.astype(np.int64), confidence=level,
    )  # fmt: skip
    return RunDetection(
        figures=_figures(result), count=len(images), level=level, notes=tuple(notes), run=run.name, detection=result,
        truths=truth.object_no, predicted=images[said["row"]], context=context,
    )  # fmt: skip


def _figures(of: Detection) -> Mapping[str, Figure]:
    nothing = (math.nan, math.nan)
    return {
        name: Figure(value if value > -1 else math.nan, *of.intervals.get(name, nothing)) for name, value in of.items()
    }


def _known(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """With NaN where COCO writes -1."""
    return np.where(values > -1, values, np.nan) if values.dtype.kind == "f" else values  # type: ignore[operator]


def _kind(name: str, among: tuple[str, ...]) -> int:
    if name not in among:
        raise EvaluationError(f"There is no kind {name!r} here.", hint=did_you_mean(name, among), code="kind")
    return object_kinds.KINDS.index(name)
