"""Whether anybody still waits for the answer that is being made on this thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_given_up: ContextVar[Callable[[], bool] | None] = ContextVar("given_up", default=None)


@contextmanager
def answering(given_up: Callable[[], bool]) -> Iterator[None]:
    """While an answer is made here, `given_up` says whether its request was cancelled meanwhile."""
    token = _given_up.set(given_up)
    try:
        yield
    finally:
        _given_up.reset(token)


def is_given_up() -> bool:
    """Whether the request that this thread answers was cancelled; long answers ask now and then, and end early."""
    given_up = _given_up.get()
    return given_up is not None and given_up()
