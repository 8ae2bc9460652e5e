"""A network at another image size, derived from its trace alone: exactly, or not at all."""

from __future__ import annotations

from stcsim.errors import TraceError
from stcsim.trace.rescale.follow import Outputs
from stcsim.trace.rescale.image_sizes import ImageSizes, is_adaptive
from stcsim.trace.trace import Conv2d, Gemm, Memory, Op, Trace, TraceOrName, load_trace
from stcsim.words import size

_CHANGE_PIXELS = ("avg_pool", "max_pool", "upsample")
"""Memory operations that keep the channels and change the pixels."""


def at_resolution(trace: TraceOrName, height: int, width: int) -> Trace:
    """Return the same network on images of ``height`` x ``width`` pixels; its channels and batch stay.

    ``trace`` may be a name or a file. How sizes follow is described in :mod:`stcsim.trace.rescale.image_sizes`.

    Raises:
        UnsupportedError: when height or width is no whole number above 0.
        TraceError: when there is no such trace, it is not of images, or some size does not follow from it exactly.
    """
    trace, height, width = load_trace(trace), size(height, "height"), size(width, "width")
    shape, place = trace.input_shape, f"{trace.name}: resolution {height}x{width}"
    if not isinstance(shape, tuple) or len(shape) != 3:
        raise TraceError(place, "a trace whose input_shape is channels, height and width", str(shape))
    channels, old_height, old_width = shape
    if (height, width) == (old_height, old_width):
        return trace
    ops = _Resized(place, trace, height, width).ops()
    title = trace.title.replace(f"{channels}x{old_height}x{old_width}", f"{channels}x{height}x{width}")
    return trace.unbounded().changed(title=title, input_shape=(channels, height, width), ops=ops)


class _Resized:
    """All operations of one network at a new size: convolutions first, then what stands between them."""

    def __init__(self, place: str, trace: Trace, height: int, width: int) -> None:
        assert isinstance(trace.input_shape, tuple)
        _, rows, columns = trace.input_shape
        self._place, self._trace, self._pixels = place, trace, rows * columns
        self._sizes = ImageSizes(place, trace.ops, ((rows, height), (columns, width)))
        self._outputs = Outputs(trace, (rows * columns, height * width))
        self._pixels_of: dict[str, int] = {}

    def ops(self) -> tuple[Op, ...]:
        """Return them in network order."""
        resized = iter([self._conv(op) for op in self._trace.ops if isinstance(op, Conv2d)])
        ops: list[Op] = []
        for op in self._trace.ops:
            where = f"{self._place}: {op.kind} '{op.name}'"
            if isinstance(op, Memory):
                self._pixels_of[op.name] = self._pixels_written(op)
                ops.append(self._outputs.followed(where, op, self._pooled(op), self._constants(where, op)))
                continue
            ops.append(next(resized) if isinstance(op, Conv2d) else self._layer(where, op))
            self._pixels_of[op.name] = op.p * op.q if isinstance(op, Conv2d) else op.n // self._trace.batch
            self._outputs.add(op, ops[-1])
        return tuple(ops)

    def _conv(self, conv: Conv2d) -> Conv2d:
        if conv.batch != self._trace.batch:
            where = f"{self._place}: conv2d '{conv.name}': batch"
            raise TraceError(where, f"{self._trace.batch}, one image for each of the network's", str(conv.batch))
        return self._sizes.resized(conv)

    def _layer(self, where: str, gemm: Gemm) -> Gemm:
        """Return ``gemm`` with as many columns as its image has pixels; one column for each sample stays one."""
        if gemm.weight_operand is None:
            raise TraceError(where, "sizes that follow the image in a way the trace shows", "a product of two activations")
        columns, rest = divmod(gemm.n, self._trace.batch) if gemm.scales_with_batch == "n" else (gemm.n, 0)
        becomes = {1} if columns == 1 else self._sizes.pixels(columns)
        if rest or len(becomes) != 1:
            found = f"{columns}, which {'several images have' if becomes else 'none has'}"
            raise TraceError(f"{where}: n", "the pixels of an image between convolutions", found)
        new: Gemm = gemm.changed(n=gemm.n // columns * becomes.pop())
        for before, after in map(self._outputs.of, gemm.inputs):
            if before == gemm.k * gemm.n and after != new.k * new.n:
                raise TraceError(f"{where}: k", f"an input that keeps {gemm.k} features", f"one that would have {after // new.n}")
        return new

    def _pixels_written(self, op: Memory) -> int:
        """Return the pixels of the image that ``op`` writes, as captured; 0 where they cannot be told."""
        if not op.inputs:
            return self._pixels
        pixels = [self._pixels_of[name] for name in op.inputs]
        if op.operator not in _CHANGE_PIXELS:
            outputs = [self._outputs.of(name)[0] for name in op.inputs]
            return pixels[outputs.index(op.elements_written)] if op.elements_written in outputs else pixels[0]
        written, rest = divmod(op.elements_written * pixels[0], self._outputs.of(op.inputs[0])[0])
        return 0 if rest else written

    def _pooled(self, op: Memory) -> int | None:
        """Return what becomes of the elements that pooling or upsampling writes, if that can be told."""
        pixels = self._pixels_of[op.name]
        if op.operator not in _CHANGE_PIXELS or not pixels or not op.inputs:
            return None
        fixed = pixels == 1 or is_adaptive(op)
        becomes = {pixels} if fixed else self._sizes.pooled(self._pixels_of[op.inputs[0]], pixels)
        return op.elements_written // pixels * next(iter(becomes)) if len(becomes) == 1 else None

    def _constants(self, where: str, op: Memory) -> int:
        """Return the parameters ``op`` reads: they stay, so there may not be one for each element."""
        if op.constant_elements == op.elements_written // self._trace.batch > 0 and not op.operator.endswith("_norm"):
            raise TraceError(f"{where}: constant_elements", "fewer than one for each element", str(op.constant_elements))
        return op.constant_elements
