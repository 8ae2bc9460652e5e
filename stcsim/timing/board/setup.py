"""How kernels are launched and timed: the choices of a run that belong to no GEMM, and what a launch costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stcsim.arch import Arch
from stcsim.errors import UnsupportedError
from stcsim.timing.board.duration import SUSTAINED, Duration
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.catalogue.libraries import DEFAULT
from stcsim.timing.plan import GemmTiming, TilePlan


@dataclass(frozen=True, slots=True)
class Setup:
    """How GEMMs are timed: on which GPU, by which engine, launched how, with which kernel.

    Attributes:
        arch: the GPU.
        engine: ``"fast"``, or ``"reference"`` to time the choice with it; they agree exactly.
        kernel: ``None`` for the fastest, as a search finds it, a name, or ``"heuristic"`` for what cuBLAS takes without one.
        launch: ``"graph"``, ``"stream"`` or ``"kernel"`` (no launch overhead: a profiler's kernel time).
        duration: how long the board is under load while the time is taken: it needs time to enforce its power limit.
        data: what is multiplied: ``"randn"``, or ``"low-power"`` (zeros, constants), which toggles little and so draws less.
        clock_mhz: the SM clock where something else than this GEMM decides it, e.g. the network it is in.
        price_us_per_j: with ``clock_mhz``: what a joule costs the network, in time. A kernel is chosen by its time plus that.
        library: whose 2:4 kernels are taken, and by which rule (``words.Library``).
    """

    arch: Arch
    engine: str = "fast"
    launch: str = "graph"
    kernel: str | None = None
    duration: Duration = SUSTAINED
    data: str = "randn"
    clock_mhz: float | None = None
    price_us_per_j: float = 0.0
    library: str = DEFAULT


def engine(name: str) -> Callable[[TilePlan], GemmTiming]:
    """Return the engine called ``name``, imported only now (numba and simpy are heavy).

    Raises:
        UnsupportedError: for any name but ``fast`` and ``reference``.
    """
    if name == "fast":
        from stcsim.timing.engine import remembered

        return remembered.simulate
    if name == "reference":
        from stcsim.timing.engine import reference

        return reference.simulate
    raise UnsupportedError("engine", "fast or reference", f"'{name}'")


def launch_us(arch: Arch, launch: str, early: bool = False) -> float:
    """Microseconds a launch adds to the kernel; ``early`` if the kernel starts before the one ahead has ended.

    Raises:
        UnsupportedError: for any launch but graph, stream and kernel.
    """
    known = {"graph": arch.launch.graph_us, "stream": arch.launch.stream_us, "kernel": 0.0}
    if launch not in known:
        raise UnsupportedError("timing", "one of graph, stream, kernel", f"'{launch}'")
    return min(known[launch], arch.launch.early_us or 0.0) if early else known[launch]


def starts_early(arch: Arch, launch: str, kernel: Kernel) -> bool:
    """Whether a kernel starts while the one ahead is still at work (programmatic dependent launch).

    Only in a stream: the nodes of a graph wait for each other's end unless its edges say otherwise (CUDA programming guide).
    """
    return launch == "stream" and kernel.early_launch and arch.launch.early_us is not None
