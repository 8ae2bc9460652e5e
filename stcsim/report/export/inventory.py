"""GPUs, one GPU's values and traces as documents, and as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stcsim.isa import timed_types
from stcsim.report.terminal.inventory import eligible_share
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.arch import Arch
    from stcsim.trace import Trace


def archs_document(archs: Sequence[Arch]) -> dict[str, Any]:
    """Return the GPUs with their peaks, 10^12 operations a second."""
    return documents.document("archs-1", {"archs": list(map(_gpu, archs)), "inputs": {}})


def archs_lines(archs: Sequence[Arch]) -> list[dict[str, object]]:
    """Return one flat line for each GPU."""
    return [documents.flat(_gpu(arch)) for arch in archs]


def arch_document(arch: Arch) -> dict[str, Any]:
    """Return every value of a GPU with its unit, kind and source; ``inputs.arch`` loads as the same GPU again."""
    content = {**_gpu(arch), "leaves": arch_lines(arch), "inputs": {"arch": arch.to_dict()}}
    return documents.document("arch-1", content)


def arch_lines(arch: Arch) -> list[dict[str, object]]:
    """Return one line for each value."""
    return [documents.flat(leaf._asdict()) for leaf in arch.leaves()]


def traces_document(traces: Sequence[Trace]) -> dict[str, Any]:
    """Return what each trace is, how large, how much of it may run 2:4, and where it comes from."""
    return documents.document("traces-1", {"traces": list(map(_trace, traces)), "inputs": {}})


def traces_lines(traces: Sequence[Trace]) -> list[dict[str, object]]:
    """Return one flat line for each trace."""
    return [documents.flat(_trace(trace)) for trace in traces]


def _gpu(arch: Arch) -> dict[str, Any]:
    dtypes = [row.name for row in timed_types()]
    peaks = {side: {dtype: arch.peak_tops(dtype, side == "sparse") for dtype in dtypes} for side in ("dense", "sparse")}
    return {
        "name": arch.name,
        "title": arch.title,
        "generation": arch.generation,
        "compute_capability": arch.compute_capability,
        "die": arch.die,
        "sms": arch.sm.count,
        "l2_mib": arch.l2.capacity_mib,
        "dram_gb_per_s": arch.dram.bandwidth_gb_per_s,
        "peak_tops": peaks,
    }


def _trace(trace: Trace) -> dict[str, Any]:
    return {
        "name": trace.name,
        "title": trace.title,
        "batch": trace.batch,
        "dtype": trace.dtype,
        "launches": sum(op.count for op in trace.ops),
        "macs": trace.macs,
        "weight_elements": trace.weight_elements,
        "eligible_share": eligible_share(trace),
        "source": {"library": trace.source.library, "version": trace.source.version, "model": trace.source.model},
        "sha256": trace.sha256,
        "partial": trace.partial.sentence if trace.partial else None,
    }
