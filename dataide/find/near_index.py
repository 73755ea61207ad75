"""An approximate index for tens of millions of vectors, kept beside the session; searching stays exact unless asked.

A graph of near neighbours in layers (HNSW: Malkov and Yashunin, Efficient and robust approximate nearest neighbor
search using Hierarchical Navigable Small World graphs, IEEE TPAMI 2020), by the library usearch. The index only
proposes: what it gives is compared in float64 as an exact search does it, so similarities are true and the order among
the finds is exact. What it misses is measured against the exact search when it is built, and said.

It lies in `NAME.cache/index/` and may be deleted at any time. Vectors that came after it are searched exactly besides.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import MissingExtra, ModelError
from dataide.find import neighbours, search, vector_parts
from dataide.find.vector_parts import Part
from dataide.inference.job import Job, Progress
from dataide.inference.process import cores
from dataide.storage import vectors

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.vectors import Embedding

_log = logging.getLogger(__name__)
FOLDER = "index"
AT_ONCE = 16_384
# Recall is measured at so many finds, and looking further is tried until it is this good.
NEAREST, WANTED_RECALL = 100, 0.98
FEWEST_QUERIES, MOST_QUERIES = 20, 100
FIRST_LOOK, LAST_LOOK = 128, 2_048
# Up to here the index holds numbers of 16 bits, above of 8: both are enough to propose.
WIDE_BYTES = 2 << 30
# Of more vectors that the index does not know, an exact search takes longer than the index saves.
MOST_NEW = 0.1
# Where so large a share of all would have to be proposed, an exact search is as quick.
MOST_PROPOSED = 0.05


@dataclass(frozen=True)
class IndexReport:
    """What `session.index()` built.

    Attributes:
        embedding: whose vectors.
        count: how many are in it.
        recall: share of the 100 nearest by an exact search that the index finds too, mean over `queries` samples.
        queries: on how many samples that was measured.
        look: how many candidates each search looks at.
        size_mib: of the files.
        seconds: wall time.
        exact_ms, index_ms: how long one search took while measuring, median.
        cancelled: it was stopped, and there is no index.
    """

    embedding: str
    count: int
    recall: float
    queries: int
    look: int
    size_mib: float
    seconds: float
    exact_ms: float
    index_ms: float
    cancelled: bool = False

    def __repr__(self) -> str:
        if self.cancelled:
            return f"The index of {self.embedding!r} was stopped; nothing was kept."
        return (
            f"Indexed {self.count:,} vectors of {self.embedding!r} in {self.seconds:.1f} s ({self.size_mib:,.0f} MiB). "
            f"It finds {self.recall:.1%} of the {NEAREST} nearest (measured on {self.queries} samples), in "
            f"{self.index_ms:.1f} ms instead of {self.exact_ms:.1f} ms. similar(…, exact=False) uses it."
        )


def build(
    database: Database, embedding: str, *, progress: Progress | None = None, wait: bool = True
) -> IndexReport | Job[IndexReport]:
    """Builds the index of an embedding, or builds it anew, and measures what it misses; see Malkov and Yashunin (2020).

    Args:
        database: the session's.
        embedding: whose vectors.
        progress: called with (done, total, sentence).
        wait: False returns a Job at once.

    Raises:
        MissingExtra: usearch is not installed.
        ReadOnly: the session is open for reading only.
        ModelError: there is no such embedding, or it has no vectors.
    """
    vectors.check_writable(database)
    known = neighbours.require(database, embedding)
    _usearch()
    job = Job(lambda job: _build(job, database, known), verb=f"Indexing {embedding!r}", owner=database)
    return job.complete(progress) if wait else job.watched(progress)


def approximate(
    database: Database, embedding: str, query: NDArray[Any], k: int | None, inside: NDArray[np.bool_] | None
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """As `neighbours.nearest`, by the index; what is asked of everything or of few samples is searched exactly.

    Raises:
        ModelError: there is no index of this embedding, or it knows too few of the vectors there are now.
        MissingExtra: usearch is not installed.
    """
    known = neighbours.require(database, embedding)
    opened = _index_of(database, known)
    share = 1.0 if inside is None else float(np.count_nonzero(inside)) / max(len(inside), 1)
    proposed = int((k or 0) / max(share, 1e-9) * 1.2) + 16
    if k is None or proposed > MOST_PROPOSED * opened.count:
        return neighbours.nearest(database, embedding, query, k, inside)
    direction = neighbours.checked_direction(known, query)
    nos = opened.propose(direction, proposed)
    nos = np.union1d(nos[opened.current(nos)], opened.new)
    if inside is not None:
        nos = nos[nos < len(inside)]
        nos = nos[inside[nos]]
    found, cosines = _compared(opened.parts, nos.astype(np.uint32), direction)
    order = np.lexsort((found, -cosines))[: max(k, 0)]
    return found[order], cosines[order].astype(np.float32)


class Opened:
    """An index at hand.

    Attributes:
        index: usearch's.
        stamp: of the vectors for which `new` and `parts` hold.
        new: uint32, samples whose vector the index does not know, ascending.
        parts: all vectors, each with a way from numbers to rows.
        count: how many vectors are in the index.
    """

    def __init__(self, index: Any, nos: NDArray[np.uint32], revisions: NDArray[np.uint32], identity: str) -> None:
        self.index, self.identity = index, identity
        self._nos, self._revisions = nos, revisions
        self._fresh: NDArray[np.bool_] = np.ones(len(nos), bool)
        self.count = len(nos)
        self.stamp: tuple[Any, ...] | None = None
        self.new: NDArray[np.uint32] = np.empty(0, np.uint32)
        self.parts: list[Places] = []

    def refresh(self, database: Database, known: Embedding, stamp: tuple[Any, ...]) -> None:
        """Finds out which vectors came or changed since the index was built."""
        nos, revisions = vectors.present(database, known)
        places = np.searchsorted(self._nos, nos)
        places[places == len(self._nos)] = 0
        same = (self._nos[places] == nos) & (self._revisions[places] == revisions)
        self.new = nos[~same]
        self._fresh = np.zeros(len(self._nos), bool)
        self._fresh[places[same]] = True
        parts = neighbours.parts_of(database, known)
        self.parts = [Places(part) for part in parts] if isinstance(parts, list) else []
        self.stamp = stamp

    def current(self, nos: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which of these, all in the index, still have the vector that is in it."""
        return self._fresh[np.searchsorted(self._nos, nos)]

    def propose(self, direction: NDArray[np.float64], count: int) -> NDArray[np.uint32]:
        """Samples that may be the nearest."""
        found = self.index.search(direction.astype(np.float32), min(count, self.count))
        return np.asarray(found.keys, np.uint32)


class Places:
    """A part of the vectors, and where in it each sample stands."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._order = np.argsort(part.nos, kind="stable").astype(np.uint32)
        self._sorted = part.nos[self._order]

    def of(self, nos: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
        """Those of the numbers that are in this part and count, and their rows, ascending."""
        at = np.searchsorted(self._sorted, nos)
        at[at == len(self._sorted)] = 0
        here = self._sorted[at] == nos if len(self._sorted) else np.zeros(len(nos), bool)
        rows = self._order[at[here]].astype(np.intp)
        if self.part.counts is not None:
            rows = rows[self.part.counts[rows]]
        rows = np.sort(rows)
        return self.part.nos[rows], rows


def _compared(
    parts: Sequence[Places], nos: NDArray[np.uint32], direction: NDArray[np.float64]
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Cosines of these samples, computed as an exact search computes them."""
    found, cosines = [np.empty(0, np.uint32)], [np.empty(0)]
    for places in parts:
        here, rows = places.of(nos)
        found.append(here)
        cosines.append(search.precise(places.part, rows, direction))
    return np.concatenate(found), np.concatenate(cosines)


# Building ------------------------------------------------------------------------------------------------------------


def _build(job: Job[IndexReport], database: Database, known: Embedding) -> IndexReport:
    began = time.monotonic()
    stamp = vectors.stamp(database, known)
    total = stamp[1]
    if not total:
        raise ModelError(
            f"{known.name!r} has no vectors to index.", hint=f"session.embed({known.name!r})", code="no_vectors"
        )
    job.advance(0, total, "reading vectors")
    parts = list(neighbours.parts_of(database, known))
    kind = "f16" if total * known.dimension * 2 <= WIDE_BYTES else "i8"
    index = _usearch()(ndim=known.dimension, metric="cos", dtype=kind, expansion_search=FIRST_LOOK)
    done = 0
    for nos, rows in _units(parts):
        index.add(nos.astype(np.uint64), rows, threads=cores())
        done += len(nos)
        job.advance(min(done, total), total, "indexing")
        if job.cancelled:
            return IndexReport(known.name, 0, 0.0, 0, 0, 0.0, time.monotonic() - began, 0.0, 0.0, cancelled=True)
    if not done:
        raise ModelError(
            f"All vectors of {known.name!r} are zero, so nothing is near anything.",
            hint=f"session.vectors({known.name!r}).to_numpy() shows them; embed with another model.",
            code="no_vectors",
        )
    job.advance(total, total, "measuring what it finds")
    recall, queries, exact_ms, index_ms = _measured(index, parts, total)
    path = _path(database, known)
    look = int(index.expansion_search)
    about = {"identity": vector_parts.identity(database, known), "look": look, "recall": recall}
    size = _save(path, index, parts, about) / 2**20
    _forget(database, known)
    seconds = time.monotonic() - began
    return IndexReport(known.name, done, recall, queries, look, size, seconds, exact_ms, index_ms)


def _units(parts: Sequence[Part]) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.float32]]]:
    """The vectors that count and point somewhere, at length 1, some thousand at a time."""
    for part in parts:
        for start in range(0, len(part), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            usable = part.lengths[some] > 0
            if part.counts is not None:
                usable &= part.counts[some]
            yield part.nos[some][usable], part.rows[some][usable] * part.inverse[some][usable, None]


def _measured(index: Any, parts: Sequence[Part], total: int) -> tuple[float, int, float, float]:
    """Recall, on how many samples, and milliseconds of an exact search and of the index; looks further as needed."""
    queries = _drawn(parts, int(np.clip(2e7 / total, FEWEST_QUERIES, MOST_QUERIES)))
    count = min(NEAREST, max(total - 1, 1))
    truth, exact_s = [], []
    for no, row in queries:
        began = time.perf_counter()
        nos, _ = search.best(parts, row, count + 1, None)
        exact_s.append(time.perf_counter() - began)
        truth.append(nos[nos != no][:count])  # that everything is most similar to itself is no merit
    while True:
        hits, index_s = [], []
        for (no, row), right in zip(queries, truth, strict=True):
            began = time.perf_counter()
            found = np.asarray(index.search(row.astype(np.float32), min(int(count * 1.2) + 17, total)).keys)
            index_s.append(time.perf_counter() - began)
            hits.append(np.isin(right, found[found != no]).mean() if len(right) else 1.0)
        recall = float(np.mean(hits))
        if recall >= WANTED_RECALL or index.expansion_search >= LAST_LOOK:
            return recall, len(queries), float(np.median(exact_s)) * 1e3, float(np.median(index_s)) * 1e3
        index.expansion_search = index.expansion_search * 2


def _drawn(parts: Sequence[Part], count: int) -> list[tuple[int, NDArray[np.float64]]]:
    """Some samples at random, the same ones each time: number, and vector of length 1."""
    random = np.random.default_rng(0)
    drawn: list[tuple[int, NDArray[np.float64]]] = []
    sizes = np.asarray([len(part) for part in parts], np.float64)
    for which in random.choice(len(parts), count * 2, p=sizes / sizes.sum()).tolist():
        part, row = parts[which], int(random.integers(len(parts[which])))
        if part.lengths[row] > 0 and (part.counts is None or part.counts[row]) and len(drawn) < count:
            drawn.append((int(part.nos[row]), part.rows[row].astype(np.float64) / part.lengths[row]))
    return drawn


# Files ---------------------------------------------------------------------------------------------------------------

_opened: weakref.WeakKeyDictionary[Database, dict[int, Opened]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _index_of(database: Database, known: Embedding) -> Opened:
    """The index of an embedding as things stand.

    Raises:
        ModelError: there is none, or it is of other vectors.
    """
    with _lock:
        of_session = _opened.setdefault(database, {})
        opened = of_session.get(known.number)
        identity = vector_parts.identity(database, known)
        if opened is None or opened.identity != identity:
            opened = _restored(_path(database, known), identity)
            if opened is None:
                raise ModelError(
                    f"There is no index of {known.name!r}.",
                    hint=f"session.index({known.name!r}) builds it; without exact=False the search needs none.",
                    code="no_index",
                )
            of_session[known.number] = opened
        stamp = vectors.stamp(database, known)
        if stamp != opened.stamp:
            opened = copy.copy(opened)  # another thread may be searching in the one that is there
            opened.refresh(database, known, stamp)
            of_session[known.number] = opened
    if len(opened.new) > MOST_NEW * max(opened.count, 1):
        raise ModelError(
            f"{len(opened.new):,} vectors of {known.name!r} came or changed after its index was built of "
            f"{opened.count:,}.",
            hint=f"session.index({known.name!r}) builds it anew.",
            code="old_index",
        )
    return opened


def _forget(database: Database, known: Embedding) -> None:
    with _lock:
        _opened.setdefault(database, {}).pop(known.number, None)


def _path(database: Database, known: Embedding) -> Path:
    return database.cache_dir / FOLDER / f"{known.number}.usearch"


def _save(path: Path, index: Any, parts: Sequence[Part], about: dict[str, Any]) -> int:
    """Writes index, numbers and what is to be known of it, and gives the bytes; the last file makes it valid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in (path.with_suffix(".json"), path.with_suffix(".npy"), path):
        old.unlink(missing_ok=True)
    chosen = [part.counts if part.counts is not None else slice(None) for part in parts]
    nos = np.concatenate([part.nos[some][part.lengths[some] > 0] for part, some in zip(parts, chosen, strict=True)])
    revisions = np.concatenate(
        [part.revisions[some][part.lengths[some] > 0] for part, some in zip(parts, chosen, strict=True)]
    )
    order = np.argsort(nos)
    np.save(path.with_suffix(".npy"), np.stack([nos[order], revisions[order]]))
    index.save(os.fspath(path))
    size = path.stat().st_size + path.with_suffix(".npy").stat().st_size
    path.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")
    return size


def _restored(path: Path, identity: str) -> Opened | None:
    """The index as it was kept, mapped and not read; None where it is not there, not whole, or of something else."""
    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if about["identity"] != identity:
            return None
        nos, revisions = np.load(path.with_suffix(".npy"), allow_pickle=False)
        index = _usearch().restore(os.fspath(path), view=True)
        if index is None or len(index) != len(nos):
            return None
        index.expansion_search = int(about["look"])
        return Opened(index, nos, revisions, identity)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        _log.debug("%s is no index of these vectors: %s", path, error)
        return None


def _usearch() -> Any:
    try:
        from usearch.index import Index
    except ImportError:
        raise MissingExtra(
            "An index needs usearch, which is not installed.",
            hint='pip install "dataide[index]". Without an index similar() is exact, and quick up to some millions.',
        ) from None
    return Index
