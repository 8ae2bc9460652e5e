"""Trace x Arch -> RunResult: every layer dense and 2:4, the steps between, the best of both per layer, and totals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stcsim import words
from stcsim.arch import Arch, ArchOrName, arch_from_dict, load_arch
from stcsim.errors import StcsimError
from stcsim.partial import Partial
from stcsim.replay.choice import Progress
from stcsim.replay.door import check_extent, element_on, kernel_of, library_for, library_of, out_type_of, warmth_of
from stcsim.replay.footprint import footprint
from stcsim.replay.intervals import bars
from stcsim.replay.layer_rules import LayerRules
from stcsim.replay.planned import Planned
from stcsim.replay.problem import modes_of, problem_of, sparsity_of, why_not_sparse, why_not_taken
from stcsim.replay.residency import Placed, Residency
from stcsim.replay.schedule import Step, has_edges, schedule
from stcsim.replay.timed import Timed, timed_alone, timed_network
from stcsim.result import Footprint, RunResult
from stcsim.timing.board.duration import parse_duration
from stcsim.timing.board.memory_op import Traffic
from stcsim.timing.board.setup import Setup
from stcsim.timing.rates import l2_capacity_bytes
from stcsim.trace import Gemm, Memory, Trace, TraceOrName, load_trace
from stcsim.version import __version__
from stcsim.words import Sparsity, size, word


def run(
    trace: TraceOrName,
    arch: ArchOrName,
    *,
    dtype: str | None = None,
    sparsity: str | None = None,
    engine: str = "fast",
    kernel: str | None = None,
    launch: str = "graph",
    duration: str = "sustained",
    fusion: str = "epilogue",
    library: str = "cusparselt",
    keep_dense: str | Sequence[str] = (),
    dtype_of: Mapping[str, str] | None = None,
    pruned_as: str | Sequence[str] | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Predict one pass of ``trace`` on ``arch``, replayed over and over.

    Args:
        trace: the network (its batch as it is; rescale with ``trace.with_batch``), or the name or file of a trace.
        arch: the GPU, or its name or file. Names, like all words here, are taken in any case of letters.
        dtype: input element type of every layer; the trace's own by default.
        sparsity: ``"dense"``, ``"2:4"`` or ``"both"``; ``None`` is both where the GPU has Sparse Tensor Cores, else dense.
        engine: ``"fast"``, or ``"reference"`` to time the chosen kernels once more with it; they agree exactly, it is slow.
        kernel: force one catalogue kernel for the sparsity asked for; ``"search"``, the default, takes the fastest of all;
            ``"heuristic"`` takes dense ones as cuBLAS does unmeasured (known before Hopper only), and 2:4 ones by search.
        launch: ``"graph"`` (CUDA-graph replay), ``"stream"`` (back-to-back launches) or ``"kernel"`` (no cost of launching).
        duration: ``"sustained"`` (under load for so long that the power limit has taken hold), ``"burst"`` (not yet), or the time
            under load, from its start, that a figure is the mean of, such as ``"40ms"`` or ``"2s"``.
        fusion: ``"epilogue"`` (memory operations run in the kernel ahead where they can) or ``"none"``.
        library: whose 2:4 kernels are taken, and by which rule (``stcsim.words.Library``); layers that it has none for stay
            dense, with ``"none"`` all of them.
        keep_dense, dtype_of: layers that are not pruned, and element types by layer (see ``LayerRules``).
        pruned_as: the layers that are pruned, all others stay dense; ``stcsim.pruned_layers`` reads them from a checkpoint.
        progress: called with (layers done, layers in all).

    Raises:
        UnsupportedError: when a word is unknown, the GPU lacks the type or sparsity, no kernel fits, or a pattern names no layer.
        ArchError: when there is no such GPU.
        TraceError: when there is no such trace, or operations that fuse would wait for each other.
    """
    trace, arch = load_trace(trace), load_arch(arch)
    engine, launch = word(words.Engine, engine, "engine").value, word(words.Launch, launch, "launch").value
    fusion, kernel = word(words.Fusion, fusion, "fusion").value, kernel_of(arch, kernel)
    library, lasting = library_of(library), parse_duration(duration)
    rules = LayerRules(trace, dtype, keep_dense, dtype_of, arch, pruned_as)
    modes = modes_of(arch, rules.element, sparsity)
    for element in sorted(rules.types, key=lambda each: each.name):
        arch.require(element.name, False)
    check_extent(trace)
    steps = schedule(trace, fusion)
    residency = Residency(steps, rules.type_of, has_edges(trace), l2_capacity_bytes(arch))
    setup = Setup(arch, engine, launch, kernel, lasting, library=library)
    planned = [_planned(step, placed, rules, setup, modes) for step, placed in zip(steps, residency.placed(), strict=True)]
    alone = len(planned) == 1 and not isinstance(planned[0].op, Memory)
    if alone:
        timed = timed_alone(setup, planned[0], residency.placed()[0], progress)
    else:
        timed = timed_network(setup, planned, residency, progress)
    inputs = {
        "arch": arch.to_dict(),
        "trace": trace.model_dump(mode="json"),
        "trace_sha256": trace.sha256,
        "dtype": rules.element.name,
        "batch": trace.batch,
        "sparsity": sparsity_of(modes),
        "engine": engine,
        "kernel": kernel,
        "launch": launch,
        "duration": str(lasting),
        "fusion": fusion,
        "library": library,
        "keep_dense": list(rules.keep_dense),
        "dtype_of": rules.dtype_of,
        "pruned_as": None if rules.pruned_as is None else list(rules.pruned_as),
        "version": __version__,
    }
    head = arch.name, trace.name, rules.element.name, trace.batch, sparsity_of(modes), engine
    order = sorted(timed.rows, key=lambda at: steps[at].index), sorted(timed.memory, key=lambda at: steps[at].index)
    needed = footprint(timed.rows.values(), steps, rules.type_of, _capacity_bytes(arch))
    return _result(head, inputs, arch, timed, order, needed, trace.partial)


def gemm(
    m: int,
    n: int,
    k: int,
    arch: ArchOrName,
    *,
    dtype: str = "fp16",
    batch: int = 1,
    out_dtype: str | None = None,
    sparsity: str | None = None,
    engine: str = "fast",
    kernel: str | None = None,
    launch: str = "graph",
    duration: str = "sustained",
    weights_in_l2: bool = False,
    weight_copies: int | None = None,
    data: str = "randn",
    library: str = "cusparselt",
) -> RunResult:
    """Predict one GEMM D[m x n] = A[m x k] . B[k x n]; a result with one row.

    Args:
        m: rows of A, the weight and the sparse operand.
        n: columns of B: tokens, or batch times pixels.
        k: the reduction.
        arch: the GPU, or its name or file.
        dtype: input element type.
        batch: independent GEMMs in one launch.
        out_dtype: element type of D; what a library writes by default.
        sparsity, engine, kernel, launch, duration: as in :func:`run`.
        weights_in_l2: whether every launch has the same A, which is in L2 again if it fits; by default A is cold.
        weight_copies: how many sets of weights, each with a D of its own, are launched in turn: A is in L2 again if all of them
            fit. 1 is ``weights_in_l2``.
        data: what is multiplied: ``"randn"``, or ``"low-power"`` (zeros, constants), which draws less.
        library: whose 2:4 kernels are taken, and by which rule (``stcsim.words.Library``); with ``"none"`` none is.

    Raises:
        UnsupportedError: as :func:`run`, when a size or a number of sets is no whole number above 0, or the library has no 2:4
            kernels for the GPU and the type.
        ArchError: when there is no such GPU.
    """
    m, n, k, batch = size(m, "m"), size(n, "n"), size(k, "k"), size(batch, "batch")
    arch, (warm, copies) = load_arch(arch), warmth_of(weights_in_l2, weight_copies)
    element = element_on(arch, dtype)
    out_dtype = out_type_of(out_dtype, element)
    engine, launch = word(words.Engine, engine, "engine").value, word(words.Launch, launch, "launch").value
    data, kernel = word(words.Data, data, "data").value, kernel_of(arch, kernel)
    lasting = parse_duration(duration)
    modes = modes_of(arch, element, sparsity)
    library = library_for(arch, element, modes, library)
    name = f"gemm {m}x{n}x{k}"
    op = Gemm(name=name, m=m, n=n, k=k, batch=batch, weight_operand="a", scales_with_batch=None, origin="command line")
    problem = problem_of(op, element, out_dtype, warm, weight_copies=copies)
    reason = why_not_sparse(problem, False) or why_not_taken(problem, arch, library)
    step = Planned(op, element, (), *_asked(reason, modes))
    setup = Setup(arch, engine, launch, kernel, lasting, data, library=library)
    timed = timed_alone(setup, step, Placed(problem, Traffic()))
    inputs: dict[str, Any] = {
        "arch": arch.to_dict(),
        "gemm": op.model_dump(mode="json"),
        "dtype": element.name,
        "out_dtype": out_dtype,
        "sparsity": sparsity_of(modes),
        "engine": engine,
        "kernel": kernel,
        "launch": launch,
        "duration": str(lasting),
        "weights_in_l2": warm,
        "weight_copies": copies if warm else None,
        "data": data,
        "library": library,
        "version": __version__,
    }
    head = arch.name, name, element.name, batch, sparsity_of(modes), engine
    return _result(head, inputs, arch, timed, ([0], []))


def rerun(inputs: Mapping[str, Any]) -> RunResult:
    """Return the result of the run that left ``inputs`` (as ``RunResult.inputs``, or read back from JSON) once more.

    Raises:
        StcsimError: when a part is missing, or ``inputs`` hold what this version refuses.
    """
    one = "gemm" in inputs
    own = ("gemm", "out_dtype", "weights_in_l2", "data") if one else ("trace", "fusion", "keep_dense", "dtype_of")
    names = ("arch", "dtype", "sparsity", "engine", "kernel", "launch", *own)
    if missing := [name for name in names if name not in inputs]:
        raise StcsimError("inputs", f"{', '.join(names)}", f"no {missing[0]}")
    options = {name: inputs[name] for name in names if name not in ("arch", "gemm", "trace")}
    options |= {name: inputs[name] for name in _SINCE if name in inputs}
    arch = arch_from_dict(inputs["arch"])
    if one:
        op = Gemm(**inputs["gemm"])
        return gemm(op.m, op.n, op.k, arch, batch=op.batch, **options)
    return run(Trace(**inputs["trace"]), arch, **options)


_SINCE = ("pruned_as", "library", "duration", "weight_copies")
"""Options that results of earlier versions do not have."""


def _result(
    head: tuple[str, str, str, int, str, str],
    inputs: dict[str, Any],
    arch: Arch,
    timed: Timed,
    order: tuple[Sequence[int], Sequence[int]],
    memory_needed: Footprint | None = None,
    partial: Partial | None = None,
) -> RunResult:
    """Put a result together, with error bars; ``order`` is that of rows and of memory operations."""
    barred = bars(arch)
    rows, memory = tuple(timed.rows[at] for at in order[0]), tuple(timed.memory[at] for at in order[1])
    sums = barred.totals(timed.totals, rows, memory)
    rows, memory = tuple(map(barred.layer, rows)), tuple(map(barred.memory, memory))
    trust = barred.trust(sums, rows, partial is not None)
    return RunResult(*head, inputs, rows, sums, memory, timed.groups, memory_needed, trust, partial)


def _capacity_bytes(arch: Arch) -> int:
    return int(arch.dram.capacity_gib * 1024**3)


def _planned(step: Step, found: Placed, rules: LayerRules, setup: Setup, modes: Sequence[str]) -> Planned:
    """Return what to time of ``step``; a layer that may not be pruned is timed dense also when only 2:4 was asked for."""
    op, element, arch = step.op, rules.type_of(step.op), setup.arch
    fused = tuple(rider.name for rider in step.fused)
    if isinstance(op, Memory):
        return Planned(op, element, fused)
    assert found.problem is not None
    reason = rules.why_dense(op) or why_not_sparse(found.problem, not op.weight_elements)
    if reason is None and not arch.supports(element.name, True):
        reason = f"no {arch.pattern_name} in {element.name} on {arch.name}"
    if reason is None:
        reason = why_not_taken(found.problem, arch, setup.library)
    return Planned(op, element, fused, *_asked(reason, modes))


def _asked(reason: str | None, modes: Iterable[str]) -> tuple[bool, bool, str | None]:
    """Return whether a layer is to be timed dense and 2:4, and why not 2:4 although that was asked for."""
    sparse = any(mode != Sparsity.DENSE for mode in modes)
    return Sparsity.DENSE in modes or reason is not None, sparse and reason is None, reason if sparse else None
