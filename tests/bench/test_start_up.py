"""How long a person waits: for help, and for the second run of a network, as whole processes."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest


def fastest_s(*arguments: str, times: int = 5) -> float:
    """Return the shortest of ``times`` runs of ``stcsim`` in seconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "stcsim", *arguments], check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return min(taken)


@pytest.mark.parametrize(
    ("arguments", "most_s"),
    [(("--help",), 0.3), (("run", "resnet34", "--arch", "a100"), 3.0)],
    ids=["stcsim --help", "second stcsim run resnet34"],
)
def test_a_person_does_not_wait(arguments: tuple[str, ...], most_s: float) -> None:
    subprocess.run([sys.executable, "-m", "stcsim", *arguments], check=True, capture_output=True)  # may compile
    taken_s = fastest_s(*arguments)
    print(f"\nstcsim {' '.join(arguments)}: {taken_s:.2f} s (at most {most_s} s)")
    assert taken_s <= most_s
