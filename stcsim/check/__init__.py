"""A network's layers through the simulated datapath, dense and 2:4, held against PyTorch; few rooms import that.

``layers`` says what is computed and makes the operands, ``weights`` reads the user's, ``torch_side`` is the other opinion,
``compare`` counts the differences, ``run`` goes through the layers.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stcsim.errors import StcsimError

if TYPE_CHECKING:
    from stcsim.check.result import CheckReport
    from stcsim.isa.capabilities import ArchLike
    from stcsim.trace import TraceOrName

__all__ = ["check"]


def check(trace: TraceOrName, arch: ArchLike | None = None, dtype: str | None = None, **options: Any) -> CheckReport:
    """Return how every GEMM and convolution of ``trace`` compares with PyTorch; arguments as ``check.run.check``.

    Raises:
        StcsimError: when PyTorch is missing, or the input cannot be used.
    """
    if find_spec("torch") is None:
        raise StcsimError("stcsim check", "PyTorch to compare with (install stcsim[torch])", "none")
    from stcsim.check.run import check as run

    return run(trace, arch, dtype, **options)


class _Room(ModuleType):
    """The package, which may be called as its function of the same name: ``stcsim.check("resnet34", "a100")``."""

    def __call__(self, *arguments: Any, **options: Any) -> CheckReport:
        return check(*arguments, **options)


sys.modules[__name__].__class__ = _Room
