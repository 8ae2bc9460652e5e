"""What stays the same while a GPU changes: a network or one GEMM, its type and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from stcsim import replay
from stcsim.arch import Arch
from stcsim.errors import StcsimError
from stcsim.processes import Notify, on_processes
from stcsim.replay.door import element_of, library_of
from stcsim.result import RunResult, Totals
from stcsim.study.axis import is_gemm, parse_gemm
from stcsim.timing.board.duration import parse_duration
from stcsim.trace import Trace, TraceOrName, load_trace
from stcsim.trace.single import gemm_trace


@dataclass(frozen=True, slots=True)
class Work:
    """A network, or one GEMM, that is run on one GPU after the other.

    Attributes:
        trace: at its batch.
        dtype: input element type.
        library: whose 2:4 kernels are taken.
        duration: how long the board has been under load.
    """

    trace: Trace
    dtype: str
    library: str = "cusparselt"
    duration: str = "sustained"

    @property
    def title(self) -> str:
        """Name, batch and type: ``"bert-large · batch 1 · fp16"``; of a GEMM, whose batch says nothing, without it."""
        batch = [] if self.trace.source.model == "gemm" else [f"batch {self.trace.batch}"]
        return " · ".join([self.trace.name, *batch, self.dtype])

    @property
    def options(self) -> dict[str, str]:
        """The words of a run."""
        return {"dtype": self.dtype, "library": self.library, "duration": self.duration}

    def on(self, arch: Arch) -> RunResult:
        """Return the run on a GPU."""
        return replay.run(self.trace, arch, dtype=self.dtype, library=self.library, duration=self.duration)

    def totals_on(self, arch: Arch) -> Totals:
        """Return the sums of the run on a GPU."""
        return self.on(arch).totals

    def totals_on_each(self, archs: Sequence[Arch], jobs: int = 1, notify: Notify | None = None) -> list[Totals]:
        """Return the sums of the run on each of several GPUs, on as many processes as ``jobs``."""
        return list(on_processes(partial(Work.totals_on, self), archs, jobs, notify))


def work_of(source: TraceOrName, dtype: str | None = None, *, library: str = "cusparselt", duration: str = "sustained") -> Work:
    """Return what is to be run.

    Args:
        source: a network, or its name or file, or a GEMM such as ``"4096x4096x4096"``.
        dtype: input element type; by default the trace's own, or fp16 for a GEMM.
        library: whose 2:4 kernels are taken, as in :func:`stcsim.run`.
        duration: how long the board has been under load, likewise.

    Raises:
        StcsimError: a GEMM with a letter for a size, no such trace, or a word that is none.
    """
    trace = _gemm(source) if isinstance(source, str) and is_gemm(source) else load_trace(source)
    element = element_of(trace.dtype if dtype is None else dtype)
    return Work(trace, element.name, library_of(library), str(parse_duration(duration)))


def _gemm(text: str) -> Trace:
    pattern = parse_gemm(text)
    if pattern.free:
        raise StcsimError("gemm", "a size in each place, e.g. 4096x4096x4096", f"'{text}'")
    return gemm_trace(*pattern.sizes(1))
