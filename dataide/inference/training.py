"""Training a classifier on samples by the recipe, in the inference process; what comes of it predicts by its name.

After each pass the model on its way is put into the folder of what may be deleted (NAME.cache/training), so that the
same call goes on there when the process, the notebook or the machine has ended meanwhile.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ModelError, did_you_mean
from dataide.inference import learning, training_steps
from dataide.inference.identity import Identity, check_name
from dataide.inference.job import Job, Progress
from dataide.inference.kernel import Kernel
from dataide.inference.learning import Chosen, Settings
from dataide.inference.models.examples import HELD_OUT, MOST_HELD_OUT
from dataide.storage import models_used
from dataide.storage.samples import ascending

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.media import Media

EFFORTS = ("quick", "thorough")


@dataclass(frozen=True)
class TrainReport:
    """What was trained, and what it is worth.

    Attributes:
        model: its name; predict(model=name) uses it.
        revision: of the model; empty when it was stopped before the end.
        label: the column that was learned.
        classes: of that column.
        trained_on: samples.
        held_out: samples of these that only say what it is worth.
        accuracy: which part of the held-out ones is named right, 0 to 1; None where none were held out.
        curves: by name, a number a pass: loss, accuracy, held_out_loss, held_out_accuracy.
        chosen: how it was trained, and why so.
        seconds: wall time, gathering included.
        cancelled: it was stopped; the same call goes on after the last whole pass.
        note: what else to know.
    """

    model: str
    revision: str
    label: str
    classes: list[str]
    trained_on: int = 0
    held_out: int = 0
    accuracy: float | None = None
    curves: dict[str, list[float]] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    cancelled: bool = False
    note: str | None = None

    def __repr__(self) -> str:
        if self.cancelled:
            return (
                f"Training {self.model!r} was stopped before its end; the same call goes on after its last whole pass."
            )
        parts = [
            f"Trained {self.model!r} by {self.label!r} ({len(self.classes):,} classes) on {self.trained_on:,} samples "
            f"in {self.seconds:.0f} s."
        ]
        if self.accuracy is not None:
            parts.append(f"Of {self.held_out:,} samples it was not trained on, {self.accuracy:.1%} are named right.")
        return " ".join([*parts, *([f"{self.note}."] if self.note else [])])


def train(
    database: Database,
    media: Media,
    nos: np.ndarray,
    name: str,
    *,
    label: str = "label",
    effort: str = "quick",
    passes: int | None = None,
    seed: int = 0,
    weights: np.ndarray | None = None,
    held_out: np.ndarray | None = None,
    kernel: Kernel | None = None,
    progress: Progress | None = None,
    wait: bool = True,
) -> TrainReport | Job[TrainReport]:
    """Trains a small network from scratch to tell the values of a column apart, and keeps it under its name.

    The same call again trains nothing when neither samples nor settings have changed, and goes on with what was
    stopped.

    Args:
        database: the session's.
        media: reads the pictures.
        nos: sample numbers; at most 50,000 of those with a label are trained on, rare labels first.
        name: of the model.
        label: the column.
        effort: "quick" or "thorough".
        passes: over all pictures; by default chosen by how many there are and how hard they are to tell apart.
        seed: of everything that is drawn.
        weights: float, one for each of `nos`: how much it counts; 0 leaves it out.
        held_out: sample numbers that only say what the model is worth; by default a tenth of each class is drawn.
        kernel: whose process computes; by default one for this call alone.
        progress: called with (done, total, sentence).
        wait: False returns a Job at once.

    Raises:
        ModelError: there is too little to learn from, an argument means nothing, or training failed.
    """
    check_name(name, "classification")
    if effort not in EFFORTS:
        raise ModelError(f"There is no effort {effort!r}.", hint="Say effort='quick' or effort='thorough'.")
    if passes is not None and not 0 < passes <= 10_000:
        raise ModelError(f"passes={passes} is no number of passes.", hint="Say passes=10.")
    known = database.columns()
    if label not in known:
        raise ModelError(f"There is no column {label!r}.", hint=did_you_mean(label, known), code="unknown_column")
    given = np.asarray(nos, np.uint32)
    if weights is not None and np.shape(weights) != given.shape:
        raise ModelError(f"There are {given.size:,} samples and {np.size(weights):,} weights.", code="shape")
    if weights is not None and (not np.isfinite(weights).all() or np.min(weights, initial=0) < 0):
        raise ModelError("Weights are numbers from 0 on; some are negative, or none at all.", code="weights_given")
    asked = _Asked(effort, passes, given, weights, held_out)
    settings = Settings(name, label, 0.0, passes, int(seed))
    work = _Training(database, media, ascending(given), settings, asked, kernel)
    job = Job(work, verb=f"Training {name!r}", owner=database)
    return job.complete(progress) if wait else job.watched(progress)


@dataclass(frozen=True)
class _Asked:
    effort: str
    passes: int | None
    nos: np.ndarray
    weights: np.ndarray | None
    held_out: np.ndarray | None

    def weights_of(self, nos: np.ndarray) -> np.ndarray | None:
        if self.weights is None:
            return None
        order = np.argsort(self.nos, kind="stable")
        found: np.ndarray = np.asarray(self.weights, np.float64)[order][np.searchsorted(self.nos[order], nos)]
        return found


class _Training:
    """One run of `train`."""

    def __init__(
        self,
        database: Database,
        media: Media,
        nos: np.ndarray,
        settings: Settings,
        asked: _Asked,
        kernel: Kernel | None,
    ) -> None:
        self._database, self._media, self._nos = database, media, nos
        self._settings, self._asked, self._kernel = settings, asked, kernel

    def __call__(self, job: Job[TrainReport]) -> TrainReport:
        kernel = self._kernel or Kernel()
        began = time.monotonic()
        try:
            chosen = learning.choose(self._database, self._nos, self._settings)
            fingerprint = self._fingerprint(chosen)
            details = training_steps.kept(self._database, self._settings.name, fingerprint)
            if details is None:
                try:
                    details = self._train(job, kernel, chosen, fingerprint)
                except ModelError as error:
                    if not job.cancelled:
                        raise _goes_on(error) from error
            return self._report(details, chosen, time.monotonic() - began)
        finally:
            if self._kernel is None:
                kernel.close()

    def _fingerprint(self, chosen: Chosen) -> str:
        import hashlib

        digest = hashlib.blake2b(chosen.fingerprint.encode(), digest_size=8)
        for part in (self._asked.weights_of(chosen.nos), self._asked.held_out):
            digest.update(b"none" if part is None else np.ascontiguousarray(part, np.float64).tobytes())
        digest.update(self._asked.effort.encode())
        return digest.hexdigest()

    def _train(self, job: Job[TrainReport], kernel: Kernel, chosen: Chosen, fingerprint: str) -> dict[str, Any] | None:
        """Gathers, trains and keeps; None when it was cancelled."""
        name = self._settings.name
        identity = Identity("train", name, name, "", options={"side_px": chosen.side_px, "supervised": True})
        checkpoint = self._database.cache_dir / "training" / f"{fingerprint}.npz"
        verb = "gathering pictures to train on"
        with training_steps.gathered(
            job, kernel, self._media, chosen.media, identity, fingerprint, verb
        ) as (good, commands):  # fmt: skip
            if job.cancelled:
                return None
            learning.check_enough(good, chosen, self._settings.label)
            command = self._command(good, chosen, checkpoint)
            state, told = training_steps.follow(job, commands, command, 1_000, lambda data: _put(checkpoint, data))
        details = {
            **{key: told[key] for key in ("trained_on", "held_out", "accuracy", "curves", "chosen")},
            "fingerprint": fingerprint,
            "label": self._settings.label,
            "classes": chosen.classes,
            "unlabelled": chosen.unlabelled,
            "unreadable": len(chosen.media) - len(good),
            "seed": self._settings.seed,
        }
        training_steps.keep(self._database, name, "classification", details, state)
        checkpoint.unlink(missing_ok=True)
        return details

    def _command(self, good: np.ndarray, chosen: Chosen, checkpoint: Path) -> dict[str, Any]:
        assert chosen.labels is not None
        labels = chosen.labels[good]
        weights = self._asked.weights_of(chosen.nos[good])
        kept = checkpoint.read_bytes() if checkpoint.is_file() else b""
        return {
            "do": "learn",
            "labels": labels.tolist(),
            "classes": chosen.classes,
            "weights": weights.tolist() if weights is not None else None,
            "held_out": self._held_out(chosen.nos[good], labels).tolist(),
            "effort": self._asked.effort,
            "passes": self._asked.passes,
            "seed": self._settings.seed,
            "checkpoint": base64.b64encode(kept).decode(),
        }

    def _held_out(self, nos: np.ndarray, labels: np.ndarray) -> np.ndarray:
        if self._asked.held_out is not None:
            return np.flatnonzero(np.isin(nos, self._asked.held_out))
        random = np.random.default_rng([self._settings.seed, 1])
        part = min(HELD_OUT, MOST_HELD_OUT / max(len(labels), 1))
        held = []
        for code in np.unique(labels):
            own = random.permutation(np.flatnonzero(labels == code))
            held.append(own[: min(round(part * len(own)), len(own) - 1)])
        return np.sort(np.concatenate(held))

    def _report(self, details: dict[str, Any] | None, chosen: Chosen, seconds: float) -> TrainReport:
        settings = self._settings
        label = settings.label or ""
        if details is None:
            return TrainReport(settings.name, "", label, chosen.classes, seconds=seconds, cancelled=True)
        found = models_used.trained(self._database, settings.name)
        return TrainReport(
            settings.name,
            found[0] if found else "",
            label,
            details["classes"],
            details["trained_on"],
            details["held_out"],
            details["accuracy"],
            details["curves"],
            details["chosen"],
            seconds,
            note=training_steps.left_out(details, label),
        )


def _put(checkpoint: Path, data: bytes) -> None:
    """A checkpoint as a whole or not at all; without room for it training goes on."""
    beside = checkpoint.with_suffix(".part")
    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(data)
        beside.replace(checkpoint)
    except OSError:
        beside.unlink(missing_ok=True)


def _goes_on(error: ModelError) -> ModelError:
    """Training that ended with its process goes on after its last whole pass, so it says so."""
    if error.code not in ("child_died", "stopped"):
        return error
    return ModelError(
        error.message,
        hint="The same call goes on after the last whole pass. If it ends again, memory may be short.",
        code=error.code,
    )
