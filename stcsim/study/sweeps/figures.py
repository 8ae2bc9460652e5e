"""What is kept of the run of one cell: its figures, each a plain number or word, under the names of a run's totals."""

from __future__ import annotations

from dataclasses import dataclass, fields

from stcsim.result import Interval, RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one cell. One is ``None`` where its side was not run, or nobody can say it.

    *Dense* is every layer dense, *sparse* is pruned wherever a layer may be, *best* the faster of both layer by layer.

    Attributes:
        macs: multiply-accumulates of one pass.
        dense_us: time of one pass.
        dense_us_low: end of the interval that holds 80 % of measurements.
        dense_us_high: its other end.
        sparse_us: time of one pass.
        sparse_us_low: end of the interval.
        sparse_us_high: its other end.
        best_us: time of one pass.
        best_us_low: end of the interval.
        best_us_high: its other end.
        speedup: of best over dense.
        speedup_low: end of the interval.
        speedup_high: its other end.
        sparse_speedup: of sparse over dense.
        sparse_speedup_low: end of the interval.
        sparse_speedup_high: its other end.
        dense_tops: effective 10^12 operations a second; pruned products count.
        sparse_tops: likewise.
        best_tops: likewise.
        dense_uj: energy of the board for one pass, microjoules.
        sparse_uj: likewise.
        best_uj: likewise.
        dense_watts: power of the board, its mean over one pass.
        sparse_watts: likewise.
        best_watts: likewise.
        dense_clock_mhz: the clock that is held.
        sparse_clock_mhz: likewise.
        best_clock_mhz: likewise.
        clock_is_limited: whether the power limit holds one of these down.
        weight_bytes: all weights, dense.
        compressed_bytes: all weights, pruned wherever a layer may be.
        dense_memory_bytes: weights, activations and cache; of a network alone.
        sparse_memory_bytes: likewise.
        best_memory_bytes: likewise.
        fits: whether the best of both fits the memory of the GPU.
        verdict: ``pays``, ``does not pay`` or ``cannot tell``.
        evidence: what was measured nearest to this GPU.
        partial: what the network lacks, so that its figures are too small.
    """

    macs: int
    dense_us: float | None
    dense_us_low: float | None
    dense_us_high: float | None
    sparse_us: float | None
    sparse_us_low: float | None
    sparse_us_high: float | None
    best_us: float
    best_us_low: float | None
    best_us_high: float | None
    speedup: float | None
    speedup_low: float | None
    speedup_high: float | None
    sparse_speedup: float | None
    sparse_speedup_low: float | None
    sparse_speedup_high: float | None
    dense_tops: float | None
    sparse_tops: float | None
    best_tops: float
    dense_uj: float | None
    sparse_uj: float | None
    best_uj: float
    dense_watts: float | None
    sparse_watts: float | None
    best_watts: float
    dense_clock_mhz: float | None
    sparse_clock_mhz: float | None
    best_clock_mhz: float
    clock_is_limited: bool
    weight_bytes: int
    compressed_bytes: int
    dense_memory_bytes: int | None
    sparse_memory_bytes: int | None
    best_memory_bytes: int | None
    fits: bool | None
    verdict: str | None
    evidence: str | None
    partial: str | None


FIGURES = tuple(field.name for field in fields(Figures))
"""The names of all figures, in order."""

NUMBERS = tuple(name for name in FIGURES if name not in ("verdict", "evidence", "partial"))
"""Those that are numbers, or true or false."""

_SIDES = ("dense", "sparse", "best")
_IN_INTERVALS = ("dense_us", "sparse_us", "best_us", "speedup", "sparse_speedup")
_OF_TOTALS = (
    *("macs", *_IN_INTERVALS, "dense_tops", "best_tops", "dense_uj", "sparse_uj", "best_uj", "clock_is_limited"),
    *("dense_clock_mhz", "sparse_clock_mhz", "best_clock_mhz", "weight_bytes", "compressed_bytes"),
)


def figures_of(result: RunResult) -> Figures:
    """Return what is kept of a run."""
    totals, footprint, trust = result.totals, result.footprint, result.trust
    found: dict[str, object] = {name: getattr(totals, name) for name in _OF_TOTALS}
    for name in _IN_INTERVALS:
        likely: Interval | None = getattr(totals, f"{name}_interval")
        found |= {f"{name}_{end}": likely and getattr(likely, end) for end in ("low", "high")}
    for side in _SIDES:
        found[f"{side}_watts"] = _ratio(found[f"{side}_uj"], found[f"{side}_us"])
        found[f"{side}_memory_bytes"] = footprint and footprint.total(getattr(footprint, f"{side}_weight_bytes"))
    return Figures(
        **found,  # type: ignore[arg-type]  # each name is a field, and totals have the types
        sparse_tops=2e-6 * totals.macs / totals.sparse_us if totals.sparse_us else None,
        fits=footprint.fits(footprint.best_weight_bytes) if footprint else None,
        verdict=trust.verdict if trust else None,
        evidence=trust.evidence if trust else None,
        partial=result.partial.sentence if result.partial else None,
    )


def _ratio(energy_uj: object, time_us: object) -> float | None:
    return energy_uj / time_us if isinstance(energy_uj, float) and isinstance(time_us, float) and time_us else None
