"""A session file from a stranger names models: nothing is fetched, and no file read, because it does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.errors import ModelError
from dataide.storage import models_used, vectors

COUNT = 4


@pytest.fixture
def session(tmp_path, monkeypatch) -> Iterator[di.Session]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with di.open(tmp_path / "theirs.duckdb") as opened:
        opened.add_arrays(np.zeros((COUNT, 6, 6, 3), np.uint8), progress=False)
        yield opened


def embedded(session: di.Session, name: str, kind: str | None) -> None:
    """Has the file say that a model has embedded all samples; it need not say of which kind the model is."""
    database, nos = session.context.database, np.arange(COUNT, dtype=np.uint32)
    with database.write() as cursor:
        made = vectors.create(cursor, "theirs", f"{name}/0123", 3)
        vectors.store(cursor, made, nos, np.ones(COUNT, np.uint32), np.eye(COUNT, 3, dtype=np.float32))
        database.rebuild_views(cursor)
        if kind is not None:
            models_used.note(cursor, name, kind, made.revision, {})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("transformers:somebody/model", "adapter"),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", "torchvision"),
        ("timm:resnet50", None),
    ],
)
def test_a_model_of_another_library_is_to_be_named_by_its_user(session, name, kind):
    embedded(session, name, kind)
    with pytest.raises(ModelError, match="nothing is fetched because a file says so") as caught:
        session.similar(Image.new("RGB", (5, 5)))
    assert caught.value.code == "needs_model" and f"model={name!r}" in str(caught.value.hint)
    if not name.startswith("timm:"):
        with pytest.raises(ModelError, match="nothing is fetched because a file says so"):
            session.similar("a red car")


def test_a_model_in_a_file_is_to_be_named_by_its_user(session, tmp_path):
    (tmp_path / "model.pt2").write_bytes(b"none")
    embedded(session, str(tmp_path / "model.pt2"), "torchvision")
    with pytest.raises(ModelError, match="a model of yours, which is needed") as caught:
        session.similar(Image.new("RGB", (5, 5)))
    assert caught.value.code == "needs_model"
