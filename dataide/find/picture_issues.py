"""Faults of pictures that their attributes give away: dark, bright, blurred, empty, odd in size or shape, grey, broken.

Nothing here looks at pixels: the columns are those of `attributes.describe` (`view.enrich("quality")`).

A picture is flagged when two things hold. It is beyond an absolute bound, from which on people see a fault; and it is
unlike its own set: more than `DEVIATIONS` robust deviations from the median on that side (median and the spread of that
half of the set, a modified z-score as in B. Iglewicz and D. Hoaglin, "How to Detect and Handle Outliers", 1993; one
spread for each side as in E. Schwertman et al., "A simple more general boxplot method for identifying outliers",
Computational Statistics & Data Analysis 47(1), 2004). So in a set of night scenes, X-rays or digits on black, where
everything is dark, nothing is flagged as dark. Some bounds are so far out that they hold by themselves: an evenly black
picture is one in any set that is not made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import DataideError

Float = NDArray[np.float32]
Numbers = NDArray[np.float64]

KINDS = ("dark", "bright", "blurred", "low_information", "odd_size", "odd_aspect", "grey", "truncated")
DEVIATIONS = 2.5
# What more than this share of a set has is how the set is, not a fault.
USUAL_SHARE = 0.05
# Codes of errors of pictures whose file is damaged, rather than of a kind that is not read here.
BROKEN = frozenset({"truncated", "unreadable", "empty", "not_an_image"})
_FEWEST = 8


@dataclass(frozen=True)
class PictureIssues:
    """What was found of one kind among N pictures.

    Attributes:
        score: float32, N, 0..1: low is severe, below 0.5 is an issue; 1 where nothing is known.
        is_issue: bool, N.
        reasons: by row, one sentence; only of issues.
    """

    score: Float
    is_issue: NDArray[np.bool_]
    reasons: dict[int, str]


def find_picture_issues(
    columns: Mapping[str, NDArray[Any]], *, errors: Sequence[str | None] | None = None
) -> dict[str, PictureIssues]:
    """Issues by kind (`KINDS`), of those kinds whose columns are there.

    Args:
        columns: of `attributes.SCHEMA`, N each; NaN (or a masked value) where a picture was not read. Used are
            brightness, contrast, entropy, sharpness, width, height and is_grey.
        errors: N codes of `PictureError`, None for pictures that could be read. A broken file is `truncated`.

    Raises:
        DataideError: columns differ in length; code "wrong_shape".
    """
    values = {name: _numbers(column) for name, column in columns.items() if name in _USED}
    lengths = {len(column) for column in values.values()} | ({len(errors)} if errors is not None else set())
    if len(lengths) > 1:
        raise DataideError(
            f"Columns of attributes have different lengths: {', '.join(map(str, sorted(lengths)))}.",
            hint="Give one number a picture in each of them.",
            code="wrong_shape",
        )
    found: dict[str, PictureIssues] = {}
    if "brightness" in values:
        found |= _light(values)
    if "sharpness" in values:
        found["blurred"] = _blurred(values)
    if "entropy" in values or "contrast" in values:
        found["low_information"] = _empty(values)
    if "width" in values and "height" in values:
        found |= _shape(values)
    if "is_grey" in values:
        found["grey"] = _grey(values)
    if errors is not None:
        broken = np.array([code in BROKEN for code in errors], bool)
        texts = {
            row: f"The file is damaged: {str(code).replace('_', ' ')}."
            for row, code in enumerate(errors)
            if code in BROKEN
        }
        found["truncated"] = PictureIssues(np.where(broken, 0, 1).astype(np.float32), broken, texts)
    return found


_USED = ("brightness", "contrast", "entropy", "sharpness", "width", "height", "is_grey")


def _light(values: dict[str, Numbers]) -> dict[str, PictureIssues]:
    brightness = values["brightness"]
    # How much darker the eye finds it grows with the logarithm; each side is measured from its own end.
    dark = _judged(-np.log(brightness + 0.02), -np.log(0.2 + 0.02), -np.log(0.03 + 0.02))
    bright = _judged(-np.log(1.02 - brightness), -np.log(1.02 - 0.8), -np.log(1.02 - 0.97))
    middle = _median(brightness)

    def text(row: int) -> str:
        return f"Mean brightness {100 * brightness[row]:.0f} % (usual here: {100 * middle:.0f} %)."

    return {"dark": _issues(dark, text), "bright": _issues(bright, text)}


def _blurred(values: dict[str, Numbers]) -> PictureIssues:
    sharpness = values["sharpness"]
    # A picture of little contrast has little sharpness too; what blurring lowers is sharpness at the same contrast.
    detail = sharpness
    if "contrast" in values:
        detail = sharpness / np.maximum(values["contrast"], 0.02) ** 2
    middle = _median(detail)
    score = _judged(-np.log(detail + 1e-6), -np.log(0.12), np.inf)

    def text(row: int) -> str:
        times = middle / max(float(detail[row]), 1e-6)
        return f"It has {times:.0f} times less fine detail than is usual here."

    return _issues(score, text)


def _empty(values: dict[str, Numbers]) -> PictureIssues:
    scores = []
    if "entropy" in values:
        scores.append(_judged(-values["entropy"], -4.5, -1.0, rare=True))
    if "contrast" in values:
        scores.append(_judged(-np.log(values["contrast"] + 0.002), -np.log(0.04), -np.log(0.008 + 0.002)))
    score = np.min(scores, axis=0)
    entropy, contrast = (values.get(name) for name in ("entropy", "contrast"))

    def text(row: int) -> str:
        said = [f"{entropy[row]:.1f} bits of 8"] if entropy is not None else []
        said += [f"contrast {100 * contrast[row]:.1f} %"] if contrast is not None else []
        return f"Next to nothing to see: {', '.join(said)}."

    return _issues(score, text)


def _shape(values: dict[str, Numbers]) -> dict[str, PictureIssues]:
    width, height = values["width"], values["height"]
    side = np.log2(np.sqrt(np.maximum(width * height, 1e-9)))
    aspect = np.log2(np.maximum(width, 1e-9) / np.maximum(height, 1e-9))
    sides, aspects = _median(side), _median(aspect)
    # At least a third or three times the usual side; upright and lying pictures are both usual.
    size = _judged(np.abs(side - sides), np.log2(3), np.inf)
    odd = _judged(np.abs(aspect), np.abs(aspects) + 1, np.inf)

    def size_text(row: int) -> str:
        return f"{width[row]:.0f} x {height[row]:.0f} px (usual here: {2**sides:.0f} px a side)."

    def aspect_text(row: int) -> str:
        return f"{width[row]:.0f} x {height[row]:.0f} px is an unusual shape here."

    return {"odd_size": _issues(size, size_text), "odd_aspect": _issues(odd, aspect_text)}


def _grey(values: dict[str, Numbers]) -> PictureIssues:
    grey = values["is_grey"]
    known = np.isfinite(grey)
    share = float((grey[known] > 0).mean()) if known.any() else 0.0
    odd = known & (grey > 0) & (share <= USUAL_SHARE) & (known.sum() >= _FEWEST)
    # There is no more or less about it: the rarer, the more severe.
    score = np.where(odd, 0.2 + 0.3 * share / USUAL_SHARE * 0.99, 1.0)
    return _issues(score, lambda row: f"Grey, while {100 * (1 - share):.1f} % of the pictures here have colours.")


def _judged(values: Numbers, seen: float, always: float, *, rare: bool = False) -> Numbers:
    """Scores of values where high is bad: below 0.5 beyond `seen` and unlike the set, or beyond `always` and rare.

    Args:
        values: N; NaN is not known.
        seen: people see a fault from here on.
        always: a fault by itself, unless more than `USUAL_SHARE` of the set is like that.
        rare: being rare is enough to be unlike the set, for numbers that have no tail.
    """
    known = np.isfinite(values)
    score = np.ones(len(values))
    if not known.any():
        return score
    middle, high = np.quantile(values[known], [0.5, 0.75])
    spread = max((high - middle) / 0.6745, 1e-3)
    deviations = (np.where(known, values, middle) - middle) / spread
    # Where half of the set is beyond what people call a fault, that is how it is: twice as unlike, then.
    needed = DEVIATIONS * (2 if middle > seen else 1)
    unlike = deviations / needed if known.sum() >= _FEWEST else np.zeros(len(values))
    if rare and float((values[known] > seen).mean()) <= USUAL_SHARE:
        unlike = np.maximum(unlike, 1 + 1e-3)
    scale = max(abs(seen - middle), spread, 1e-3)
    beyond = 1 + (np.where(known, values, middle) - seen) / scale
    # The weaker of both decides; 1 is the threshold.
    strength = np.minimum(unlike, beyond)
    by_itself = known & (values > always)
    if float(by_itself.sum()) <= max(USUAL_SHARE * known.sum(), 1):
        strength[by_itself] = np.maximum(strength[by_itself], 4)
    score[known] = 1 / (1 + np.maximum(strength[known], 0) ** 2)
    return score


def _issues(score: Numbers, text: Any) -> PictureIssues:
    narrow = score.astype(np.float32)
    flagged = narrow < 0.5
    return PictureIssues(narrow, flagged, {int(row): text(int(row)) for row in np.flatnonzero(flagged)})


def _median(values: Numbers) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def _numbers(column: Any) -> Numbers:
    values = np.array(column, np.float64)
    if isinstance(column, np.ma.MaskedArray):
        values[np.ma.getmaskarray(column)] = np.nan
    return values
