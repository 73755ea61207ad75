"""Crops: objects go through a model as pictures of their own, each cut from its picture, and get a vector each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError, DataideError
from dataide.inference.running import Means, meant
from dataide.inference.vector_work import EmbedReport, VectorWork
from dataide.storage import object_vectors, pictures

if TYPE_CHECKING:
    from PIL import Image

    from dataide.inference.identity import Identity, ModelLike
    from dataide.inference.job import Job, Progress
    from dataide.storage.database import Cursor, Database
    from dataide.storage.media import Media
    from dataide.storage.vectors import Embedding

# No model looks at more than this of a picture; what is sent to it need not be larger.
LONGEST_SIDE_PX = 1024


@dataclass(frozen=True, repr=False)
class CropReport(EmbedReport):
    """What `session.objects.embed` did.

    Attributes:
        boxless: objects that cannot be cut out: without a box that has an area, or of samples without a picture.
    """

    things: ClassVar[str] = "objects"

    boxless: int = 0

    def further(self) -> list[str]:
        return [f"{self.boxless:,} have no box or no picture to be cut from."] if self.boxless else []


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


class CropWork(VectorWork[CropReport]):
    """One run of `embed_crops`."""

    call = "objects.embed"
    of = " of objects"

    def __init__(
        self, database: Database, media: Media, nos: NDArray[np.uint32], identity: Identity, means: Means
    ) -> None:
        super().__init__(database, media, nos, identity, means)
        self.pending: object_vectors.PendingCrops
        self._boxed = len(self.lacking(None).nos)
        self._opened: tuple[str, Image.Image | DataideError] | None = None  # objects of one picture follow each other

    @property
    def source(self) -> str:
        return f"embed objects {self.identity.name}"

    @property
    def said(self) -> str:
        return f"objects with {self.identity.name!r}"

    def named(self) -> Embedding | None:
        return object_vectors.embedding(self.database, self.identity.name)

    def lacking(self, known: Embedding | None) -> object_vectors.PendingCrops:
        return object_vectors.pending(self.database, known, self.nos)

    def create(self, cursor: Cursor, revision: str, dimension: int) -> Embedding:
        return object_vectors.create(cursor, self.identity.name, revision, dimension)

    def write(self, cursor: Cursor, into: Embedding, positions: np.ndarray, rows: np.ndarray) -> None:
        waiting = self.pending
        object_vectors.store(
            cursor, into, waiting.nos[positions], waiting.media_revisions[positions], waiting.boxes[positions], rows
        )

    def read(self, first: int, last: int) -> Sequence[bytes | DataideError]:
        refs = self.pending.refs[first:last]
        held = self._opened
        missing = [ref for ref in dict.fromkeys(refs) if held is None or ref != held[0]]
        data = dict(zip(missing, self.media.read_many(missing), strict=True))
        crops: list[bytes | DataideError] = []
        for ref, box in zip(refs, self.pending.boxes[first:last], strict=True):
            if self._opened is None or self._opened[0] != ref:
                # Two samples may share a picture, so the one that was held may come again.
                self._opened = (ref, _decoded(data[ref])) if ref in data else held
            assert self._opened is not None
            image = self._opened[1]
            if isinstance(image, DataideError):
                crops.append(image)
                continue
            try:
                crops.append(crop(image, box))
            except DataideError as error:
                crops.append(error)
        return crops

    def report(self, seconds: float, present: int, cancelled: bool) -> CropReport:
        boxless = len(self.nos) - self._boxed
        return CropReport(present=present - boxless, boxless=boxless, **self.told(seconds, cancelled))


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
            hint="Give a box that overlaps the picture: (left, top, width, height) in px.",
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
