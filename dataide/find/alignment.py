"""How well the edges of two small pictures agree, once one is shifted and stretched to fit the other.

A copy that was cropped by a few percent differs everywhere from its original when both are small: each edge is half a
pixel off. So one is laid over the other first, by Gauss and Newton's steps on shift and scale, down and across
(B. Lucas and T. Kanade, "An Iterative Image Registration Technique with an Application to Stereo Vision", IJCAI 1981,
with gain and offset as in S. Baker and I. Matthews, "Lucas-Kanade 20 Years On", IJCV 56(3), 2004, part 3). Then their
gradients are correlated (V. Argyriou and T. Vlachos, "Using Gradient Correlation for Sub-Pixel Motion Estimation", BMVC
2003): light and dark alone agree for any two objects before an even background. Brightness and contrast are free;
colours do not count.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dataide.find.pairs import Stopped, never

Float = NDArray[np.float32]

_TOGETHER = 256
_STEPS = 3
# The farthest that one is laid over the other: an eighth of a side, which is a crop of 12 % at each border.
_FARTHEST = 1 / 8
# Pictures whose luma varies by less than this (standard deviation, in levels) have nothing to compare.
_EVEN_LEVELS = 2.0
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def luma(pictures: NDArray[np.uint8]) -> Float:
    """uint8 N x S x S, or N x S x S x 3, to float32 N x S x S in levels."""
    if pictures.ndim == 4:
        result: Float = pictures.astype(np.float32) @ _LUMA
        return result
    return pictures.astype(np.float32)


def agreement(
    pictures: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    mirrored: NDArray[np.bool_],
    *,
    stop: Callable[[], bool] = never,
) -> Float:
    """The correlation of the gradients of pairs laid over each other, the better of both ways: float32 P, 0..1.

    Args:
        pictures: uint8 N x S x S (grey) or N x S x S x 3, S from 8 (32 finds slightly cropped copies).
        first: P rows of `pictures`.
        second: P rows, their partners.
        mirrored: P, whether the second is seen in the mirror.
        stop: asked now and then; when it says yes, `Stopped` is raised.
    """
    result = np.zeros(len(first), np.float32)
    for start in range(0, len(first), _TOGETHER):
        if stop():
            raise Stopped
        part = slice(start, start + _TOGETHER)
        one, other = luma(pictures[first[part]]), luma(pictures[second[part]])
        turned = mirrored[part]
        other[turned] = other[turned][:, :, ::-1]
        result[part] = np.maximum(_agreeing(one, other), _agreeing(other, one))
    return result


def _agreeing(one: Float, other: Float) -> Float:
    count, side = one.shape[:2]
    across = np.linspace(-1, 1, side, dtype=np.float32)
    wanted = other.reshape(count, -1)
    wanted = wanted - wanted.mean(axis=1, keepdims=True)
    told = (wanted * wanted).sum(axis=1) > _EVEN_LEVELS**2 * side * side
    slopes = _columns(other, across)[:, 1:3].reshape(count, -1)
    steepness = np.sqrt((slopes * slopes).sum(axis=1))
    places = np.zeros((count, 4), np.float32)  # shift across and down, stretch across and down, in pixels
    best = np.zeros(count, np.float32)
    laid = one
    for step in range(_STEPS):
        if step:
            laid = _laid(one, places, across)
        columns = _columns(laid, across)
        mine = columns[:, 1:3].reshape(count, -1)
        both = np.sqrt((mine * mine).sum(axis=1)) * steepness
        agree = (mine * slopes).sum(axis=1) / np.maximum(both, 1e-6)
        best = np.maximum(best, np.where(told & (both > 1), agree, 0))
        if step == _STEPS - 1:
            break
        gram = (columns @ columns.transpose(0, 2, 1)).astype(np.float64)
        right = (columns @ wanted[:, :, None]).astype(np.float64)
        # Moves that the picture says nothing about stay small.
        gram[:, range(1, 5), range(1, 5)] += 1e-3 * gram[:, :1, 0] + 1e-3
        gram[:, 0, 0] += 1e-6
        fit = np.linalg.solve(gram, right)[:, :, 0]
        moved = (fit[:, 1:] / np.maximum(fit[:, :1], 0.2)).clip(-2, 2)
        farthest = side * _FARTHEST
        places = (places + moved).clip(-farthest, farthest).astype(np.float32)
    result: Float = best.clip(0, 1).astype(np.float32)
    return result


def _columns(laid: Float, across: Float) -> Float:
    """The picture, and how it changes with a shift and a stretch across and down, less their means: P x 5 x S²."""
    count, side = laid.shape[:2]
    columns = np.empty((count, 5, side, side), np.float32)
    columns[:, 0] = laid
    slope = columns[:, 1]
    slope[:, :, 1:-1] = (laid[:, :, 2:] - laid[:, :, :-2]) * np.float32(0.5)
    slope[:, :, 0], slope[:, :, -1] = laid[:, :, 1] - laid[:, :, 0], laid[:, :, -1] - laid[:, :, -2]
    slope = columns[:, 2]
    slope[:, 1:-1] = (laid[:, 2:] - laid[:, :-2]) * np.float32(0.5)
    slope[:, 0], slope[:, -1] = laid[:, 1] - laid[:, 0], laid[:, -1] - laid[:, -2]
    np.multiply(columns[:, 1], across[None, None, :], out=columns[:, 3])
    np.multiply(columns[:, 2], across[None, :, None], out=columns[:, 4])
    flat: Float = columns.reshape(count, 5, -1)
    flat -= flat.mean(axis=2, keepdims=True)
    return flat


def _laid(one: Float, places: Float, across: Float) -> Float:
    """Each picture moved: two products with matrices of linear interpolation, far quicker than to gather pixels."""
    side = one.shape[1]
    pixels = np.arange(side, dtype=np.float32)

    def weights(shift: Float, stretch: Float) -> Float:
        at = (pixels + shift[:, None] + stretch[:, None] * across).clip(0, side - 1)
        result: Float = np.maximum(0, 1 - np.abs(at[:, :, None] - pixels)).astype(np.float32)
        return result

    down, over = weights(places[:, 1], places[:, 3]), weights(places[:, 0], places[:, 2])
    moved: Float = (down @ one @ over.transpose(0, 2, 1)).astype(np.float32)
    return moved
