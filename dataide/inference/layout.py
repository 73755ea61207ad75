"""UMAP in an inference process of its own: vectors come in once, places go out."""

from __future__ import annotations

import os
import threading
from typing import BinaryIO

import numpy as np

from dataide.errors import DataideError, ModelError
from dataide.inference import contract


def serve(layout: contract.Layout, body: bytearray, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answers one layout; ends at once when the other side closes."""
    threading.Thread(target=_end_with, args=(incoming,), name="receive", daemon=True).start()
    try:
        places = _places(layout, body, outgoing)
    except DataideError as error:
        contract.write(outgoing, contract.Failed(0, error.code, error.message, error.hint))
    else:
        contract.write(outgoing, contract.Places(len(places)), places.tobytes())
    threading.Event().wait()  # until the other side has read it, and closes


def _places(layout: contract.Layout, body: bytearray, outgoing: BinaryIO) -> np.ndarray:
    contract.write(outgoing, contract.Note(0, "umap", "loading umap, which compiles itself when it is first used"))
    try:
        import umap
    except Exception as error:
        raise ModelError(
            f"umap-learn cannot be loaded: {type(error).__name__}: {error}",
            hint="pip install 'dataide[ml]', or use method='pca'.",
            code="missing_extra",
        ) from None
    vectors = np.frombuffer(body, np.float32).reshape(layout.count, layout.dimension)
    contract.write(outgoing, contract.Note(0, "umap", f"laying out {layout.count:,} samples"))
    reducer = umap.UMAP(
        n_neighbors=min(layout.neighbours, layout.count - 1),
        min_dist=layout.minimum_distance,
        metric="cosine",
        random_state=layout.seed,
        n_jobs=1,  # umap-learn gives the same map twice only on one thread
        init="spectral" if layout.count > 50 else "random",
    )
    try:
        return np.ascontiguousarray(reducer.fit_transform(vectors), np.float32)
    except Exception as error:
        raise ModelError(f"UMAP failed: {type(error).__name__}: {error}", hint="Use method='pca'.") from None


def _end_with(incoming: BinaryIO) -> None:
    contract.read(incoming)
    os._exit(0)
