"""`di.demo("digits")`: the first thing a newcomer types."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

import dataide as di
from dataide import errors
from dataide.demo import COUNT, MAP, MAP_REVISION
from dataide.inference import descriptor
from dataide.storage import points

MODULE = sys.modules["dataide.demo"]  # the name dataide.demo is the function

pytestmark = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("demo") / "digits.duckdb"
    di.demo("digits", path=file).close()
    return file


@pytest.fixture
def session(file):
    with di.demo("digits", path=file) as session:
        yield session


def test_the_digits_have_labels_splits_vectors_and_two_maps(session):
    assert len(session) == COUNT
    assert sorted(session.labels) == list("0123456789")
    assert len(session.where(split="test")) == COUNT // 5
    assert set(session.projections) == {"auto/pca", "auto/umap"}
    assert len(session.vectors("auto")) == COUNT
    assert len(session.problems()) == 0


def test_on_the_first_map_like_lies_with_like(session):
    labels = np.asarray(session.to_pandas()["label"])
    nos, places = points.placed(session.context.database, "auto/umap")
    assert len(nos) == COUNT
    distance = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (labels[distance.argmin(axis=1)] == labels).mean() > 0.97


def test_the_map_made_beforehand_belongs_to_the_present_descriptor():
    assert f"{descriptor.NAME}/{descriptor.REVISION}" == MAP_REVISION, "python -m benchmarks.demo_map makes it anew"
    assert np.load(MAP).shape == (COUNT, 2)


def test_similar_digits_are_mostly_the_same_digit(session):
    sevens = session.where(label="7").ids()[:20]
    same = [(session.similar(one, k=10).to_pandas()["label"] == "7").mean() for one in sevens]
    assert np.mean(same) > 0.9


def test_what_was_decided_is_still_there_when_it_is_opened_again(file, tmp_path):
    with di.demo("digits", path=file) as session:
        session.where(label="3").tag("three")
    with di.demo("digits", path=file) as session:
        assert len(session.where(tag="three")) == 183
        session.undo()


def test_one_that_was_interrupted_is_completed(tmp_path):
    pictures, labels = MODULE._digits()
    with di.open(tmp_path / "digits.duckdb") as session:
        ids = [f"digit-{index:04d}" for index in range(100)]
        session.add_arrays(pictures[:100], label=labels[:100], split=["train"] * 100, sample_id=ids, progress=False)
    with di.demo("digits", path=tmp_path / "digits") as session:
        assert len(session) == COUNT == len(session.vectors("auto"))
        assert len(points.placed(session.context.database, "auto/umap")[0]) == COUNT


def test_a_session_of_other_pictures_is_left_alone(tmp_path):
    with di.open(tmp_path / "mine.duckdb") as session:
        session.add_arrays(np.zeros((2, 8, 8), np.uint8), progress=False)
    with pytest.raises(errors.SessionError, match="other pictures"):
        di.demo("digits", path=tmp_path / "mine.duckdb")


def test_an_unknown_name_is_answered_with_what_there_is(tmp_path):
    with pytest.raises(errors.DataideError, match="'digits'"):
        di.demo("digit", path=tmp_path / "x.duckdb")


def test_without_scikit_learn_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(MODULE, "find_spec", lambda name: None)
    with pytest.raises(errors.MissingExtra, match="pip install scikit-learn"):
        di.demo("digits", path=tmp_path / "x.duckdb")


@pytest.mark.once
def test_it_is_ready_in_seconds_without_scikit_learn_or_umap_in_the_kernel(tmp_path):
    code = (
        "import sys, time, dataide as di; session = di.demo('digits', path=sys.argv[1]); session.close();"
        "print([name for name in ('sklearn', 'umap', 'numba', 'scipy') if name in sys.modules], time.process_time())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "d.duckdb")], capture_output=True, text=True, check=True
    )
    loaded, cpu_s = done.stdout.rsplit(maxsplit=1)
    assert loaded == "[]"
    assert float(cpu_s) < 10
