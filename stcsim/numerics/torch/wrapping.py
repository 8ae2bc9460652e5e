"""A network bound to a datapath, and both assumptions about 2:4 beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from stcsim.isa.capabilities import ArchLike
from stcsim.numerics.torch.context import running
from stcsim.numerics.torch.record import Record
from stcsim.numerics.torch.session import Session
from stcsim.numerics.torch.settings import Plan, make_plan
from stcsim.words import Blocking


class Simulated(nn.Module):
    """A network that runs on a simulated datapath whenever it is called; ``wrap`` makes one.

    Attributes:
        model: the network itself.
        plan: how it runs.
        record: of the last call.
    """

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        """Bind a network."""
        super().__init__()
        self.model, self.plan, self.record = model, plan, Record(plan.reference)
        self.training = model.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the network returns on the datapath.

        Raises:
            StcsimError: when gradients are enabled or the network is in training mode.
        """
        with running(Session(self.plan)) as session:
            self.record = session.record
            return self.model(*args, **kwargs)


def wrap(model: nn.Module, arch: ArchLike, dtype: str = "fp16", **options: Any) -> Simulated:
    """Return the network as a module that runs on a simulated datapath.

    Args:
        model: in evaluation mode when it is called; it is not copied nor changed.
        arch, dtype, options: as of ``datapath``.

    Raises:
        UnsupportedError: when a word is none, or the GPU has no instruction for the types.
    """
    return Simulated(model, plan_of(arch, dtype, **options))


def plan_of(arch: ArchLike, dtype: str = "fp16", **options: Any) -> Plan:
    """Return checked settings from the arguments of ``datapath``."""
    defaults: dict[str, Any] = dict(
        acc_dtype=None, sparse=None, blocking="kept", order=None, output="same", scales=None, skip=(), layers=None,
        reference="layer", workers=None,
    )  # fmt: skip
    return make_plan(arch, dtype, **{**defaults, **options})


@dataclass(frozen=True, slots=True)
class BlockingReport:
    """A network under both assumptions about the blocks of 2:4 instructions.

    Attributes:
        kept, expanded: the records.
        layers: by name, the share of a layer's results that differ.
        output: the share of the network's results that differ.
        max_difference: the largest absolute difference of the network's results.
    """

    kept: Record
    expanded: Record
    layers: dict[str, float]
    output: float
    max_difference: float


def both_blockings(model: nn.Module, *args: Any, arch: ArchLike, dtype: str = "fp16", **options: Any) -> BlockingReport:
    """Return how much the open question of ``mma_sp``, kept or expanded, changes in a network.

    Args:
        model: the network.
        args: its arguments; those by name stand in ``options["kwargs"]``.
        arch, dtype, options: as of ``datapath``; ``sparse`` is ``"auto"`` by default.

    Raises:
        StcsimError: as ``datapath``.
    """
    kwargs = options.pop("kwargs", {})
    options = {"sparse": "auto", "reference": None, **options}
    sessions, results = [], []
    for blocking in (Blocking.KEPT, Blocking.EXPANDED):
        plan = plan_of(arch, dtype, **{**options, "blocking": blocking})
        with torch.no_grad(), running(Session(plan, keep_outputs=True)) as session:
            out = model(*args, **kwargs)
        sessions.append(session)
        results.append([each for each in tree_leaves(out) if isinstance(each, torch.Tensor) and each.is_floating_point()])
    first, second = sessions
    layers = {name: _share([each], [second.outputs[name]]) for name, each in first.outputs.items()}
    apart = max((float((a.double() - b.double()).abs().max()) for a, b in zip(*results, strict=True) if a.numel()), default=0.0)
    return BlockingReport(first.record, second.record, layers, _share(*results), apart)


def _share(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """Return the share of numbers that differ; NaN is like NaN."""
    pairs = list(zip(one, other, strict=True))
    differ = sum(int(((a != b) & ~(a.isnan() & b.isnan())).sum()) for a, b in pairs)
    return differ / max(1, sum(int(a.numel()) for a, _ in pairs))
