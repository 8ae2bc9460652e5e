"""Is the reason right: ``bound``, what is said to help most, held against GPUs that have half as much again.

For seeded GEMMs, dense and 2:4: the resource that is named as what would help most, raised by half, with all kernels offered
anew, must save more than any other resource raised by half.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from stcsim import replay
from stcsim.arch import load_arch
from stcsim.processes import Notify, on_processes
from stcsim.result import KernelResult
from stcsim.study.evidence.monotony import GPUS, M_K, N, bigger
from stcsim.timing.choice.resources import MORE

GEMMS, QUICK_GEMMS = 200, 30
HALF_MORE = 1.5
SHOWS = 1e-3
"""Time savings below this, relative, are none, and differences below it a tie."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What was named, and what half as much again of each resource saves.

    Attributes:
        what: GPU, type, sizes and side.
        named: the resource that is said to help most; ``None``: none does.
        saved: share of the time that half as much again of each resource saves.
    """

    what: str
    named: str | None
    saved: dict[str, float]

    @property
    def is_right(self) -> bool:
        """Whether nothing saves more than what was named; with nothing named, whether nothing saves anything."""
        return max(self.saved.values()) - (self.saved[self.named] if self.named else 0.0) < SHOWS


@dataclass(frozen=True, slots=True)
class Reasons:
    """What was named for ``gemms`` seeded GEMMs, dense and 2:4."""

    gemms: int
    seed: int
    found: tuple[Reason, ...]

    @property
    def right(self) -> int:
        """How many were right."""
        return sum(each.is_right for each in self.found)

    @property
    def named(self) -> dict[str, int]:
        """How often each resource was named, the most frequent first; ``nothing`` where none was."""
        return dict(Counter(each.named or "nothing" for each in self.found).most_common())


def examine(count: int = GEMMS, seed: int = 0, jobs: int | None = None, notify: Notify | None = None) -> Reasons:
    """Time ``count`` seeded GEMMs as they are, and with half as much again of each resource.

    Args:
        count: how many.
        seed: of their sizes.
        jobs: processes, by default one for each core.
        notify: called with GEMMs done, and how many there are.
    """
    parts = on_processes(reasons, list(gemms(count, seed)), jobs, notify, chunk=2)
    return Reasons(count, seed, tuple(each for part in parts for each in part))


def gemms(count: int, seed: int) -> Iterator[tuple[str, str, int, int, int]]:
    """Yield so many seeded GEMMs: GPU, type, m, n, k."""
    rng = random.Random(seed)
    for _ in range(count):
        gpu = rng.choice(sorted(GPUS))
        yield gpu, rng.choice(GPUS[gpu]), rng.choice(M_K), rng.choice(N), rng.choice(M_K)


def reasons(case: tuple[str, str, int, int, int]) -> list[Reason]:
    """Return what is named for one GEMM, dense and 2:4, beside what would be right."""
    gpu, dtype, m, n, k = case

    def kernels(resource: str | None) -> dict[str, KernelResult]:
        arch = bigger(gpu, resource, HALF_MORE) if resource else load_arch(gpu)
        row = replay.gemm(m, n, k, arch, dtype=dtype).rows[0]
        return {side: kernel for side, kernel in (("dense", row.dense), ("2:4", row.sparse)) if kernel}

    more = {resource: kernels(resource) for resource in MORE}
    return [
        Reason(
            f"{gpu} {dtype} {m}x{n}x{k} {side}",
            now.bound,
            {resource: 1 - more[resource][side].time_us / now.time_us for resource in MORE},
        )
        for side, now in kernels(None).items()
    ]
