"""Is the advice right: held against runs of the networks that it is about.

For each network: best of both is no slower than dense, than all 2:4, and than best of both with any one group of alike layers
turned (all of it dense, all of it 2:4); nothing that is pruned saves less than nothing; and what a group, or the first or last
layer of one, is said to save is what a run loses in which it alone stays dense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from stcsim import replay
from stcsim.arch import Arch, load_arch
from stcsim.errors import StcsimError
from stcsim.processes import Notify, on_processes
from stcsim.result import PruneGroup, RunResult
from stcsim.study.evidence.stand_ins import instead_of, shipped
from stcsim.timing.board.power import Load
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.outcome import Choice
from stcsim.timing.choice.select import Key
from stcsim.timing.problem import Problem
from stcsim.trace import Trace, load_trace, trace_names

FUSIONS = ("epilogue", "none")
FASTER = 1e-3
"""A turned network may be so much faster, relative, before best of both was not the best."""
CLAIM, CLAIM_US = 0.02, 1.0
"""What a claimed saving may differ from the run's, relative or in microseconds."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Networks (names of traces that ship, none for all), GPUs and element types that are asked about."""

    traces: tuple[str, ...]
    gpus: tuple[str, ...]
    dtypes: tuple[str, ...]


WHOLE = Grid((), ("a100", "a100-pcie", "a40", "h100", "h100-pcie", "h200", "l40s", "rtx4090"), ("fp16", "int8", "fp8"))
QUICK = Grid(("resnet34", "bert-base", "gpt2"), ("a100", "h100"), ("fp16",))


@dataclass(frozen=True, slots=True)
class Case:
    """One network to be asked about."""

    trace: str
    gpu: str
    dtype: str
    fusion: str

    def __str__(self) -> str:
        """Return what is asked, in words."""
        return f"{self.trace} {self.gpu} {self.dtype} {self.fusion}"


@dataclass(slots=True)
class Found:
    """What was checked of one network, and what was wrong.

    Attributes:
        checks: how many.
        misses: what was wrong, a sentence each.
        faster: the most that dense, all 2:4 or a turned network was faster than best of both, relative.
        claim: the most that a claimed saving was off, relative, where it was off by more than ``CLAIM_US``.
    """

    checks: int = 0
    misses: list[str] = field(default_factory=list)
    faster: float = 0.0
    claim: float = 0.0

    def add(self, other: Found) -> None:
        """Add what was found elsewhere."""
        self.checks += other.checks
        self.misses += other.misses
        self.faster, self.claim = max(self.faster, other.faster), max(self.claim, other.claim)

    def count(self, holds: bool, miss: str) -> None:
        """Count one check."""
        self.checks += 1
        if not holds:
            self.misses.append(miss)


@dataclass(frozen=True, slots=True)
class Advice:
    """What was checked of many networks.

    Attributes:
        networks: how many.
        checks: how many, of all networks.
        misses: what was wrong, a sentence each.
        faster: as of :class:`Found`.
        claim: as of :class:`Found`.
    """

    networks: int
    checks: int
    misses: tuple[str, ...]
    faster: float
    claim: float


def advice(
    traces: Sequence[str] = (),
    gpus: Sequence[str] = WHOLE.gpus,
    dtypes: Sequence[str] = WHOLE.dtypes,
    jobs: int | None = None,
    notify: Notify | None = None,
) -> Advice:
    """Examine the grid of networks, GPUs and types, with fused steps and without.

    Args:
        traces: names of traces that ship; all by default.
        gpus: names of GPUs.
        dtypes: element types.
        jobs: processes, by default one for each core.
        notify: called with networks done, and how many there are.

    Raises:
        StcsimError: no such trace, GPU or type, or no GPU of them runs such a type pruned.
    """
    todo, total = list(cases(traces or trace_names(), gpus, dtypes)), Found()
    if not todo:
        raise StcsimError("types", f"some that {', '.join(gpus)} can run in 2:4", ", ".join(dtypes))
    for found in on_processes(examine, todo, jobs, notify, chunk=4):
        total.add(found)
    return Advice(len(todo), total.checks, tuple(total.misses), total.faster, total.claim)


def cases(traces: Sequence[str], gpus: Sequence[str] = WHOLE.gpus, dtypes: Sequence[str] = WHOLE.dtypes) -> Iterator[Case]:
    """Yield every network of the grid that the GPU can run pruned."""
    for gpu in gpus:
        arch = load_arch(gpu)
        for trace in traces:
            yield from (
                Case(trace, gpu, dtype, fusion) for dtype in dtypes for fusion in FUSIONS if arch.supports(dtype, sparse=True)
            )


def examine(case: Case) -> Found:
    """Run one network and all that its advice is held against."""
    arch = load_arch(case.gpu)
    with shared_kernels(arch):
        return _examine(case, arch, load_trace(case.trace))


def _examine(case: Case, arch: Arch, trace: Trace) -> Found:
    best = replay.run(trace, arch, dtype=case.dtype, fusion=case.fusion)
    found, totals = Found(), best.totals
    for name, time_us in (("dense", totals.dense_us), ("all 2:4", totals.sparse_us)):
        if time_us is not None:
            _compare(found, best, f"{case}: {name}", time_us)
    found.count(all(row.saved_us >= 0 for row in best.rows), f"{case}: a layer saves less than nothing")
    found.count(all(group.saved_us >= 0 for group in best.groups), f"{case}: a group saves less than nothing")
    for group in best.groups:
        _examine_group(found, case, best, group, trace, arch)
    return found


def _examine_group(found: Found, case: Case, best: RunResult, group: PruneGroup, trace: Trace, arch: Arch) -> None:
    pruned = [name for name in group.layers if name in _pruned(best)]
    name = f"{case}: {group.patterns[0]}"
    if pruned:
        dense_us = _run_with(case, trace, arch, best, _pruned(best) - set(group.layers))
        _compare(found, best, f"{name} dense", dense_us)
        _claim(found, name, group.saved_us, dense_us - best.totals.best_us)
        rows = {row.name: row for row in best.rows}
        for layer in dict.fromkeys((pruned[0], pruned[-1])) if len(pruned) > 1 else ():
            without_us = _run_with(case, trace, arch, best, _pruned(best) - {layer})
            _claim(found, f"{case}: {layer}", rows[layer].saved_us, without_us - best.totals.best_us)
    if len(pruned) < len(group.layers):
        _compare(found, best, f"{name} 2:4", _run_with(case, trace, arch, best, _pruned(best) | set(group.layers)))


def _pruned(result: RunResult) -> set[str]:
    return {row.name for row in result.rows if row.is_pruned}


def _run_with(case: Case, trace: Trace, arch: Arch, best: RunResult, pruned: set[str]) -> float:
    """Return the time of the network in which just ``pruned`` are 2:4, microseconds."""
    kept = [row.name for row in best.rows if row.name not in pruned and row.sparse is not None]
    result = replay.run(
        trace,
        arch,
        dtype=case.dtype,
        fusion=case.fusion,
        sparsity="2:4" if pruned else "dense",
        keep_dense=kept if pruned else (),
    )
    return result.totals.best_us


def _compare(found: Found, best: RunResult, name: str, time_us: float) -> None:
    faster = 1 - time_us / best.totals.best_us
    found.faster = max(found.faster, faster)
    found.count(faster <= FASTER, f"{name} is {100 * faster:.2f} % faster than best of both")


def _claim(found: Found, name: str, claimed_us: float, lost_us: float) -> None:
    off_us = abs(claimed_us - lost_us)
    if off_us > CLAIM_US:
        found.claim = max(found.claim, off_us / max(abs(lost_us), CLAIM_US))
    holds = off_us <= max(CLAIM_US, CLAIM * abs(lost_us))
    found.count(holds, f"{name} is said to save {claimed_us:.1f} µs, a run says {lost_us:.1f} µs")


_memory: dict[tuple[object, ...], Choice] = {}
_remembered: list[Arch] = []


@contextmanager
def shared_kernels(arch: Arch) -> Iterator[None]:
    """Let all runs on a GPU share its kernels: a search with the same question has the same answer.

    What was found is remembered until there is another GPU.
    """
    if _remembered != [arch]:
        _memory.clear()
        _remembered[:] = [arch]
    choose: Callable[..., Choice] = shipped("choose")

    def remembered(setup: Setup, problem: Problem, sparse: bool, known: dict[Key, Load]) -> Choice:
        if setup.arch is not arch:
            return choose(setup, problem, sparse, known)
        key = setup.launch, setup.kernel, setup.clock_mhz, setup.price_us_per_j, setup.duration, setup.data, problem, sparse
        if key not in _memory:
            _memory[key] = choose(setup, problem, sparse, known)
        return _memory[key]

    with instead_of("choose", remembered):
        yield
