"""`engine="ray"`: the inference kernel of a session on the machines of a Ray cluster.

To the rest it is an inference kernel like any other: `open` gives requests, batches go out, outcomes come back in
order. Its process drives the cluster (ray_driver.py); this one never imports Ray.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from dataide.errors import ModelError
from dataide.inference import contract
from dataide.inference.engines.ray_cluster import Options
from dataide.inference.kernel import Kernel, Process
from dataide.inference.process import Child

if TYPE_CHECKING:
    from dataide.core.context import Context


def ray_of(
    context: Context, address: str | None = None, *, actors: int | None = None, cores: int | None = None
) -> RayKernel:
    """The kernel of a session on a Ray cluster; it starts nothing, and ends with the session.

    Args:
        address: `host:6379` of the cluster's head. Without one: the cluster that this notebook is connected to, or that
            RAY_ADDRESS names, or else one on this machine.
        actors: copies of the model that compute at the same time; by default as many as fit.
        cores: of each; by default up to 4, or what belongs to its GPU.

    Raises:
        ModelError: Ray is not installed, or the address is of a kind that will not do.
    """
    options = Options(address_of(address), actors, cores)
    name = f"kernel ray {options.as_dict()}"
    with context.lock:
        kernel = context.attached.get(name)
        if kernel is None:
            kernel = context.attached[name] = RayKernel(options)
            context.at_close(kernel.close)
    assert isinstance(kernel, RayKernel)
    return kernel


def address_of(address: str | None) -> str | None:
    """Which cluster is meant; None is a new one on this machine.

    Raises:
        ModelError: a connection of Ray's client cannot be used.
    """
    ray: Any = sys.modules.get("ray")
    if address is None and ray is not None and ray.is_initialized():
        address = ray.get_runtime_context().gcs_address
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is not None and "://" in address:
        raise ModelError(
            f"{address!r} is an address for Ray's client, and Ray Data needs to be in the cluster's network.",
            hint="Give address='HOST:6379', the address that ray start has said.",
            code="address",
        )
    return None if address == "local" else address


class RayKernel(Kernel):
    """The process that drives a Ray cluster: started when it is first needed, and anew after it has ended.

    Raises:
        ModelError: Ray is not installed.
    """

    def __init__(self, options: Options) -> None:
        if importlib.util.find_spec("ray") is None:
            raise ModelError(
                "engine='ray' needs Ray, which is not installed.",
                hint="pip install 'dataide[ray]', or leave engine out to compute on this machine.",
                code="missing_extra",
            )
        super().__init__("ray", threads=1)
        self._options = options

    def _begin(self) -> Process:
        return _RayProcess(_RayChild(self._options))

    def restart(self) -> None:
        """Ends the process, and with it a cluster that it started; the next use starts another one."""
        self.stop()


class _RayProcess(Process):
    """As its base, over Ray's driver."""

    def has(self, key: str) -> bool:
        """Never: the actors end with the last request for a model, so its pickle travels with each."""
        return False


class _RayChild(Child):
    """The process of ray_driver.py."""

    # A cluster takes so long to end at most; by force its processes end as well, but leave files behind.
    goodbye_s = 15.0

    def __init__(self, options: Options) -> None:
        said = json.dumps(options.as_dict())
        module = "dataide.inference.engines.ray_driver"
        super().__init__(contract.Start("ray", 1), module=module, arguments=[said])

    def receive(self) -> tuple[contract.Message, bytearray] | None:
        """As its base; when the child is gone, what it has left of a cluster is ended."""
        frame = super().receive()
        if frame is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.goodbye_s)
                self._sweep()
        return frame

    def _sweep(self) -> None:
        """Ends the processes of a cluster whose driver was killed: they are of its group."""
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Ends the child, and whatever is left of a cluster that it started."""
        super().end()
        self._sweep()
