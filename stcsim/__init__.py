"""stcsim: what GEMM kernels of real networks cost on GPUs with sparse tensor cores, dense beside 2:4.

>>> import stcsim
>>> stcsim.run("resnet34", "A100", dtype="int8")
>>> stcsim.gemm(4096, 4096, 4096, "H100", dtype="fp8")

GPUs and traces are given by name, in any case of letters, by file, or as objects. Everything here is loaded when it is first
used, so that ``import stcsim`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stcsim.version import __version__

if TYPE_CHECKING:
    from stcsim.arch import Arch, arch_names, load_arch
    from stcsim.capture import capture, open_trace
    from stcsim.check import check
    from stcsim.inspection import inspect_checkpoint, pruned_layers
    from stcsim.pruning import prune_checkpoint
    from stcsim.replay import gemm, rerun, run
    from stcsim.result import RunResult
    from stcsim.study.curve import sweep
    from stcsim.study.explain import explain
    from stcsim.study.roofline import roofline_of
    from stcsim.study.validate import validate
    from stcsim.trace import Trace, load_trace, trace_names
    from stcsim.trace.rescale.lengths import at_length
    from stcsim.trace.rescale.resolution import at_resolution

__all__ = [
    "Arch",
    "RunResult",
    "Trace",
    "__version__",
    "arch_names",
    "at_length",
    "at_resolution",
    "capture",
    "check",
    "explain",
    "gemm",
    "inspect_checkpoint",
    "load_arch",
    "load_trace",
    "open_trace",
    "prune_checkpoint",
    "pruned_layers",
    "rerun",
    "roofline_of",
    "run",
    "sweep",
    "trace_names",
    "validate",
]

_HOMES = {
    "Arch": "arch",
    "RunResult": "result",
    "Trace": "trace",
    "arch_names": "arch",
    "at_length": "trace.rescale.lengths",
    "at_resolution": "trace.rescale.resolution",
    "explain": "study.explain",
    "gemm": "replay",
    "inspect_checkpoint": "inspection",
    "load_arch": "arch",
    "load_trace": "trace",
    "open_trace": "capture",
    "prune_checkpoint": "pruning",
    "pruned_layers": "inspection",
    "rerun": "replay",
    "roofline_of": "study.roofline",
    "run": "replay",
    "sweep": "study.curve",
    "trace_names": "trace",
    "validate": "study.validate",
}
_ROOMS = ("arch", "capture", "check", "checkpoint", "inspection", "numerics", "replay", "result", "study", "trace")
"""Packages that ``import stcsim`` reaches too; ``capture`` and ``check`` may be called as well."""


def __getattr__(name: str) -> Any:
    """Return a public function from its module, or a package, on first use."""
    if name in _ROOMS:
        return import_module(f"stcsim.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'stcsim' has no attribute '{name}'")
    return getattr(import_module(f"stcsim.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
