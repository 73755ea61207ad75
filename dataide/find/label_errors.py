"""Wrong class labels: which are wrong, how surely, and what they should be.

What is done, and where it comes from:

1. Several probes say what each sample looks like to somebody who has not seen its label (`probes.py`): cross-validated
   probabilities, as C. Northcutt, L. Jiang and I. Chuang, "Confident Learning", JAIR 2021, section 4.2. Linear ones of
   two strengths and two small networks are averaged, as far as it makes the labels likelier: the mean of calibrated
   scores is B. Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation", NeurIPS 2017.
2. The given label and the probes are joined by Bayes' rule and a table of how labels are confused (`noise.py`:
   Dawid and Skene 1979; Raykar et al. 2010). More annotators are more columns of evidence; with the classifier as prior
   this is the aim of H. W. Goh, U. Tkachenko and J. Mueller, "CROWDLAB", 2022.
3. What came out is what the next probes learn, instead of the labels: twice. A sample does not teach its own judge, as
   the folds are kept apart. Dropping suspects and refitting is Northcutt et al. 2021, section 3.3; soft targets
   as E. Arazo et al., "Unsupervised Label Noise Modeling and Loss Correction", ICML 2019, section 3.2.
4. A given label is believed by the cube of its posterior. A table of classes takes errors for accidents, but they lie
   where samples are hard to tell, and there the probe has learned from labels that are wrong in the same way: of the
   doubt that it should have, it shows the third part or half. See X. Xia et al., "Part-dependent Label Noise", NeurIPS
   2020, section 1. The order of samples is the same with any power; what is flagged is not.
5. What is flagged is what gives the highest F1 to be expected: Z. Lipton, C. Elkan and B. Narayanaswamy, "Optimal
   Thresholding of Classifiers to Maximize F1 Measure", ECML 2014, theorem 1 (the threshold is half of that F1).

`benchmarks/label_errors.py` measures all this beside cleanlab.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ModelError
from dataide.find import probes
from dataide.find.noise import estimate
from dataide.find.pairs import Stopped
from dataide.find.probes import Floats, Kind, Stop, folds_of, neighbours, out_of_sample, softmax

FOLDS = 5
ROUNDS = 3
# Linear ones learn most from good vectors, the network most from poor ones.
PROBES = (Kind(0, 10, 0.1), Kind(0, 10, 3.0), Kind(256, 10, 4.0, dropout=0.5), Kind(256, 10, 2.0, dropout=0.5))
# Which of them are listened to is found out on so many samples.
MOST_COMPARED = 10_000
# A class with fewer samples cannot be learned without the one that is judged.
LEAST_OF_CLASS = FOLDS
NEIGHBOURS = 10
# Looking for neighbours exactly costs so many products at most; the severest come first.
PRODUCTS = 4e11
# A probability of nothing at all would outweigh everything; no model knows that much.
SMALLEST = 1e-6
# See 4 above.
POWER = 3
# What is flagged is at least so probably wrong, whatever F1 says: on clean data it would have us look at everything.
LEAST_LIKELY = 0.25
# The given label is one of the annotators' (their majority, say) where so many rows say so, and then no news.
DERIVED = 0.99

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Say = Callable[[str], None]

__all__ = ["LabelErrors", "Stopped", "agreement", "suspects"]


@dataclass(frozen=True)
class LabelErrors:
    """What is known of each label; arrays of N.

    Attributes:
        score: float32, how probable it is that the given label is right; 0 is severe. 1 where nothing can be said.
        is_issue: whether it is flagged.
        judged: whether anything can be said: it has a label, of a class with enough samples, and a vector or
            probabilities that are numbers.
        proposal: the likeliest other class; -1 where nothing was judged. Where there is no label, the likeliest class.
        confidence: float32, how probable the proposal is.
        given: float32, how probable the model finds the given label without knowing it.
        predicted: int, the class that the model finds likeliest, without knowing the label.
        model: float32, how probable the model finds the proposal.
        agreeing: of the nearest neighbours, how many have the given label; -1 where it was not counted.
        proposing: how many have the proposed one.
        compared: how many neighbours were counted.
        error_rate: estimated part of wrong labels, among those judged.
        probabilities: float32, N x C, what the model finds without knowing the label; all equal where it is none.
        notes: what else to know, a sentence each.
    """

    score: Floats
    is_issue: Flags
    judged: Flags
    proposal: Ints
    confidence: Floats
    given: Floats
    predicted: Ints
    model: Floats
    agreeing: Ints
    proposing: Ints
    compared: Ints
    error_rate: float
    probabilities: Floats
    notes: tuple[str, ...] = ()

    def reason(self, row: int, classes: Sequence[str], given: int) -> str:
        """One sentence that says why this label is doubted, or is not.

        Args:
            row: of the sample, from 0.
            classes: their names.
            given: number of the class that was given.
        """
        if not self.judged[row]:
            return "There is nothing to judge this label by."
        proposal, own = classes[int(self.proposal[row])], classes[given]
        parts = []
        if self.compared[row] > 0:
            if self.proposing[row] > self.agreeing[row]:
                parts.append(
                    f"{self.proposing[row]} of {self.compared[row]} nearest neighbours are labelled {proposal}"
                )
            else:
                parts.append(f"{self.agreeing[row]} of {self.compared[row]} nearest neighbours are labelled {own}")
        parts.append(f"the model gives {proposal} {self.model[row]:.2f} and {own} {self.given[row]:.2f}")
        sentence = "; ".join(parts)
        return f"{sentence[0].upper()}{sentence[1:]}."


def suspects(
    vectors: np.ndarray | None,
    labels: np.ndarray,
    *,
    classes: Sequence[str],
    probabilities: np.ndarray | None = None,
    more_labels: np.ndarray | None = None,
    seed: int = 0,
    say: Say = lambda sentence: None,
    stop: Stop = lambda: False,
) -> LabelErrors:
    """Judges each label by what samples look like; the module says how.

    Args:
        vectors: float, N x D; rows with numbers that are not finite are not judged. None where there are probabilities.
        labels: int, N, number of the class; -1 for none.
        classes: names of the classes, C of them.
        probabilities: float, N x C, of a model that has not seen the label of the sample (out of sample); then no
            probes are trained. Rows are scaled to add up to one; rows of zeros or of no numbers are not judged.
        more_labels: int, N x A, what further annotators said; -1 for nothing.
        seed: of everything that is drawn.
        say: told what is being done.
        stop: asked often; True ends it.

    Raises:
        ModelError: arrays do not fit each other, or there is nothing to judge by.
        Stopped: `stop` said so.
    """
    given, columns = _checked(vectors, labels, classes, probabilities, more_labels)
    notes: list[str] = []
    usable = np.ones(len(given), bool)
    scores: Floats | None = None
    if probabilities is not None:
        scores, usable = _logarithms(probabilities, notes)
    elif vectors is not None:
        usable = _finite(vectors, notes)
    evidence = _evidence(given, columns)
    spoken = (evidence >= 0).any(axis=1) & usable
    sizes = np.bincount(given[(given >= 0) & usable], minlength=len(classes))
    judged = usable & (given >= 0) & (sizes[np.maximum(given, 0)] >= LEAST_OF_CLASS)
    few = np.flatnonzero((sizes > 0) & (sizes < LEAST_OF_CLASS))
    small = [str(classes[int(number)]) for number in few]
    if small:
        shown = ", ".join(small[:3]) + (f" and {len(small) - 3} more" if len(small) > 3 else "")
        notes.append(f"Fewer than {LEAST_OF_CLASS} samples have the label {shown}, which is too few to judge it.")
    if (np.bincount(evidence[spoken][evidence[spoken] >= 0], minlength=1) > 0).sum() < 2 or not judged.any():
        one = "All labels are the same" if spoken.any() else "There are no labels with anything to judge them by"
        return _nothing(len(given), len(classes), [*notes, f"{one}: nothing can be said."])
    if scores is not None:
        say("weighing the labels against the run")
        noise = estimate(scores[spoken], evidence[spoken])
        after = noise.posterior(scores, evidence)
        scores *= np.float32(noise.factor)
    else:
        assert vectors is not None
        scores, after = _by_probes(vectors, evidence, usable, len(classes), seed, say, stop)
    if not _tells(scores.argmax(axis=1)[judged], given[judged]):
        notes.append("What samples look like tells no class from another here, so their labels cannot be judged.")
        return _nothing(len(given), len(classes), notes)
    return _concluded(vectors, scores, after, given, judged, usable, notes, say, stop)


def _by_probes(
    vectors: np.ndarray, evidence: Ints, usable: Flags, classes: int, seed: int, say: Say, stop: Stop
) -> tuple[Floats, Floats]:
    """Scores of the probes, as sharp as they should be, and P(true class | everything), of the rounds after the first.

    Rows that are not usable keep zeros.
    """
    rows = np.flatnonzero(usable)
    whole = len(rows) == len(usable)
    seen, told = (vectors, evidence) if whole else (vectors[rows], evidence[rows])
    spoken = np.asarray((told >= 0).any(axis=1))
    weights: Floats = spoken.astype(np.float32)
    targets = _shares(told, classes)
    deal = np.where(spoken, targets.argmax(axis=1), -1)
    total: Floats = np.zeros((len(rows), classes), np.float32)
    last: Floats = np.zeros((len(rows), classes), np.float32)
    for turn in range(ROUNDS):
        found: list[tuple[float, Floats]] = []
        for number, kind in enumerate(PROBES):
            say(f"training probes, round {turn + 1} of {ROUNDS} ({number + 1} of {len(PROBES)})")
            drawn = seed * 1000 + turn * len(PROBES) + number
            folds = folds_of(deal, FOLDS, drawn)
            one = out_of_sample(seen, targets, weights, folds, kind, seed=drawn, stop=stop)
            one -= one.mean(axis=1, keepdims=True)
            alone = estimate(one[spoken], told[spoken], most=MOST_COMPARED)
            one *= np.float32(alone.factor)
            found.append((alone.likelihood, one))
        scores = _together(found, told, np.flatnonzero(spoken))
        noise = estimate(scores[spoken], told[spoken])
        after = noise.posterior(scores, told)
        targets = after
        if turn:
            total += after / np.float32(ROUNDS - 1)
            last += scores * np.float32(noise.factor / (ROUNDS - 1))
    if whole:
        return last, total
    wide = [np.zeros((len(usable), classes), np.float32) for _ in range(2)]
    wide[0][rows], wide[1][rows] = last, total
    return wide[0], wide[1]


def _tells(predicted: Ints, given: Ints) -> bool:
    """Whether the classes are told apart better than by chance: the mean of what is right in each, by three errors."""
    there, sizes = np.unique(given, return_counts=True)
    right = np.array([np.mean(predicted[given == one] == one) for one in there])
    chance = 1 / len(there)
    spread = np.sqrt(chance * (1 - chance) * np.mean(1 / sizes) / len(there))
    return bool(right.mean() > chance + 3 * spread)


def _together(found: list[tuple[float, Floats]], told: Ints, spoken: Ints) -> Floats:
    """The mean of the best probes: of as many as make the labels likeliest.

    On good vectors all of them are of use, on poor ones the linear ones are not; likelihoods and scores come in.
    """
    found.sort(key=lambda one: -one[0])
    likeliest, scores = found[0]
    sum_so_far = scores.copy()
    for count, (_, more) in enumerate(found[1:], 2):
        sum_so_far += more
        mean: Floats = sum_so_far / np.float32(count)
        likelihood = estimate(mean[spoken], told[spoken], most=MOST_COMPARED).likelihood
        if likelihood > likeliest:
            likeliest, scores = likelihood, mean
    return scores


def _concluded(
    vectors: np.ndarray | None,
    scores: Floats,
    after: Floats,
    given: Ints,
    judged: Flags,
    usable: Flags,
    notes: list[str],
    say: Say,
    stop: Stop,
) -> LabelErrors:
    """From what the true class may be to what is said of each label."""
    every = np.arange(len(given))
    named = np.maximum(given, 0)
    right = np.where(given >= 0, after[every, named], 0).astype(np.float64)
    # Other classes share what the power takes from the given one.
    believed = right**POWER
    share = np.divide(1 - believed, 1 - right, out=np.ones_like(right), where=right < 1 - 1e-12)
    others = after.copy()
    others[every[given >= 0], named[given >= 0]] = -1
    proposal = others.argmax(axis=1).astype(np.int64)
    confidence = np.clip(others[every, proposal] * share, 0, 1).astype(np.float32)
    score = np.where(judged, believed, 1.0).astype(np.float32)
    flagged = np.zeros(len(given), bool)
    flagged[judged] = likeliest_errors(1 - believed[judged])
    model = softmax(scores)
    proposal[~usable] = -1
    confidence[~usable] = 0
    found = LabelErrors(
        score=score,
        is_issue=flagged,
        judged=judged,
        proposal=proposal,
        confidence=confidence,
        given=np.where(judged, model[every, named], np.nan).astype(np.float32),
        predicted=np.where(usable, model.argmax(axis=1), -1).astype(np.int64),
        model=np.where(usable, model[every, np.maximum(proposal, 0)], np.nan).astype(np.float32),
        agreeing=np.full(len(given), -1, np.int64),
        proposing=np.full(len(given), -1, np.int64),
        compared=np.zeros(len(given), np.int64),
        error_rate=float(np.mean(1 - believed[judged])),
        probabilities=model,
        notes=tuple(notes),
    )
    if vectors is not None and flagged.any():
        say("looking at the neighbours of suspects")
        few = np.flatnonzero(flagged)
        most = max(int(PRODUCTS / (len(given) * max(vectors.shape[1], 1))), 100)
        few = np.sort(few[np.argsort(score[few], kind="stable")[:most]])
        counts = agreement(vectors, given, few, proposal[few], stop=stop)
        found.agreeing[few], found.proposing[few], found.compared[few] = counts
    return found


def likeliest_errors(errors: np.ndarray) -> Flags:
    """Which to flag, so that the F1 to be expected is highest, and only where an error is likely enough.

    Args:
        errors: N, how probable it is that each label is wrong.
    """
    order = np.argsort(-errors, kind="stable")
    summed = np.cumsum(errors[order])
    expected = 2 * summed / (np.arange(1, len(order) + 1) + max(summed[-1], 1e-12))
    flagged = np.zeros(len(order), bool)
    flagged[order[: int(expected.argmax()) + 1]] = True
    return flagged & (errors > LEAST_LIKELY)


def agreement(
    vectors: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    proposals: np.ndarray,
    *,
    count: int = NEIGHBOURS,
    stop: Stop = lambda: False,
) -> tuple[Ints, Ints, Ints]:
    """How the nearest neighbours are labelled, by cosine, exactly: a k-nearest-neighbour vote as in D. Wilson,
    "Asymptotic Properties of Nearest Neighbor Rules Using Edited Data", IEEE SMC 1972.

    Args:
        vectors: N x D.
        labels: int, N; -1 for none, which are nobody's neighbours.
        rows: whose neighbours are counted.
        proposals: int, a class for each of the rows.
        count: of neighbours.
        stop: asked between two blocks.

    Returns:
        For each of the rows how many have its own label, how many the proposed one, and how many there are.

    Raises:
        Stopped: `stop` said so.
    """
    among = np.flatnonzero((labels >= 0) & _finite(vectors, []))
    near, _ = neighbours(vectors, among, rows, count, stop=stop)
    theirs = np.where(near >= 0, labels[near], -1)
    there = (near >= 0).sum(axis=1)
    mine = (theirs == labels[rows][:, None]) & (theirs >= 0)
    return mine.sum(axis=1), (theirs == proposals[:, None]).sum(axis=1), there


def _checked(
    vectors: np.ndarray | None,
    labels: np.ndarray,
    classes: Sequence[str],
    probabilities: np.ndarray | None,
    more_labels: np.ndarray | None,
) -> tuple[Ints, Ints | None]:
    """Labels and further ones as integers.

    Raises:
        ModelError: something does not fit.
    """
    given = np.asarray(labels)
    if given.ndim != 1 or not (np.issubdtype(given.dtype, np.integer) or not len(given)):
        raise ModelError(
            f"Labels are numbers of classes, one a sample, and these are {given.dtype} of shape {given.shape}.",
            hint="Give int of shape N, -1 where there is none.",
            code="labels",
        )
    if vectors is None and probabilities is None:
        raise ModelError(
            "There are neither vectors nor probabilities to judge labels by.",
            hint="session.embed() makes vectors, session.predict(model) a run.",
            code="no_vectors",
        )
    wanted = {
        "vectors": (vectors, None),
        "probabilities": (probabilities, len(classes)),
        "more_labels": (more_labels, None),
    }
    for name, (array, width) in wanted.items():
        if array is None:
            continue
        shape = np.shape(array)
        if len(shape) != 2 or shape[0] != len(given) or (width is not None and shape[1] != width):
            raise ModelError(
                f"The {name} have the shape {shape}, and there are {len(given):,} labels and {len(classes):,} classes.",
                hint=f"Give {name} of shape {len(given)} x {width or 'any'}.",
                code="shape",
            )
    columns = None if more_labels is None else np.asarray(more_labels, np.int64)
    for name, some in (("labels", given), ("more_labels", columns)):
        if some is not None and some.size and (int(some.max()) >= len(classes) or int(some.min()) < -1):
            raise ModelError(
                f"The {name} go from {some.min()} to {some.max()}, and there are {len(classes):,} classes.",
                hint=f"Give numbers from 0 to {len(classes) - 1}, and -1 where there is none.",
                code="labels",
            )
    return given.astype(np.int64), columns


def _evidence(given: Ints, columns: Ints | None) -> Ints:
    """The columns of labels that are evidence; the given one is none where it only repeats an annotator."""
    if columns is None or not (columns >= 0).any():
        return given[:, None]
    both = (given >= 0) & (columns >= 0).any(axis=1)
    derived = both.any() and np.mean((columns[both] == given[both, None]).any(axis=1)) >= DERIVED
    if derived:
        # Where nobody else has spoken it is what is known.
        alone = np.where((columns >= 0).any(axis=1), -1, given)
        return np.concatenate([columns, alone[:, None]], axis=1) if (alone >= 0).any() else columns
    return np.concatenate([given[:, None], columns], axis=1)


def _shares(evidence: Ints, classes: int) -> Floats:
    """How many of the labels are of each class, as parts of one."""
    shares = np.zeros((len(evidence), classes), np.float32)
    for column in evidence.T:
        rows = np.flatnonzero(column >= 0)
        shares[rows, column[rows]] += 1
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    return shares


def _logarithms(probabilities: np.ndarray, notes: list[str]) -> tuple[Floats, Flags]:
    """Probabilities as scores, and which rows have any."""
    values = np.array(probabilities, np.float32)
    usable = np.isfinite(values).all(axis=1) & (values >= 0).all(axis=1)
    values[~usable] = 1
    total = values.sum(axis=1, keepdims=True)
    usable &= total[:, 0] > 0
    off = usable & (np.abs(total[:, 0] - 1) > 0.01)
    if off.any():
        notes.append(f"The probabilities of {off.sum():,} samples did not add up to one; they were scaled.")
    if not usable.all():
        notes.append(f"{(~usable).sum():,} samples have no probabilities, or some that are no numbers; not judged.")
    values /= np.maximum(total, 1e-30)
    np.log(np.maximum(values, SMALLEST), out=values)
    values -= values.mean(axis=1, keepdims=True)
    return values, usable


def _finite(vectors: np.ndarray, notes: list[str]) -> Flags:
    """Which vectors are numbers throughout."""
    usable = np.empty(len(vectors), bool)
    for start in range(0, len(vectors), probes.BLOCK):
        usable[start : start + probes.BLOCK] = np.isfinite(vectors[start : start + probes.BLOCK]).all(axis=1)
    if not usable.all():
        notes.append(f"{(~usable).sum():,} samples have a vector with numbers that are not finite; not judged.")
    return usable


def _nothing(count: int, classes: int, notes: list[str]) -> LabelErrors:
    none, zeros = np.full(count, -1, np.int64), np.zeros(count, np.float32)
    no = np.zeros(count, bool)
    return LabelErrors(
        score=np.ones(count, np.float32),
        is_issue=no,
        judged=no.copy(),
        proposal=none,
        confidence=zeros,
        given=np.full(count, np.nan, np.float32),
        predicted=none.copy(),
        model=np.full(count, np.nan, np.float32),
        agreeing=none.copy(),
        proposing=none.copy(),
        compared=np.zeros(count, np.int64),
        error_rate=0.0,
        probabilities=np.full((count, classes), 1 / max(classes, 1), np.float32),
        notes=tuple(notes),
    )
