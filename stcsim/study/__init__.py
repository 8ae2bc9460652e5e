"""Studies over many predictions: validation and calibration against measured tables, curves over an axis, rooflines.

``from stcsim.study import sweep, roofline_of`` is for use from Python; each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stcsim.study.axis import parse_axis, parse_gemm
    from stcsim.study.curve import sweep
    from stcsim.study.roofline import roofline_of

__all__ = ["parse_axis", "parse_gemm", "roofline_of", "sweep"]

_AXIS = "stcsim.study.axis"
_HOMES = {
    "parse_axis": _AXIS,
    "parse_gemm": _AXIS,
    "roofline_of": "stcsim.study.roofline",
    "sweep": "stcsim.study.curve",
}


def __getattr__(name: str) -> Any:
    """Return a public function from its module, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'stcsim.study' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
