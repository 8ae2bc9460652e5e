"""Is the reason right? ``python -m tests.validation.reasons`` holds ``bound`` against GPUs that have half as much again.

For seeded GEMMs, dense and 2:4: the resource that is named as what would help most, raised by half, with all kernels offered
anew, must save more than any other resource raised by half.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import stcsim
from stcsim.timing.choice.resources import MORE
from tests.validation.monotony import GPUS, M_K, N, bigger
from tests.validation.pool import on_processes

HALF_MORE = 1.5
SHOWS = 1e-3
"""Time savings below this, relative, are none, and differences below it a tie."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What was named, and what half as much again of each resource saves (shares of the time)."""

    what: str
    named: str | None
    saved: dict[str, float]

    @property
    def is_right(self) -> bool:
        """Whether nothing saves more than what was named; with nothing named, whether nothing saves anything."""
        return max(self.saved.values()) - (self.saved[self.named] if self.named else 0.0) < SHOWS


def gemms(count: int, seed: int) -> Iterator[tuple[str, str, int, int, int]]:
    """Yield so many seeded GEMMs: GPU, type, m, n, k."""
    rng = random.Random(seed)
    for _ in range(count):
        gpu = rng.choice(sorted(GPUS))
        yield gpu, rng.choice(GPUS[gpu]), rng.choice(M_K), rng.choice(N), rng.choice(M_K)


def reasons(case: tuple[str, str, int, int, int]) -> list[Reason]:
    """Return what is named for one GEMM, dense and 2:4, beside what would be right."""
    gpu, dtype, *shape = case

    def times_us(resource: str | None) -> dict[str, float]:
        arch = bigger(gpu, resource, HALF_MORE) if resource else stcsim.load_arch(gpu)
        row = stcsim.gemm(*shape, arch, dtype=dtype).rows[0]
        return {side: kernel.time_us for side, kernel in (("dense", row.dense), ("2:4", row.sparse)) if kernel}

    now, more = times_us(None), {resource: times_us(resource) for resource in MORE}
    row = stcsim.gemm(*shape, stcsim.load_arch(gpu), dtype=dtype).rows[0]
    named = {"dense": row.dense and row.dense.bound, "2:4": row.sparse and row.sparse.bound}
    return [
        Reason(f"{gpu} {dtype} {shape} {side}", named[side], {each: 1 - more[each][side] / time_us for each in MORE})
        for side, time_us in now.items()
    ]


def main() -> None:
    """Run the GEMMs and print how often the reason is right."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gemms", type=int, default=200, help="how many (200)")
    parser.add_argument("--seed", type=int, default=0, help="of their sizes (0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    given = parser.parse_args()
    found = [each for part in on_processes(reasons, list(gemms(given.gemms, given.seed)), given.jobs) for each in part]
    for each in found:
        if not each.is_right:
            print(
                f"{each.what}: {each.named}, but {', '.join(f'{name} {100 * share:.2f} %' for name, share in each.saved.items())}"
            )
    right = sum(each.is_right for each in found)
    print(f"the reason is right for {right} of {len(found)} sides of {given.gemms} GEMMs (seed {given.seed}, {', '.join(GPUS)})")
    print("named: " + ", ".join(f"{name} {count}" for name, count in Counter(each.named for each in found).most_common()))


if __name__ == "__main__":
    main()
