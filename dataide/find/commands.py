"""What a session and its process for finding say to each other, beside what every child hears and says.

Frames are those of `inference.contract`: plain arrays go over, and plain arrays come back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dataide.inference import contract


@dataclass(frozen=True)
class Keep(contract.Message):
    """To the child: arrays that further requests name; the body is all of them back to back, as `arrays` says."""

    KIND = "keep"
    arrays: list[dict[str, Any]]


@dataclass(frozen=True)
class Compute(contract.Message):
    """To the child: one of its functions over the kept arrays and those in the body. `Outcome` or `Failed` answers."""

    KIND = "compute"
    request: int
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    arrays: list[dict[str, Any]] = field(default_factory=list)


contract.KINDS.update({kind.KIND: kind for kind in (Keep, Compute)})


def unpacked(entries: list[dict[str, Any]], body: bytearray) -> contract.Arrays:
    """The arrays of a message, over its body without a copy."""
    return contract.unpacked(contract.Outcome(0, 0, entries, []), body)
