"""What makes a network faster without making it another one: each step is tried on its first pictures, and kept only
where it computes the same."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

# Batch norm folded into convolutions, and another order in memory, may change rounding and no more.
SAME = 1e-4
# Half precision must be worth it: so much faster, on a network of so many parameters. Smaller ones are quick anyway.
FASTER = 1.5
WORTH_PARAMETERS = 1_000_000
# And must not turn a vector further away than this.
COSINE = 0.995
PRECISIONS = ("auto", "float32", "bfloat16", "float16")

Undo = Callable[[], None]


def leaves(raw: Any, torch: Any) -> list[Any]:
    """The tensors in what a module returned, in order."""
    if isinstance(raw, torch.Tensor):
        return [raw]
    if isinstance(raw, dict):
        raw = list(raw.values())
    return [leaf for one in raw for leaf in leaves(one, torch)] if isinstance(raw, list | tuple) else []


def same(first: Any, second: Any, torch: Any) -> bool:
    """Whether two outcomes are equal but for rounding, relative to the largest number of each tensor."""
    pairs = list(zip(leaves(first, torch), leaves(second, torch), strict=False))
    return bool(pairs) and all(
        one.shape == other.shape
        and bool((one.float() - other.float()).abs().max() <= SAME * max(float(one.float().abs().max()), 1e-6))
        for one, other in pairs
        if one.numel()
    )


def alike(first: Any, second: Any, torch: Any) -> bool:
    """Whether two outcomes point the same way, picture by picture."""
    for one, other in zip(leaves(first, torch), leaves(second, torch), strict=False):
        if not one.numel() or not one.is_floating_point():
            continue
        rows, others = one.float().reshape(len(one), -1), other.float().reshape(len(other), -1)
        # Not a number is not larger than anything.
        if not bool((torch.nn.functional.cosine_similarity(rows, others, dim=1) > COSINE).all()):
            return False
    return True


def channels_last(module: Any, torch: Any) -> Undo:
    """Lays the weights of convolutions out as the fast kernels want them."""
    module.to(memory_format=torch.channels_last)
    return lambda: module.to(memory_format=torch.contiguous_format)


def fuse(module: Any, torch: Any) -> Undo:
    """Folds each batch norm into the convolution before it, where nothing else reads what that gives.

    The modules stay where they are, so hooks and names go on working; one that has hooks of its own is left alone.
    """
    undone: list[tuple[Any, str, Any]] = []
    for first, second in _pairs(module, torch):
        convolution, norm = module.get_submodule(first), module.get_submodule(second)
        if _hooked(convolution) or _hooked(norm):
            continue
        fused = torch.nn.utils.fusion.fuse_conv_bn_eval(convolution, norm)
        for path, new in ((first, fused), (second, torch.nn.Identity())):
            parent, _, child = path.rpartition(".")
            owner = module.get_submodule(parent)
            undone.append((owner, child, getattr(owner, child)))
            setattr(owner, child, new)

    def undo() -> None:
        for owner, child, old in reversed(undone):
            setattr(owner, child, old)

    return undo


def _pairs(module: Any, torch: Any, path: str = "") -> list[tuple[str, str]]:
    """Names of convolutions and of the batch norms that alone read them; where a module cannot be traced, those of the
    modules in it."""
    norms = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)
    convolutions = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    kinds = dict(module.named_modules())
    if not any(type(one) in norms for one in kinds.values()):
        return []
    try:
        # Tracing runs the user's code with stand-ins for tensors, which it may keep: a copy bears that.
        nodes = list(torch.fx.symbolic_trace(copy.deepcopy(module)).graph.nodes)
    except Exception:
        children = dict(module.named_children())
        return [pair for name, child in children.items() for pair in _pairs(child, torch, f"{path}{name}.")]
    calls = Counter(str(node.target) for node in nodes if node.op == "call_module")
    found = []
    for node in nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, torch.fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        first, second = str(before.target), str(node.target)
        fits = type(kinds[first]) in convolutions and type(kinds[second]) in norms and kinds[second].track_running_stats
        # One that is called twice would be changed for its other use as well.
        if fits and calls[first] == calls[second] == 1:
            found.append((path + first, path + second))
    return found


def _hooked(module: Any) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def precision_for(device: str, torch: Any) -> str:
    """The precision to try first: bfloat16 where the device computes with it."""
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float32"
    asks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    able = any(bool(getattr(torch.cpu, ask, bool)()) for ask in asks)
    return "bfloat16" if able and device == "cpu" else "float32"


def seconds(compute: Callable[[], Any], times: int = 3) -> float:
    """The shortest of some runs, in CPU time of this thread, which other work on the machine does not lengthen; the
    first one prepares and does not count."""
    compute()
    found = []
    for _ in range(times):
        began = time.thread_time()
        compute()
        found.append(time.thread_time() - began)
    return min(found)
