"""The notebook's hold on the process for finding."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dataide.errors import ModelError
from dataide.find.commands import Compute, Keep, unpacked
from dataide.inference import contract
from dataide.inference.process import Child

# Threads of one product wait for each other awake. Where others compute as well they wait most of the time: probes on
# 1,540 samples took 11 s with one and over three minutes with two, on two busy cores.
THREADS = 1


class Computing:
    """A process that computes over arrays; it starts at once and ends with `close`, or with this process.

    Args:
        threads: of numpy's matrix products.
    """

    def __init__(self, threads: int | None = None) -> None:
        count = threads or THREADS
        self._child = Child(contract.Start("cpu", count), blas_threads=count, module="dataide.find.worker")
        self._numbers = itertools.count(1)
        self._ended = False

    @property
    def pid(self) -> int:
        return self._child.pid

    def keep(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Sends arrays of plain numbers that calls then have by name; they need not be held here any longer."""
        entries, parts = contract.packed(arrays)
        self._child.send(Keep(entries), parts)

    def call(
        self,
        function: str,
        arguments: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        say: Callable[[str], None] | None = None,
    ) -> tuple[contract.Arrays, dict[str, Any]]:
        """One of the functions of `find.tasks`: the arrays that it gives, and what else it says.

        Args:
            function: its name, or "module:name" of a function of another room.
            arguments: plain values.
            arrays: for this call, beside the kept ones.
            say: hears now and then what is being done.

        Raises:
            ModelError: it cannot be computed, or the process has ended: with the code "cancelled" after `end`.
        """
        number = next(self._numbers)
        entries, parts = contract.packed(arrays or {})
        self._child.send(Compute(number, function, dict(arguments or {}), entries), parts)
        while (frame := self._child.receive()) is not None:
            message, body = frame
            if isinstance(message, contract.Note) and message.request == number:
                if say is not None:
                    say(message.sentence)
            elif isinstance(message, contract.Failed) and message.request == number:
                raise ModelError(message.message, hint=message.hint, code=message.code)
            elif isinstance(message, contract.Outcome) and message.request == number:
                return unpacked(message.arrays, body), message.details
        if self._ended:
            raise ModelError("The search was stopped; nothing has changed.", code="cancelled")
        raise self._child.obituary(function)

    def end(self) -> None:
        """Ends the process, whatever it does: a call that waits on another thread raises `cancelled`."""
        self._ended = True
        self._child.end()

    def close(self) -> None:
        """Ends the process and frees what was held for it; not while another thread is in `call`."""
        self._ended = True
        self._child.close()

    def __enter__(self) -> Computing:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()
