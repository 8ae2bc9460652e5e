"""What evidence there is: the question each answers, what it needs, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """One command of ``stcsim evidence``.

    Attributes:
        name: of the command.
        question: that it answers.
        needs: beside stcsim itself; empty for nothing.
        takes_s: seconds of one core, as measured; processes share them.
        quick_s: the same with ``--quick``; ``None`` where there is no such option.
    """

    name: str
    question: str
    needs: str
    takes_s: int
    quick_s: int | None = None


_TABLES = "measured tables"

EVIDENCE = (
    Evidence("ablation", "What is each mechanism of the timing model worth?", _TABLES, 1200, 55),
    Evidence("leave-one-out", "Do parameters fitted to one board hold on another one?", f"{_TABLES}, scipy", 5000, 50),
    Evidence("anchors", "How far are published single figures?", "", 4),
    Evidence("microbench", "How far is one instruction?", "published microbenchmarks as tables", 1),
    Evidence("advice", "Is the advice right which layers to prune?", "", 2400, 11),
    Evidence("monotony", "Is more hardware never slower?", "", 600, 37),
    Evidence("reasons", "Does what is said to help most help most?", "", 78, 13),
    Evidence("million", "Do the fast and the readable datapath agree on every bit?", "", 1200, 26),
    Evidence("assumptions", "How many results rest on an assumption about sparse instructions?", "", 6),
    Evidence("accumulation", "How do rounding errors grow with k, and what does promotion change?", "", 4),
)
