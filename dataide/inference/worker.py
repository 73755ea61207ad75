"""The inference process. It knows nothing of the session: pictures come in, vectors go out."""

from __future__ import annotations

import itertools
import os
import queue
import sys
import threading
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np

from dataide.errors import DataideError, ModelError
from dataide.inference import contract, models


def main() -> None:
    """Serves the kernel over standard input and output until the input ends."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What libraries and the user's functions print must not stand between the frames.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        _serve(incoming, outgoing)
    except BrokenPipeError:
        pass
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # other threads may be in the middle of a batch nobody waits for


def _serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    first = contract.read(incoming)
    if first is None:
        return
    load, body = first
    assert isinstance(load, contract.Load)
    try:
        if load.model == "umap":
            _serve_layouts(incoming, outgoing, load)
        else:
            model = models.load(load, bytes(body), lambda sentence: contract.write(outgoing, contract.Note(sentence)))
            contract.write(outgoing, contract.Ready(model.revision, model.dimension))
            _serve_pictures(incoming, outgoing, model, load.threads)
    except DataideError as error:
        contract.write(outgoing, contract.Failed(error.code, error.message, error.hint))
        contract.read(incoming)  # the kernel closes when it has read this


def _serve_pictures(incoming: BinaryIO, outgoing: BinaryIO, model: models.Model, threads: int) -> None:
    waiting: queue.Queue[tuple[contract.Pictures, Future[tuple[Any, list[models.Problem]]]]] = queue.Queue(threads + 1)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def receive() -> None:
        while (frame := contract.read(incoming)) is not None:
            message, body = frame
            assert isinstance(message, contract.Pictures)
            waiting.put((message, pool.submit(model.prepare, _cut(body, message.sizes))))
        os._exit(0)  # the kernel has closed or is gone

    threading.Thread(target=receive, name="receive", daemon=True).start()
    while True:
        message, future = waiting.get()
        prepared, problems = future.result()
        vectors = np.ascontiguousarray(model.compute(prepared), np.float32)
        answer = contract.Vectors(message.batch, model.dimension, problems)
        contract.write(outgoing, answer, vectors.tobytes())


def _cut(body: bytearray, sizes: list[int]) -> list[bytes]:
    ends = np.cumsum([0, *sizes]).tolist()
    view = memoryview(body)
    return [bytes(view[start:end]) for start, end in itertools.pairwise(ends)]


def _serve_layouts(incoming: BinaryIO, outgoing: BinaryIO, load: contract.Load) -> None:
    frame = contract.read(incoming)
    if frame is None:
        return
    layout, body = frame
    assert isinstance(layout, contract.Layout)
    threading.Thread(target=_end_with, args=(incoming,), name="receive", daemon=True).start()
    contract.write(outgoing, contract.Note("loading umap, which compiles itself when it is first used"))
    try:
        import umap
    except Exception as error:
        raise ModelError(
            f"umap-learn cannot be loaded: {type(error).__name__}: {error}",
            hint="pip install 'dataide[ml]', or use method='pca'.",
            code="missing_extra",
        ) from None
    vectors = np.frombuffer(body, np.float32).reshape(layout.count, layout.dimension)
    contract.write(outgoing, contract.Note(f"laying out {layout.count:,} samples"))
    reducer = umap.UMAP(
        n_neighbors=min(layout.neighbours, layout.count - 1),
        min_dist=layout.minimum_distance,
        metric="cosine",
        random_state=layout.seed,
        n_jobs=1,  # umap-learn gives the same map twice only on one thread
        init="spectral" if layout.count > 50 else "random",
    )
    try:
        places = np.ascontiguousarray(reducer.fit_transform(vectors), np.float32)
    except Exception as error:
        raise ModelError(f"UMAP failed: {type(error).__name__}: {error}", hint="Use method='pca'.") from None
    contract.write(outgoing, contract.Places(len(places)), places.tobytes())
    contract.read(incoming)


def _end_with(incoming: BinaryIO) -> None:
    contract.read(incoming)
    os._exit(0)


if __name__ == "__main__":
    main()
