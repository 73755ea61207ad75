"""The recipe inside the inference process: pictures are gathered as for a learned embedding, then commands train.

The first command says the labels, the settings and perhaps a checkpoint; each answer tells how far it is, and gives
the array "checkpoint" after each pass and "state" at the end.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from dataide.inference.models.examples import examples
from dataide.inference.models.learned import Learning


class Recipe(Learning):
    """Gathers pictures and trains a classifier on them by recipe.py. Options: side_px of the canvases."""

    def _learn(self, command: dict[str, Any]) -> Iterator[dict[str, Any]]:
        from dataide.inference.models import recipe

        began = time.process_time()
        given = examples(
            self._gathered(),
            np.asarray(command["labels"], np.int64),
            command["classes"],
            weights=command["weights"],
            held_out=np.asarray(command["held_out"], np.int64),
            seed=command["seed"],
        )
        yield {"doing": "looking at the pictures"}
        chosen = recipe.choose(given, effort=command["effort"], passes=command["passes"], seed=command["seed"])
        run = recipe.Run(given, chosen, seed=command["seed"], device=self.device)
        if command.get("checkpoint"):
            run.resume(base64.b64decode(command["checkpoint"]))
        yield from recipe.told_of(run)
        trained = run.trained(time.process_time() - began)
        yield {
            "state": trained.state,
            "curves": run.curves,
            "chosen": trained.chosen,
            "accuracy": trained.accuracy,
            "held_out": len(trained.held_out),
            "trained_on": trained.trained_on,
        }
