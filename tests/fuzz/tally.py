"""How many cases ended in what, and the shortest repro of each distinct fault."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.fuzz.case import GOOD, Outcome
from tests.fuzz.pool import Tried


@dataclass
class Fault:
    """One distinct fault: how often it came, and the case that is told in fewest words."""

    shortest: Tried
    count: int = 0


@dataclass
class Tally:
    """What came of all cases."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    parts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, Fault] = field(default_factory=dict)
    slowest: dict[str, Tried] = field(default_factory=dict)

    def add(self, tried: Tried) -> None:
        """Count a case."""
        self.counts.setdefault(tried.kind, Counter())[tried.outcome] += 1
        self.parts[f"{tried.kind}: {tried.part}: {tried.outcome}"] += 1
        if tried.kind not in self.slowest or tried.seconds > self.slowest[tried.kind].seconds:
            self.slowest[tried.kind] = tried
        if tried.outcome in GOOD:
            return
        fault = self.faults.setdefault(f"{tried.kind}: {tried.outcome}: {tried.fault}", Fault(tried))
        fault.count += 1
        if len(tried.repro) < len(fault.shortest.repro):
            fault.shortest = tried

    def total(self, kind: str) -> int:
        """Return how many cases of a kind there were."""
        return sum(self.counts.get(kind, Counter()).values())

    def table(self) -> str:
        """Return the counts as a table in Markdown."""
        lines = [f"| kind | inputs | {' | '.join(Outcome)} | slowest, s of CPU |", "|---" * (len(Outcome) + 3) + "|"]
        for kind, counts in self.counts.items():
            lines.append(_line(kind, counts, f"{self.slowest[kind].seconds:.1f}"))
        return "\n".join([*lines, _line("all", sum(self.counts.values(), Counter()), "")])

    def fault_lines(self, details: bool = False) -> list[str]:
        """Return a paragraph for each distinct fault, the most frequent first."""
        found = []
        for name, fault in sorted(self.faults.items(), key=lambda item: -item[1].count):
            case = fault.shortest
            again = f"python -m tests.fuzz --kind {case.kind} --seed {case.seed} --first {case.index}"
            found.append(f"{fault.count} x {name}\n    {again}\n    {case.repro[:300]}" + (f"\n{case.detail}" if details else ""))
        return found


def _line(kind: str, counts: Counter[str], slowest: str) -> str:
    cells = [f"{sum(counts.values()):,}", *(f"{counts[outcome]:,}" for outcome in Outcome), slowest]
    return f"| {kind} | {' | '.join(cells)} |"
