"""Objects by their crops: the most similar ones, their vectors, and maps of them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.core.object_actions import things
from dataide.core.object_views import ObjectView
from dataide.core.region import inside_polygon
from dataide.errors import ActionError, ModelError, UnknownSample, did_you_mean
from dataide.find import neighbours, relevance
from dataide.find.projection import lay_out
from dataide.find.similarity import Examples, Ranking, region_crop
from dataide.inference.embedding import remembered
from dataide.inference.job import Job, Progress
from dataide.inference.kernel import kernel_of
from dataide.storage import object_query, object_vectors, points
from dataide.storage.arrow import Frames
from dataide.storage.vectors import Embedding, check_writable

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.core.context import Context
    from dataide.inference.identity import Identity
    from dataide.storage.database import Database


def models(context: Context) -> dict[str, Identity]:
    """What this process has embedded objects with, by name of the embedding."""
    known: dict[str, Identity] = context.attached.setdefault("object_models", {})
    return known


def named(database: Database, name: str | None) -> Embedding:
    """The embedding of objects of this name, or, without one, the latest.

    Raises:
        ModelError: there is none.
    """
    known = object_vectors.embeddings(database)
    found = next((one for one in reversed(known) if name is None or one.name == name), None)
    if found is None:
        torn = object_vectors.torn(database)
        if torn and name in (None, *torn):
            lost = torn[-1] if name is None else name
            raise ModelError(
                f"The vectors of objects {lost!r} are damaged in {database.path.name}.",
                hint=f"session.objects.embed(name={lost!r}) makes them anew.",
                code="torn_vectors",
            )
        there = [one.name for one in known]
        said = "Objects have no vectors yet." if name is None else f"Objects have no embedding {name!r}."
        hint = did_you_mean(str(name), there) if there else "session.objects.embed() makes them."
        raise ModelError(said, hint=hint, code="no_embedding")
    return found


def similar_objects(
    context: Context,
    to: Any,
    k: int | None,
    among: NDArray[np.uint32],
    *,
    unlike: Any = None,
    box: Sequence[float] | None = None,
    embedding: str | None = None,
    model: Any = None,
) -> Ranking:
    """The objects whose crops are most similar to examples (Rocchio's rule, see `find/relevance.py`).

    Args:
        context: the session's.
        to: an object id, an ObjectView, a path, a picture, an array, a list of these; with `box` a sample id.
        k: how many; None for all.
        among: numbers of the objects that may come.
        unlike: what they should not be like, given as `to`.
        box: left, top, width, height in px: a region of the sample `to`.
        embedding: whose vectors; by default the latest of objects.
        model: what it was made with, for what is no object, where the session does not know it.

    Raises:
        UnknownSample: there is no such object, sample or file.
        ModelError: objects have no vectors, or the model is needed and cannot be had.
        ActionError: there is nothing to compare with, or examples take each other away.
    """
    database = context.database
    known = named(database, embedding)
    like = _region(context, known, to, box, model) if box is not None else _examples(context, known, to, model)
    other = None if unlike is None else _examples(context, known, unlike, model)
    towards, threshold = relevance.direction(like.rows, None if other is None else other.rows)
    out = like.nos if other is None else np.concatenate([like.nos, other.nos])
    said = f"similar to {like.said}" + (f", unlike {other.said}" if other is not None else "")
    nos, similarity = neighbours.nearest_objects(database, known, towards, k, np.setdiff1d(among, out))
    return Ranking(nos, similarity, threshold, said)


def _examples(context: Context, known: Embedding, given: Any, model: Any) -> Examples:
    database = context.database
    if isinstance(given, ObjectView):
        nos = given.nos()
        return _of_objects(database, known, nos, things(len(nos)))
    if isinstance(given, list | tuple):
        if not given:
            raise ActionError("There is nothing to be similar to.", hint="session.objects.similar('an object id')")
        found = [_examples(context, known, one, model) for one in given]
        said = ", ".join(one.said for one in found[:3]) + (f" and {len(found) - 3:,} more" if len(found) > 3 else "")
        return Examples(np.concatenate([one.rows for one in found]), np.concatenate([one.nos for one in found]), said)
    if isinstance(given, str):
        nos, missing = object_query.nos_of(database, [given])
        if not missing:
            return _of_objects(database, known, nos, given)
        if not os.path.isfile(given):
            raise UnknownSample(
                f"There is no object {given!r}, and no file of that name.",
                hint="session.objects.take(5).ids() shows what ids look like.",
            )
    if given is None or isinstance(given, bool | int | float):
        raise UnknownSample(f"{given!r} is no object.", hint="Give an object id, an ObjectView, a picture or an array.")
    target = Path(given) if isinstance(given, str) else given
    row = neighbours.described(database, known, target, model, _model(context, known), kernel_of(context))
    said = str(given) if isinstance(given, str | os.PathLike) else "a picture"
    return Examples(np.asarray(row, np.float32).reshape(1, -1), np.empty(0, np.uint32), said)


def _of_objects(database: Database, known: Embedding, nos: NDArray[np.uint32], said: str) -> Examples:
    found, rows = object_vectors.fetch(database, known, nos)
    if not len(found):
        who = f"The object {said!r} has no" if len(nos) == 1 else f"None of these {len(nos):,} objects has a"
        raise ModelError(
            f"{who} vector of {known.name!r} for its present box and picture.",
            hint=f"session.objects.embed({known.name!r})",
            code="no_vectors",
        )
    return Examples(rows, nos, said)


def _region(context: Context, known: Embedding, sample: Any, box: Sequence[float], model: Any) -> Examples:
    data, said = region_crop(context, sample, box)
    row = neighbours.described(context.database, known, data, model, _model(context, known), kernel_of(context))
    return Examples(np.asarray(row, np.float32).reshape(1, -1), np.empty(0, np.uint32), said)


def _model(context: Context, known: Embedding) -> Identity | None:
    """What this process has embedded these objects with, or samples by the same revision."""
    there = models(context).get(known.name)
    return there or next((one for one in remembered(context).values() if one.matches(known.revision)), None)


class ObjectVectors(Frames):
    """`object_id, vector` of every object that has one of its present box and picture, in order of arrival."""

    def __init__(self, context: Context, name: str | None) -> None:
        self._context = context
        self.name = named(context.database, name).name

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The vectors as an Arrow table."""
        listed = ", ".join({"object_id": "o.object_id", "vector": "v.vector"}[one] for one in columns or _BOTH)
        found = self._found()
        return self._context.database.arrow(f"SELECT {listed} FROM {object_vectors.valid(found)} ORDER BY v.object_no")

    def to_numpy(self) -> NDArray[np.float32]:
        """The vectors alone, shape (objects, dimension), float32, in the order of `ids()`."""
        return object_vectors.fetch(self._context.database, self._found())[1]

    def ids(self) -> list[str]:
        """The ids of the objects that have a vector."""
        ids: list[str] = self.to_arrow(["object_id"]).column("object_id").to_pylist()
        return ids

    def __len__(self) -> int:
        return object_vectors.stamp(self._context.database, self._found())[1]

    def __repr__(self) -> str:
        found = self._found()
        said = f"{found.dimension} numbers each (model {found.revision})"
        return f"Vectors “{self.name}” of {things(len(self))}, {said}"

    def _found(self) -> Embedding:
        return named(self._context.database, self.name)


_BOTH = ("object_id", "vector")


@dataclass(frozen=True)
class ObjectMapReport:
    """What `session.objects.project` did."""

    name: str
    method: str
    placed: int
    without_vector: int
    seconds: float
    note: str | None = None

    def __repr__(self) -> str:
        said = f"Laid out {things(self.placed)} on the map {self.name!r} in {self.seconds:.1f} s."
        without = f" {self.without_vector:,} have no vector yet: embed them first." if self.without_vector else ""
        return said + without + (f" {self.note}" if self.note else "")


def project_objects(
    database: Database,
    nos: NDArray[np.uint32],
    method: str = "auto",
    *,
    embedding: str | None = None,
    name: str | None = None,
    progress: Progress | None = None,
    wait: bool = True,
) -> ObjectMapReport | Job[ObjectMapReport]:
    """Lays objects out on a map by the vectors of their crops; Ctrl-C leaves the map as it was.

    Args:
        database: the session's.
        nos: numbers of objects.
        method: "umap" (McInnes, Healy and Melville, 2018), "pca", or "auto": UMAP where umap-learn is installed.
        embedding: whose vectors; by default the latest of objects.
        name: of the map; by default objects/embedding/method.
        progress, wait: as for `projection.project`.

    Raises:
        ModelError: unknown method or embedding, no vectors, or umap-learn is missing.
    """
    check_writable(database)
    known = named(database, embedding)
    if name is not None and points.projection(database, name) is not None:
        raise ModelError(
            f"There is a map {name!r} of samples already.",
            hint=f"Give the one of objects another name: {'objects/' + name!r}.",
            code="map_name",
        )

    def work(job: Job[ObjectMapReport]) -> ObjectMapReport:
        began = time.monotonic()
        job.advance(0, len(nos), "reading vectors")
        found, rows = object_vectors.fetch(database, known, nos)
        if not len(found):
            raise ModelError(
                f"None of these {len(nos):,} objects has a vector of {known.name!r}.",
                hint=f"session.objects.embed({known.name!r})",
                code="no_vectors",
            )
        chosen, places, note = lay_out(job, rows, method)
        title = name or f"objects/{known.name}/{chosen}"
        with database.write() as cursor:
            object_vectors.replace_map(cursor, title, known, chosen, found, places)
        job.advance(len(nos), len(nos), "placed")
        return ObjectMapReport(title, chosen, len(found), len(nos) - len(found), time.monotonic() - began, note)

    job = Job(work, verb="Projecting objects", owner=database)
    return job.complete(progress) if wait else job.watched(progress)


class ObjectMap(Frames):
    """A map of objects: each point is an object. `inside` is what a lasso does."""

    def __init__(self, context: Context, name: str | None = None) -> None:
        self._context = context
        there = [one[1] for one in object_vectors.maps(context.database)]
        if not there or (name is not None and name not in there):
            said = "There is no map of objects yet." if name is None else f"There is no map {name!r} of objects."
            hint = did_you_mean(name, there) if name is not None and there else "session.objects.project() makes one."
            raise ModelError(said, hint=hint, code="no_points")
        self.name = name or there[0]

    def places(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
        """Numbers of objects (ascending) and of their samples (uint32), x and y (float32), all of shape (objects,)."""
        return object_vectors.placed(self._context.database, self.name)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """object_id, sample_id, label, x, y as an Arrow table."""
        from dataide.storage.query import text

        listed = {"object_id": "o.object_id", "sample_id": "s.sample_id", "label": "o.label", "x": "p.x", "y": "p.y"}
        chosen = ", ".join(listed[one] for one in columns or listed)
        return self._context.database.arrow(
            f"SELECT {chosen} FROM data.object_point p JOIN data.object_projection j USING (projection_no) "
            "JOIN data.object o USING (object_no) JOIN data.sample s ON s.sample_no = o.sample_no "
            f"WHERE j.name = {text(self.name)} AND NOT o.removed ORDER BY p.object_no"
        )

    def inside(self, polygon: Any) -> NDArray[np.uint32]:
        """Numbers of the objects inside a polygon, by the even-odd rule.

        Args:
            polygon: corners x, y in the coordinates of the map, shape (corners, 2).

        Raises:
            ActionError: it has fewer than three corners, or one is no number.
        """
        corners = np.asarray(polygon, np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise ActionError(
                f"A polygon of shape {corners.shape} is none.", hint="Give at least three corners: [(0, 0), (1, 0), …]"
            )
        nos, _, x, y = self.places()
        return nos[inside_polygon(x, y, corners)]

    def __len__(self) -> int:
        return len(self.places()[0])

    def __repr__(self) -> str:
        return f"Map “{self.name}” of {things(len(self))}"
