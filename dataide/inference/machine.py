"""What the inference process computes on, as far as it can be said without loading torch."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from pathlib import Path
from typing import Any

_ASKED = ("numpy", "pillow", "torch", "torchvision")


def device(wanted: str) -> str:
    """The device that is meant: "auto" is CUDA where torch is installed and the driver is there, else the CPU.

    Loading torch takes seconds and is left to the first model that needs it.
    """
    if wanted != "auto":
        return wanted
    there = os.path.exists("/dev/nvidiactl") and importlib.util.find_spec("torch") is not None
    return "cuda" if there else "cpu"


def named(of: str) -> str:
    """The device with its model's name, once torch is loaded."""
    cuda = cuda_in_use()
    return f"{of} ({cuda.get_device_name(of)})" if cuda is not None and of.startswith("cuda") else of


def device_memory(of: str) -> tuple[int, int]:
    """Bytes in use (by anybody) and in all on a GPU; 0 and 0 on the CPU, or before torch has used it."""
    cuda = cuda_in_use()
    if cuda is None or not of.startswith("cuda"):
        return 0, 0
    try:
        free, total = cuda.mem_get_info(of)
    except RuntimeError:  # after an error inside a GPU nothing can be asked of it any more
        return 0, 0
    return total - free, total


def cuda_in_use() -> Any:
    """`torch.cuda` once it is in use, else None; another thread may be importing torch just now."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    initialized = getattr(cuda, "is_initialized", None)
    return cuda if initialized is not None and initialized() else None


def memory_bytes() -> int:
    """The machine's memory; 0 where it cannot be asked."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0


def resident_bytes() -> int:
    """The memory of this process: what it has now, or where that is not told, the most it had."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)


def cores() -> int:
    """How many cores this process may use: what the scheduler and a container's quota allow."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            count = min(count, max(1, round(int(quota) / int(period))))
    return max(1, count)


def free_cores() -> int:
    """How many cores nobody else has used in the last minute, at least one.

    Threads that share one computation wait for each other by spinning: two on busy cores can be twenty times slower
    than one.
    """
    try:
        busy = os.getloadavg()[0]
    except (AttributeError, OSError):
        busy = 0.0
    return max(1, cores() - round(busy))


def versions() -> dict[str, str]:
    """Versions of what models are made of."""
    found = {"python": platform.python_version()}
    for name in _ASKED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
