"""What a user says a network is fed with: ``1x3x224x224``, ``ids=1x128:int64``, ``ids=Bx128:int64 table=77x64``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stcsim.errors import TraceError, closest
from stcsim.words import whole_of

#: Element types of an input, as torch calls them. Numbers are activations, the others ids, counts or masks.
TYPES = ("float32", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool")

#: Stands for the batch among the sizes.
BATCH = "B"


@dataclass(frozen=True, slots=True)
class TensorShape:
    """One input of a network.

    Attributes:
        name: of the argument; empty for one given by its place.
        sizes: of all axes; 0 stands for the batch.
        dtype: one of ``TYPES``.
    """

    name: str
    sizes: tuple[int, ...]
    dtype: str = "float32"

    def at(self, batch: int) -> tuple[int, ...]:
        """Return the sizes at a batch."""
        return tuple(size or batch for size in self.sizes)


def read_shapes(place: str, words: Sequence[str]) -> list[TensorShape]:
    """Return the inputs in the words of a user; without ``B`` the first size of each is the batch.

    Args:
        place: where they stand, for the error.
        words: ``[NAME=]SIZES[:TYPE]`` each.

    Raises:
        TraceError: at a word that says something else, or a name given twice.
    """
    shapes = [_read(f"{place}: input", word) for word in words]
    named = [shape.name for shape in shapes if shape.name]
    if len(set(named)) < len(named):
        raise TraceError(f"{place}: input", "each name once", ", ".join(named))
    return shapes


def common_batch(place: str, shapes: Sequence[TensorShape], batch: int | None) -> int | None:
    """Return the batch that the inputs have, or the one asked for where they say ``B``.

    Raises:
        TraceError: when the first sizes differ from each other or from ``batch``.
    """
    if any(0 in shape.sizes for shape in shapes):
        return batch
    firsts = {shape.sizes[0] for shape in shapes} | ({batch} if batch is not None else set())
    if len(firsts) > 1:
        expected = f"one batch, the first size of every input (write {BATCH} for it where it is another one)"
        raise TraceError(f"{place}: input", expected, " and ".join(map(str, sorted(firsts))))
    return firsts.pop()


def with_batch_first(shapes: Sequence[TensorShape]) -> list[TensorShape]:
    """Return the inputs with the batch in the place of their first size, unless some say where it stands."""
    if any(0 in shape.sizes for shape in shapes):
        return list(shapes)
    return [TensorShape(shape.name, (0, *shape.sizes[1:]), shape.dtype) for shape in shapes]


def _read(where: str, word: str) -> TensorShape:
    name, _, rest = word.rpartition("=")
    sizes, colon, dtype = rest.partition(":")
    parts = sizes.replace("×", "x").split("x")
    if not all(part == BATCH or whole_of(part) for part in parts) or (name and not name.isidentifier()):
        raise TraceError(where, "[NAME=]SIZES[:TYPE], such as 1x3x224x224 or ids=1x128:int64", f"'{word}'")
    if colon and dtype not in TYPES:
        raise TraceError(where, f"one of {', '.join(TYPES)}", f"'{dtype}'{closest(dtype, TYPES)}")
    return TensorShape(name, tuple(0 if part == BATCH else int(part) for part in parts), dtype or "float32")
