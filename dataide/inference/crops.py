"""Crops: objects go through a model as pictures of their own, each cut from its picture, and get a vector each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError, DataideError, ModelError
from dataide.inference.running import Means, Running, closing, meant, stacked
from dataide.storage import object_vectors, pictures

if TYPE_CHECKING:
    from PIL import Image

    from dataide.inference.identity import Identity, ModelLike
    from dataide.inference.job import Job, Progress
    from dataide.inference.pump import Results
    from dataide.storage.database import Cursor, Database
    from dataide.storage.media import Media
    from dataide.storage.vectors import Embedding

# No model looks at more than this of a picture; what is sent to it need not be larger.
LONGEST_SIDE_PX = 1024


@dataclass(frozen=True)
class CropReport:
    """What `session.objects.embed` did.

    Attributes:
        model: name of the embedding.
        revision: of the model.
        dimension: numbers in a vector.
        embedded: objects that got a vector now.
        present: objects that had one of their present box and picture already.
        boxless: objects that cannot be cut out: without a box that has an area, or of samples without a picture.
        problems: objects whose crop could not be had, or that the model failed on; `session.problems()` lists them.
        seconds: wall time.
        cancelled: it was stopped; the same call goes on.
        note: what else to know.
    """

    model: str
    revision: str
    dimension: int
    embedded: int
    present: int
    boxless: int
    problems: int
    seconds: float
    cancelled: bool = False
    note: str | None = None

    def __repr__(self) -> str:
        parts = []
        if self.embedded or not self.present:
            parts.append(
                f"Embedded {self.embedded:,} objects with {self.model!r}, {self.dimension} numbers each, "
                f"in {self.seconds:.1f} s."
            )
        if self.present:
            parts.append(f"{self.present:,} had their vectors already.")
        if self.boxless:
            parts.append(f"{self.boxless:,} have no box or no picture to be cut from.")
        failed = f"{self.problems:,} could not be embedded" if self.problems else None
        return " ".join([*parts, *closing(failed, self.cancelled, self.note)])


def embed_crops(
    database: Database,
    media: Media,
    nos: NDArray[np.uint32],
    model: ModelLike = "auto",
    *,
    name: str | None = None,
    progress: Progress | None = None,
    wait: bool = True,
    **options: Any,
) -> CropReport | Job[CropReport]:
    """Gives each object a vector of its crop; Ctrl-C keeps what was committed, and the same call goes on.

    Args:
        database: the session's.
        media: reads the pictures.
        nos: numbers of objects; those that have a vector of their present box and picture are left alone.
        model: as for `embedding.embed`.
        name: of the embedding; by default the model's. It has nothing to do with embeddings of samples.
        progress, wait: as for `embedding.embed`.
        **options: remember=, a dict for the model's identity; kernel=, batch_size=; for loading the model those of
            `identify`.

    Raises:
        ModelError: the model cannot be had, or failed.
    """
    remember: dict[str, Identity] = options.pop("remember", {})
    means, loading = Means.of(options)
    work = CropWork(database, media, nos, meant(database, model, name, "embedding", loading), means)
    remember[work.identity.name] = work.identity
    return work.start(wait, progress)


class CropWork(Running[CropReport]):
    """One run of `embed_crops`."""

    verb = "embedding"

    def __init__(
        self, database: Database, media: Media, nos: NDArray[np.uint32], identity: Identity, means: Means
    ) -> None:
        super().__init__(database, media, nos, identity, means)
        self.pending: object_vectors.PendingCrops
        self._known: Embedding | None = None
        self._fresh: Embedding | None = None
        self._boxed = len(object_vectors.pending(database, None, self.nos).nos)
        self._opened: tuple[str, Image.Image | DataideError] | None = None  # objects of one picture follow each other

    @property
    def source(self) -> str:
        return f"embed objects {self.identity.name}"

    @property
    def said(self) -> str:
        return f"objects with {self.identity.name!r}"

    def find_pending(self, revision: str | None, details: dict[str, Any]) -> object_vectors.PendingCrops:
        known = object_vectors.embedding(self.database, self.identity.name)
        fits = known is not None and (
            self.identity.matches(known.revision) if revision is None else known.revision == revision
        )
        self._known = known if fits else None
        return object_vectors.pending(self.database, self._known, self.nos)

    def read(self, first: int, last: int) -> Sequence[bytes | DataideError]:
        refs = self.pending.refs[first:last]
        missing = [ref for ref in dict.fromkeys(refs) if self._opened is None or ref != self._opened[0]]
        data = dict(zip(missing, self.media.read_many(missing), strict=True))
        crops: list[bytes | DataideError] = []
        for ref, box in zip(refs, self.pending.boxes[first:last], strict=True):
            if self._opened is None or self._opened[0] != ref:
                self._opened = (ref, _decoded(data[ref]))
            image = self._opened[1]
            if isinstance(image, DataideError):
                crops.append(image)
                continue
            try:
                crops.append(crop(image, box))
            except DataideError as error:
                crops.append(error)
        return crops

    def store(self, cursor: Cursor, positions: NDArray[np.int64], results: Results, revision: str) -> None:
        rows = stacked(results, "vectors")
        if self._known is not None and object_vectors.embedding(self.database, self._known.name) != self._known:
            raise ModelError(
                f"The embedding {self._known.name!r} of objects was made anew by another model meanwhile.",
                hint="Give the vectors of this one a name of their own: objects.embed(…, name='…').",
                code="replaced",
            )
        into = self._known or self._made(cursor, revision, rows.shape[1])
        if into.dimension != rows.shape[1]:
            raise ModelError(
                f"{into.name} gave {rows.shape[1]} numbers each, and {into.dimension} before.",
                hint="Give the new one a name of its own: objects.embed(…, name='…').",
            )
        waiting = self.pending
        object_vectors.store(
            cursor, into, waiting.nos[positions], waiting.media_revisions[positions], waiting.boxes[positions], rows
        )
        self._fresh = into

    def commit(self, results: Results, revision: str) -> None:
        self._fresh = self._known
        super().commit(results, revision)
        self._known = self._fresh  # only now: had it not been committed, it would not be there

    def report(self, seconds: float, present: int, cancelled: bool) -> CropReport:
        known = self._known
        boxless = len(self.nos) - self._boxed
        return CropReport(
            model=self.identity.name,
            revision=known.revision if known else self.identity.revision or "",
            dimension=known.dimension if known else 0,
            embedded=self.did.good,
            present=present - boxless,
            boxless=boxless,
            problems=self.did.problems,
            seconds=seconds,
            cancelled=cancelled,
            note=self.note,
        )

    def _made(self, cursor: Cursor, revision: str, dimension: int) -> Embedding:
        """The embedding to write into: a new one, unless another job has made it meanwhile."""
        name = self.identity.name
        there = object_vectors.embedding(self.database, name)
        if there is not None and there.revision == revision and there.dimension == dimension:
            return there
        if there is not None:
            self.did.notes.append(f"The vectors that {there.revision} had made under this name were replaced")
        return object_vectors.create(cursor, name, revision, dimension)


def crop(image: Image.Image, box: Sequence[float] | NDArray[Any]) -> bytes:
    """A region of a picture, encoded without loss; what reaches out of the picture is left out.

    Args:
        image: upright, as `pictures.decode` gives it.
        box: left, top, width, height in px; parts of px are rounded outwards.

    Raises:
        ActionError: the box has no area, or lies outside of the picture.
    """
    left, top, width, height = (float(side) for side in box)
    if not np.isfinite([left, top, width, height]).all() or width <= 0 or height <= 0:
        raise ActionError(
            f"The box ({left:g}, {top:g}, {width:g} x {height:g} px) has no area.",
            hint="A box is (left, top, width, height) in px.",
            code="empty_box",
        )
    x0, y0 = max(int(np.floor(left)), 0), max(int(np.floor(top)), 0)
    x1, y1 = min(int(np.ceil(left + width)), image.width), min(int(np.ceil(top + height)), image.height)
    if x0 >= x1 or y0 >= y1:
        raise ActionError(
            f"The box ({left:g}, {top:g}, {width:g} x {height:g} px) lies outside of its picture "
            f"({image.width} x {image.height} px).",
            code="outside",
        )
    part = image.crop((x0, y0, x1, y1))
    if max(part.size) > LONGEST_SIDE_PX:
        part.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    out = io.BytesIO()
    part.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _decoded(data: bytes | DataideError) -> Image.Image | DataideError:
    if isinstance(data, DataideError):
        return data
    try:
        return pictures.decode(data)
    except DataideError as error:
        return error
