"""Makes the map of the digits that `di.demo("digits")` shows: umap-learn on their `"auto"` vectors, about 20 seconds.

`python -m benchmarks.demo_map` writes dataide/demo_digits_map.npy anew. Needed when the descriptor's revision changes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import dataide as di
from dataide.storage import points


def main() -> None:
    """Builds the demonstration with a map of its own and keeps the places as float16, 1,797 x 2."""
    from dataide.demo import COUNT, MAP

    with tempfile.TemporaryDirectory() as folder:
        session = di.demo("digits", path=Path(folder) / "digits.duckdb", projection="umap")
        _, places = points.placed(session.context.database, "auto/umap")
        session.close()
    assert places.shape == (COUNT, 2)
    np.save(MAP, places.astype(np.float16), allow_pickle=False)
    print(f"{MAP.name}: {len(places):,} places, {MAP.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
