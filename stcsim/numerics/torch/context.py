"""The door: a ``with`` block in which every product of a network runs on the simulated datapath."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from stcsim.errors import StcsimError
from stcsim.isa.capabilities import ArchLike
from stcsim.numerics.orders import Order
from stcsim.numerics.torch.mode import Watch
from stcsim.numerics.torch.record import Record
from stcsim.numerics.torch.session import Session
from stcsim.numerics.torch.settings import Scales, make_plan


@contextmanager
def datapath(
    arch: ArchLike,
    dtype: str = "fp16",
    *,
    acc_dtype: str | None = None,
    sparse: str | Iterable[str] | None = None,
    blocking: str = "kept",
    order: Order | str | None = None,
    output: str = "same",
    scales: Mapping[str, Scales] | None = None,
    skip: str | Iterable[str] = (),
    layers: Mapping[str, Mapping[str, Any]] | None = None,
    reference: str | None = "layer",
    workers: int | None = None,
) -> Iterator[Record]:
    """Run every product of the networks that are called inside on a simulated datapath, and yield their record.

    Linear layers, convolutions (transposed ones too), products of matrices and attention go through ``numerics.gemm``: operands
    are rounded to ``dtype``, multiplied as the GPU's tensor cores do, and the results, rounded to what a kernel writes, come back
    in the type of the network's tensors. All other steps stay with PyTorch. Names of layers are paths of modules, as
    ``named_modules`` of the module that is called inside gives them; a pattern (``"encoder.*.query"``) fits several.

    Args:
        arch: a GPU (``"a100"`` or an ``Arch``), or a compute capability (``"sm_80"``).
        dtype: type of the operands: fp16, bf16, tf32, int8, e4m3 or e5m2. fp16 and bf16 overflow to infinity, int8 and fp8
            are scaled and saturate.
        acc_dtype: fp32, fp16 or int32; by default int32 for int8 and fp32 for the others.
        sparse: which layers run the 2:4 instruction: ``None`` or ``"none"``, ``"auto"`` (every weight that is 2:4 along k), or
            names and patterns. Layers that cannot run dense, and their rows say why.
        blocking: of sparse instructions, ``"kept"`` or ``"expanded"``, as in ``mma_sp``.
        order: in which a kernel adds, as in ``gemm``.
        output: ``"same"`` for what kernels of ``dtype`` write (fp16, bf16; fp32 for tf32; for int8 and fp8 the 16-bit type of the
            network's tensors, else fp16 and bf16), or one of fp16, bf16, fp32.
        scales: largest magnitudes that int8 and fp8 are scaled for, by name or pattern; without them those of each tensor and
            each output channel are taken (``"dynamic"`` in the record).
        skip: names and patterns of products that PyTorch computes.
        layers: settings of single layers: pattern -> any of dtype, acc_dtype, sparse (true or false), blocking, order, output,
            skip. The first pattern that fits counts.
        reference: what errors are counted against: ``"layer"`` (the same product in fp32 on the same inputs), ``"network"`` (the
            whole network in fp32, which is run a second time after each call), or ``"none"``.
        workers: threads of the engine.

    Raises:
        UnsupportedError: when a word is none, or the GPU has no instruction for the types.
        StcsimError: when a network is being trained, or a name fits no product that ran.
    """
    plan = make_plan(arch, dtype, acc_dtype, sparse, blocking, order, output, scales, skip, layers, reference, workers)
    with running(Session(plan)) as session:
        yield session.record


@contextmanager
def running(session: Session) -> Iterator[Session]:
    """Send the products of this thread to ``session``.

    Raises:
        StcsimError: inside of another one, or when a name of the plan fits no product that ran.
    """
    if any(isinstance(each, Watch) for each in _get_current_dispatch_mode_stack()):
        raise StcsimError("datapath", "one datapath at a time", "a block inside of another one's")
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(torch.set_num_threads, session.threads)
        torch.set_num_threads(1)  # OpenMP's threads would wait for work by spinning, beside those of the engine
        stack.enter_context(torch._C._AutoDispatchBelowAutograd())
        stack.enter_context(session.places)
        stack.enter_context(Watch(session))
        yield session
    session.plan.check_names(session.names)
