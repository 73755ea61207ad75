"""The state of a model that was trained here: an .npz archive of plain arrays with a JSON text called "config".

Nothing in it is ever unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import numpy as np

from dataide.errors import ModelError
from dataide.inference.models.base import last_words

FORMAT = 1


def packed(config: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """The state of a model; the same for the same arrays."""
    out = io.BytesIO()
    np.savez(out, config=np.array(json.dumps(config, sort_keys=True)), **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def unpacked(state: bytes, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Configuration and arrays.

    Raises:
        ModelError: it is no such state, or of a later version.
    """
    try:
        with np.load(io.BytesIO(state), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        config: dict[str, Any] = json.loads(str(arrays.pop("config")))
        if config["format"] == FORMAT:
            return config, arrays
        reason = f"it has the format {config['format']}"
    except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
        reason = last_words(error)
    raise ModelError(
        f"What is kept of {name!r} cannot be read: {reason}.",
        hint="Train it anew: learn_embedding(…). A file of a newer dataide needs that version.",
        code="weights",
    )


def revision_of(state: bytes) -> str:
    """The revision of a model: another one when its weights are."""
    return f"learned/{hashlib.blake2b(state, digest_size=6).hexdigest()}"
