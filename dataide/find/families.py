"""The kinds of issues, by what finds them: one search for all kinds of a family.

A family says what it needs, what its result depends on, and makes rows of issues, with their reasons, of the arrays
that the process for finding gives back.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dataide.errors import ModelError
from dataide.find.seen_objects import SeenObjects, crops_of, seen_objects
from dataide.storage import object_vectors, vectors
from dataide.storage.issues import Found, Seen

if TYPE_CHECKING:
    from dataide.find.computing import Computing
    from dataide.storage.database import Database
    from dataide.storage.run_tables import Run
    from dataide.storage.vectors import Embedding

# Rows that are no issues and have a reason all the same: who goes on below the threshold reads why.
FURTHER_REASONS = 1_000

Say = Callable[[str], None]
Searched = tuple[dict[str, Found], list[str]]


@dataclass
class Materials:
    """What a search works on.

    Attributes:
        database: the session's.
        looked: the samples, their pictures' revisions and their labels.
        run: of a classifier whose probabilities are to be taken.
        detector: the run of a detector.
        reference: numbers of samples that are as they should be; None to compare the samples with each other.
        seed: of what is drawn at random.
        annotators: columns with further people's labels.
        embedding: whose vectors; None where there are none.
        attributes: the columns of the attributes of pictures, by attribute.
        objects: numbers of the objects to look at; None for all those of the samples.
        crops: whose vectors of crops; None where there are none.
        computing: the process that computes.
    """

    database: Database
    looked: Seen
    run: Run | None = None
    seed: int = 0
    annotators: Sequence[str] = ()
    detector: Run | None = None
    reference: np.ndarray | None = None
    embedding: Embedding | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    objects: np.ndarray | None = None
    crops: Embedding | None = None
    _computing: Computing | None = None
    _places: np.ndarray | None = None
    _seen_objects: SeenObjects | None = None
    _cropped: np.ndarray | None = None

    @property
    def computing(self) -> Computing:
        assert self._computing is not None
        return self._computing

    @computing.setter
    def computing(self, process: Computing) -> None:
        self._computing, self._places, self._cropped = process, None, None

    def with_vectors(self, say: Say) -> np.ndarray:
        """Sends the vectors to the process, once, as `vectors`; which of the samples they are of, ascending places.

        Raises:
            ModelError: there are none.
        """
        if self._places is None:
            if self.embedding is None:
                raise no_vectors()
            say("reading vectors")
            nos, rows = vectors.fetch(self.database, self.embedding, self.looked.nos)
            if not len(nos):
                raise no_vectors()
            self.computing.keep({"vectors": rows})
            self._places = np.searchsorted(self.looked.nos, nos)
        return self._places

    @property
    def seen_objects(self) -> SeenObjects:
        """The objects of the samples, read once."""
        if self._seen_objects is None:
            self._seen_objects = seen_objects(self.database, self.looked.nos, self.objects)
        return self._seen_objects

    def with_crops(self, say: Say) -> np.ndarray:
        """Sends the vectors of crops to the process, once, as `crops`; which of `seen_objects` they are of, ascending.

        Raises:
            ModelError: there are none.
        """
        if self._cropped is None:
            if self.crops is None:
                raise no_crops()
            say("reading vectors of crops")
            seen = self.seen_objects
            rows = crops_of(self.database, self.crops, seen.nos[seen.asked])
            there = np.flatnonzero(np.isfinite(rows[:, 0])) if len(rows) else np.zeros(0, np.int64)
            if not len(there):
                raise no_crops()
            self.computing.keep({"crops": rows if len(there) == len(rows) else rows[there]})
            self._cropped = np.flatnonzero(seen.asked)[there]
        return self._cropped

    @property
    def crop_stamp(self) -> tuple[Any, ...]:
        """Of the objects as they are, and of the vectors of crops that count.

        Raises:
            ModelError: there are none.
        """
        if self.crops is None:
            raise no_crops()
        return (self.crops.revision, *object_vectors.stamp(self.database, self.crops), *self.seen_objects.stamp)

    def stamp(self, *parts: Any) -> str:
        """A short text that is another one whenever the samples, their pictures, or one of the parts is."""
        mixed = hashlib.blake2b(digest_size=12)
        for part in (self.looked.nos, self.looked.media_revisions, *parts):
            mixed.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
            mixed.update(b"\0")
        return mixed.hexdigest()

    @property
    def label_stamp(self) -> tuple[bytes, tuple[str, ...]]:
        return hashlib.blake2b(self.looked.label_nos.tobytes()).digest(), self.looked.classes

    @property
    def vector_stamp(self) -> tuple[Any, ...]:
        """Of the vectors that count.

        Raises:
            ModelError: there are none.
        """
        if self.embedding is None:
            raise no_vectors()
        return (self.embedding.revision, *vectors.stamp(self.database, self.embedding))


class Family(ABC):
    """Kinds of issues that one search finds."""

    kinds: ClassVar[tuple[str, ...]]
    sentence: ClassVar[str]
    wants_attributes: ClassVar[bool] = False
    wants_pictures: ClassVar[bool] = False  # small ones
    # Goes up when the same input gives another result.
    method: ClassVar[int] = 1

    def wants_vectors(self, materials: Materials) -> bool:
        """Whether an embedding is to be made where there is none."""
        return False

    def hindrance(self, materials: Materials) -> str | None:
        """Why it cannot be looked for here, in a sentence; None when it can."""
        return None

    @abstractmethod
    def revision(self, materials: Materials) -> str:
        """What the result depends on: the same text, the same result."""

    @abstractmethod
    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        """What was found, by kind, and what else to say of it."""


def no_vectors() -> ModelError:
    return ModelError(
        "None of these samples has a vector to compare it by.",
        hint="session.embed() makes vectors of pictures; session.embed(text='column') of texts.",
        code="no_vectors",
    )


def no_crops() -> ModelError:
    return ModelError(
        "None of these objects has a vector of its crop to compare it by.",
        hint="session.objects.embed() makes them.",
        code="no_vectors",
    )


def with_reason(score: np.ndarray, is_issue: np.ndarray) -> np.ndarray:
    """Places of the rows that get a sentence: all issues, and the next most severe ones; a million need none."""
    wanted = np.asarray(is_issue, bool).copy()
    count = min(FURTHER_REASONS, len(score))
    if count:
        wanted[np.argpartition(score, count - 1)[:count]] = True
    return np.flatnonzero(wanted)
