"""Sessions to try things out on, made of real data, offline."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import DataideError, MissingExtra, SessionError

if TYPE_CHECKING:
    from dataide.api import Session
    from dataide.storage.database import Database

KNOWN = {"digits": "scikit-learn's 1,797 handwritten digits"}
SIDE_PX = 64
COUNT = 1797
MAP = Path(__file__).with_name("demo_digits_map.npy")
# The vectors that the map in MAP was laid out from.
MAP_REVISION = "auto/1"


def demo(name: str = "digits", path: str | os.PathLike[str] | None = None, *, projection: str | None = None) -> Session:
    """Opens a session of real pictures, and builds it first where it is not there yet: a few seconds, offline.

    `"digits"`: 1,797 handwritten digits of 43 people (E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten
    Digits, UCI 1998), as they come with scikit-learn. The originals have 8 x 8 pixels of 17 greys; they are kept
    enlarged to 64 x 64 by bicubic interpolation, which people read more easily than 64 squares. Each fifth is in the
    split `test`, the others in `train`. They are embedded with `"auto"` and have two maps: `auto/pca`, computed here,
    and `auto/umap`, which was computed beforehand from the same vectors (benchmarks/demo_map.py), because umap-learn
    takes some 20 seconds to compile itself.

    Args:
        name: `"digits"`.
        path: of the session file; by default `digits.duckdb` in the current folder. A finished one is opened as it is,
            with all that was decided in it; one that was interrupted is completed.
        projection: `"umap"` computes that map here and now instead of taking the one made beforehand; `"pca"` leaves
            it at PCA.

    Raises:
        DataideError: there is no demonstration of this name.
        MissingExtra: scikit-learn is not installed.
        SessionError: the file is a session of something else.
    """
    from dataide import api

    if name not in KNOWN:
        raise DataideError(f"There is no demonstration {name!r}.", hint=f"There is: {_listed()}.", code="unknown_demo")
    if projection not in (None, "umap", "pca"):
        raise DataideError(f"There is no map {projection!r} for it.", hint="projection='umap', 'pca', or leave it out.")
    session = api.open(path if path is not None else f"{name}.duckdb")
    _fill(session, projection)
    return session


def _fill(session: Session, projection: str | None) -> None:
    database = session.context.database
    if database.read_only:
        return
    ids = [f"digit-{index:04d}" for index in range(COUNT)]
    there = _known(database, ids[0], ids[-1])
    if database.sample_count and not there[0]:
        raise SessionError(
            f"{database.path.name} is a session of other pictures.",
            hint="Give the demonstration a file of its own: di.demo('digits', path='my_digits.duckdb')",
        )
    if not there[1]:
        pictures, labels = _digits()
        split = ["test" if index % 5 == 4 else "train" for index in range(COUNT)]
        session.add_arrays(pictures, label=labels, split=split, sample_id=ids, on_conflict="skip", progress=False)
    maps = session.projections
    if "auto" not in session.embeddings or "auto/pca" not in maps:
        session.embed("auto", progress=False)
        session.project("pca", progress=False)
    if projection == "umap":
        if "auto/umap" not in maps or _beforehand(database):
            session.project("umap", refit=True)
    elif projection is None and "auto/umap" not in maps:
        _take_map(database, ids)


def _known(database: Database, *ids: str) -> list[bool]:
    from dataide.storage.query import nos_of

    return [not nos_of(database, [one])[1] for one in ids]


def _take_map(database: Database, ids: list[str]) -> None:
    """Puts the samples on the map that was computed beforehand; a changed descriptor has no such map."""
    from dataide.storage import points, vectors
    from dataide.storage.query import nos_of

    embedding = vectors.embedding(database, "auto")
    if embedding is None or embedding.revision != MAP_REVISION:
        return
    places = np.load(MAP, allow_pickle=False).astype(np.float32)
    nos, _ = nos_of(database, ids)
    parameters: dict[str, Any] = {
        "n_neighbors": 15, "min_dist": 0.1, "random_state": 42, "metric": "cosine", "computed": "beforehand"
    }  # fmt: skip
    with database.write() as cursor:
        number = points.replace(cursor, "auto/umap", embedding.number, "umap", parameters, None)
        points.store(cursor, number, nos, places)


def _beforehand(database: Database) -> bool:
    from dataide.storage import points

    known = points.projection(database, "auto/umap")
    return known is not None and known.parameters.get("computed") == "beforehand"


def _digits() -> tuple[np.ndarray, list[str]]:
    """The pictures, uint8 N x 64 x 64, and their labels."""
    from PIL import Image

    small, labels = _originals()
    side = (SIDE_PX, SIDE_PX)
    large = [np.asarray(Image.fromarray(picture).resize(side, Image.Resampling.BICUBIC)) for picture in small]
    return np.stack(large), [str(label) for label in labels]


def _originals() -> tuple[np.ndarray, np.ndarray]:
    """The digits as scikit-learn has them, 8 x 8, their 17 greys spread over uint8."""
    found = find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra(
            "The demonstration 'digits' takes its pictures from scikit-learn, which is not installed.",
            hint="pip install scikit-learn",
        )
    # Read as a file: importing scikit-learn would take longer than all the rest.
    table = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    if table.is_file():
        values = np.loadtxt(table, delimiter=",", dtype=np.int64)
        greys, labels = values[:, :-1].reshape(-1, 8, 8), values[:, -1]
    else:
        from sklearn.datasets import load_digits

        digits = load_digits()
        greys, labels = digits.images, digits.target
    return np.rint(greys * (255 / 16)).astype(np.uint8), labels


def _listed() -> str:
    return ", ".join(f"{name!r} ({what})" for name, what in KNOWN.items())
