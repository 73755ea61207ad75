"""Near duplicates: ciFAIR's pairs in CIFAR-10, and copies planted among real photos.

ciFAIR: of the test pictures with even numbers, which have a near duplicate in the training set, and which one is it;
all 60,000 pictures are compared with each other. "unfound" is 1 - the share whose best partner in the training set is
the one of the list; "ap_short" 1 - the average precision of test pictures ranked by the score of their best pair across
the split. `cnn256` is by vectors alone, `both` by vectors and small pictures, `plain` by cosine similarity of the
vectors.

Photos: 7,294 of coco128, clothing and houses, and 800 copies: encoded again, resized, mirrored, cropped by up to 6 % at
each side. "missed" is the share of copies whose pair with their original has no lower score than 1 % of the originals
have by themselves (but for originals that have a copy in these sets already). "cpu_s" is what the search takes.
"""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PHOTOS = {"coco128": "images", "clothing": "clothing", "houses": "houses"}
COPIES = 800
WAYS = ("encoded", "resized", "mirrored", "cropped")
# Originals whose pixels differ by less, in levels, are copies already.
_SAME_LEVELS = 4
LIMITS = {
    "cifar_cnn256_unfound": 0.15,
    "cifar_cnn256_ap_short": 0.32,
    "cifar_both_cpu_s": 60,
    "photos_auto_missed": 0.05,
    "photos_no_model_missed": 0.15,
    "photos_hashes_missed": 0.2,
}


def measure() -> dict[str, Any]:
    """Both; what is not there is left out."""
    figures: dict[str, Any] = {}
    if (DATA / "cifair-duplicates").is_dir() and (DATA / "cifar10-embeddings").is_dir():
        figures |= {f"cifar_{name}": value for name, value in cifar().items()}
    if all((DATA / name).is_dir() for name in PHOTOS):
        figures |= {f"photos_{name}": value for name, value in photos().items()}
    return {**figures, "limits": {name: limit for name, limit in LIMITS.items() if name in figures}}


def cifar() -> dict[str, float]:
    from benchmarks.outliers import cifar as pictures
    from dataide.find.near_duplicates import find_near_duplicates

    vectors, pixels = np.load(DATA / "cifar10-embeddings" / "cnn256.npy"), pictures()
    figures: dict[str, float] = {}
    for name, small in (("cnn256", None), ("both", pixels)):
        began = time.process_time()
        found = find_near_duplicates(vectors=vectors, pictures=small)
        figures[f"{name}_cpu_s"] = round(time.process_time() - began, 1)
        across = (found.first < 50_000) & (found.second >= 50_000)
        figures |= judged(name, found.first[across], found.second[across] - 50_000, found.score[across])
    rows = np.asarray(vectors, np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    best = [(rows[50_000 + at : 50_500 + at] @ rows[:50_000].T).argmax(axis=1) for at in range(0, 10_000, 500)]
    train = np.concatenate(best)
    similarity = np.einsum("ij,ij->i", rows[50_000:], rows[train])
    return {**figures, **judged("plain", train, np.arange(10_000), -similarity)}


def judged(name: str, train: np.ndarray, test: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Against the list: pairs with their scores, low is alike."""
    with (DATA / "cifair-duplicates" / "cifar10_test_train_even.csv").open() as file:
        listed = {int(row["TestID"]): int(row["TrainID"]) for row in csv.DictReader(file)}
    best: dict[int, int] = {}
    for pair in np.argsort(score, kind="stable").tolist():
        if test[pair] % 2 == 0:
            best.setdefault(int(test[pair]), int(train[pair]))
    hits = sum(best.get(one) == other for one, other in listed.items())
    truth = np.array([one in listed for one in best])
    precision = np.cumsum(truth) / np.arange(1, len(truth) + 1)
    return {
        f"{name}_unfound": round(1 - hits / len(listed), 4),
        f"{name}_ap_short": round(1 - float((precision * truth).sum()) / len(listed), 4),
    }


def photos(seed: int = 0, copies: int = COPIES, most: int | None = None) -> dict[str, float]:
    """Shares of planted copies that are missed; `most` originals of each set."""
    from dataide.find.near_duplicates import find_near_duplicates
    from dataide.inference.attributes import describe
    from dataide.inference.descriptor import canvas, describe_canvases

    random = np.random.default_rng(seed)
    originals = [image for name, file in PHOTOS.items() for image in read(name, file, most)]
    count = len(originals)
    chosen = random.choice(count, copies, replace=False)
    every = originals + [copied(originals[one], index % 4, random) for index, one in enumerate(chosen.tolist())]
    canvases = np.stack([canvas(image) for image in every])
    columns = describe(every)
    alone = ~copies_already(canvases[:count])
    figures: dict[str, float] = {}
    ways: dict[str, dict[str, Any]] = {
        "no_model": {"pictures": canvases},
        "hashes": {"hashes": (columns["dhash"], columns["phash"])},
        "auto": {"pictures": canvases, "vectors": describe_canvases(canvases)},
    }
    for name, given in ways.items():
        began = time.process_time()
        found = find_near_duplicates(**given)
        figures[f"{name}_cpu_s"] = round(time.process_time() - began, 1)
        own = np.ones(count)
        among = found.second < count
        for side in (found.first, found.second):
            np.minimum.at(own, side[among], found.score[among])
        score = np.ones(copies)
        right = ~among
        right[right] = found.first[right] == chosen[found.second[right] - count]
        np.minimum.at(score, found.second[right] - count, found.score[right])
        missed = score >= np.quantile(own[alone], 0.01)
        figures[f"{name}_missed"] = round(float(missed.mean()), 4)
        for way in range(4):
            figures[f"{name}_missed_{WAYS[way]}"] = round(float(missed[way::4].mean()), 4)
        figures[f"{name}_flagged_of_copies"] = round(float((score < 0.5).mean()), 4)
        figures[f"{name}_flagged_of_others"] = round(float((own[alone] < 0.5).mean()), 4)
    return figures


def read(folder: str, file: str, most: int | None = None) -> list[Any]:
    import pyarrow.parquet as pq
    from PIL import Image

    images = []
    for data in pq.read_table(DATA / folder / f"{file}.parquet", columns=["image"])["image"][:most]:
        image = Image.open(io.BytesIO(data.as_py())).convert("RGB")
        image.thumbnail((256, 256))
        images.append(image)
    return images


def copied(image: Any, way: int, random: np.random.Generator) -> Any:
    from PIL import ImageOps

    width, height = image.size
    if way == 0:
        return encoded(image, int(random.integers(20, 60)))
    if way == 1:
        scale = random.uniform(0.3, 0.8)
        return encoded(image.resize((max(8, int(width * scale)), max(8, int(height * scale)))), 80)
    if way == 2:
        return encoded(ImageOps.mirror(image), int(random.integers(60, 90)))
    left, top, right, bottom = random.uniform(0, 0.06, 4)
    box = (int(left * width), int(top * height), int(width - right * width), int(height - bottom * height))
    return encoded(image.crop(box), int(random.integers(60, 90)))


def encoded(image: Any, quality: int) -> Any:
    from PIL import Image

    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(io.BytesIO(out.getvalue())).convert("RGB")


def copies_already(canvases: np.ndarray) -> np.ndarray:
    """Originals that have a copy among the originals."""
    from dataide.find.evidence import small_parts
    from dataide.find.pairs import neighbours

    even, odd = small_parts(canvases, np.arange(len(canvases)))
    nearest = neighbours(even, odd, k=3)[0]
    same = np.zeros(len(canvases), bool)
    for row, others in enumerate(nearest.tolist()):
        mine = canvases[row].astype(np.float32)
        for other in others:
            turned = (canvases[other], canvases[other][:, ::-1])
            same[row] |= other >= 0 and min(float(np.abs(one - mine).mean()) for one in turned) < _SAME_LEVELS
    return same


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
