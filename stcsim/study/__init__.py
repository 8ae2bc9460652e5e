"""Studies over many predictions: validation and calibration against measured tables, curves over an axis, rooflines, what-ifs.

``from stcsim.study import sweep, what_if`` is for use from Python; each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stcsim.study.axis import parse_axis, parse_gemm
    from stcsim.study.comparison.difference import difference_of
    from stcsim.study.comparison.side_by_side import side_by_side
    from stcsim.study.curve import sweep
    from stcsim.study.roofline import roofline_of
    from stcsim.study.whatif.search import what_if
    from stcsim.study.whatif.sensitivity import sensitivity_of
    from stcsim.study.whatif.work import work_of

__all__ = [
    "difference_of",
    "parse_axis",
    "parse_gemm",
    "roofline_of",
    "sensitivity_of",
    "side_by_side",
    "sweep",
    "what_if",
    "work_of",
]

_AXIS = "stcsim.study.axis"
_HOMES = {
    "difference_of": "stcsim.study.comparison.difference",
    "parse_axis": _AXIS,
    "parse_gemm": _AXIS,
    "roofline_of": "stcsim.study.roofline",
    "sensitivity_of": "stcsim.study.whatif.sensitivity",
    "side_by_side": "stcsim.study.comparison.side_by_side",
    "sweep": "stcsim.study.curve",
    "what_if": "stcsim.study.whatif.search",
    "work_of": "stcsim.study.whatif.work",
}


def __getattr__(name: str) -> Any:
    """Return a public function from its module, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'stcsim.study' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
