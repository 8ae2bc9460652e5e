"""What an inspected checkpoint is called in words: lines of alike weights, reasons, and the verdict in one sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stcsim.report.units import interval_text, percent
from stcsim.trace.names import alike, common_name

if TYPE_CHECKING:
    from stcsim.inspection import Gain, Inspection, Weight

_TODAY = "as it is"


@dataclass(frozen=True, slots=True)
class WeightLine:
    """Alike weights: one size, type and state, names that differ in their numbers only."""

    name: str
    weights: tuple[Weight, ...]

    @property
    def first(self) -> Weight:
        """Return the one that stands for all."""
        return self.weights[0]

    def mean(self, shares: Iterable[float | None]) -> float | None:
        """Return the mean of shares of the weights; ``None`` where none has one."""
        known = [share for share in shares if share is not None]
        return sum(known) / len(known) if known else None


def weight_lines(weights: Sequence[Weight], grouped: bool = True) -> list[WeightLine]:
    """Return the lines of a table, in the order of the file."""
    groups: dict[object, list[Weight]] = defaultdict(list)
    for weight in weights:
        like = alike(weight.name, weight.m, 1, weight.k, weight.batch, weight.dtype)
        state = weight.state, weight.along, weight.not_eligible_because, weight.layout, weight.patterns
        groups[(like, state) if grouped else weight.name].append(weight)
    return [WeightLine(common_name([weight.name for weight in group]), tuple(group)) for group in groups.values()]


def reasons(weights: Iterable[Weight]) -> dict[str, list[str]]:
    """Return the names of what is no weight of a GEMM, by reason."""
    found: dict[str, list[str]] = defaultdict(list)
    for weight in weights:
        found[weight.not_eligible_because or ""].append(weight.name)
    return dict(found)


def verdict_text(found: Inspection, gains: Sequence[Gain] = ()) -> str:
    """Return one sentence: how much of the file is 2:4, what that brings, or what pruning would."""
    if not found.weights:
        return "This file has no weight of a GEMM."
    return f"{_what(found)}{_nearly(found)}; {_brings(found, gains)}."


def _what(found: Inspection) -> str:
    count, pruned = len(found.weights), found.pruned
    if count == 1:
        return f"The only weight matrix of this file is {'' if pruned else 'not '}2:4"
    if not pruned:
        return f"This file is 2:4 in none of its {count} weight matrices"
    share = sum(each.elements for each in pruned) / sum(each.elements for each in found.weights)
    return f"This file is 2:4 in {len(pruned)} of {count} weight matrices ({percent(share)} of their elements)"


def _nearly(found: Inspection) -> str:
    nearly = [each for each in found.eligible if each.state == "nearly"]
    other = [each for each in found.eligible if each.state == "other way"]
    useless = [each for each in found.weights if each.state == "2:4" and not each.is_eligible]
    texts = []
    if nearly:
        off = sum(each.groups_off for each in nearly)
        texts.append(f"{len(nearly)} nearly so ({off:,} group{'s' if off > 1 else ''} off)")
    if other:
        texts.append(f"{len(other)} along a direction that no instruction takes")
    if useless:
        texts.append(f"{len(useless)} where no 2:4 kernel fits")
    return f", {', '.join(texts)}" if texts else ""


def _brings(found: Inspection, gains: Sequence[Gain]) -> str:
    if not found.eligible:
        return f"no 2:4 kernel takes {'it' if len(found.weights) == 1 else 'any of them'}"
    if not gains:
        return "--arch and --tokens say what that brings" if found.pruned else "--arch and --tokens say what pruning would bring"
    wanted = [gain for gain in gains if (gain.what == _TODAY) == bool(found.pruned)]
    if not wanted:
        return f"no GPU of {', '.join(dict.fromkeys(gain.arch for gain in gains))} runs 2:4 in its types"
    best = max(wanted, key=lambda gain: gain.speedup)
    tokens = f"{best.tokens:,} token{'s' if best.tokens > 1 else ''}"
    place = f"{'at best, ' if len(wanted) > 1 else ''}on {best.arch} at {tokens},"
    what = "that" if found.pruned else f"pruning {best.layers or 'any'} of them"
    if not best.layers or best.interval is None:
        return f"{place} {what} is predicted to bring nothing"
    said = {"pays": "brings", "does not pay": "does not pay:", "cannot tell": "may or may not pay:"}[
        best.verdict or "cannot tell"
    ]
    paying = sum(gain.verdict == "pays" for gain in wanted)
    count = f", and it pays in {paying} of {len(wanted)} cases" if len(wanted) > 1 else ""
    return f"{place} {what} {said} {best.speedup:.2f}× ({interval_text(best.interval)} in 8 of 10 predictions){count}"
