"""stcsim: what GEMM kernels of real networks cost on GPUs with sparse tensor cores, dense beside 2:4.

Everything here is loaded when it is first used, so that ``import stcsim`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stcsim.version import __version__

if TYPE_CHECKING:
    from stcsim.arch import load_arch
    from stcsim.replay import gemm, run
    from stcsim.trace import load_trace

__all__ = ["__version__", "gemm", "load_arch", "load_trace", "run"]

_HOMES = {"load_arch": "stcsim.arch", "load_trace": "stcsim.trace", "run": "stcsim.replay", "gemm": "stcsim.replay"}


def __getattr__(name: str) -> Any:
    """Return a public function from its module, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'stcsim' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
