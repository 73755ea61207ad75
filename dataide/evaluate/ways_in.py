"""The methods of a session about how good runs are; `api.Session` has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dataide.core.context import Context

if TYPE_CHECKING:
    from dataide.core.view import View
    from dataide.evaluate.run_boxes import RunDetection
    from dataide.evaluate.run_slices import RunSlices
    from dataide.evaluate.runs import RunComparison, RunEvaluation


class Evaluating:
    """How good runs are.

    Attributes:
        context: the session's.
    """

    context: Context

    def evaluate(
        self,
        run: str = "v1",
        *,
        on: View | None = None,
        label: str = "label",
        groups: str | None = None,
        top: Sequence[int] = (3, 5),
        metrics: Mapping[str, Callable[..., Any]] | None = None,
        level: float = 0.95,
    ) -> RunEvaluation | RunDetection:
        """Compares what a run said with what is true: figures with intervals, by class, and where it is wrong.

        It reads like a mapping, result["accuracy"], and result.interval("accuracy") says how sure that is. Samples
        without a label or a fresh result, and labels that the run has no class for, are counted and left out. Of a
        detector, boxes are compared with the objects of samples by COCO's rules: result["AP50"], result.missed.

        Args:
            run: of classification, or of a detector.
            on: only these samples.
            label: the column of what is true.
            groups: a column that names the group of each sample (a patient, a video): samples of one are alike, and
                intervals are the wider for it.
            top: for each k, how often the label is among the k likeliest classes.
            metrics: functions of your own by name, called with the class numbers of labels and predictions, and the
                probabilities.
            level: of the intervals.

        Raises:
            UnknownRun: there is no such run.
            EvaluationError: nothing is left to compare, or groups or metrics are asked for of a detector.
        """
        from dataide.evaluate.runs import evaluate

        return evaluate(self.context, run, on, label=label, groups=groups, top=top, metrics=metrics, level=level)

    def compare(
        self,
        before: str,
        after: str,
        *,
        on: View | None = None,
        label: str = "label",
        groups: str | None = None,
        top: Sequence[int] = (3, 5),
        metrics: Mapping[str, Callable[..., Any]] | None = None,
        level: float = 0.95,
    ) -> RunComparison:
        """Says by how much one run is better than another on the same samples, with intervals and paired tests.

        result["accuracy"] is the difference, result.p["accuracy"] how likely one as large is by chance, result.fixed
        and result.broken the samples that only the second, or only the first run has right.

        Args:
            before, after: two runs of classification with the same classes.
            on: only these samples; of them, those that both runs have a result for.
            label, groups, top, level: as in `evaluate`.
            metrics: functions of your own by name, called with the class numbers of labels and predictions.

        Raises:
            UnknownRun: there is no such run.
            EvaluationError: they have no samples or not the same classes in common, or are of another task.
        """
        from dataide.evaluate.runs import compare

        options = {"label": label, "groups": groups, "top": top, "metrics": metrics, "level": level}
        return compare(self.context, before, after, on, **options)  # type: ignore[arg-type]

    def slices(
        self,
        run: str = "v1",
        *,
        on: View | None = None,
        label: str = "label",
        columns: Sequence[str] | None = None,
        embedding: str | None = None,
        conditions: int = 3,
        chance: float = 0.01,
        count: int = 10,
        seed: int = 0,
    ) -> RunSlices:
        """Looks where a run fails more than by chance: by columns and tags, and in regions of vectors.

        By columns: conjunctions of up to three conditions over columns, labels and tags (SliceLine: Sagadeeva and
        Boehm, SIGMOD 2021), with false discoveries held down. In regions: clusters of one kind of mistake (Domino:
        Eyuboglu et al., ICLR 2022), made from one half of the samples and tested on the other.

        Args:
            run: of classification.
            on: only these samples.
            label: the column of what is true.
            columns: names that conditions may be made of, "tags" among them; None for all but what models said.
            embedding: whose vectors regions are looked for in; by default "auto", else the latest of pictures.
            conditions: joined in one slice, 1 to 3.
            chance: how likely it may be that anything is told where nothing is wrong with any slice.
            count: slices at most, of each kind.
            seed: of the halves.

        Returns:
            A sequence: result[0].view is a View of its samples, result[0].where the SQL, result.table all as a table.

        Raises:
            UnknownRun: there is no such run.
            UnknownColumn: there is no such column.
            EvaluationError: nothing is left to compare, the run is of another task, or there is no such embedding.
        """
        from dataide.evaluate.run_slices import slices

        return slices(
            self.context, run, on, label=label, columns=columns, embedding=embedding, conditions=conditions,
            chance=chance, count=count, seed=seed,
        )  # fmt: skip
