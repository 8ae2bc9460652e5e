"""A PyTorch network on the simulated datapath: every product of a forward pass as a GPU's tensor cores would compute it.

::

    from stcsim.numerics import torch as simulated

    with torch.no_grad(), simulated.datapath(arch="a100", dtype="fp16", sparse="auto") as record:
        y = model(x)
    print(record.table())

Exports ``datapath``, ``wrap``, ``both_blockings``, ``Scales`` and what a record is made of. Needs the extra ``[torch]``.
"""

from __future__ import annotations

from importlib.util import find_spec

from stcsim.errors import StcsimError

if find_spec("torch") is None:
    raise StcsimError("stcsim.numerics.torch", "PyTorch (pip install 'stcsim[torch]')", "none")

from stcsim.numerics.torch.context import datapath  # noqa: E402
from stcsim.numerics.torch.record import Errors, LayerRecord, NotSimulated, Record  # noqa: E402
from stcsim.numerics.torch.settings import Scales  # noqa: E402
from stcsim.numerics.torch.wrapping import BlockingReport, Simulated, both_blockings, wrap  # noqa: E402

__all__ = [
    "BlockingReport",
    "Errors",
    "LayerRecord",
    "NotSimulated",
    "Record",
    "Scales",
    "Simulated",
    "both_blockings",
    "datapath",
    "wrap",
]
