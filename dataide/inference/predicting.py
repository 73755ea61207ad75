"""Predicting: what a classifier or detector says of each sample, kept under the name of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ModelError
from dataide.inference.identity import Identity, ModelLike, Task
from dataide.inference.job import Job, Progress
from dataide.inference.running import Means, Running, closing, meant, pictures_failed, stacked
from dataide.storage import arrow_arrays, runs
from dataide.storage.run_tables import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.inference.pump import Results
    from dataide.storage.database import Cursor, Database
    from dataide.storage.media import Media
    from dataide.storage.vectors import Pending


@dataclass(frozen=True)
class PredictReport:
    """What a prediction did.

    Attributes:
        run: its name.
        task: classification or detection.
        classes: their names.
        revision: of the model.
        predicted: samples that got a result now.
        present: samples that had one already.
        problems: pictures that could not be read or predicted; `session.problems()` lists them.
        columns: where the result stands in `sample`: class and confidence, or the number of objects.
        seconds: wall time.
        cancelled: it was stopped; the same call goes on.
        note: what else to know.
    """

    run: str
    task: str
    classes: tuple[str, ...]
    revision: str
    predicted: int
    present: int
    problems: int
    columns: tuple[str, ...]
    seconds: float
    cancelled: bool = False
    note: str | None = None

    def __repr__(self) -> str:
        parts = []
        if self.predicted or not self.present:
            what = "predicted" if self.task == "classification" else "looked for objects in"
            classes = f"{len(self.classes):,} classes" if self.classes else "no classes yet"
            parts.append(f"Run {self.run!r} {what} {self.predicted:,} samples, {classes}, in {self.seconds:.1f} s.")
        if self.present:
            parts.append(f"{self.present:,} had their results already.")
        columns = [f"To filter and colour by: {', '.join(self.columns)}."] if self.columns else []
        return " ".join([*parts, *closing(pictures_failed(self.problems), self.cancelled, self.note, *columns)])


def predict(
    database: Database,
    media: Media,
    nos: np.ndarray,
    model: ModelLike | Identity,
    *,
    run: str = "v1",
    task: Task | None = None,
    progress: Progress | None = None,
    wait: bool = True,
    **options: Any,
) -> PredictReport | Job[PredictReport]:
    """Lets a model say what each picture shows, and keeps it; Ctrl-C keeps what was committed.

    Args:
        database: the session's.
        media: reads the pictures.
        nos: sample numbers; those that have a result of their present picture by this model are left alone.
        model: whatever `identify` knows, or its answer.
        run: the name of the results.
        task: "classification", "detection"; by default what the model is for, classification where nobody knows.
        progress: called with (done, total, sentence).
        wait: False returns a Job at once.
        **options: kernel=, batch_size= (see `Means`), and for loading the model those of `identify`:
            classes=, transform=, output=, threshold= …

    Raises:
        ModelError: the model cannot be had, or failed, or has other classes than the run.
    """
    if task not in (None, "classification", "detection"):
        raise ModelError(
            f"There is no task {task!r}.", hint="Say task='classification' or task='detection'.", code="task"
        )
    means, loading = Means.of(options)
    identity = meant(database, model, run, task or task_of(model), loading)
    if identity.kind in ("auto", "towers"):
        raise ModelError(
            f"{identity.model!r} makes vectors, and predicts nothing.",
            hint="Give a classifier: 'resnet18', or what learn_embedding('…', label='label') has trained.",
            code="task",
        )
    return _Predicting(database, media, nos, identity, means, run).start(wait, progress)


def task_of(model: ModelLike) -> Task:
    """What a model is for, as far as its name tells."""
    detectors = ("fasterrcnn", "maskrcnn", "retinanet", "fcos", "ssd")
    return "detection" if isinstance(model, str) and model.startswith(detectors) else "classification"


class _Predicting(Running[PredictReport]):
    """One run of `predict`."""

    verb = "predicting"

    def __init__(
        self, database: Database, media: Media, nos: np.ndarray, identity: Identity, means: Means, run: str
    ) -> None:
        super().__init__(database, media, nos, identity, means)
        self._name = run
        self._task = str(identity.options["task"])
        self._since = 0
        self._place()

    @property
    def source(self) -> str:
        return f"predict {self._name}"

    @property
    def said(self) -> str:
        return f"run {self._name!r}"

    def find_pending(self, revision: str | None, details: dict[str, Any]) -> Pending:
        run = runs.run(self.database, self._name)
        # Those that were asked for count before the model is loaded: where nothing is pending it never is.
        classes = details.get("classes") or self.identity.options.get("classes")
        if run is not None and classes:
            runs.same_classes(run, classes)
        pending, self._since = pending_of(self.database, run, self.identity, revision, self.nos)
        return pending

    def store(self, cursor: Cursor, positions: np.ndarray, results: Results, revision: str) -> None:
        classes = [str(name) for name in self.details.get("classes") or []]
        run = self._place()
        if run is None:
            run = runs.create(cursor, self._name, self._task, classes)
            self.database.rebuild_views(cursor)
        elif classes:
            runs.same_classes(run, classes)
        if not classes and self._task == "detection":  # nobody has named them: as many as are found
            run = runs.name_classes(cursor, run, int(stacked(results, "classes").max(initial=-1)) + 1)
        run = runs.columns_for(self.database, cursor, run, self._columns())
        number = runs.number_of(cursor, run, revision, self._since)
        nos, media_revisions = self.pending.nos[positions], self.pending.media_revisions[positions]
        keep = _classified if self._task == "classification" else _detected
        more, shown = keep(cursor, run, nos, results)
        runs.store(cursor, run, number, nos, media_revisions, more)
        runs.set_columns(cursor, nos, {run.columns[field]: column for field, column in shown.items()})

    def _place(self) -> Run | None:
        """The run to write into, if it is there. Another job may have made it, or one like it, since this one began."""
        run = runs.run(self.database, self._name)
        if run is None:
            runs.free_name(self.database, self._name)
        else:
            runs.same_task(run, self._task)
        return run

    def _columns(self) -> dict[str, tuple[str, str]]:
        prefix = runs.column_name(self._name)
        if self._task == "classification":
            return {"class": (f"{prefix}_class", "VARCHAR"), "confidence": (f"{prefix}_confidence", "FLOAT")}
        return {"objects": (f"{prefix}_objects", "INTEGER"), "confidence": (f"{prefix}_confidence", "FLOAT")}

    def report(self, seconds: float, present: int, cancelled: bool) -> PredictReport:
        run = runs.run(self.database, self._name)
        revisions = runs.revisions(self.database, run) if run else []
        return PredictReport(
            run=self._name,
            task=self._task,
            classes=run.classes if run else (),
            revision=revisions[-1] if revisions else self.identity.revision or "",
            predicted=self.did.good,
            present=present,
            problems=self.did.problems,
            columns=tuple(run.columns.values()) if run else (),
            seconds=seconds,
            cancelled=cancelled,
            note=self.note,
        )


def pending_of(
    database: Database, run: Run | None, identity: Identity, revision: str | None, nos: np.ndarray
) -> tuple[Pending, int]:
    """Which of `nos` lack a result by this model, and how many revisions the run had before this one.

    Args:
        database: the session's.
        run: the run; None where it is still to be made.
        identity: the model that computes now.
        revision: its revision; None where only the loaded model knows it.
        nos: sample numbers, uint32.
    """
    known = runs.revisions(database, run) if run is not None else []
    fits = bool(known) and (identity.matches(known[-1]) if revision is None else known[-1] == revision)
    since = len(known) - 1 if fits else len(known)
    return runs.pending(database, run, since if fits else None, nos), since


Kept = tuple[dict[str, "pa.Array"], dict[str, "pa.Array"]]


def _classified(cursor: Cursor, run: Run, nos: np.ndarray, results: Results) -> Kept:
    import pyarrow as pa

    probabilities = np.ascontiguousarray(stacked(results, "probabilities"), np.float32)
    best = probabilities.argmax(axis=1)
    confidence = arrow_arrays.numbers(probabilities[np.arange(len(best)), best], np.float32)
    more = {
        "class_no": arrow_arrays.numbers(best, np.uint32),
        "confidence": confidence,
        "probabilities": pa.FixedSizeListArray.from_arrays(
            arrow_arrays.numbers(probabilities.reshape(-1), np.float32), len(run.classes)
        ),
    }
    return more, {"class": arrow_arrays.text([run.classes[number] for number in best]), "confidence": confidence}


def _detected(cursor: Cursor, run: Run, nos: np.ndarray, results: Results) -> Kept:
    counts = stacked(results, "count")
    scores, classes, boxes = stacked(results, "scores"), stacked(results, "classes"), stacked(results, "boxes")
    objects = {
        "sample_no": arrow_arrays.numbers(np.repeat(nos, counts), np.uint32),
        "class_no": arrow_arrays.numbers(classes, np.uint32),
        "score": arrow_arrays.numbers(scores, np.float32),
        **{
            name: arrow_arrays.numbers(boxes[:, place], np.float32)
            for place, name in enumerate(("left_px", "top_px", "width_px", "height_px"))
        },
        "mask_runs": _lists(stacked(results, "mask_runs"), stacked(results, "mask_lengths")),
    }
    runs.store_objects(cursor, run, nos, objects)
    best = np.zeros(len(counts), np.float32)
    np.maximum.at(best, np.repeat(np.arange(len(counts)), counts), scores)
    number = arrow_arrays.numbers(counts, np.int32)
    return {"object_count": arrow_arrays.numbers(counts, np.uint32)}, {
        "objects": number,
        "confidence": arrow_arrays.numbers(best, np.float32),
    }


def _lists(values: np.ndarray, lengths: np.ndarray) -> pa.Array:
    """Lists of uint32, one an object; empty ones are no mask."""
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    there = np.packbits(lengths > 0, bitorder="little").tobytes()
    flat = arrow_arrays.numbers(values, np.uint32)
    kind = pa.list_(pa.uint32())
    return pa.Array.from_buffers(kind, len(lengths), [pa.py_buffer(there), pa.py_buffer(offsets)], children=[flat])
