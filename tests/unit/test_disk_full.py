"""A disk that is full while results are committed: a clear message, nothing half, and the session goes on."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("resource", reason="the limit of a file's size is POSIX's")

# A limit of the size of files is met by the same write that a full disk would refuse.
PROGRAM = """
import resource
import numpy as np
import dataide as di
from dataide.errors import NotWritten

session = di.open("full.duckdb")
session.add_arrays(np.random.default_rng(0).integers(0, 255, (300, 8, 8, 3), dtype=np.uint8), progress=False)
session.context.database.checkpoint()

def wide(images):
    return np.random.default_rng(len(images)).random((len(images), 4096))

soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
try:
    session.embed(wide, progress=False)
except NotWritten as error:
    print(error.message, "|", error.hint)
print(session.embeddings, session.tags)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
session.where(label=None).tag("after")
print(session.embed(wide, progress=False).embedded, session.tags)
session.close()
session = di.open("full.duckdb")
print(session.embed(wide, progress=False).present, session.tags)
"""


def test_a_full_disk_is_named_and_nothing_is_half_done(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    said, *after = run.stdout.splitlines()
    assert said.startswith("full.duckdb could not be written: ") and "Free space on its disk" in said
    assert after == ["[] {}", "300 {'after': 300}", "300 {'after': 300}"]
