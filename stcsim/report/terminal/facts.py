"""What a run says of itself in one line each: work, where its time goes by kind, weights, memory, energy, clock, evidence."""

from __future__ import annotations

from collections import defaultdict

from rich.text import Text

from stcsim.report.clock import allowed_w, clock_text
from stcsim.report.phrases import Phrases
from stcsim.report.trust import evidence_text, fit_text, pattern_text
from stcsim.report.units import (
    bytes_text,
    energy_text,
    macs_text,
    over_limit_text,
    percent,
    percent_text,
    three_digits,
    time_text,
)
from stcsim.report.words import RESOURCES
from stcsim.result import KernelResult, MemoryRow, RunResult, TimeSplit
from stcsim.words import Library

NAMES_SHOWN = 3
_LABEL_COLUMNS = 14
_MEASURED = Library.CUSPARSELT.value


def facts(result: RunResult) -> list[Phrases]:
    """Return the lines, each with its label."""
    totals = result.totals
    launches = f"{totals.launches:,} launch{'es' if totals.launches > 1 else ''}"
    eligible = f", {percent(totals.eligible_macs / totals.macs)} of it in layers that may be pruned" if totals.macs else ""
    lines: list[tuple[str, str | Text]] = [("work", f"{launches}, {macs_text(totals.macs)}{eligible}")]
    if totals.memory_launches or totals.fused:
        lines += [("time", _split_text(totals.dense_split, totals.best_split)), ("memory steps", _memory_text(result))]
    lines.append(("weights", _weights_text(result)))
    if result.footprint is not None:
        lines.append(("memory", fit_text(result)))
    lines += [
        ("energy", _energy_text(result)),
        ("clock", _clock_text(result)),
        ("limit", _limit_text(result)),
        ("by layer", _exceptions_text(result)),
    ]
    if len(result.rows) == 1:
        for side, kernel in (("dense", result.rows[0].dense), (result.pattern, result.rows[0].sparse)):
            if kernel is not None:
                lines += [(side, _kernel_text(kernel)), ("", helps_text(kernel) if kernel.gains.known else "")]
    lines.append(("library", _library_text(result)))
    if result.trust is not None:
        lines += [("evidence", evidence_text(result.trust)), ("pattern", pattern_text(result.pattern))]
    return [Phrases(label, text, _LABEL_COLUMNS, label_style="dim") for label, text in lines if text]


def helps_text(kernel: KernelResult) -> str:
    """Return what would help a kernel most: ``more L2 bandwidth (+10 %: −8.5 %, +50 %: −21 %)``."""
    gains = kernel.gains
    best = sorted((name for name in gains if gains.half_more[name] > 0), key=lambda name: -gains.half_more[name])[:NAMES_SHOWN]
    if not best:
        return "more of no single resource would help"
    named = ", ".join(f"{RESOURCES[name]} −{percent_text(gains[name])} / −{percent_text(gains.half_more[name])}" for name in best)
    return f"time saved by 10 % / 50 % more of one resource: {named}"


def _energy_text(result: RunResult) -> str:
    """Return joules for each sample, and for each token where the input has tokens."""
    totals, shape = result.totals, result.inputs.get("trace", {}).get("input_shape")
    samples = result.batch if "trace" in result.inputs else 0
    sides = {"dense": totals.dense_uj, "best of both": totals.best_uj if totals.sparse_us is not None else None}
    energies = {side: energy_uj for side, energy_uj in sides.items() if energy_uj} or {result.pattern: totals.best_uj}
    if not samples:
        return " → ".join(energy_text(energy_uj) for energy_uj in energies.values()) + " a launch"
    has_tokens = isinstance(shape, dict) and "tokens" in shape
    unit, count = ("token", samples * shape["tokens"]) if has_tokens else ("sample", samples)
    return f"{' → '.join(energy_text(energy_uj / count) for energy_uj in energies.values())} a {unit}"


def _split_text(dense: TimeSplit | None, best: TimeSplit) -> str:
    """Return what share layers, memory steps and launch gaps have, dense → best of both."""
    sides = [side for side in (dense, best) if side is not None]
    sums = [side.layers + side.memory + side.launch for side in sides]
    words = {"layers": "GEMMs, convolutions", "memory": "memory steps", "launch": "launch gaps"}
    texts = []
    for part, word in words.items():
        shares = dict.fromkeys(percent(getattr(side, part) / total) for side, total in zip(sides, sums, strict=True))
        *others, last = shares
        texts.append(f"{word} {' → '.join([*(share.removesuffix(' %') for share in others), last])}")
    return ", ".join(texts)


def _memory_text(result: RunResult) -> str:
    """Return the operators that have a kernel of their own, by time, and how many have none."""
    by_operator: dict[str, list[MemoryRow]] = defaultdict(list)
    for row in result.memory:
        by_operator[row.operator].append(row)
    times_us = {name: sum(row.count * row.chosen.time_us for row in rows) for name, rows in by_operator.items()}
    slowest = sorted(times_us, key=lambda name: -times_us[name])[:NAMES_SHOWN]
    named = [f"{name} ×{sum(row.count for row in by_operator[name])} {time_text(times_us[name])}" for name in slowest]
    named += ["…"] if len(by_operator) > NAMES_SHOWN else []
    kernels = f"{result.totals.memory_launches:,} ({', '.join(named)})" if named else ""
    fused = f"{result.totals.fused:,} in the kernel before" if result.totals.fused else ""
    return ", ".join(filter(None, (kernels, fused)))


def _library_text(result: RunResult) -> str:
    """Return whose 2:4 kernels ran, where that is no GEMM's own line, and that intervals are another library's."""
    if not any(row.sparse for row in result.rows):
        return ""
    whose = f"{result.pattern} kernels of {result.library}" if len(result.rows) > 1 else ""
    measured = "" if result.library == _MEASURED else f"intervals are from measured times of {_MEASURED}'s 2:4 kernels"
    return "; ".join(filter(None, (whose, measured)))


def _kernel_text(kernel: KernelResult) -> str:
    grid = f"{kernel.ctas:,} CTA{'s' if kernel.ctas > 1 else ''}, {kernel.ctas_per_sm}/SM, {three_digits(kernel.waves)} waves"
    whose = f" of {kernel.library}" if kernel.library else ""
    return f"{kernel.kernel}{whose}, {grid}, {kernel.clock_mhz:,.0f} MHz, {kernel.watts:,.0f} W"


def _clock_text(result: RunResult) -> str:
    """Return the clocks that the board's power limit holds, in which state of the board; nothing where it does not bind."""
    totals, arch = result.totals, result.inputs["arch"]
    if not totals.clock_is_limited:
        return ""
    best = (totals.best_clock_mhz, totals.best_burst_clock_mhz) if totals.sparse_us is not None else (None, None)
    sparse = totals.sparse_clock_mhz, totals.sparse_burst_clock_mhz
    pruned = (result.pattern, sparse) if len(result.rows) == 1 else ("best of both", best)
    clocks = dict([("dense", (totals.dense_clock_mhz, totals.dense_burst_clock_mhz)), pruned])
    return clock_text(result.duration, arch["power"]["board_limit_w"]["value"], arch["clock"]["sustained_mhz"]["value"], clocks)


def _limit_text(result: RunResult) -> Text | str:
    """Return that a limit is broken, by the network or GEMM that draws most: a what-if can ask for less than any clock allows."""
    totals, power = result.totals, result.inputs["arch"].get("power", {})
    runs = (
        (totals.dense_uj, totals.dense_us, totals.dense_clock_mhz),
        (totals.sparse_uj, totals.sparse_us, totals.sparse_clock_mhz),
        (totals.best_uj, totals.best_us, totals.best_clock_mhz),
    )
    drawn = [(energy_uj / time_us, clock_mhz) for energy_uj, time_us, clock_mhz in runs if energy_uj and time_us and clock_mhz]
    if not drawn or not power:
        return ""
    limit_w = allowed_w(result.duration, power["board_limit_w"]["value"], power["burst_ratio"]["value"])
    return Text(over_limit_text(*max(drawn), limit_w), "yellow")


def _exceptions_text(result: RunResult) -> str:
    """Return what was asked of single layers."""
    dense = [f"{pattern} kept dense" for pattern in result.inputs.get("keep_dense", ())]
    if (pruned := result.inputs.get("pruned_as")) is not None:
        dense.append(f"pruned as told, {len(pruned)} names")
    return ", ".join(dense + [f"{pattern} {element}" for pattern, element in result.inputs.get("dtype_of", {}).items()])


def _weights_text(result: RunResult) -> str:
    totals = result.totals
    if not totals.weight_bytes:
        return "none"
    if not totals.pruned_weight_bytes:
        return f"{bytes_text(totals.weight_bytes)}, none of it may be pruned"
    if totals.sparse_us is None:
        return f"{bytes_text(totals.weight_bytes)}, {bytes_text(totals.compressed_bytes)} if pruned"
    of_pruned = 1 - totals.pruned_compressed_bytes / totals.pruned_weight_bytes
    of_all = 1 - totals.compressed_bytes / totals.weight_bytes
    sizes = bytes_text(totals.weight_bytes, totals.compressed_bytes)
    return f"{sizes} with metadata: −{percent(of_pruned)} of the pruned, −{percent(of_all)} of all"
