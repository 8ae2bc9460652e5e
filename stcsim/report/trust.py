"""What stands beside the figures of a run: what they rest on, whether the network fits, and what it all means in plain words."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from stcsim.arch.variants import base_name
from stcsim.isa.patterns import NATIVE, skipped_ratio
from stcsim.report.phrases import Phrases
from stcsim.report.terminal.lines import lines_of
from stcsim.report.units import bytes_text, interval_text, percent
from stcsim.report.words import PARTS
from stcsim.result import RunResult, Trust
from stcsim.result.parts import times_by_side

_EVIDENCE = {
    "board": "GEMM times of this very board were measured",
    "sibling": "GEMM times of another board with this die were measured, not of this one",
    "generation": "no GEMM of this GPU was measured: expect more than these intervals say of boards that were",
}
_GIB = 1 << 30


def evidence_text(trust: Trust) -> Text:
    """Return what the error bars rest on, loud where this board was never measured."""
    style = "" if trust.evidence == "board" else "yellow"
    count = len(trust.assumed)
    assumed = f"{count or 'none'} of its values {'are' if count > 1 else 'is'} assumed"
    rows = f"intervals are from {trust.rows:,} rows or more"
    return Text(f"{_EVIDENCE[trust.evidence]}, {rows}; {assumed} (stcsim arch)", style)


def evidence_lines(trusts: Mapping[str, Trust]) -> list[Phrases]:
    """Return a line for each GPU."""
    indent = max(map(len, trusts), default=0) + 2
    return [Phrases(name, evidence_text(trust), indent, label_style="dim") for name, trust in trusts.items()]


def fit_text(result: RunResult) -> Text:
    """Return what the network needs of the GPU's memory, loud where it does not fit."""
    need = result.footprint
    assert need is not None
    parts = [f"weights {bytes_text(need.dense_weight_bytes, need.best_weight_bytes)}"]
    parts.append(f"activations {bytes_text(need.activation_bytes)}")
    if need.cache_bytes:
        parts.append(f"KV cache {bytes_text(need.cache_bytes)}")
    text = Text(f"{', '.join(parts)}; ")
    dense, best, sparse = (
        need.fits(size) for size in (need.dense_weight_bytes, need.best_weight_bytes, need.sparse_weight_bytes)
    )
    capacity = f"{need.capacity_bytes / _GIB:.0f} GiB"
    if dense:
        return text + Text(f"fits {capacity}")
    if best or sparse:
        how = "as best of both" if best else "with all of it pruned"
        return text + Text(
            f"FITS {capacity} ONLY IN {result.pattern} ({how}; dense needs {_gib(need.total(need.dense_weight_bytes))})",
            "bold red",
        )
    least = need.total(need.sparse_weight_bytes)
    return text + Text(
        f"DOES NOT FIT {capacity}, not even in {result.pattern} ({_gib(least)}): times are those of a GPU that held it",
        "bold red",
    )


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"


def pattern_text(pattern: str) -> str:
    """Return what a sparsity pattern that no GPU has rests on; empty for that of hardware."""
    if pattern == NATIVE.name:
        return ""
    return f"no GPU runs {pattern}: kernels, the energy of a MAC and the intervals are those of {NATIVE.name}"


def plain_words(result: RunResult) -> list[Phrases]:
    """Return what the run means: whether 2:4 pays, how sure that is, why not more, and what to try next."""
    if result.trust is None or result.trust.verdict is None:
        return []
    return [Phrases("", text, 0) for text in (_verdict(result, result.trust.verdict), *_reasons(result), *_next(result)) if text]


def _verdict(result: RunResult, verdict: str) -> Text:
    totals, pruned = result.totals, sum(row.is_pruned for row in result.rows)
    if len(result.rows) == 1:
        what, speedup, likely = "the GEMM", totals.sparse_speedup, totals.sparse_speedup_interval
    elif pruned:
        what = f"the network with {pruned} of {len(result.rows)} layers pruned"
        speedup, likely = totals.speedup, totals.speedup_interval
    else:
        what, speedup, likely = "all of it pruned", totals.sparse_speedup, totals.sparse_speedup_interval
    assert speedup is not None and likely is not None
    name = result.pattern
    said = {"pays": f"{name} pays", "does not pay": f"{name} does not pay"}.get(verdict, f"Whether {name} pays cannot be told")
    factor = f"{speedup:.2f}× as fast as dense, {interval_text(likely)}× in 8 of 10 such cases"
    if result.partial:
        what = f"what was read of {what}" if len(result.rows) > 1 else what
        said = f"Whether {name} pays cannot be told of a part of the network"
    none = "" if pruned or len(result.rows) == 1 else " No layer is predicted to make the whole faster when it is pruned."
    return Text.assemble((f"{said}: ", "bold"), f"{what} is predicted {factor}.{none}")


def _reasons(result: RunResult) -> list[Text]:
    """Return why it is not twice as fast, of a network: pruning halves the tensor pipe's part of the time, and little else."""
    parts = times_by_side(result).get("dense", {})
    total_us = sum(parts.values())
    if len(result.rows) == 1 or not total_us:
        return []
    tensor = parts.get("tensor", 0.0) / total_us
    others = sorted((part for part in parts if part != "tensor"), key=lambda part: -parts[part])[:2]
    named = " and ".join(f"{PARTS[part]} ({percent(parts[part] / total_us)})" for part in others)
    ratio = skipped_ratio(result.pattern)
    less = "halves" if ratio == 2 else f"divides by {ratio:g}"
    return [Text(f"What {result.pattern} {less} is the tensor pipe's part, {percent(tensor)} of the dense time; {named} stay.")]


def _changes(gpu: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield what made the GPU another one than its file says, as options: ``--set=l2.capacity_mib=80``."""
    for name, value in gpu.items():
        if not isinstance(value, Mapping):
            continue
        source = str(value.get("from"))
        if source.startswith("--set") and ":" not in source:  # what follows a colon was made of such a value
            yield f"--set={path}{name}={json.dumps(value['value'])}"
        else:
            yield from _changes(value, f"{path}{name}.")


def _next(result: RunResult) -> list[Text]:
    """Return the next command to try."""
    inputs, row = result.inputs, lines_of(result.rows)[0].rows[0]
    common = " ".join([f"--arch {base_name(result.arch)} --dtype {result.dtype}", *map(shlex.quote, _changes(inputs["arch"]))])
    explain = f"stcsim explain {row.m} {row.n} {row.k} {common}"
    if "trace" not in inputs:
        return [Text.assemble(("Next: ", "bold"), f"{explain} says why.")]
    commands = [f"{explain} says why the layers that take most of it take so long"]
    if any(group.pruned for group in result.groups):
        commands.append("--prune-list FILE writes the names of the layers to prune")
    if result.batch == 1 and inputs["trace"].get("rescalable"):
        commands.insert(0, "--batch 32 has more work for each weight")
    return [Text.assemble(("Next: ", "bold"), "; ".join(commands) + ".")]
