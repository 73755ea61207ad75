"""Similar to these and not to those, to a region of a picture, or to a text: what a session is asked, as a ranking.

Several examples are put together by Rocchio's rule (1971; see `find/relevance.py`); the search itself is exact
(`find/neighbours.py`), or, where that was asked for, goes through an approximate index (`find/near_index.py`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.core.actions import samples
from dataide.core.vectors import named
from dataide.core.view import View
from dataide.errors import ActionError, ModelError, UnknownSample
from dataide.find import neighbours, relevance
from dataide.inference.crops import crop
from dataide.inference.embedding import remembered
from dataide.inference.kernel import kernel_of
from dataide.storage import pictures, vectors

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.storage.database import Database

Numbers = NDArray[np.uint32]
# The mean of so many hardly moves, and the vectors of more would fill the memory.
MOST_VECTORS = 5_000


@dataclass(frozen=True, eq=False)
class Examples:
    """What is searched by.

    Attributes:
        rows: float32, M x D: vectors of the examples.
        nos: uint32, those of them that are samples; as examples they are no finds.
        said: in words.
    """

    rows: NDArray[np.float32]
    nos: Numbers
    said: str


@dataclass(frozen=True, eq=False)
class Ranking:
    """What is similar, best first.

    Attributes:
        nos: uint32, sample numbers.
        similarity: float32, cosines with where the examples point to.
        threshold: where a handle may begin; see `relevance.direction`.
        said: in words.
    """

    nos: Numbers
    similarity: NDArray[np.float32]
    threshold: float
    said: str


def similar(
    context: Context,
    like: Any,
    k: int | None = None,
    *,
    among: NDArray[np.bool_] | Numbers | None = None,
    unlike: Any = None,
    box: Sequence[float] | None = None,
    text: str | None = None,
    embedding: str | None = None,
    model: Any = None,
    exact: bool = True,
) -> Ranking:
    """What is most similar to some examples and unlike others.

    Args:
        context: the session's.
        like: a sample id, a View, a path, encoded bytes, a picture, an array, or a list of these; None with `text`.
        k: how many; None for all.
        among: sample numbers or a bool mask; None for all.
        unlike: what it should not be like; as `like`.
        box: left, top, width, height in px of the upright picture: only this region of the one sample `like`.
        text: a text to search by, where the model reads texts.
        embedding: whose vectors; by default "auto", else the latest.
        model: what the embedding was made with, for what is no sample.
        exact: False searches the index of `session.index()`, which may miss some.

    Raises:
        ActionError: nothing to be similar to was given, two things, or examples that take each other away.
        UnknownSample: there is no such sample, file or text that a model reads.
        ModelError: there is no such embedding, or its model is needed and cannot be had, or there is no index.
    """
    if (like is None) == (text is None):
        raise ActionError(
            "similar() takes a sample, View, picture or text, and one of them.",
            hint="session.similar('a sample id'), or session.similar(text='a red car').",
        )
    database = context.database
    name = named(context, embedding)
    several = isinstance(like, View) or _is_list(like)
    if embedding is None and not several and box is None:
        name = neighbours.for_words(database, name, like, text, model, remembered(context))
    if text is not None:
        row = neighbours.text_vector(database, name, text, **_means(context, name, model))
        wanted = Examples(row.reshape(1, -1), np.empty(0, np.uint32), text)
    elif box is not None:
        wanted = region(context, name, like, box, model=model)
    else:
        wanted = examples(context, name, like, model)
    other = None if unlike is None else examples(context, name, unlike, model)
    return ranked(database, name, wanted, other, k, among, exact=exact)


def ranked(
    database: Database,
    name: str,
    like: Examples,
    unlike: Examples | None = None,
    k: int | None = None,
    among: NDArray[np.bool_] | Numbers | None = None,
    *,
    exact: bool = True,
    keep: bool = False,
) -> Ranking:
    """The ranking by examples at hand; arguments as of `similar`.

    Args:
        database: the session's.
        name: of the embedding.
        like: what is wanted.
        unlike: what is not.
        k: how many; None for all.
        among: sample numbers or a bool mask; None for all.
        exact: False searches the index.
        keep: examples are found as well; else they are left out, as everything is most similar to itself.

    Raises:
        ActionError: there is no usable example, or they take each other away.
        ModelError: there is no such embedding, or no index.
    """
    towards, threshold = relevance.direction(like.rows, None if unlike is None else unlike.rows)
    inside = _mask(database, among)
    said = f"similar to {like.said}"
    known = [like.nos]
    if unlike is not None and len(unlike.rows):
        said += f", unlike {unlike.said}"
        known.append(unlike.nos)
    if not keep:
        out = np.concatenate(known)
        inside[out[out < len(inside)]] = False
    if exact:
        nos, similarity = neighbours.nearest(database, name, towards, k, inside)
    else:
        from dataide.find.near_index import approximate

        nos, similarity = approximate(database, name, towards, k, inside)
    return Ranking(nos, similarity, threshold, said)


def examples(context: Context, name: str, given: Any, model: Any = None) -> Examples:
    """The vectors of what people name: a sample id, a View, a path, a picture, an array, or a list of these.

    Raises:
        ActionError: an empty list or View.
        UnknownSample: there is no such sample, file or text that a model reads.
        ModelError: one has no vector, or the model that embeds pictures cannot be had.
    """
    if isinstance(given, View):
        return of_samples(context.database, name, given.nos())
    if not _is_list(given):
        row, no = neighbours.query_vector(context.database, name, given, **_means(context, name, model))
        nos = np.asarray([] if no is None else [no], np.uint32)
        said = str(given) if isinstance(given, str | os.PathLike) else "a picture"
        return Examples(np.asarray(row, np.float32).reshape(1, -1), nos, said)
    found = [examples(context, name, one, model) for one in given]
    if not found:
        raise _nothing()
    said = ", ".join(one.said for one in found[:3]) + (f" and {len(found) - 3:,} more" if len(found) > 3 else "")
    return Examples(np.concatenate([one.rows for one in found]), np.concatenate([one.nos for one in found]), said)


def of_samples(database: Database, name: str, nos: Numbers) -> Examples:
    """Samples as examples, by their numbers; of very many a fixed draw.

    Raises:
        ActionError: there are none.
        ModelError: none of them has a vector.
    """
    if not len(nos):
        raise _nothing()
    some = nos
    if len(nos) > MOST_VECTORS:
        some = np.random.default_rng(0).choice(nos, MOST_VECTORS, replace=False)
    known = neighbours.require(database, name)
    found, rows = vectors.fetch(database, known, some)
    if not len(found):
        raise ModelError(
            f"None of these {len(nos):,} samples has a vector of {name!r}.",
            hint=f"session.embed({name!r})",
            code="no_vectors",
        )
    having = found if some is nos else np.asarray(nos, np.uint32)
    return Examples(rows, having, samples(len(nos)))


def region(
    context: Context, name: str, sample: Any, box: Sequence[float], *, shares: bool = False, model: Any = None
) -> Examples:
    """A region of a sample's picture as an example: cut out, and embedded ahead of all jobs by the embedding's model.

    Args:
        context: the session's.
        name: of the embedding.
        sample: its id, or its number.
        box: left, top, width, height in px of the upright picture.
        shares: the box is in shares of the picture's width and height instead.
        model: what made the embedding, where the session does not know it.

    Raises:
        ActionError: the box has no area or lies outside, or more than one sample is named.
        UnknownSample: there is no such sample.
        MediaError, PictureError: its picture cannot be read.
        ModelError: the model that made the embedding cannot be had.
    """
    data, said = region_crop(context, sample, box, shares=shares)
    row, _ = neighbours.query_vector(context.database, name, data, **_means(context, name, model))
    return Examples(np.asarray(row, np.float32).reshape(1, -1), np.empty(0, np.uint32), said)


def region_crop(context: Context, sample: Any, box: Sequence[float], *, shares: bool = False) -> tuple[bytes, str]:
    """A region of a sample's picture, encoded, and in words; arguments and errors as of `region`."""
    if not isinstance(sample, str | int | np.integer) or isinstance(sample, bool):
        raise ActionError(
            "box= is a region of one sample's picture.",
            hint="session.similar('a sample id', box=(left, top, width, height))",
        )
    if len(box) != 4:
        raise ActionError(f"A box has four numbers, and this has {len(box)}.", hint="(left, top, width, height) in px.")
    key = "sample_id" if isinstance(sample, str) else "sample_no"
    with context.database.query(f"SELECT sample_id, media FROM data.sample WHERE {key} = ?", [sample]) as cursor:
        rows = cursor.fetchall()
    if not rows:
        raise UnknownSample(f"There is no sample {sample!r}.", hint="session.take(5).ids() shows what ids look like.")
    sample_id, media = rows[0]
    if not media:
        raise ActionError(f"The sample {sample_id!r} has no picture to be cut from.")
    image = pictures.decode(context.media.read(media))
    if shares:
        box = [float(side) * across for side, across in zip(box, image.size * 2, strict=True)]
    left, top, width, height = (float(side) for side in box)
    said = f"a region of {sample_id} ({left:g}, {top:g}, {width:g} x {height:g} px)"
    return crop(image, box), said


def _means(context: Context, name: str, model: Any) -> dict[str, Any]:
    return {"model": model, "remembered": remembered(context).get(name), "kernel": kernel_of(context)}


def _mask(database: Database, among: NDArray[np.bool_] | Numbers | None) -> NDArray[np.bool_]:
    if among is None:
        return np.ones(database.sample_count, bool)
    if among.dtype == np.bool_:
        return among.astype(bool)  # a copy: examples are taken out
    mask = np.zeros(max(database.sample_count, int(among.max(initial=0)) + 1), bool)
    mask[among] = True
    return mask


def _is_list(given: Any) -> bool:
    return isinstance(given, list | tuple)


def _nothing() -> ActionError:
    return ActionError("There is nothing to be similar to.", hint="Give at least one sample: session.similar('an id').")
