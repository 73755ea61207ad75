"""A cluster of Ray: one that is there, or one of this machine's own cores that ends with us; and what to ask of it."""

from __future__ import annotations

import contextlib
import glob
import importlib
import logging
import os
import secrets
import shutil
import signal
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dataide.errors import ModelError
from dataide.inference.process import cores
from dataide.inference.pump import BATCH_BYTES

# An actor has so many cores where there are that many: fewer would be more copies of the model.
CORES_OF_ACTOR = 4
CORES_OF_GPU = 16
STORE_BYTES = 512 << 20
# Ray's processes end when their helpers take more than about 20 s to start, as on a busy machine. The next attempt
# finds the files in memory.
STARTS = 4
START_S = 180


@dataclass(frozen=True)
class Options:
    """What a user may say about the cluster.

    Attributes:
        address: `host:6379` of its head; None starts one on this machine.
        actors: how many copies of the model compute; by default as many as there is room for.
        cores: of each actor; by default up to 4, or what belongs to its GPU.
    """

    address: str | None = None
    actors: int | None = None
    cores: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the way to another process."""
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """How a cluster is used: actors, each with so many cores and GPUs; batches under way; machines."""

    actors: int
    cores: int
    gpus: int
    room: int
    machines: int


class Cluster:
    """The connection of this process to a cluster. There can be one in a process.

    Raises:
        ModelError: it cannot be reached, or it does not start.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._folder: str | None = None
        _prepare_environment(options.address)
        self.ray: Any = importlib.import_module("ray")
        try:
            if options.address is None:
                self._start()
            else:
                self.ray.init(options.address, logging_level=logging.ERROR, log_to_driver=False)
        except BaseException as error:
            self.close()
            raise _unreachable(options.address, error) from None
        importlib.import_module("ray.data")
        _be_quiet(self.ray)

    def _start(self) -> None:
        # A folder of its own with a short name (sockets lie in it), so that nobody else takes this cluster for theirs.
        short = "/tmp" if os.path.isdir("/tmp") else None
        self._folder = tempfile.mkdtemp(prefix="dataide-ray-", dir=short)
        _be_light()
        for left in reversed(range(STARTS)):
            try:
                self.ray.init(
                    "local",
                    num_cpus=max(cores(), (self._options.actors or 1) * (self._options.cores or 1)),
                    object_store_memory=STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=self._folder,
                )
                return
            except Exception:
                self.ray.shutdown()
                end_children()
                if not left:
                    raise

    def plan(self) -> Plan:
        """How the cluster is used best, by what its machines have.

        Raises:
            ModelError: no machine is large enough for an actor.
        """
        machines = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        with_gpu = [machine for machine in machines if machine.get("GPU", 0) >= 1]
        if with_gpu:
            of_gpu = min(int(machine.get("CPU", 0) // machine["GPU"]) for machine in with_gpu)
            each = self._options.cores or max(1, min(CORES_OF_GPU, of_gpu))
            fitting = [min(int(machine["GPU"]), int(machine.get("CPU", 0)) // each) for machine in with_gpu]
        else:
            largest = max((int(machine.get("CPU", 0)) for machine in machines), default=0)
            each = self._options.cores or max(1, min(CORES_OF_ACTOR, largest))
            fitting = [int(machine.get("CPU", 0)) // each for machine in machines]
        possible = sum(fitting)
        actors = self._options.actors or possible
        if not 0 < actors <= possible:
            raise ModelError(
                f"{max(actors, 1)} actors with {each} cores each do not fit into the cluster, which has "
                f"{sum(int(machine.get('CPU', 0)) for machine in machines)} cores on {len(machines)} machines.",
                hint="Give fewer actors, or fewer cores each.",
                code="no_room",
            )
        # Enough for each actor to decode one batch ahead on every core. All lie in the store of this machine at once,
        # and outcomes need room in it as well.
        store = max((machine.get("object_store_memory", 0) for machine in machines), default=0) or STORE_BYTES
        room = max(2, min(actors * (each + 2) + 2, int(store // 2 // BATCH_BYTES)))
        return Plan(actors, each, 1 if with_gpu else 0, room, sum(1 for count in fitting if count))

    def close(self) -> None:
        """Leaves the cluster, and ends it where it was started here."""
        with contextlib.suppress(Exception):
            self.ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _prepare_environment(address: str | None) -> None:
    """Before Ray is imported: nothing is told to anybody, and a cluster of our own hears this machine and user only."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DATA_DISABLE_PROGRESS_BARS"] = "1"
    if address is None or address.rpartition(":")[0] in ("127.0.0.1", "localhost"):
        # Where clusters of several machines are possible, Ray listens on all interfaces, and takes 127.0.0.1 for the
        # machine's name in the network.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if address is None:
        os.environ.pop("RAY_ADDRESS", None)
        os.environ["RAY_AUTH_MODE"] = "token"
        settings = {
            "agent_register_timeout_ms": START_S * 1000,
            "worker_register_timeout_seconds": START_S,
            "worker_niceness": 0,  # as the inference process; Ray's 15 stands still beside anything else that computes
        }
        os.environ.update({f"RAY_{name}": str(value) for name, value in settings.items()})
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _be_light() -> None:
    """Has a cluster of one machine start without what only serves people who watch it, where this version lets us.

    These are three processes of 110 MB, which on two cores may take so long to start that the others give up.
    """
    node: Any = getattr(importlib.import_module("ray._private.node"), "Node", None)
    for name in ("start_monitor", "start_log_monitor", "start_api_server"):
        if hasattr(node, name):
            setattr(node, name, lambda *arguments, **options: None)


def end_children() -> None:
    """Ends what a start that failed has left; Ray itself only ends whole clusters."""
    for task in glob.glob("/proc/self/task/*/children"):
        with contextlib.suppress(OSError):
            for pid in Path(task).read_text().split():
                os.kill(int(pid), signal.SIGKILL)


def _be_quiet(ray: Any) -> None:
    """Sets Ray Data up for a stream that may stand still: batches come when they come."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.enable_operator_progress_bars = False
    context.enable_rich_progress_bars = False
    context.print_on_execution_start = False
    context.enable_auto_log_stats = False
    context.execution_no_progress_timeout_s = -1
    # A block is one row, and goes on at once. By default Ray Data waits for 128 MB.
    context.target_min_block_size = 1
    context.target_max_block_size = 1


def _unreachable(address: str | None, error: BaseException) -> ModelError:
    words = " ".join(str(error).split())[:300]
    if address is None:
        return ModelError(f"Ray does not start on this machine ({type(error).__name__}: {words}).", code="no_cluster")
    return ModelError(
        f"The Ray cluster at {address!r} cannot be reached ({type(error).__name__}: {words}).",
        hint="Give address='HOST:6379' of its head, from a machine of the same network, with the same version of Ray.",
        code="no_cluster",
    )
