"""A session of any size without pictures: written by SQL, in a second for a million samples."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

import dataide as di

COLUMNS = {
    "camera": "VARCHAR", "site": "VARCHAR", "weather": "VARCHAR", "distance": "FLOAT", "score": "DOUBLE",
    "pedestrians": "INTEGER", "taken": "TIMESTAMP", "night": "BOOLEAN",
}  # fmt: skip

_SAMPLES = """
    INSERT INTO data.sample (sample_no, sample_id, media, label, split, brightness, sharpness, added_at,
                             camera, site, weather, distance, score, pedestrians, taken, night)
    SELECT i::UINTEGER, 's' || i, 'none/' || i || '.png',
           CASE WHEN h % 50 = 0 THEN NULL ELSE 'class ' || (h % 12) END,
           CASE WHEN h % 5 = 0 THEN 'test' ELSE 'train' END,
           (h % 1009) / 1009.0, ((h >> 8) % 997) / 997.0, TIMESTAMP '2026-01-01',
           'camera ' || (i % 8), 'site ' || ((h >> 16) % 200), ['fog', 'rain', 'sun'][1 + (h >> 5) % 3],
           CASE WHEN (h >> 9) % 97 = 0 THEN NULL ELSE (h % 8191) / 10.0 END, ((h >> 11) % 100003) / 100003.0,
           ((h >> 20) % 40)::INTEGER, TIMESTAMP '2025-01-01' + to_seconds((h % 31536000)::DOUBLE), (h >> 30) % 4 = 0
    FROM (SELECT i, (hash(i) >> 4)::BIGINT AS h FROM range($count) t(i))
"""
_POINTS = """
    INSERT INTO data.point
    SELECT 0, i::UINTEGER, 1, ((h % 65521) / 65521.0)::FLOAT, (((h >> 24) % 65519) / 65519.0)::FLOAT
    FROM (SELECT i, (hash(i + 1) >> 4)::BIGINT AS h FROM range($count) t(i))
"""


def big_session(path: Path, count: int) -> Path:
    """Makes the file, with `count` samples, a label, a dozen columns worth a facet, and the map "auto/pca".

    Each size is written once for all tests of a process, and copied: 45 MB for a million.

    Returns:
        The path, closed.
    """
    return Path(shutil.copy(Path(_made(count).name) / "big.duckdb", path))


@cache
def _made(count: int) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="dataide-big-")  # gone when the process ends
    with di.open(Path(folder.name) / "big.duckdb") as session, session.context.database.write() as cursor:
        session.context.database.ensure_columns(cursor, COLUMNS)
        cursor.execute(_SAMPLES, {"count": count})
        cursor.execute(_POINTS, {"count": count})
        cursor.execute(
            "INSERT INTO data.embedding (embedding_no, name, revision, dimension, created_at) "
            "VALUES (0, 'auto', '1', 2, now());"
            "INSERT INTO data.projection VALUES (0, 'auto/pca', 0, 'pca', '{}', NULL, now())"
        )
    return folder
