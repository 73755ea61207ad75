"""When the inference process decodes: beside what is computed, or in turn with what takes all cores."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from dataide.inference import contract
from dataide.inference.models.outputs import Computed
from dataide.inference.worker import Server

BATCHES = 6


class Watched:
    """A model that notes what goes on at once."""

    revision, dimension = "1", 1

    def __init__(self, takes_all_cores: bool) -> None:
        self.takes_all_cores = takes_all_cores
        self.details: dict[str, Any] = {}
        self.beside: list[bytes] = []  # what was decoded while a batch was computed
        self.computed: list[bytes] = []
        self.computing = threading.Event()
        self.go_on = threading.Semaphore(0)
        self.done = threading.Semaphore(0)

    def prepare(self, data: Sequence[bytes]) -> tuple[bytes, list[contract.Problem]]:
        if self.computing.is_set():
            self.beside.append(data[0])
            self.go_on.release()
        return data[0], []

    def compute(self, prepared: bytes) -> Computed:
        self.computing.set()
        if prepared != b"last":
            self.go_on.acquire(timeout=0.2)  # so long it is seen whether something is decoded meanwhile
        self.computing.clear()
        self.computed.append(prepared)
        self.done.release()
        return Computed({"vectors": np.ones((1, 1), np.float32)})


def watched(takes_all_cores: bool, lane: contract.Lane) -> Watched:
    model = Watched(takes_all_cores)
    server = Server(io.BytesIO(), "cpu", threads=1)  # one that decodes, and one for queries alone
    server._models["m"] = model
    threading.Thread(target=server.compute_for_ever, daemon=True).start()
    for number in range(BATCHES):
        data = b"last" if number == BATCHES - 1 else b"%d" % number
        server.take(contract.Pictures(1, "m", "bulk", number, [len(data)]), bytearray(data))
        if number == 0:
            assert model.computing.wait(10)
            server.take(contract.Pictures(2, "m", lane, 0, [5]), bytearray(b"query"))
    for _ in range(BATCHES + 1):
        assert model.done.acquire(timeout=10)
    assert [one for one in model.computed if one != b"query"] == [*(b"%d" % n for n in range(BATCHES - 1)), b"last"]
    return model


def test_decoding_goes_on_beside_a_model_that_leaves_it_a_core():
    assert b"1" in watched(False, "bulk").beside


@pytest.mark.parametrize("lane", ["bulk", "interactive"])
def test_beside_a_model_that_takes_all_cores_only_queries_are_decoded(lane: contract.Lane):
    assert watched(True, lane).beside == ([b"query"] if lane == "interactive" else [])
