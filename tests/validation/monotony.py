"""Is more hardware never slower? ``python -m tests.validation.monotony`` counts how often, and by how much at worst, it is.

Seeded GEMMs and five networks, dense and 2:4, on GPUs with 1.1 to 2 times as much of each resource: the eight of
``timing.resources``, the capacities of L2 and shared memory, and SMs.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import stcsim
from stcsim.arch import Arch
from stcsim.timing.choice.resources import MORE, with_more
from tests.validation.markdown import aligned
from tests.validation.pool import on_processes

GPUS = {"a100": ("fp16", "int8"), "h100": ("fp16", "fp8")}
FACTORS = (1.1, 1.25, 1.5, 2.0)
CAPACITIES = {
    "L2 capacity": ("l2.capacity_mib",),
    "shared memory": ("shared_memory.capacity_kib", "shared_memory.max_per_cta_kib", "shared_memory.unified_kib"),
    "SMs": ("sm.count",),
}
RESOURCES = (*MORE, *CAPACITIES)
M_K = (256, 512, 768, 1024, 1536, 2048, 3072, 4096, 5120, 8192)
N = (64, 128, *M_K)
NETWORKS = ("resnet34", "resnet50", "bert-large", "gpt2", "vit-l-16")
SLOWER = 1e-3
"""Slower by more than this, relative, is counted."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is timed on one GPU: a GEMM, or a network by name."""

    gpu: str
    dtype: str
    gemm: tuple[int, int, int] | None = None
    network: str = ""

    def times_us(self, arch: Arch) -> dict[str, float]:
        """Return its times, dense and 2:4."""
        if self.gemm:
            row = stcsim.gemm(*self.gemm, arch, dtype=self.dtype).rows[0]
            assert row.dense and row.sparse
            return {"dense": row.dense.time_us, "2:4": row.sparse.time_us}
        totals = stcsim.run(stcsim.load_trace(self.network), arch, dtype=self.dtype).totals
        assert totals.dense_us and totals.sparse_us
        return {"dense": totals.dense_us, "2:4": totals.sparse_us, "best": totals.best_us}

    def __str__(self) -> str:
        return f"{self.gpu} {self.network or 'x'.join(map(str, self.gemm or ()))} {self.dtype}"


@dataclass(frozen=True, slots=True)
class Change:
    """How much longer something takes with more of a resource; below 0 it takes less."""

    resource: str
    longer: float
    what: str


@cache
def bigger(gpu: str, resource: str, factor: float) -> Arch:
    """Return a GPU with so many times as much of a resource."""
    arch = stcsim.load_arch(gpu)
    if resource in MORE:
        return with_more(arch, resource, factor)
    return stcsim.load_arch(gpu, {path: int(arch.value(path) * factor) for path in CAPACITIES[resource]})


def works(count: int, seed: int) -> Iterator[Work]:
    """Yield ``count`` seeded GEMMs of each GPU, and the networks."""
    rng = random.Random(seed)
    for gpu, dtypes in GPUS.items():
        yield from (Work(gpu, rng.choice(dtypes), (rng.choice(M_K), rng.choice(N), rng.choice(M_K))) for _ in range(count))
        yield from (Work(gpu, dtypes[0], network=name) for name in NETWORKS)


def changes(work: Work, resources: Sequence[str] = RESOURCES) -> list[Change]:
    """Time one work on all GPUs."""
    before = work.times_us(stcsim.load_arch(work.gpu))
    found = []
    for resource in resources:
        for factor in FACTORS:
            after = work.times_us(bigger(work.gpu, resource, factor))
            found += [Change(resource, after[side] / before[side] - 1, f"{work} {side} x{factor:g}") for side in before]
    return found


def table(found: Iterable[Change]) -> str:
    """Return the worst of each resource as a Markdown table."""
    rows = []
    by_resource: dict[str, list[Change]] = {}
    for change in found:
        by_resource.setdefault(change.resource, []).append(change)
    for resource, group in by_resource.items():
        worst, slower = max(group, key=lambda change: change.longer), sum(change.longer > SLOWER for change in group)
        share = f"{100 * slower / len(group):.2f} %"
        longer = f"{100 * worst.longer:+.2f} %"
        rows.append((resource, f"{len(group):,}", str(slower), share, longer, worst.what if worst.longer > SLOWER else ""))
    return aligned(("more of", "checks", "slower by over 0.1 %", "share", "worst", "which"), rows)


def main() -> None:
    """Run the grid and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gemms", type=int, default=100, help="of each GPU (100)")
    parser.add_argument("--seed", type=int, default=0, help="of their sizes (0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    given = parser.parse_args()
    todo = list(works(given.gemms, given.seed))
    found = [change for part in on_processes(changes, todo, given.jobs) for change in part]
    print(f"{given.gemms} GEMMs (seed {given.seed}) and {len(NETWORKS)} networks on each of {', '.join(GPUS)}:\n")
    print(table(found))


if __name__ == "__main__":
    main()
