"""Sizes of the images in a network when its input has another size, convolution by convolution.

A convolution's output follows from its own geometry. Between convolutions stand steps whose geometry a trace does not have
(pooling, upsampling): one that changed a size by a whole factor, up to 4, is taken to do so again, and its new input must divide
by that factor. This holds for every chain of steps with strides: it maps x to floor((x + a) / t) + b, and if it maps t·y to y
for one y, it does for all. An image of one pixel that no convolution made (global pooling) stays one pixel, and adaptive pooling
keeps its output. Where two ways lead to one size, at both ends of a sum or in a concatenation, they must agree.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from stcsim.errors import TraceError
from stcsim.trace.model import inside
from stcsim.trace.trace import Conv2d, Memory, Op

_MAX_FACTOR = 4

Size = tuple[int, int]
"""Rows or columns of an image as captured, and at the new size."""

Image = tuple[Size, Size]
"""Its rows and columns."""


def is_adaptive(op: Op) -> bool:
    """Say whether ``op`` pools to a fixed size, whatever the size of its input."""
    return isinstance(op, Memory) and "adaptive" in op.origin.lower()


class ImageSizes:
    """What every image between the convolutions of ``ops`` becomes; errors begin with ``place``."""

    def __init__(self, place: str, ops: Iterable[Op], network_input: Image) -> None:
        self._place, self._input = place, network_input
        self._ops = {op.name: op for op in ops}
        self._edges = any(op.inputs for op in self._ops.values())
        self._made: dict[str, Image] = {}
        self._by_pixels: dict[int, set[tuple[int, int]]] = defaultdict(set)
        self._remember(network_input)

    def pixels(self, before: int) -> set[int]:
        """Return what images of so many pixels become: nothing where there is none, several where they differ."""
        return {rows * columns for rows, columns in self._by_pixels.get(before, ())}

    def pooled(self, source: int, before: int) -> set[int]:
        """Return the same of images of ``before`` pixels that are made from those of ``source`` pixels."""
        factor = math.isqrt(source // before)
        if before in self._by_pixels or source != before * factor**2:
            return self.pixels(before)
        images = self._by_pixels.get(source, set())
        divide = factor <= _MAX_FACTOR and not any(size % factor for image in images for size in image)
        return {rows * columns // factor**2 for rows, columns in images} if divide else set()

    def resized(self, conv: Conv2d) -> Conv2d:
        """Return ``conv`` on the new size of its input; the convolutions before it must have come first.

        Raises:
            TraceError: when that size does not follow.
        """
        where, images = f"{self._place}: conv2d '{conv.name}'", self._sources(conv)
        h = self._follow(f"{where}: h", "rows", conv.h, [rows for rows, _ in images])
        w = self._follow(f"{where}: w", "columns", conv.w, [columns for _, columns in images])
        with inside(self._place, joint=": "):
            new: Conv2d = conv.changed(h=h, w=w)
        self._remember(((conv.h, h), (conv.w, w)))
        self._made[conv.name] = self._remember(((conv.p, new.p), (conv.q, new.q)))
        return new

    def _remember(self, image: Image) -> Image:
        (rows, new_rows), (columns, new_columns) = image
        self._by_pixels[rows * columns].add((new_rows, new_columns))
        return image

    def _sources(self, conv: Conv2d) -> list[Image]:
        """Return the images ``conv`` may read: of the nearest convolutions before it; of all where the trace has no edges."""
        if not self._edges:
            return [self._input, *self._made.values()]
        sources: list[Image] = []
        seen, waiting = {conv.name}, [conv.name]
        while waiting:
            op = self._ops[waiting.pop()]
            if is_adaptive(op):
                sources.append(((conv.h, conv.h), (conv.w, conv.w)))
                continue
            sources += [] if op.inputs else [self._input]
            sources += [self._made[name] for name in op.inputs if name in self._made]
            waiting += [name for name in op.inputs if name not in self._made and name not in seen]
            seen.update(op.inputs)
        return sources

    def _follow(self, where: str, what: str, old: int, sources: Iterable[Size]) -> int:
        """Return what becomes of ``old`` rows or columns, given what became of the images before them."""
        known: dict[int, set[int]] = defaultdict(set)
        for before, after in sources:
            known[before].add(after)
        same = set(known.get(old, ()))
        if old == 1 and not same:
            return 1
        grown = {after * (old // before) for before in known if _divides(before, old) for after in known[before]}
        larger = min((before for before in known if _divides(old, before)), default=None)
        if not same and larger:
            factor = larger // old
            if any(after % factor for after in known[larger]):
                found = " and ".join(map(str, sorted(known[larger])))
                raise TraceError(where, f"{what} before it that divide by {factor}, as {larger} did", found)
            same = {after // factor for after in known[larger]}
        elif self._edges or not same:
            same |= grown
        if len(same) != 1:
            others = f"{old}, and {', '.join(map(str, sorted(known, reverse=True)))} before"
            found = f"{old}, which may become {' or '.join(map(str, sorted(same)))}" if same else others
            raise TraceError(where, f"{what} that follow from the images before", found)
        return same.pop()


def _divides(smaller: int, larger: int) -> bool:
    return 1 < smaller < larger <= _MAX_FACTOR * smaller and larger % smaller == 0
