"""Is more hardware never slower: how often, and by how much at worst, it is.

Seeded GEMMs and five networks, dense and 2:4, on GPUs with 1.1 to 2 times as much of each resource: the eight of
``timing.resources``, the capacities of L2 and shared memory, and SMs.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from stcsim import replay
from stcsim.arch import Arch, load_arch
from stcsim.processes import Notify, on_processes
from stcsim.timing.choice.resources import MORE, with_more
from stcsim.trace import load_trace

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
QUICK_NETWORKS = ("resnet34",)
GEMMS, QUICK_GEMMS = 100, 2
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
            row = replay.gemm(*self.gemm, arch, dtype=self.dtype).rows[0]
            assert row.dense and row.sparse
            return {"dense": row.dense.time_us, "2:4": row.sparse.time_us}
        totals = replay.run(load_trace(self.network), arch, dtype=self.dtype).totals
        assert totals.dense_us and totals.sparse_us
        return {"dense": totals.dense_us, "2:4": totals.sparse_us, "best": totals.best_us}

    def __str__(self) -> str:
        """Return what is timed, in words."""
        return f"{self.gpu} {self.network or 'x'.join(map(str, self.gemm or ()))} {self.dtype}"


@dataclass(frozen=True, slots=True)
class Change:
    """How much longer something takes with more of a resource; below 0 it takes less."""

    resource: str
    longer: float
    what: str


@dataclass(frozen=True, slots=True)
class More:
    """What more of one resource did.

    Attributes:
        resource: its name.
        checks: times that were compared.
        slower: how many of them took longer, by more than ``SLOWER``.
        worst: the largest change, relative; above 0 it took longer.
        which: what took longest longer; empty where nothing took longer.
    """

    resource: str
    checks: int
    slower: int
    worst: float
    which: str


@dataclass(frozen=True, slots=True)
class Monotony:
    """What more of every resource did to seeded GEMMs and to networks."""

    gemms: int
    seed: int
    networks: tuple[str, ...]
    resources: tuple[More, ...]


def monotony(
    gemms: int = GEMMS,
    seed: int = 0,
    networks: Sequence[str] = NETWORKS,
    jobs: int | None = None,
    notify: Notify | None = None,
) -> Monotony:
    """Time ``gemms`` seeded GEMMs and ``networks`` on each of ``GPUS`` and on larger ones.

    Args:
        gemms: of each GPU.
        seed: of their sizes.
        networks: names of traces that ship.
        jobs: processes, by default one for each core.
        notify: called with how much is done and how much there is.
    """
    todo = list(works(gemms, seed, networks))
    found = [change for part in on_processes(changes, todo, jobs, notify, chunk=2) for change in part]
    return Monotony(gemms, seed, tuple(networks), summary(found))


def summary(found: Iterable[Change]) -> tuple[More, ...]:
    """Return the changes of each resource in one."""
    groups: dict[str, list[Change]] = {}
    for change in found:
        groups.setdefault(change.resource, []).append(change)
    return tuple(_more(resource, group) for resource, group in groups.items())


def _more(resource: str, group: Sequence[Change]) -> More:
    worst, slower = max(group, key=lambda change: change.longer), sum(change.longer > SLOWER for change in group)
    return More(resource, len(group), slower, worst.longer, worst.what if worst.longer > SLOWER else "")


@cache
def bigger(gpu: str, resource: str, factor: float) -> Arch:
    """Return a GPU with so many times as much of a resource."""
    arch = load_arch(gpu)
    if resource in MORE:
        return with_more(arch, resource, factor)
    return load_arch(gpu, {path: int(float(str(arch.value(path))) * factor) for path in CAPACITIES[resource]})


def works(count: int, seed: int, networks: Sequence[str] = NETWORKS) -> Iterator[Work]:
    """Yield ``count`` seeded GEMMs of each GPU, and the networks."""
    rng = random.Random(seed)
    for gpu, dtypes in GPUS.items():
        yield from (Work(gpu, rng.choice(dtypes), (rng.choice(M_K), rng.choice(N), rng.choice(M_K))) for _ in range(count))
        yield from (Work(gpu, dtypes[0], network=name) for name in networks)


def changes(work: Work, resources: Sequence[str] = RESOURCES) -> list[Change]:
    """Time one work on all GPUs."""
    before = work.times_us(load_arch(work.gpu))
    found = []
    for resource in resources:
        for factor in FACTORS:
            after = work.times_us(bigger(work.gpu, resource, factor))
            found += [Change(resource, after[side] / before[side] - 1, f"{work} {side} x{factor:g}") for side in before]
    return found
