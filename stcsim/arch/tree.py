"""The tree of numbers that describes a GPU: names, types, ranges.

The dotted path of a value, e.g. ``l2.capacity_mib``, is at once its YAML key, its attribute, its ``--set`` argument and the
place an error names. Values are in vendor units, and the unit is the last part of the name. ``stcsim.arch`` puts it to use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from pydantic import create_model, model_validator
from pydantic.fields import FieldInfo

from stcsim.arch.costs import KernelCosts, Launch, Power
from stcsim.arch.leaf import (
    Capability,
    Cost,
    CostOrNull,
    Count,
    CountOrNull,
    Counts,
    Efficiency,
    Generation,
    Rate,
    RateOrNull,
    RuleError,
    Section,
    Share,
    Word,
)
from stcsim.isa import timed_types
from stcsim.isa.patterns import Pattern, find_pattern, pattern_names


class Sm(Section):
    """Streaming multiprocessors: how many, grouped how, and the CTA limits of one.

    Attributes:
        count: SMs of the whole GPU.
        sms_per_gpc: SMs in each graphics processing cluster (a CTA cluster may not straddle two); sums to ``count``.
        max_warps: resident warps of one SM.
        max_ctas: resident CTAs of one SM.
        registers: 32-bit registers of one SM.
    """

    count: Count
    sms_per_gpc: Counts
    max_warps: Count
    max_ctas: Count
    registers: Count

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(self.sms_per_gpc) != self.count:
            expected = f"integers that sum to sm.count ({self.count})"
            raise RuleError("sms_per_gpc", expected, f"a sum of {sum(self.sms_per_gpc)}")
        return self


class Clock(Section):
    """SM clocks, MHz.

    Attributes:
        boost_mhz: highest clock of the product.
        peak_mhz: the clock behind the vendor's quoted peak throughput.
        sustained_mhz: the clock that GEMMs hold while the board limit does not bind.
    """

    boost_mhz: Rate
    peak_mhz: Rate
    sustained_mhz: Rate


class Rates(Section):
    """Dense fused multiply-adds a clock and SM by input type, with FP32 (INT32) accumulators; null: not in hardware."""

    def of(self, key: str) -> int | None:
        """Return the rate of a type that GEMMs are timed in."""
        rate: int | None = getattr(self, key, None)
        return rate


if TYPE_CHECKING:
    FmaRates = Rates
else:  # a key for each row of the table that has a rate of its own; a file may leave types out that its GPU lacks
    _RATES: dict[str, Any] = {row.name: (CountOrNull, None) for row in timed_types()}
    FmaRates = create_model("FmaRates", __base__=Rates, __doc__=Rates.__doc__, **_RATES)


class TensorCore(Section):
    """Tensor cores of one SM.

    Attributes:
        fma_per_clk_per_sm: dense rates, FMA/clk/SM.
        sparse_group: elements in a structured-sparsity group (4), null without Sparse Tensor Cores.
        sparse_kept: elements kept in a group (2), null without Sparse Tensor Cores.
        sparse_rate_ratio: multiply-adds of a sparse instruction, skipped ones counted, for each of a dense one in the same time;
            null or left out: as many as elements of a group for each that is kept.
        metadata_bits_per_index: bits that store the place of one kept value (or pair, in 4-bit types); null or left out: as the
            rows of the pattern and the type have it (``stcsim.isa``).
        issue_efficiency: share of the nominal rate that back-to-back instructions reach.
        mma_sync_efficiency: share of the nominal rate open to warp-level ``mma.sync`` and ``mma.sp``.
        latency_cycles: completion latency of one full-depth MMA instruction.
        sparse_min_issue_cycles: shortest interval between two ``mma.sp`` of one sub-core; null where none was seen.
    """

    fma_per_clk_per_sm: FmaRates
    sparse_group: CountOrNull
    sparse_kept: CountOrNull
    sparse_rate_ratio: RateOrNull = None
    metadata_bits_per_index: CountOrNull = None
    issue_efficiency: Efficiency
    mma_sync_efficiency: Efficiency
    latency_cycles: Cost
    sparse_min_issue_cycles: CostOrNull

    @model_validator(mode="after")
    def _check(self) -> Self:
        group, kept = self.sparse_group, self.sparse_kept
        if (group is None) != (kept is None):
            expected = "null" if group is None else "an integer"
            raise RuleError("sparse_kept", f"{expected} like tensor_core.sparse_group", str(kept or "null"))
        if group is not None and kept is not None and kept >= group:
            raise RuleError("sparse_kept", f"less than tensor_core.sparse_group ({group})", str(kept))
        if group is not None and kept is not None and find_pattern(kept, group) is None:
            raise RuleError("sparse_kept", f"with sparse_group one of {', '.join(pattern_names())}", f"{kept}:{group}")
        return self

    @property
    def pattern(self) -> Pattern | None:
        """The pattern of structured sparsity that it runs, ``None`` without Sparse Tensor Cores."""
        group, kept = self.sparse_group, self.sparse_kept
        return None if group is None or kept is None else find_pattern(kept, group)


class SharedMemory(Section):
    """Shared memory of one SM.

    Attributes:
        capacity_kib: most that all resident CTAs may use together.
        max_per_cta_kib: most that one CTA may use.
        reserved_per_cta_kib: taken by the system for each resident CTA.
        unified_kib: the memory that L1 cache and shared memory divide between them.
        bandwidth_bytes_per_clk: port of one SM, reads and fills together.
        fill_contention: share (0..1) of the fills from L2 that contend with reads on the port.
        latency_cycles: load to use.
    """

    capacity_kib: Rate
    max_per_cta_kib: Rate
    reserved_per_cta_kib: Cost
    unified_kib: Rate
    bandwidth_bytes_per_clk: Rate
    fill_contention: Share
    latency_cycles: Cost

    @model_validator(mode="after")
    def _check(self) -> Self:
        most, found = self.capacity_kib, self.max_per_cta_kib
        if found > most:
            raise RuleError("max_per_cta_kib", f"at most shared_memory.capacity_kib ({most:g})", f"{found:g}")
        return self


class L2(Section):
    """The second-level cache of the whole GPU.

    Attributes:
        capacity_mib: all partitions together.
        partitions: 2 where data may be held twice, once near each half of the SMs.
        shared_fraction: share of the capacity left for data that all SMs read (0..1): a half where both partitions keep a copy.
        bandwidth_bytes_per_clk: delivered to GEMM streams by all slices together, bytes per SM clock.
        port_bytes_per_clk_per_sm: what one SM can take in.
        near_latency_cycles: load to use on a hit in the SM's own partition.
        far_latency_cycles: the same in the other partition; equal to near where there is one partition.
    """

    capacity_mib: Rate
    partitions: Count
    shared_fraction: Efficiency
    bandwidth_bytes_per_clk: Rate
    port_bytes_per_clk_per_sm: Rate
    near_latency_cycles: Cost
    far_latency_cycles: Cost

    @model_validator(mode="after")
    def _check(self) -> Self:
        least, found = self.near_latency_cycles, self.far_latency_cycles
        if found < least:
            raise RuleError("far_latency_cycles", f"at least l2.near_latency_cycles ({least:g})", f"{found:g}")
        return self


class Dram(Section):
    """Device memory.

    Attributes:
        bandwidth_gb_per_s: vendor's peak, 10^9 bytes a second.
        achieved_fraction: share of the peak that streams reach (0..1).
        latency_cycles: load to use on an L2 miss, SM clocks, L2 lookup included.
        capacity_gib: installed memory.
    """

    bandwidth_gb_per_s: Rate
    achieved_fraction: Efficiency
    latency_cycles: Cost
    capacity_gib: Rate


class Tree(Section):
    """Everything about one GPU except where it comes from.

    Attributes:
        name: the word on the command line, e.g. ``a100``.
        title: the product, e.g. ``NVIDIA A100 SXM4 80 GB``.
        generation: ``turing``, ``ampere``, ``ada`` or ``hopper``.
        compute_capability: e.g. ``"8.0"``.
        die: e.g. ``GA100``.
    """

    name: Word
    title: Word
    generation: Generation
    compute_capability: Capability
    die: Word
    sm: Sm
    clock: Clock
    tensor_core: TensorCore
    shared_memory: SharedMemory
    l2: L2
    dram: Dram
    launch: Launch
    kernel: KernelCosts
    power: Power


def section_at(field: FieldInfo) -> type[Section] | None:
    """Return the model of a field that is a branch of the tree, ``None`` for a value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _fields(model: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        section = section_at(field)
        if section is None:
            yield prefix + name, field
        else:
            yield from _fields(section, f"{prefix}{name}.")


def _bounds(field: FieldInfo, which: str) -> list[float]:
    return [getattr(each, which) for each in field.metadata if hasattr(each, which)]


#: What a value at each dotted path must be, in words, in the order of the tree.
EXPECTED: dict[str, str] = {path: field.description or "" for path, field in _fields(Tree)}
#: The paths that a file may leave out: rates of types that the GPU lacks.
OPTIONAL: frozenset[str] = frozenset(path for path, field in _fields(Tree) if not field.is_required())
#: The paths that stand in a file as plain texts, without a source.
IDENTITY: tuple[str, ...] = tuple(path for path in EXPECTED if "." not in path)
#: The paths of single numbers, with their type; a list of numbers, as ``sm.sms_per_gpc`` is, is none.
NUMBERS: dict[str, type[int] | type[float]] = {
    path: kind for path, field in _fields(Tree) for kind in (int, float) if field.annotation in (kind, kind | None)
}

#: The least and the most that each of these numbers may be.
RANGES: dict[str, tuple[float, float]] = {
    path: (min(_bounds(field, "ge")), max(_bounds(field, "le"))) for path, field in _fields(Tree) if path in NUMBERS
}
