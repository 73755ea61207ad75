"""How fast a network gets through JPEGs: a session beside the plain loop, the bare model and the bare decoder.

`python -m benchmarks throughput`, or `python -m benchmarks.throughput --count 10000 --device cuda` for more. The
network is a ResNet-18 of 224 px with random weights: rates do not depend on weights, and nothing is downloaded.
Pictures are JPEGs of 500 x 375 cut out of coco128 (beside the project in ../shared/data), else made up; they stay in
benchmarks/data.

- plain: what tutorials show: a DataLoader of 2 workers, batches of 64, torchvision's transform, float32, `no_grad`.
- session: `session.embed`, waiting: reading, computing, committing. The model is loaded before, as it is for the loop.
- bare: the model alone, on tensors in memory, in channels_last with batch norm folded; its best batch size.
- decoder: `storage.pictures` alone on all cores, of bytes in memory.
- nothing: a session with a model that costs nothing, for which decoding is all the work.

Subjects take turns; figures are medians of rounds, pictures a second by the clock. "cpu_us" is what all processes of a
subject use for a picture, which other work on the machine disturbs less. Ratios: session to plain at least 1.5; session
to bare at least 0.9 in the same precision, where the model is the bottleneck; nothing to decoder at least 0.9. While
the session computes: the notebook's process takes at most 5 % of a core, and answers for a page of the grid within 50
ms (95 of 100). A query by picture waits, beside the model, at most 100 ms for the best of 100,000 vectors of 512.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
COCO = HERE.parents[1] / "shared" / "data" / "coco128" / "images.parquet"
WIDTH_PX, HEIGHT_PX = 500, 375
COUNT = 1000
ROUNDS = 3
BARE_SIZES = {"cpu": (8, 16, 32, 64), "cuda": (64, 128, 256, 512)}
MODELS = {"cpu": ("resnet18",), "cuda": ("resnet50", "vit_b_16")}
# Limits are the most that is allowed, so ratios stand the other way round here.
LIMITS = {
    "plain_to_session": 1 / 1.5,
    "bare_to_session_float32": 1 / 0.9,
    "decoder_to_nothing": 1 / 0.9,
    "notebook_cpu_share": 0.05,
    "page_p95_ms": 50,
    "query_beside_model_ms": 100,
}
Figures = dict[str, float]


def measure(count: int = COUNT, rounds: int = ROUNDS, device: str = "cpu") -> dict[str, Any]:
    """All subjects, in turns.

    Args:
        count: pictures of a round.
        rounds: how often each has its turn.
        device: cpu or cuda.
    """
    files = pictures(count)
    subjects: dict[str, Callable[[], Figures]] = {}
    for name in MODELS[device]:
        tail = "" if device == "cpu" else f"_{name}"
        if device == "cpu":
            subjects["plain"] = functools.partial(apart, "plain", name, device, "float32", files)
            subjects["session_float32"] = functools.partial(apart, "session", name, device, "float32", files)
            subjects["bare_float32"] = functools.partial(apart, "bare", name, device, "float32", files)
        subjects[f"session{tail}"] = functools.partial(apart, "session", name, device, "auto", files)
        subjects[f"bare{tail}"] = functools.partial(apart, "bare", name, device, "auto", files)
    subjects["decoder"] = functools.partial(apart, "decoder", "", device, "", files)
    subjects["nothing"] = functools.partial(apart, "nothing", "", device, "", files)
    gathered: dict[str, list[float]] = {}
    for turn in range(rounds):
        for name, subject in subjects.items():
            for key, value in subject().items():
                gathered.setdefault(f"{name}_{key}" if key in OF_EACH else key, []).append(value)
            print(f"throughput: round {turn + 1} of {rounds}, {name} is done", file=sys.stderr)
    figures: dict[str, Any] = {key: rounded(statistics.median(values)) for key, values in gathered.items()}
    for above, below in (
        *(("plain", "session"), ("plain", "session_float32")),
        *(("bare_float32", "session_float32"), ("bare", "session"), ("decoder", "nothing"), ("decoder", "session")),
        *((f"bare_{name}", f"session_{name}") for name in MODELS["cuda"]),
        *(("decoder", f"session_{name}") for name in MODELS["cuda"]),
    ):
        if f"{above}_per_s" in figures and f"{below}_per_s" in figures:
            what = "session_float32" if (above, below) == ("bare_float32", "session_float32") else below
            label = "bare" if above.startswith("bare") else above
            figures[f"{label}_to_{what}"] = round(figures[f"{above}_per_s"] / figures[f"{below}_per_s"], 3)
    for tail in ("", "_float32"):
        if device == "cpu" and "decoder_per_s" in figures:
            # The same cores compute and decode: faster than one after the other at full speed nothing can be.
            possible = 1 / (1 / figures[f"bare{tail}_per_s"] + 1 / figures["decoder_per_s"])
            figures[f"possible_to_session{tail}"] = round(possible / figures[f"session{tail}_per_s"], 3)
    return {**figures, "pictures": count, "limits": {name: most for name, most in LIMITS.items() if name in figures}}


# What each subject tells under its own name; the others stand for themselves.
OF_EACH = ("per_s", "cpu_us", "batch", "first_s")


def rounded(value: float) -> float:
    return round(value, 1) if abs(value) >= 10 else round(value, 3)


def apart(subject: str, name: str, device: str, precision: str, files: Path) -> Figures:
    """One turn of a subject, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.throughput", "--subject", subject, "--device", device]
    command += ["--model", name, "--precision", precision, "--files", str(files)]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True)
    told: Figures = json.loads(done.stdout.splitlines()[-1])
    return told


# Pictures ------------------------------------------------------------------------------------------------------------


def pictures(count: int) -> Path:
    """A folder of at least so many JPEGs of 500 x 375; those that are missing are made."""
    folder = HERE / "data" / f"jpegs-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    there = len(list(folder.glob("*.jpg")))
    if there < count:
        make = views() if COCO.is_file() else made_up
        for number in range(there, count):
            # Under another name until it is whole: a run that was stopped leaves no half picture.
            part = folder / f"{number}.part"
            part.write_bytes(make(number))
            part.rename(folder / f"{number:06d}.jpg")
    return folder


def views() -> Callable[[int], bytes]:
    """Photographs cut, mirrored and lit differently, so that no two are the same."""
    import pyarrow.parquet as pq
    from PIL import Image, ImageEnhance

    column = next(one.name for one in pq.read_schema(COCO) if str(one.type) in ("binary", "large_binary"))
    encoded = pq.read_table(COCO, columns=[column])[column].to_pylist()

    @functools.lru_cache(32)
    def photograph(index: int) -> Any:
        return Image.open(io.BytesIO(encoded[index])).convert("RGB")

    def view(number: int) -> bytes:
        random = np.random.default_rng(number)
        whole = photograph(number // 8 % len(encoded))
        side = min(whole.width / WIDTH_PX, whole.height / HEIGHT_PX) * random.uniform(0.75, 1)
        width, height = side * WIDTH_PX, side * HEIGHT_PX
        left, top = random.uniform(0, whole.width - width), random.uniform(0, whole.height - height)
        box = (left, top, left + width, top + height)
        cut = whole.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC, box=box)
        if number % 2:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        ImageEnhance.Brightness(cut).enhance(random.uniform(0.8, 1.2)).save(out := io.BytesIO(), "JPEG", quality=90)
        return out.getvalue()

    return view


def made_up(number: int) -> bytes:
    """Noise whose power falls with the square of the frequency, as that of photographs does."""
    from PIL import Image

    random = np.random.default_rng(number)
    down, across = np.meshgrid(np.fft.fftfreq(HEIGHT_PX), np.fft.rfftfreq(WIDTH_PX), indexing="ij")
    fall = 1 / np.maximum(np.hypot(down, across), 1 / WIDTH_PX)
    waves = random.standard_normal((3, *fall.shape)) + 1j * random.standard_normal((3, *fall.shape))
    waves[1:] = 0.8 * waves[0] + 0.2 * waves[1:]
    plane = np.fft.irfft2(waves * fall, (HEIGHT_PX, WIDTH_PX)).transpose(1, 2, 0)
    pixels = 128 + 50 * (plane - plane.mean()) / plane.std()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out := io.BytesIO(), "JPEG", quality=90)
    return out.getvalue()


# Subjects, each in a process of its own ------------------------------------------------------------------------------


def network(name: str) -> Any:
    """A network with random weights, without its last layer, and the transform of its weights."""
    import torch
    import torchvision

    from dataide.inference.models.zoo import without_head

    torch.manual_seed(0)
    made = torchvision.models.get_model(name, weights=None).eval()
    without_head(torch, made)
    return made, torchvision.models.get_model_weights(name).DEFAULT.transforms()


def plain(name: str, device: str, precision: str, folder: Path) -> Figures:
    import torch
    from PIL import Image

    model, transform = network(name)
    paths = sorted(folder.glob("*.jpg"))

    class Files(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, index: int) -> Any:
            return transform(Image.open(paths[index]).convert("RGB"))

    loader = torch.utils.data.DataLoader(Files(), batch_size=64, num_workers=2)
    used, began = cpu_s(), time.perf_counter()
    with torch.no_grad():
        vectors = np.concatenate([model(batch).numpy() for batch in loader])
    wall = time.perf_counter() - began
    # The workers have ended, so their time counts as this process's children's.
    assert vectors.shape[0] == len(paths)
    return {"per_s": len(paths) / wall, "cpu_us": (cpu_s() - used) / len(paths) * 1e6}


def bare(name: str, device: str, precision: str, folder: Path) -> Figures:
    import torch

    from dataide.inference.models import tuning

    model, _ = network(name)
    model.to(device)
    tuning.channels_last(model, torch)
    tuning.fuse(model, torch)
    half = precision == "auto" and tuning.precision_for(device, torch) == "bfloat16"
    best: Figures = {}
    with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=half):
        for size in BARE_SIZES[device]:
            batch = torch.randn(size, 3, 224, 224, device=device).contiguous(memory_format=torch.channels_last)
            times: list[float] = []
            cpu: list[float] = []
            model(batch)
            synchronize(torch, device)
            while sum(times) < 2 or len(times) < 3:
                used, began = cpu_s(), time.perf_counter()
                model(batch)
                synchronize(torch, device)
                times.append(time.perf_counter() - began)
                cpu.append(cpu_s() - used)
            rate = size / statistics.median(times)
            if rate > best.get("per_s", 0):
                best = {"per_s": rate, "cpu_us": statistics.median(cpu) / size * 1e6, "batch": size}
    return best


def synchronize(torch: Any, device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def decoder(name: str, device: str, precision: str, folder: Path) -> Figures:
    from dataide.inference.models.base import keep_picture_memory
    from dataide.inference.process import cores
    from dataide.storage.pictures import decode

    keep_picture_memory()
    files = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]

    def one(data: bytes) -> int:
        return decode(data).width

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(one, files[:50]))
        used, began = cpu_s(), time.perf_counter()
        list(pool.map(one, files, chunksize=16))
        wall = time.perf_counter() - began
    return {"per_s": len(files) / wall, "cpu_us": (cpu_s() - used) / len(files) * 1e6}


def session(name: str, device: str, precision: str, folder: Path) -> Figures:
    with opened(folder, device) as on:
        model, transform = network(name)
        figures = embedded(on, model, transform=transform, precision=precision)
        if precision == "auto":
            figures |= queried(on, model, transform, next(folder.glob("*.jpg")).read_bytes())
        return figures


def nothing(name: str, device: str, precision: str, folder: Path) -> Figures:
    with opened(folder, device) as on:
        figures = embedded(on, corner)
    return {name: figures[name] for name in OF_EACH if name in figures}  # the others are said of a network


def corner(images: list[Any]) -> np.ndarray:
    """A model that looks at one pixel."""
    return np.array([[*image.getpixel((0, 0)), 1] for image in images], np.float32)


class opened:
    """A session of a folder of pictures, and the inference kernel of a device."""

    def __init__(self, folder: Path, device: str) -> None:
        import dataide as di
        from dataide.inference.kernel import kernel_of

        self._folder = tempfile.TemporaryDirectory()
        self.session = di.open(Path(self._folder.name, "bench.duckdb"))
        self.session.add_folder(folder, progress=False)
        self.kernel = kernel_of(self.session.context, device)
        self.count = len(self.session)

    def __enter__(self) -> opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self._folder.cleanup()


def embedded(on: opened, model: Any, **options: Any) -> Figures:
    """Embeds all with a model that is loaded already; then some once more, and looks at pages of the grid meanwhile."""
    import psutil

    from dataide.widgets.hub import Hub

    few = on.session.take(8)
    began = time.perf_counter()
    few.embed(model, name="bench", progress=False, kernel=on.kernel, **options)
    first_s = time.perf_counter() - began
    child = psutil.Process(on.kernel.pid)
    used, child_used = cpu_s(), sum(child.cpu_times()[:2])
    report: Any = on.session.embed(model, name="bench", progress=False, kernel=on.kernel, **options)
    own, child_s = cpu_s() - used, sum(child.cpu_times()[:2]) - child_used
    assert report.embedded == on.count - 8, report
    workspace = Hub.of(on.session.context).workspace
    alone = waits_of_pages(workspace, lambda waits: len(waits) < 60)
    again = on.session.take(max(200, on.count // 5))
    job: Any = again.embed(model, name="bench again", wait=False, kernel=on.kernel, **options)
    beside = waits_of_pages(workspace, lambda waits: not job.finished)
    job.result()
    return {
        "per_s": report.embedded / report.seconds,
        "cpu_us": (own + child_s) / report.embedded * 1e6,
        "first_s": first_s,
        "notebook_cpu_share": own / report.seconds,
        "page_p95_ms": beside,
        "page_alone_p95_ms": alone,
    }


def waits_of_pages(workspace: Any, more: Callable[[list[float]], bool]) -> float:
    """How long 95 of 100 pages of the grid took at most, in ms, one after the other with short rests between."""
    from dataide.widgets.answers import pages

    ask: Any = {"offset": 0, "limit": 60, "thumbs": False, "px": 64, "caption": None}
    waits: list[float] = []
    while more(waits):
        began = time.perf_counter()
        ask["offset"] = len(waits) * 7 % 500
        pages.page(workspace, ask)
        waits.append(time.perf_counter() - began)
        time.sleep(0.02)
    return float(np.percentile(waits, 95)) * 1e3 if waits else 0.0


def queried(on: opened, model: Any, transform: Any, picture: bytes, times: int = 15) -> Figures:
    """The wait for the 100 best of 100,000 vectors of 512, by a picture, beside what the model took for it."""
    from benchmarks.vectors import committed
    from dataide.find.neighbours import nearest
    from dataide.inference.identity import identify
    from dataide.inference.running import once
    from dataide.storage.database import Database

    identity = identify(model, "bench", task="embedding", transform=transform)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder, "vectors.duckdb"))
        with database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
                "SELECT i, 's' || i, i || '.png', now()::TIMESTAMP FROM range(100000) t(i)"
            )
        committed(database, 0, np.random.default_rng(0).standard_normal((100_000, 512), np.float32))
        waits: list[float] = []
        for _ in range(times + 1):
            began = time.perf_counter()
            answer = once(identity, [picture], on.kernel)
            vector = answer.arrays["vectors"][0]
            nearest(database, "bench", np.resize(vector, 512), 100)
            waits.append(time.perf_counter() - began - answer.seconds)
        database.close()
    return {"query_beside_model_ms": statistics.median(waits[1:]) * 1e3}  # the first reads the vectors


def cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    told = os.times()
    return told.user + told.system + told.children_user + told.children_system


SUBJECTS = {"plain": plain, "bare": bare, "decoder": decoder, "session": session, "nothing": nothing}


def main() -> int:
    """Returns how many figures are over their limit."""
    read = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput", description=(__doc__ or "").partition("\n")[0]
    )
    read.add_argument("--count", type=int, default=COUNT, help="pictures of a round")
    read.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each subject")
    read.add_argument("--device", choices=sorted(MODELS), default="cpu")
    for hidden in ("--subject", "--model", "--precision", "--files"):
        read.add_argument(hidden, help=argparse.SUPPRESS)
    told = read.parse_args()
    if told.subject:
        print(json.dumps(SUBJECTS[told.subject](told.model, told.device, told.precision, Path(told.files))))
        return 0
    from benchmarks.__main__ import table

    rows = list(table({"benchmark": "throughput", **measure(told.count, told.rounds, told.device)}))
    for row in rows:
        print("".join(cell.ljust(width) for cell, width in zip(row[1:], (36, 14, 14, 6), strict=True)).rstrip())
    return sum(row[-1] == "over" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
