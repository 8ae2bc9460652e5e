"""Networks small enough to count by hand, with edges."""

from __future__ import annotations

from stcsim.trace import Gemm, Memory, Op, Source, Trace

ELEMENTS = 64 * 64
"""Of every matrix in ``square``: 8 KiB in fp16."""


def network(*ops: Op, dtype: str = "fp16") -> Trace:
    """Return a trace of ``ops``."""
    source = Source(model="by hand", library="none", version="0")
    return Trace(name="small", title="Small", source=source, batch=1, input_shape=(64,), dtype=dtype, rescalable=False, ops=ops)


def square(name: str, *inputs: str, weight: bool = True, size: int = 64, weight_of: str = "") -> Gemm:
    """Return a product of matrices of ``size`` x ``size``."""
    operand = "a" if weight else None
    return Gemm(name=name, m=size, n=size, k=size, weight_operand=operand, inputs=inputs, weight_of=weight_of)


def step(
    name: str,
    operator: str,
    *inputs: str,
    into: str = "",
    read: int | None = None,
    written: int = ELEMENTS,
    constants: int = 0,
) -> Memory:
    """Return a memory operation that reads its inputs, each of ``ELEMENTS``, once."""
    elements = ELEMENTS * len(inputs) if read is None else read
    return Memory(
        name=name,
        operator=operator,
        elements_read=elements,
        elements_written=written,
        constant_elements=constants,
        inputs=inputs,
        fuses_into=into,
    )


def residual_block() -> Trace:
    """Return a block as ResNet has it: two layers, a third on the shortcut that the trace has after them, their sum."""
    return network(
        square("stem"),
        square("first", "stem"),
        step("first.norm", "batch_norm", "first", into="first", constants=256),
        step("first.relu", "relu", "first.norm", into="first"),
        square("second", "first.relu"),
        square("shortcut", "stem"),
        step("add", "add", "second", "shortcut", into="second"),
        step("relu", "relu", "add", into="second"),
        step("pool", "max_pool", "relu", written=ELEMENTS // 4),
        step("scale", "mul", "pool", into="pool", read=ELEMENTS // 4, written=ELEMENTS // 4),
    )
