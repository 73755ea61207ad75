"""What all work that gives vectors does: which embedding they go into, also while another job makes one of its name."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from dataide.errors import ModelError
from dataide.inference.running import Means, Running, closing, stacked

if TYPE_CHECKING:
    from dataide.inference.identity import Identity
    from dataide.inference.pump import Results
    from dataide.storage.database import Cursor, Database
    from dataide.storage.media import Media
    from dataide.storage.vectors import Embedding, Pending


@dataclass(frozen=True)
class EmbedReport:
    """What an embedding did.

    Attributes:
        model: name of the embedding.
        revision: of the model.
        dimension: numbers in a vector.
        embedded: samples that got a vector now.
        present: samples that had one already.
        problems: pictures that could not be read, or that the model failed on; `session.problems()` lists them.
        seconds: wall time.
        cancelled: it was stopped; the same call goes on.
        note: what else to know.
    """

    things: ClassVar[str] = "samples"

    model: str
    revision: str
    dimension: int
    embedded: int
    present: int
    problems: int
    seconds: float
    cancelled: bool = False
    note: str | None = None

    def __repr__(self) -> str:
        parts = []
        if self.embedded or not self.present:
            parts.append(
                f"Embedded {self.embedded:,} {self.things} with {self.model!r}, {self.dimension} numbers each, "
                f"in {self.seconds:.1f} s."
            )
        if self.present:
            parts.append(f"{self.present:,} had their vectors already.")
        failed = f"{self.problems:,} could not be embedded" if self.problems else None
        return " ".join([*parts, *self.further(), *closing(failed, self.cancelled, self.note)])

    def further(self) -> list[str]:
        """Sentences about what was left out."""
        return []


Embedded = TypeVar("Embedded", bound=EmbedReport)


class VectorWork(Running[Embedded]):
    """One run of a model that gives vectors. Subclasses say of what, and where the embedding stands."""

    verb = "embedding"
    call: ClassVar[str]  # what a user types
    of: ClassVar[str] = ""  # " of objects", in messages

    def __init__(self, database: Database, media: Media, nos: np.ndarray, identity: Identity, means: Means) -> None:
        super().__init__(database, media, nos, identity, means)
        self._known: Embedding | None = None
        self._fresh: Embedding | None = None

    @abstractmethod
    def named(self) -> Embedding | None:
        """The embedding of this name, if there is one."""

    @abstractmethod
    def lacking(self, known: Embedding | None) -> Pending:
        """What has no vector of its present picture in this embedding."""

    @abstractmethod
    def create(self, cursor: Cursor, revision: str, dimension: int) -> Embedding:
        """Makes the embedding, in place of one of the same name."""

    @abstractmethod
    def write(self, cursor: Cursor, into: Embedding, positions: np.ndarray, rows: np.ndarray) -> None:
        """Writes vectors of pending positions; float32, a row for each."""

    def find_pending(self, revision: str | None, details: dict[str, Any]) -> Pending:
        known = self.named()
        fits = known is not None and (
            self.identity.matches(known.revision) if revision is None else known.revision == revision
        )
        # Vectors of two revisions do not go together: torchvision may have newer weights.
        self._known = known if fits else None
        return self.lacking(self._known)

    def store(self, cursor: Cursor, positions: np.ndarray, results: Results, revision: str) -> None:
        rows = stacked(results, "vectors")
        if self._known is not None and self.named() != self._known:
            raise ModelError(
                f"The embedding {self._known.name!r}{self.of} was made anew by another model meanwhile.",
                hint=f"Give the vectors of this one a name of their own: {self.call}(…, name='…').",
                code="replaced",
            )
        into = self._known or self._made(cursor, revision, rows.shape[1])
        if into.dimension != rows.shape[1]:
            raise ModelError(
                f"{into.name} gave {rows.shape[1]} numbers each, and {into.dimension} before.",
                hint=f"Give the new one a name of its own: {self.call}(…, name='…').",
            )
        self.write(cursor, into, positions, rows)
        self._fresh = into

    def commit(self, results: Results, revision: str) -> None:
        self._fresh = self._known
        super().commit(results, revision)
        self._known = self._fresh  # only now: had it not been committed, it would not be there

    def told(self, seconds: float, cancelled: bool) -> dict[str, Any]:
        """What every report of vectors says."""
        known = self._known
        return {
            "model": self.identity.name,
            "revision": known.revision if known else self.identity.revision or "",
            "dimension": known.dimension if known else 0,
            "embedded": self.did.good,
            "problems": self.did.problems,
            "seconds": seconds,
            "cancelled": cancelled,
            "note": self.note,
        }

    def _made(self, cursor: Cursor, revision: str, dimension: int) -> Embedding:
        """The embedding to write into: a new one, unless another job has made it meanwhile."""
        there = self.named()
        if there is not None and there.revision == revision and there.dimension == dimension:
            return there
        if there is not None:
            self.did.notes.append(f"The vectors that {there.revision} had made under this name were replaced")
        return self.create(cursor, revision, dimension)
