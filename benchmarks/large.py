"""Large made-up sessions: a map in clusters and twelve columns, with or without real pictures.

    python -m benchmarks.large PATH COUNT [--pictures]

The same count gives the same session. Ten classes lie in one to three clusters each; the last of them has 30 members
only, however many samples there are. A million samples take some seconds; with pictures they go through `add_parquet`,
which decodes every one of them, and that takes minutes: `cached()` makes such a session once.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Database

VERSION = 2  # of what is made: with another one, kept sessions are made anew
HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
CHUNK = 1_000_000
PICTURE_CHUNK = 20_000
CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "rare jay")
RARE = 30  # samples of the last class
SHARES = np.array([0.22, 0.17, 0.14, 0.12, 0.1, 0.09, 0.07, 0.05, 0.04])
COLUMNS = {
    "camera": "VARCHAR",  # 6 values
    "place": "VARCHAR",  # 1,000 values, some far more frequent than others
    "scene": "VARCHAR",  # 100,000 values
    "checked": "BOOLEAN",
    "score": "FLOAT",
    "loss": "FLOAT",
    "area": "INTEGER",
    "speed": "DOUBLE",  # a tenth is missing
    "depth": "DOUBLE",
    "seen": "TIMESTAMP",
}
# Words and dates are made by DuckDB out of the numbers that numpy draws: a million Python strings would take seconds.
_SELECT = f"""
    SELECT no AS sample_no, format('s{{:08d}}', no) AS sample_id, {list(CLASSES)!r}[kind + 1] AS label,
           ['train', 'train', 'train', 'val', 'test'][part + 1] AS split,
           ['north', 'south', 'east', 'west', 'roof', 'hand'][camera + 1] AS camera, 'place ' || place AS place,
           format('scene-{{:05d}}', scene) AS scene, checked, score, loss, area, if(isnan(speed), NULL, speed) AS speed,
           depth, TIMESTAMP '2025-01-01' + to_seconds(second) AS seen
    FROM drawn ORDER BY no
"""


def make(path: Path | str, count: int, *, pictures: bool = False, distinct: int | None = None) -> dict[str, float]:
    """Makes a session of `count` samples with a map of all of them.

    Args:
        path: the session file; what is there is replaced.
        count: samples.
        pictures: real JPEGs of 24 to 64 px in a Parquet file beside it, taken in by `add_parquet`. Without, samples
            have no picture (`media` is empty).
        distinct: how many different pictures there are; None for one a sample.

    Returns:
        Seconds: `ingest_s` for the samples, `points_s` for the map.
    """
    from dataide.core.codes import Codes
    from dataide.core.points import Places
    from dataide.storage.database import Database

    path = Path(path)
    for old in (path, path.with_suffix(".duckdb.wal")):
        old.unlink(missing_ok=True)
    shutil.rmtree(path.with_suffix(".cache"), ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds, places = cloud(count)
    if pictures:
        picture_table(path.with_suffix(".parquet"), kinds, distinct)
    database = Database(path)
    try:
        began = time.perf_counter()
        _ingest_pictures(database, path.with_suffix(".parquet")) if pictures else _insert_samples(database, kinds)
        ingested = time.perf_counter()
        _insert_points(database, places)
        database.checkpoint()
        inserted = time.perf_counter()
        _ = Places(database, Codes(database)).points(None).plot  # as `add_projection` does in the background
        times = {
            "ingest_s": ingested - began,
            "points_s": inserted - ingested,
            "arrange_s": time.perf_counter() - inserted,
        }
        return {name: round(seconds, 2) for name, seconds in times.items()}
    finally:
        database.close()


def cached(count: int, *, pictures: bool = False) -> Path:
    """A session of this size in `benchmarks/data`, made where it is not there. Copy it before writing to it."""
    folder = DATA / f"v{VERSION}-{count}{'-pictures' if pictures else ''}"
    path = folder / "large.duckdb"
    told = folder / "made.json"
    if not told.exists():
        figures = make(path, count, pictures=pictures)
        told.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    return path


def copy(made: Path, folder: Path) -> Path:
    """A copy of a made session in another folder, with a link to its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / made.name
    shutil.copy(made, target)
    plots = made.with_suffix(".cache") / "plots"
    if plots.exists():
        shutil.copytree(plots, target.with_suffix(".cache") / "plots", dirs_exist_ok=True)
    parquet = made.with_suffix(".parquet")
    if parquet.exists():
        try:
            os.link(parquet, folder / parquet.name)
        except OSError:  # another file system
            shutil.copy(parquet, folder / parquet.name)
    return target


def cloud(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Class (uint8) and place (float32, count x 2) of each sample, in order of sample number."""
    random = np.random.default_rng(VERSION)
    kinds = random.choice(len(SHARES), size=count, p=SHARES / SHARES.sum()).astype(np.uint8)
    if count > 10 * RARE:
        kinds[random.choice(count, RARE, replace=False)] = len(CLASSES) - 1
    clusters = random.integers(1, 4, len(CLASSES))
    clusters[-1] = 1
    centres = random.uniform(-9, 9, (len(CLASSES), 3, 2))
    spreads = random.uniform(0.35, 1.6, (len(CLASSES), 3, 2))
    spreads[-1] = 0.08
    turns = random.uniform(0, np.pi, (len(CLASSES), 3))
    which = (random.random(count) * clusters[kinds]).astype(np.intp)
    places = random.standard_normal((count, 2), dtype=np.float32) * spreads[kinds, which].astype(np.float32)
    cosine, sine = (f(turns[kinds, which]).astype(np.float32) for f in (np.cos, np.sin))
    x, y = places.T
    turned = np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1)
    return kinds, (turned + centres[kinds, which].astype(np.float32)).astype(np.float32)


def _drawn(kinds: np.ndarray, start: int) -> dict[str, np.ndarray]:
    """Random numbers behind the columns of some samples, by the number of the first."""
    count = len(kinds)
    random = np.random.default_rng((VERSION, start))
    speed = random.gamma(2, 8, count)
    speed[random.random(count) < 0.1] = np.nan
    return {
        "no": np.arange(start, start + count, dtype=np.uint32),
        "kind": kinds,
        "part": random.integers(0, 5, count, dtype=np.uint8),
        "camera": random.integers(0, 6, count, dtype=np.uint8),
        "place": (random.random(count) ** 2 * 1_000).astype(np.int32),
        "scene": random.integers(0, 100_000, count, dtype=np.int32),
        "checked": random.random(count) < 0.3,
        "score": random.random(count, dtype=np.float32),
        "loss": random.exponential(0.4 + 0.1 * kinds).astype(np.float32),
        "area": random.integers(1, 90_000, count, dtype=np.int32),
        "speed": speed,
        "depth": random.normal(kinds * 3.0, 5),
        "second": random.integers(0, 400 * 86_400, count, dtype=np.int64),
    }


def _insert_samples(database: Database, kinds: np.ndarray) -> None:
    from dataide.storage.database import registered

    names = ["sample_no", "sample_id", "label", "split", *COLUMNS]
    with database.write() as cursor:
        database.ensure_columns(cursor, COLUMNS)
        for start in range(0, len(kinds), CHUNK):
            with registered(cursor, {"drawn": _drawn(kinds[start : start + CHUNK], start)}):
                cursor.execute(
                    f"INSERT INTO data.sample ({', '.join(names)}, media, added_at) "
                    f"SELECT {', '.join(names)}, '', TIMESTAMP '2026-01-01' FROM ({_SELECT})"
                ).fetchall()


def _insert_points(database: Database, places: np.ndarray) -> None:
    """The map `made/clusters`; the embedding behind it has no vectors."""
    from dataide.storage import points, vectors
    from dataide.storage.database import registered

    with database.write() as cursor:
        embedding = vectors.create(cursor, "made", str(VERSION), 2)
        number = points.replace(cursor, "made/clusters", embedding.number, "pca", {}, None)
        for start in range(0, len(places), CHUNK):
            part = places[start : start + CHUNK]
            batch = {
                "no": np.arange(start, start + len(part), dtype=np.uint32),
                "x": np.ascontiguousarray(part[:, 0]),
                "y": np.ascontiguousarray(part[:, 1]),
            }
            with registered(cursor, {"batch": batch}):
                cursor.execute(f"INSERT INTO data.point SELECT {number}, no, 1, x, y FROM batch").fetchall()
        database.rebuild_views(cursor)


# Pictures ------------------------------------------------------------------------------------------------------


def picture_table(path: Path, kinds: np.ndarray, distinct: int | None = None) -> None:
    """Writes the columns and a JPEG for each sample as one Parquet file; after `distinct` of them they come again."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng((VERSION, 1))
    connection = duckdb.connect()
    drawn = None if distinct is None else list(_jpegs(kinds[:distinct], random))
    with pq.ParquetWriter(path, _schema(), compression="none") as writer:
        for start in range(0, len(kinds), PICTURE_CHUNK):
            part = kinds[start : start + PICTURE_CHUNK]
            connection.register("drawn", _drawn(part, start))
            columns = connection.sql(_SELECT).to_arrow_table().drop_columns(["sample_no"])
            encoded = (
                _jpegs(part, random) if drawn is None else (drawn[(start + i) % len(drawn)] for i in range(len(part)))
            )
            jpegs = pa.array(list(encoded), pa.binary())
            writer.write_table(columns.append_column("image", jpegs).cast(_schema()), row_group_size=2_000)
            connection.unregister("drawn")
    connection.close()


def _schema() -> pa.Schema:
    import pyarrow as pa

    types: dict[str, Any] = {
        "VARCHAR": pa.string(),
        "BOOLEAN": pa.bool_(),
        "FLOAT": pa.float32(),
        "INTEGER": pa.int32(),
        "DOUBLE": pa.float64(),
        "TIMESTAMP": pa.timestamp("us"),
    }
    names = {"sample_id": "VARCHAR", "label": "VARCHAR", "split": "VARCHAR", **COLUMNS}
    return pa.schema([*((name, types[kind]) for name, kind in names.items()), ("image", pa.binary())])


def _jpegs(kinds: np.ndarray, random: np.random.Generator) -> Iterator[bytes]:
    """Small JPEGs, no two the same: one soft spot over noise, in the colour of its class."""
    from PIL import Image

    colours = np.random.default_rng(VERSION).uniform(60, 255, (len(CLASSES), 3)).astype(np.float32)
    # Noise is cut out of one field at random places: drawing it for each picture would cost more than the JPEG.
    field = random.normal(36, 9, (512, 512, 3)).astype(np.float32)
    line = np.linspace(-1, 1, 64, dtype=np.float32)
    spots = [np.exp(-(line[:, None] ** 2 + (line[None, :] * f) ** 2) * s) for f in (1, 2, 0.5) for s in (3, 8, 20)]
    for kind in kinds.tolist():
        height, width, top, left, spot, dy, dx = random.integers(0, 1 << 30, 7).tolist()
        height, width = 24 + height % 41, 24 + width % 41
        top, left, dy, dx = top % (512 - 64), left % (512 - 64), dy % (65 - height), dx % (65 - width)
        shape = spots[spot % len(spots)][dy : dy + height, dx : dx + width, None]
        pixels = field[top : top + height, left : left + width] + shape * colours[kind]
        out = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=80)
        yield out.getvalue()


def _ingest_pictures(database: Database, parquet: Path) -> None:
    from dataide.formats import add_parquet
    from dataide.storage.media import Media

    media = Media(database, [parquet.parent])
    report = add_parquet(database, media, parquet, sample_id="sample_id", progress=False)
    if report.problems:
        raise RuntimeError(f"{parquet}: {report!r}")


def main() -> None:
    """Makes one session and says how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--pictures", action="store_true")
    options = parser.parse_args()
    print(json.dumps(make(options.path, options.count, pictures=options.pictures)))


if __name__ == "__main__":
    main()
