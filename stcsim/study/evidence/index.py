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
        takes: how long on two idle cores, as measured.
        quick: how long with ``--quick``; empty where there is no such option.
    """

    name: str
    question: str
    needs: str
    takes: str
    quick: str = ""


EVIDENCE = (
    Evidence("ablation", "What is each mechanism of the timing model worth?", "measured tables", "? s", "? s"),
    Evidence("leave-one-out", "Do parameters fitted to one board hold on another one?", "measured tables, scipy", "? min", "? s"),
    Evidence("anchors", "How far are published single figures?", "", "? s"),
    Evidence("microbench", "How far is one instruction?", "published microbenchmarks as tables", "? s"),
    Evidence("advice", "Is the advice right which layers to prune?", "", "? min", "? s"),
    Evidence("monotony", "Is more hardware never slower?", "", "? min", "? s"),
    Evidence("reasons", "Does what is said to help most help most?", "", "? s", "? s"),
    Evidence("million", "Do the fast and the readable datapath agree on every bit?", "", "? min", "? s"),
    Evidence("assumptions", "How many results rest on an assumption about sparse instructions?", "", "? s"),
)
