"""Maps: vectors laid out on a plane, so that what looks alike lies together.

A map stays as it is when samples come: new ones are placed on it, and nothing that people know the place of moves.
With PCA the new places are exact, because the mean and the two axes are kept. On a UMAP map a new sample is placed
among its five nearest neighbours that are on the map, at their mean weighted by the inverse square of the cosine
distance (the start that umap-learn's own `transform` refines; refining needs the fitted object, which cannot be kept
safely in a file). `refit=True` lays all out anew.

UMAP: L. McInnes, J. Healy, J. Melville, "UMAP: Uniform Manifold Approximation and Projection", arXiv:1802.03426. It
runs in the inference process, because numba's compiler and threads do not belong into a notebook's kernel.
"""

from __future__ import annotations

import importlib.util
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from dataide.errors import ModelError, did_you_mean
from dataide.find.neighbours import require
from dataide.inference import contract
from dataide.inference.job import Job, Progress
from dataide.inference.process import Child, cores
from dataide.storage import object_vectors, points, vectors
from dataide.storage.samples import ascending

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.points import Projection
    from dataide.storage.vectors import Embedding

METHODS = ("auto", "umap", "pca")
NEIGHBOURS = 15
MINIMUM_DISTANCE = 0.1
SEED = 42
# UMAP says nothing about so few samples.
FEWEST_FOR_UMAP = 16
_PLACING_NEIGHBOURS = 5
_PIECE = 65_536


@dataclass(frozen=True)
class ProjectReport:
    """What a projection did.

    Attributes:
        name: of the map: embedding/method.
        method: pca or umap.
        placed: samples that got a place now.
        present: samples that had one.
        without_vector: samples that cannot be placed until they are embedded.
        refitted: the whole map was laid out anew.
        seconds: wall time.
        note: what else to know.
    """

    name: str
    method: str
    placed: int
    present: int
    without_vector: int
    refitted: bool
    seconds: float
    note: str | None = None

    def __repr__(self) -> str:
        what = "Laid out" if self.refitted else "Placed"
        parts = [f"{what} {self.placed:,} samples on the map {self.name!r} in {self.seconds:.1f} s."]
        if not self.placed and self.present:
            parts = [f"All {self.present:,} are on the map {self.name!r} already; refit=True lays them out anew."]
        elif self.present:
            parts.append(f"{self.present:,} stayed where they were; refit=True lays all out anew.")
        if self.without_vector:
            parts.append(f"{self.without_vector:,} have no vector yet: embed them first.")
        if self.note:
            parts.append(self.note)
        return " ".join(parts)


@overload
def project(
    database: Database,
    nos: np.ndarray,
    method: str = "auto",
    *,
    embedding: str = "auto",
    name: str | None = None,
    refit: bool = False,
    progress: Progress | None = None,
    wait: Literal[True] = True,
) -> ProjectReport: ...
@overload
def project(
    database: Database,
    nos: np.ndarray,
    method: str = "auto",
    *,
    embedding: str = "auto",
    name: str | None = None,
    refit: bool = False,
    progress: Progress | None = None,
    wait: Literal[False],
) -> Job[ProjectReport]: ...
def project(
    database: Database,
    nos: np.ndarray,
    method: str = "auto",
    *,
    embedding: str = "auto",
    name: str | None = None,
    refit: bool = False,
    progress: Progress | None = None,
    wait: bool = True,
) -> ProjectReport | Job[ProjectReport]:
    """Gives each sample a place on a map, and returns when all have one; Ctrl-C leaves the map as it was.

    Args:
        database: the session's.
        nos: sample numbers.
        method: `"umap"`, `"pca"`, or `"auto"`: UMAP where umap-learn is installed, else PCA.
        embedding: whose vectors.
        name: of the map; by default embedding/method.
        refit: lay all of `nos` out anew instead of adding to the map that is there.
        progress: called with (done, total, sentence): about ten times a second on the caller's thread, or, without
            waiting, at each step on the job's.
        wait: False returns a Job at once.

    Raises:
        ModelError: unknown method or embedding, no vectors, or umap-learn is missing.
    """
    vectors.check_writable(database)
    check_name(database, name)
    known = require(database, embedding)
    wanted = ascending(np.asarray(nos, np.uint32))
    there = None if refit else points.projection(database, name or f"{embedding}/umap")
    joins = there is not None and there.method == "umap" and there.embedding_no == known.number
    chosen, note = _choose(method, len(wanted), joins)
    title = name or f"{embedding}/{chosen}"

    def work(job: Job[ProjectReport]) -> ProjectReport:
        return _project(job, database, known, wanted, chosen, title, refit, note)

    job = Job(work, verb=f"Projecting to {title!r}", owner=database)
    return job.complete(progress) if wait else job.watched(progress)


def check_name(database: Database, name: str | None) -> None:
    """Refuses to call a map of samples what a map of objects is called: panels ask for maps by their names.

    Raises:
        ModelError: there is a map of objects of this name.
    """
    if name is not None and any(one[1] == name for one in object_vectors.maps(database)):
        raise ModelError(
            f"There is a map {name!r} of objects already.", hint="Give this one another name.", code="map_name"
        )


def _choose(method: str, count: int, joins: bool) -> tuple[str, str | None]:
    """Which method it will be, and what to say about it; joining a UMAP map that is there does not need umap-learn."""
    if method not in METHODS:
        raise ModelError(
            f"There is no projection method {method!r}.", hint=did_you_mean(method, METHODS), code="unknown_method"
        )
    if joins and method != "pca":
        return "umap", None
    installed = importlib.util.find_spec("umap") is not None
    if method == "umap" and not installed:
        raise ModelError(
            "The method 'umap' needs umap-learn.",
            hint="pip install 'dataide[ml]', or use method='pca', which needs nothing.",
            code="missing_extra",
        )
    if method == "auto" and not installed:
        return "pca", "This is PCA, because umap-learn is not installed; pip install 'dataide[ml]' gives clearer maps."
    if method == "auto" and count < FEWEST_FOR_UMAP:
        return "pca", f"This is PCA, because UMAP needs at least {FEWEST_FOR_UMAP} samples."
    return ("umap" if method == "auto" else method), None


def _project(
    job: Job[ProjectReport],
    database: Database,
    known: Embedding,
    nos: np.ndarray,
    method: str,
    name: str,
    refit: bool,
    note: str | None,
) -> ProjectReport:
    began = time.monotonic()
    job.advance(0, len(nos), "reading vectors")
    found, rows = vectors.fetch(database, known, nos)
    if not len(found):
        raise ModelError(
            f"None of these {len(nos):,} samples has a vector of {known.name!r}.",
            hint=f"session.embed({known.name!r})",
            code="no_vectors",
        )
    there = points.projection(database, name)
    if refit or there is None or there.embedding_no != known.number or there.method != method:
        placed, present, refitted = _lay_out(job, database, known, name, method, found, rows), 0, True
    else:
        placed = _add(database, known, there, found, rows)
        present, refitted = len(found) - placed, False
    job.advance(len(nos), len(nos), "placed")
    return ProjectReport(name, method, placed, present, len(nos) - len(found), refitted, time.monotonic() - began, note)


def _lay_out(
    job: Job[ProjectReport],
    database: Database,
    known: Embedding,
    name: str,
    method: str,
    nos: np.ndarray,
    rows: np.ndarray,
) -> int:
    state: bytes | None = None
    parameters: dict[str, Any] = {}
    if method == "pca":
        mean, axes = principal_axes(rows)
        places = (rows - mean) @ axes.T
        state = _packed(mean=mean, axes=axes)
    else:
        parameters = {"n_neighbors": NEIGHBOURS, "min_dist": MINIMUM_DISTANCE, "random_state": SEED, "metric": "cosine"}
        places = _umap(job, rows)
    with database.write() as cursor:
        number = points.replace(cursor, name, known.number, method, parameters, state)
        points.store(cursor, number, nos, places)
    return len(nos)


def lay_out(job: Job[Any], rows: np.ndarray, method: str) -> tuple[str, np.ndarray, str | None]:
    """Places for vectors of anything: the method that was used, float32 N x 2, and what to say about it.

    Args:
        job: hears what is being done, and may be cancelled.
        rows: float32, N x dimension.
        method: "umap", "pca", or "auto".

    Raises:
        ModelError: there is no such method, umap-learn is missing, or the job was cancelled.
    """
    chosen, note = _choose(method, len(rows), False)
    if chosen == "umap":
        return chosen, _umap(job, rows), note
    mean, axes = principal_axes(rows)
    return chosen, np.asarray((rows - mean) @ axes.T, np.float32), note


def _add(database: Database, known: Embedding, there: Projection, nos: np.ndarray, rows: np.ndarray) -> int:
    mapped, places = points.placed(database, there.name)
    new = ~np.isin(nos, mapped)
    if not new.any():
        return 0
    if there.state is not None:
        with np.load(io.BytesIO(there.state), allow_pickle=False) as state:
            fresh = (rows[new] - state["mean"]) @ state["axes"].T
    else:
        fresh = _among_neighbours(database, known, mapped, places, rows[new])
    with database.write() as cursor:
        points.store(cursor, there.number, nos[new], fresh)
    return int(new.sum())


def principal_axes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and the two directions of largest variance, float32: d and 2 x d.

    The largest entry of each axis is positive, so that the same vectors give the same map on every machine.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    dimension = rows.shape[1]
    covariance = np.zeros((dimension, dimension))
    for start in range(0, len(rows), _PIECE):
        part = rows[start : start + _PIECE] - mean
        covariance += part.T @ part
    _, directions = np.linalg.eigh(covariance)
    axes = directions[:, ::-1][:, :2].T
    axes = axes * np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1, 1)[:, None]
    if len(axes) < 2:
        axes = np.vstack([axes, np.zeros((2 - len(axes), dimension))])
    return mean.astype(np.float32), axes.astype(np.float32)


def _packed(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def _umap(job: Job[Any], rows: np.ndarray) -> np.ndarray:
    child = Child(contract.Start("cpu", cores()), blas_threads=cores())
    try:
        job.on_cancel(child.end)
        layout = contract.Layout(len(rows), rows.shape[1], NEIGHBOURS, MINIMUM_DISTANCE, SEED)
        child.send(layout, np.ascontiguousarray(rows, np.float32).data.cast("B"))
        while (frame := child.receive()) is not None:
            message, body = frame
            if isinstance(message, contract.Note):
                job.advance(0, len(rows), message.sentence)
            elif isinstance(message, contract.Places):
                return np.frombuffer(body, np.float32).reshape(message.count, 2)
            elif isinstance(message, contract.Failed):
                raise ModelError(message.message, hint=message.hint, code=message.code)
        if job.cancelled:
            raise ModelError("The projection was stopped; nothing has changed.", code="cancelled")
        raise child.obituary("umap")
    finally:
        child.close()


def _among_neighbours(
    database: Database, known: Embedding, mapped: np.ndarray, places: np.ndarray, fresh: np.ndarray
) -> np.ndarray:
    """Places for new vectors among their nearest neighbours on the map."""
    count = len(fresh)
    keep = min(_PLACING_NEIGHBOURS, len(mapped))
    best = np.full((count, keep), -2, np.float32)
    where = np.zeros((count, keep), np.int64)
    fresh = _unit(fresh)
    for start in range(0, len(mapped), _PIECE):
        part_nos, part = vectors.fetch(database, known, mapped[start : start + _PIECE])
        index = np.searchsorted(mapped, part_nos)
        part = _unit(part)
        for row in range(0, count, 1024):
            similar = fresh[row : row + 1024] @ part.T
            pool = np.concatenate([best[row : row + 1024], similar], axis=1)
            names = np.concatenate([where[row : row + 1024], np.broadcast_to(index, similar.shape)], axis=1)
            top = np.argpartition(-pool, keep - 1, axis=1)[:, :keep]
            best[row : row + 1024] = np.take_along_axis(pool, top, axis=1)
            where[row : row + 1024] = np.take_along_axis(names, top, axis=1)
    weights = 1 / np.square(np.maximum(1 - best, 1e-3))
    weights[best < -1.5] = 0
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    return np.asarray(np.einsum("nk,nkc->nc", weights, places[where]), np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
