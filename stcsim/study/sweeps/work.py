"""What a worker does: it runs a batch of cells, and returns the figures of each, or the sentence that says why there are none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from stcsim.arch import Arch, load_arch
from stcsim.errors import StcsimError
from stcsim.replay import gemm, run
from stcsim.result import RunResult
from stcsim.study.sweeps.figures import Figures, figures_of
from stcsim.study.sweeps.grid import Cell
from stcsim.study.sweeps.key import model
from stcsim.timing.engine.remembered import Memory, remembering
from stcsim.trace import Trace

_memory = Memory()
"""Of this worker, from batch to batch."""
_one_at_a_time = Lock()
"""A worker of a cluster may have several threads; what is remembered between cells is not made for them."""
Archs = dict[tuple[int, tuple[str, ...]], Arch]
"""GPUs by what they are made from."""


@dataclass(frozen=True, slots=True)
class Job:
    """A cell as it travels to a worker: everything that it takes, so that no file need be there.

    Attributes:
        key: of the cell.
        base: the GPU that is changed.
        settings: what is changed, as ``--set`` reads it.
        content: the trace, or sizes (m, n, k).
        options: of the run.
    """

    key: str
    base: Arch
    settings: tuple[str, ...]
    content: Trace | tuple[int, int, int]
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one cell: its figures, or the sentence why there are none."""

    key: str
    figures: Figures | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A batch that was run.

    Attributes:
        answers: one for each of its cells.
        seconds: what it took.
        simulated: tile-iterations that the engine went through.
        spared: those that it did not, because the worker remembered their plans from other cells.
    """

    answers: tuple[Answer, ...]
    seconds: float
    simulated: int = 0
    spared: int = 0


def job_of(cell: Cell) -> Job:
    """Return a cell that can be run as a job."""
    assert cell.source.content is not None and cell.error is None
    return Job(cell.key, cell.hardware.base, cell.hardware.settings, cell.source.content, cell.options)


def work(jobs: Sequence[Job], wanted_model: str) -> Done:
    """Run a batch.

    Args:
        jobs: the cells.
        wanted_model: the model of the process that asks (:func:`stcsim.study.sweeps.key.model`).

    Raises:
        StcsimError: when this process has another one, whose answers would stand under keys that are not theirs.
    """
    if wanted_model != model():
        raise StcsimError("workers", f"the same stcsim as here ({wanted_model})", model())
    archs: Archs = {}
    with _one_at_a_time, remembering(_memory):
        begun, simulated, spared = time.perf_counter(), _memory.simulated, _memory.spared
        answers = tuple(answer(job, archs) for job in jobs)
        return Done(answers, time.perf_counter() - begun, _memory.simulated - simulated, _memory.spared - spared)


def answer(job: Job, archs: Archs) -> Answer:
    """Run one cell; whatever goes wrong in it is a sentence, and no reason to end a study.

    Args:
        job: the cell.
        archs: GPUs of the batch that were changed already, which is added to.
    """
    try:
        return Answer(job.key, figures_of(_run(job, archs)))
    except StcsimError as error:
        return Answer(job.key, None, str(error))
    except MemoryError:
        return Answer(job.key, None, str(StcsimError("this cell", "memory for it", "not enough")))
    except Exception as error:  # a fault of stcsim, which the other cells need not have
        found = f"{type(error).__name__} ({error})"
        return Answer(job.key, None, str(StcsimError("this cell", "no fault of stcsim, which this is (please report it)", found)))


def _run(job: Job, archs: Archs) -> RunResult:
    place = id(job.base), job.settings  # jobs of a batch share their GPU, which lives as long as they do
    if place not in archs:
        archs[place] = load_arch(job.base, job.settings)
    arch, how = archs[place], job.options
    dtype, library, duration = how["dtype"], how["library"], how["duration"]
    if isinstance(job.content, Trace):
        return run(job.content, arch, dtype=dtype, library=library, duration=duration, fusion=how["fusion"])
    return gemm(*job.content, arch, dtype=dtype, library=library, duration=duration)
