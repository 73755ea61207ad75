"""Linters: all rules over all objects in one pass, and over one picture while someone annotates.

    table = objects(columns, samples, classes)
    known = learn(table)                    # what sizes, shapes and company are usual: once
    findings = lint(table, known)           # the whole set
    findings = lint_one(columns, (640, 480), classes, known)      # one picture, live

Rules that need nothing learned are in `box_rules` and `track_rules`, learned ones in `sizes` and `swaps`, one's own in
`own_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dataide.review import box_rules, own_rules, sizes, swaps, track_rules
from dataide.review.around import look_around
from dataide.review.crop_vectors import Vectors
from dataide.review.findings import Finding, Findings, Gathering, Repair
from dataide.review.objects import LinterError, Objects, objects
from dataide.review.own_rules import Picture, Rule, forget, linter

__all__ = [
    "Finding",
    "Findings",
    "Known",
    "LinterError",
    "Objects",
    "Picture",
    "Repair",
    "Rule",
    "forget",
    "learn",
    "lint",
    "lint_one",
    "linter",
    "objects",
]

# Whole pictures are drawn until they have so many objects: what is usual is known well enough then.
LEARN_FROM = 30_000


def _silent(sentence: str) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Known:
    """What was learned from a set, for `lint` and `lint_one`.

    Attributes:
        sizes: sizes and shapes by class.
        swaps: what classes look like; None where there is too little to learn from.
        classes: names by class number, as they were then.
    """

    sizes: sizes.Sizes
    swaps: swaps.Swaps | None
    classes: tuple[str, ...]


def learn(
    table: Objects,
    vectors: Vectors | None = None,
    *,
    seed: int = 0,
    say: Callable[[str], None] = _silent,
    stop: Callable[[], bool] = _never,
) -> Known:
    """Learns what is usual in a set: sizes, shapes, and what objects of each class look like.

    Args:
        table: objects; of more than `LEARN_FROM` that many are drawn, whole pictures at a time.
        vectors: N x D float32, crops of the objects as vectors, in the order of the columns that the table was made
            from; NaN or zeros for none.
        seed: of what is drawn.
        say: told in a sentence what is being done.
        stop: asked now and then; what is not learned by then is left out.

    Raises:
        LinterError: vectors that do not fit.
    """
    _check_vectors(table, vectors)
    part = drawn(table, seed)
    say(f"Sizes and shapes of {len(part):,} boxes.")
    known = sizes.learn_sizes(part, seed=seed, stop=stop)
    if stop():
        return Known(known, None, table.classes)
    say("What objects of each class look like.")
    return Known(known, swaps.learn_swaps(part, vectors, seed=seed, stop=stop), table.classes)


def lint(
    table: Objects,
    known: Known | None = None,
    *,
    samples: Mapping[str, np.ndarray] | None = None,
    vectors: Vectors | None = None,
    own: Sequence[Rule] | None = None,
    broken: Mapping[str, np.ndarray] | None = None,
    say: Callable[[str], None] = _silent,
    stop: Callable[[], bool] = _never,
) -> Findings:
    """Runs all rules over all objects.

    Args:
        table: objects.
        known: what was learned; learned from the table itself when left out.
        samples: for pictures that look the same and are labelled differently: sample_no, group (-1 for none) and
            label_no (-1 for none), arrays of one length; and meant, for labels that are not in the vocabulary.
        vectors: crops of the objects as vectors, as in `learn`.
        own: rules of one's own; all that `linter` has added when left out.
        broken: for rules that are SQL, by name, a bool for each object in the order of the columns.
        say: told in a sentence what is being done.
        stop: asked between rules; findings up to there come back.

    Returns:
        Findings, by rule. Scores of learned rules are below 0.5 for all that is told.

    Raises:
        LinterError: vectors that do not fit, or `known` of other classes.
    """
    _check_vectors(table, vectors)
    if known is None:
        known = learn(table, vectors, say=say, stop=stop)
    elif known.classes != table.classes[: len(known.classes)]:
        raise LinterError(
            "What was learned is of other classes than these objects.",
            hint="Learn again from these objects, or give their class numbers and names as they were then.",
        )
    if len(known.classes) < len(table.classes):
        known = _widened(known, table)
    found = Gathering(table)
    if len(table):
        say(f"Boxes of {len(table):,} objects.")
        box_rules.broken(table, found)
        box_rules.outside(table, found)
        box_rules.masks(table, found)
        box_rules.vocabulary(table, found)
        if stop():
            return found.done()
        around = look_around(table)
        box_rules.duplicates(table, around.first, around.second, around.iou, found)
        sizes.unusual_sizes(table, known.sizes, around, found)
        sizes.unusual_shapes(table, known.sizes, found)
        track_rules.tracks(table, found)
        if known.swaps is not None and not stop():
            say("Objects that look like another class.")
            swaps.swapped(table, known.swaps, found, vectors, stop)
    if samples is not None:
        box_rules.twins(table, samples, found)
        box_rules.sample_labels(samples, found)
    rules = list(own_rules.RULES.values()) if own is None else own
    own_rules.follow(table, rules, broken or {}, found, stop)
    return found.done()


def lint_one(
    columns: Mapping[str, np.ndarray],
    size_px: tuple[float, float],
    classes: Sequence[str],
    known: Known,
    *,
    vocabulary: Sequence[str] | None = None,
    vectors: Vectors | None = None,
    own: Sequence[Rule] | None = None,
) -> Findings:
    """Runs all rules over one picture's objects, with what was learned before: for every stroke while one annotates.

    Args:
        columns: as for `objects`; sample_no may be left out.
        size_px: width and height of the picture; NaN where it is not known.
        classes, vocabulary: as for `objects`.
        known: from `learn`.
        vectors: crops of these objects as vectors, where they are at hand.
        own: rules of one's own; all that are functions when left out. Expressions do not run here.

    Returns:
        Findings of this picture.
    """
    if "sample_no" not in columns:
        columns = {**columns, "sample_no": np.zeros(len(columns["object_no"]), np.int64)}
    sample = np.unique(np.asarray(columns["sample_no"], np.int64))
    if len(sample) > 1:
        raise LinterError(f"These are objects of {len(sample)} pictures.", hint="Use lint for more than one.")
    samples = {
        "sample_no": sample,
        "width_px": np.full(len(sample), size_px[0]),
        "height_px": np.full(len(sample), size_px[1]),
    }
    return lint(objects(columns, samples, classes, vocabulary=vocabulary), known, vectors=vectors, own=own)


def drawn(table: Objects, seed: int = 0) -> Objects:
    """The objects that `learn` looks at: all, or of many whole pictures at random; drawn again they are the same."""
    if len(table) <= LEARN_FROM:
        return table
    pictures = np.random.default_rng(seed).permutation(len(table.starts) - 1)
    size = np.cumsum(np.diff(table.starts)[pictures])
    chosen = np.zeros(len(table.starts) - 1, bool)
    # One picture at least, even where it has more objects than are needed.
    chosen[pictures[: max(int(np.searchsorted(size, LEARN_FROM)), 1)]] = True
    return table.take(np.flatnonzero(chosen[table.picture]))


def _check_vectors(table: Objects, vectors: Vectors | None) -> None:
    if vectors is not None and (vectors.ndim != 2 or len(vectors) != len(table)):
        raise LinterError(
            f"The crop vectors have the shape {vectors.shape}, the table has {len(table)} objects.",
            hint="Give an array N x D with one vector for each object; NaN where an object has none.",
        )


def _widened(known: Known, table: Objects) -> Known:
    """With classes that came later: of the usual size and of any shape."""
    return Known(sizes.widened(known.sizes, len(table.classes)), known.swaps, table.classes)
