"""Detection label errors: faults planted among real boxes, judged by made-up predictions of a middling detector."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmarks import planted_boxes
from dataide.find.box_errors import BoxErrors, BoxErrorsError, suspect_boxes


@dataclass
class Case:
    """Given boxes with planted faults, predictions, and which rows are at fault."""

    box: np.ndarray
    kind: np.ndarray
    picture: np.ndarray
    predicted: np.ndarray
    predicted_kind: np.ndarray
    predicted_picture: np.ndarray
    score: np.ndarray
    wrong: np.ndarray
    moved: np.ndarray
    spurious: np.ndarray
    dropped: np.ndarray
    right: np.ndarray

    def found(self) -> BoxErrors:
        return suspect_boxes(
            self.box,
            self.kind,
            self.picture,
            self.predicted,
            self.predicted_kind,
            self.predicted_picture,
            self.score,
        )


def predicted_case(folder: Path, seed: int, *, noise: float, scale: float) -> Case:
    """A detector that finds nine of ten, `noise` of a side beside, with scores that reach up to `scale`."""
    truth = planted_boxes.coco(folder)
    random = np.random.default_rng(seed)
    count = len(truth.box)
    seen = np.flatnonzero(random.random(count) < 0.9)
    predicted = truth.box[seen] + random.normal(0, noise, (len(seen), 4)) * np.tile(truth.box[seen, 2:], 2)
    predicted[:, 2:] = np.maximum(predicted[:, 2:], 1)
    kind = truth.kind[seen].copy()
    mistaken = random.random(len(seen)) < 0.05
    kind[mistaken] = random.integers(0, 80, mistaken.sum())
    score = random.beta(8, 2, len(seen)) * scale
    # What it sees where nothing is, it is not sure of.
    ghosts = count // 5
    place = random.integers(0, len(truth.width_px), ghosts)
    sides = np.stack([truth.width_px, truth.height_px], axis=1)[place]
    corner, size = random.uniform(0, 0.7, (ghosts, 2)) * sides, random.uniform(0.05, 0.3, (ghosts, 2)) * sides
    rows = random.permutation(count)
    fifth = round(0.05 * count)
    wrong, moved, dropped, again = (rows[fifth * part : fifth * (part + 1)] for part in range(4))
    box, labels = truth.box.copy(), truth.kind.copy()
    labels[wrong] = (labels[wrong] + random.integers(1, 80, fifth)) % 80
    box[moved, :2] += box[moved, 2:] * random.choice([-1, 1], (fifth, 2)) * random.uniform(0.25, 0.4, (fifth, 2))
    # Spurious ones stand in a corner of the picture that nothing else is in.
    extra = np.concatenate([truth.box[again, :2] * 0 - 500, truth.box[again, 2:]], axis=1)
    keep = np.setdiff1d(np.arange(count), dropped)
    place_of = np.full(count, -1)
    place_of[keep] = np.arange(len(keep))
    return Case(
        np.concatenate([box[keep], extra]),
        np.concatenate([labels[keep], truth.kind[again]]),
        np.concatenate([truth.picture[keep], truth.picture[again]]),
        np.concatenate([predicted, np.concatenate([corner, size], axis=1)]),
        np.concatenate([kind, random.integers(0, 80, ghosts)]),
        np.concatenate([truth.picture[seen], place]),
        np.concatenate([score, random.beta(2, 6, ghosts) * scale]),
        place_of[np.intersect1d(wrong, seen)],
        place_of[np.intersect1d(moved, seen)],
        np.arange(len(keep), len(keep) + fifth),
        np.flatnonzero(np.isin(seen, dropped)),
        truth.kind[keep],
    )


@pytest.mark.parametrize(("seed", "noise", "scale"), [(0, 0.02, 1.0), (1, 0.04, 1.0), (2, 0.04, 0.5)])
def test_planted_faults_rank_first(shared_data: Callable[[str], Path], seed: int, noise: float, scale: float) -> None:
    case = predicted_case(shared_data("coco128"), seed, noise=noise, scale=scale)
    found = case.found()

    def at(score: np.ndarray, faulty: np.ndarray) -> float:
        """The share of faults among as many of the worst."""
        return float(np.isin(np.argsort(score, kind="stable")[: len(faulty)], faulty).mean())

    # Predictions are confident half of the time, mistaken one time in twenty: more cannot be seen.
    confident_half = len(case.wrong) // 3
    first = np.argsort(found.wrong_class, kind="stable")[:confident_half]
    assert np.isin(first, case.wrong).mean() >= 0.5
    told = np.flatnonzero(found.is_wrong_class & np.isin(np.arange(len(case.box)), case.wrong))
    assert len(told) >= 0.35 * len(case.wrong)
    assert (found.proposal[told] == case.right[told]).mean() >= 0.85
    assert np.isin(case.moved, np.flatnonzero(found.is_badly_placed)).mean() >= 0.35
    assert np.isin(np.flatnonzero(found.is_badly_placed), case.moved).mean() >= 0.6
    assert np.isin(case.spurious, np.flatnonzero(found.is_spurious)).mean() == 1
    assert at(found.spurious, case.spurious) >= 0.3
    missed = np.flatnonzero(found.is_missed)
    assert np.isin(missed, case.dropped).mean() >= 0.5 and len(missed) >= 0.2 * len(case.dropped)
    told_of = found.is_badly_placed.astype(int) + found.is_wrong_class + found.is_spurious
    assert told_of.max() == 1
    for score in (found.badly_placed, found.wrong_class, found.spurious, found.missed):
        assert score.min() >= 0 and score.max() <= 1


def test_a_perfect_detector_finds_nothing(shared_data: Callable[[str], Path]) -> None:
    truth = planted_boxes.coco(shared_data("coco128"))
    score = np.full(len(truth.box), 0.9)
    found = suspect_boxes(truth.box, truth.kind, truth.picture, truth.box, truth.kind, truth.picture, score)
    for told in (found.is_badly_placed, found.is_spurious, found.is_missed, found.is_wrong_class):
        assert not told.any()
    worst = found.pictures(truth.picture, truth.picture, 130)
    assert worst[128:].tolist() == [1, 1] and worst.min() > 0.7


def few() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    box = np.array([[10.0 + 100 * place, 10, 50, 40] for place in range(8)])
    return box, np.zeros(8, np.int64), np.zeros(8, np.int64)


def test_each_kind_by_hand() -> None:
    box, kind, picture = few()
    predicted, predicted_kind = box.copy(), kind.copy()
    predicted[0, 0] += 20
    predicted_kind[1] = 3
    keep = np.array([0, 1, 3, 4, 5, 6, 7])
    found = suspect_boxes(
        box[:7], kind[:7], picture[:7], predicted[keep], predicted_kind[keep], picture[keep], np.full(7, 0.8)
    )
    assert np.flatnonzero(found.is_badly_placed).tolist() == [0] and found.better[0] == 0
    assert np.flatnonzero(found.is_wrong_class).tolist() == [1] and found.proposal[1] == 3
    assert np.flatnonzero(found.is_spurious).tolist() == [2] and np.flatnonzero(found.is_missed).tolist() == [6]
    assert found.pictures(picture[:7], picture[keep], 2)[0] < 0.3


def test_nothing_to_compare() -> None:
    box, kind, picture = few()
    none = np.empty((0, 4))
    nos = np.empty(0, np.int64)
    alone = suspect_boxes(box, kind, picture, none, nos, nos, np.empty(0))
    assert not (alone.is_spurious | alone.is_badly_placed | alone.is_wrong_class).any()
    other = suspect_boxes(none, nos, nos, box, kind, picture, np.full(8, 0.9))
    assert len(other.spurious) == 0 and not other.is_missed.any(), "no prediction was ever right here"
    # Another picture, and boxes that are none.
    box[0] = np.nan
    found = suspect_boxes(box, kind, picture, few()[0], kind, picture + 5, np.full(8, np.nan))
    assert not found.is_spurious.any() and (found.badly_placed == 1).all()


def test_what_does_not_fit() -> None:
    box, kind, picture = few()
    with pytest.raises(BoxErrorsError, match="8 given boxes and 7 values"):
        suspect_boxes(box, kind[:7], picture, box, kind, picture, np.ones(8))
    with pytest.raises(BoxErrorsError, match="from 1 to 90"):
        suspect_boxes(box, kind, picture, box, kind, picture, np.array([1, 2, 3, 4, 5, 6, 7, 90.0]))
    with pytest.raises(BoxErrorsError, match="shape"):
        suspect_boxes(box[:, :3], kind, picture, box, kind, picture, np.ones(8))
