"""Networks in, traces out: runs real model code on tensors without data. PyTorch is imported only when a capture runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stcsim.trace import Trace

__all__ = ["capture", "network_names"]


def capture(name: str, batch: int | None = None, input_shape: Sequence[int] | None = None, dtype: str = "fp16") -> Trace:
    """Return the trace of a known network, or of ``module:factory``, a callable that returns a ``torch.nn.Module``.

    Args:
        name: one of ``network_names()`` or ``"module:factory"``.
        batch: samples in one pass; the network's own choice, else 1.
        input_shape: of one sample, without the batch; needed for ``module:factory``.
        dtype: element type the trace asks for; shapes do not depend on it.

    Raises:
        TraceError: when the network is unknown, cannot be built, or cannot be run on shapes alone.
    """
    from stcsim.capture.run import capture as run

    return run(name, batch, input_shape, dtype)


def network_names() -> list[str]:
    """Return the names of the networks that can be captured without writing code."""
    from stcsim.capture.networks import NETWORKS

    return list(NETWORKS)
