"""Learning an embedding from the samples themselves: a part of them goes to the inference process, which trains on it,
and then all of them are embedded with what came of it.

What was learned is kept in the session file, so samples that come later, and pictures to search by, need no training.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ModelError, did_you_mean
from dataide.inference import descriptor, training_steps
from dataide.inference.embedding import EmbeddingWork, check_place
from dataide.inference.identity import Identity, Task, check_name
from dataide.inference.job import Job, Progress
from dataide.inference.kernel import Kernel
from dataide.inference.running import Means
from dataide.inference.vector_work import EmbedReport
from dataide.storage import models_used, trained, vectors
from dataide.storage.samples import ascending

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.media import Media

# Pixels that the inference process keeps to train on, and pictures: memory does not grow with the number of samples.
PIXEL_BYTES = 160 << 20
MOST_PICTURES = 50_000
LEAST_PICTURES = 50
MOST_CLASSES = 1_000
HELD_OUT = 0.1
MOST_HELD_OUT = 2_000
SIDES_PX = (32, 48, 64)
# Where nothing is learned from pixels, a side of 32 is what the descriptor sees.
DESCRIPTOR_SIDE_PX = 32


@dataclass(frozen=True)
class LearnReport:
    """What was learned, and what it is worth.

    Attributes:
        model: name of the embedding.
        revision: of the model.
        label: the column that was learned; None where it was learned without labels.
        classes: of that column.
        trained_on: samples.
        held_out: samples that were kept apart, for the figures.
        accuracy: of the network on these; None without labels.
        neighbours: which part of these the ten nearest name right; None where there are no labels.
        neighbours_auto: the same for the embedding "auto".
        seconds: of training, gathering included.
        embedded: what embedding with it did; None when it was stopped before.
        note: what else to know.
    """

    model: str
    revision: str
    label: str | None
    classes: list[str]
    trained_on: int
    held_out: int
    accuracy: float | None
    neighbours: float | None
    neighbours_auto: float | None
    seconds: float
    embedded: EmbedReport | None
    note: str | None = None

    @property
    def cancelled(self) -> bool:
        """Whether it was stopped; the same call goes on."""
        return self.embedded is None or self.embedded.cancelled

    def __repr__(self) -> str:
        if not self.revision:
            return f"Learning {self.model!r} was stopped before its end; nothing was kept. The same call starts anew."
        how = f"by {self.label!r} ({len(self.classes):,} classes)" if self.label else "without labels"
        parts = [f"Learned {self.model!r} {how} from {self.trained_on:,} samples in {self.seconds:.0f} s."]
        if self.neighbours is not None and self.neighbours_auto is not None:
            network = f"the network names {self.accuracy:.1%} right; " if self.accuracy is not None else ""
            parts.append(
                f"Of {self.held_out:,} samples it was not trained on, {network}ten neighbours name "
                f"{self.neighbours:.1%} right ('auto': {self.neighbours_auto:.1%})."
            )
        if self.note:
            parts.append(f"{self.note}.")
        if self.embedded is not None:
            parts.append(repr(self.embedded))
        return " ".join(parts)


def learn_embedding(
    database: Database,
    media: Media,
    nos: np.ndarray,
    name: str = "learned",
    *,
    label: str | None = None,
    minutes: float = 2.0,
    passes: float | None = None,
    seed: int = 0,
    kernel: Kernel | None = None,
    progress: Progress | None = None,
    wait: bool = True,
) -> LearnReport | Job[LearnReport]:
    """Trains a small model on samples in the inference process, and gives each of them a vector with it.

    With labels a convolutional network learns to tell them apart, and the layer before the last is the embedding.
    Without, a metric on "auto" is learned from how pictures look when cropped, mirrored or lit otherwise; it takes
    seconds. Both are measured on samples that were held out, beside "auto". The same call again trains nothing when
    neither samples nor settings have changed.

    Args:
        database: the session's.
        media: reads the pictures.
        nos: sample numbers. A part of them, at most 50,000, is trained on, rare labels first; all are embedded.
        name: of the embedding.
        label: the column to learn; samples without a value are not trained on.
        minutes: the most that training takes, of computing.
        passes: train for so many passes over the pictures instead; then the same seed gives the same vectors, on the
            same machine.
        seed: of everything that is drawn.
        kernel: whose process computes; by default one for this call alone.
        progress: called with (done, total, sentence).
        wait: False returns a Job at once.

    Raises:
        ModelError: there is too little to learn from, or training failed.
    """
    check_new_name(name)
    if not minutes > 0 or (passes is not None and not passes > 0):
        raise ModelError("Training needs some time.", hint="Say minutes=2, or passes=10.")
    known = database.columns()
    if label is not None and label not in known:
        raise ModelError(
            f"There is no column {label!r}.",
            hint=did_you_mean(label, known),
            code="unknown_column",
        )
    vectors.check_writable(database)
    check_place(database, name, None)  # said now, and not after the training
    settings = Settings(name, label, float(minutes), passes, int(seed))
    work = _Learning(database, media, ascending(np.asarray(nos, np.uint32)), settings, kernel)
    job = Job(work, verb=f"Learning {name!r}", owner=database)
    return job.complete(progress) if wait else job.watched(progress)


def identity_of(database: Database, name: str, task: Task = "embedding") -> Identity | None:
    """The model of this name that was trained in this session, to embed or predict with; None if there is none."""
    found = models_used.trained(database, name)
    if found is None:
        return None
    revision, details, state = found
    # The options go along into what is noted of a model with each use.
    return Identity(
        "learned", name, name, revision, state, options={"task": task, "learned": details.get("learned", {})}
    )


@dataclass(frozen=True)
class Settings:
    """What was asked for."""

    name: str
    label: str | None
    minutes: float
    passes: float | None
    seed: int


@dataclass
class Chosen:
    """What is trained on: media by position, label codes (int64, -1 for none) or None, and the classes."""

    nos: np.ndarray
    media: list[str]
    labels: np.ndarray | None
    classes: list[str]
    unlabelled: int
    side_px: int
    fingerprint: str


class _Learning:
    """One run of `learn_embedding`."""

    def __init__(
        self, database: Database, media: Media, nos: np.ndarray, settings: Settings, kernel: Kernel | None
    ) -> None:
        self._database = database
        self._media = media
        self._nos = nos
        self._settings = settings
        self._kernel = kernel

    def __call__(self, job: Job[LearnReport]) -> LearnReport:
        kernel = self._kernel or Kernel()
        began = time.monotonic()
        try:
            chosen = choose(self._database, self._nos, self._settings)
            details = training_steps.kept(self._database, self._settings.name, chosen.fingerprint)
            if details is None:
                try:
                    details = self._train(job, kernel, chosen)
                except ModelError as error:
                    if not job.cancelled:
                        raise plainer(error) from error
            seconds = time.monotonic() - began
            if details is None:
                return self._report({}, "", seconds, None)
            identity = identity_of(self._database, self._settings.name)
            assert identity is not None
            embedding = EmbeddingWork(
                self._database, self._media, self._nos, identity, Means(kernel, training_steps.BATCH)
            )
            embedded = embedding(job)  # type: ignore[arg-type]
            return self._report(details, identity.revision or "", details.get("seconds", seconds), embedded)
        finally:
            if self._kernel is None:
                kernel.close()

    def _train(self, job: Job[LearnReport], kernel: Kernel, chosen: Chosen) -> dict[str, Any] | None:
        """Gathers, trains and keeps; None when it was cancelled."""
        began = time.monotonic()
        settings = self._settings
        options = {"side_px": chosen.side_px, "supervised": settings.label is not None}
        identity = Identity("learn", settings.name, settings.name, "", options=options)
        verb = "gathering pictures to learn from"
        with training_steps.gathered(
            job, kernel, self._media, chosen.media, identity, chosen.fingerprint, verb
        ) as (good, commands):  # fmt: skip
            if job.cancelled:
                return None
            check_enough(good, chosen, settings.label)
            total = max(round(settings.minutes * 60), 1)
            state, told = training_steps.follow(job, commands, self._command(good, chosen), total)
        details = {
            **{key: told[key] for key in ("trained_on", "figures")},
            "fingerprint": chosen.fingerprint,
            "label": settings.label,
            "classes": chosen.classes if settings.label is not None else [],
            "unlabelled": chosen.unlabelled,
            "unreadable": len(chosen.media) - len(good),
            "minutes": settings.minutes,
            "seconds": round(time.monotonic() - began, 1),
            "seed": settings.seed,
        }
        training_steps.keep(self._database, settings.name, "embedding", details, state)
        return details

    def _command(self, good: np.ndarray, chosen: Chosen) -> dict[str, Any]:
        settings = self._settings
        random = np.random.default_rng(settings.seed)
        count = min(MOST_HELD_OUT, round(len(good) * HELD_OUT))
        held = np.sort(random.permutation(len(good))[:count])
        labels = chosen.labels[good] if chosen.labels is not None else None
        return {
            "do": "learn",
            "labels": labels.tolist() if labels is not None else None,
            "classes": chosen.classes,
            "label": settings.label,
            "held_out": held.tolist(),
            "seconds": settings.minutes * 60,
            "passes": settings.passes,
            "seed": settings.seed,
        }

    def _report(
        self, details: dict[str, Any], revision: str, seconds: float, embedded: EmbedReport | None
    ) -> LearnReport:
        figures = details.get("figures", {})
        return LearnReport(
            model=self._settings.name,
            revision=revision,
            label=self._settings.label,
            classes=details.get("classes", []),
            trained_on=details.get("trained_on", 0),
            held_out=int(figures.get("held_out", 0)),
            accuracy=figures.get("accuracy"),
            neighbours=figures.get("neighbours"),
            neighbours_auto=figures.get("auto"),
            seconds=seconds,
            embedded=embedded,
            note=training_steps.left_out(details, self._settings.label),
        )


def choose(database: Database, nos: np.ndarray, settings: Settings) -> Chosen:
    """Draws what is trained on: all where there are few, else as many of each label as there are, up to a limit."""
    # Without a column to learn, labels only say what the result is worth.
    column = settings.label or "label"
    found, codes, classes = trained.labelled(database, nos, column, MOST_CLASSES + 1)
    if settings.label is not None:
        if len(classes) < 2:
            raise one_label(settings.label, classes)
        if len(classes) > MOST_CLASSES:
            raise ModelError(
                f"{settings.label!r} has {len(classes):,} different values, too many to tell apart.",
                hint=f"Learn a column with at most {MOST_CLASSES:,}, or leave label out.",
                code="classes",
            )
    useful = codes >= 0 if settings.label is not None else np.ones(len(found), bool)
    unlabelled = len(found) - int(useful.sum())
    found, codes = found[useful], codes[useful]
    if len(found) < LEAST_PICTURES:
        what = f"samples with a picture and a {settings.label!r}" if settings.label else "samples with a picture"
        raise ModelError(
            f"There are {len(found):,} {what}; {LEAST_PICTURES} are needed to learn from.",
            hint="Use the embedding 'auto', which needs no training.",
            code="too_few",
        )
    side_px = _side(trained.usual_side(database, found)) if settings.label is not None else DESCRIPTOR_SIDE_PX
    limit = min(MOST_PICTURES, PIXEL_BYTES // (3 * side_px * side_px))
    kept = _drawn(codes, limit, settings.seed)
    found, codes = found[kept], codes[kept]
    pending = vectors.pending(database, None, found)
    labels = codes if len(classes) > 1 and len(classes) <= MOST_CLASSES else None
    digest = hashlib.blake2b(digest_size=8)
    for part in (found, pending.media_revisions, codes):
        digest.update(np.ascontiguousarray(part).tobytes())
    digest.update(json.dumps([classes[:MOST_CLASSES], repr(settings), side_px]).encode())
    return Chosen(found, pending.media, labels, classes, unlabelled, side_px, digest.hexdigest())


def check_enough(good: np.ndarray, chosen: Chosen, label: str | None) -> None:
    """Refuses to learn from what could be read of `chosen`, at the positions `good`, where it is too little."""
    if len(good) < LEAST_PICTURES:
        raise ModelError(
            f"Of {len(chosen.media):,} pictures {len(good):,} could be read, and {LEAST_PICTURES} are needed.",
            hint="session.problems() lists what is wrong with them once they are embedded with 'auto'.",
            code="too_few",
        )
    if label is not None and chosen.labels is not None:
        present = np.unique(chosen.labels[good])
        if len(present) < 2:
            raise one_label(label, [chosen.classes[code] for code in present])


def _drawn(codes: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Positions, ascending, of at most `limit`: from each value equally many, but no more than it has."""
    if len(codes) <= limit:
        return np.arange(len(codes))
    random = np.random.default_rng(seed)
    order = random.permutation(len(codes))
    by_value = order[np.argsort(codes[order], kind="stable")]
    _, starts, counts = np.unique(codes[by_value], return_index=True, return_counts=True)
    # The rank of each among those of its value; the lowest ranks of all values are taken.
    ranks = np.arange(len(codes)) - np.repeat(starts, counts)
    taken = by_value[np.argsort(ranks, kind="stable")[:limit]]
    positions: np.ndarray = np.sort(taken)
    return positions


def _side(usual_px: float | None) -> int:
    """How large pictures are kept: as large as most of them are, within bounds."""
    return next((side for side in SIDES_PX if (usual_px or SIDES_PX[-1]) <= side * 1.25), SIDES_PX[-1])


def check_new_name(name: str) -> None:
    if name == descriptor.NAME:
        raise ModelError(
            "'auto' is the name of an embedding already.", hint="Give another one: learn_embedding('own')."
        )
    check_name(name, "embedding")


def one_label(label: str, classes: Sequence[str]) -> ModelError:
    only = f"only the value {classes[0]!r}" if classes else "no values"
    return ModelError(
        f"{label!r} has {only} among these samples; two are needed to learn to tell them apart.",
        hint="Leave label out to learn without labels, or give a column with several values.",
        code="one_label",
    )


def plainer(error: ModelError) -> ModelError:
    """Training keeps nothing of what was not finished, so it says so."""
    if error.code not in ("child_died", "stopped"):
        return error
    return ModelError(
        error.message,
        hint="Training was not finished, and nothing of it was kept: call learn_embedding(…) again. If it ends again, "
        "memory may be short.",
        code=error.code,
    )
