"""Are parts of a storage told apart, and the operations that wrote them?"""

from __future__ import annotations

import itertools
import random

import pytest

torch = pytest.importorskip("torch", reason="the model code is not installed (pip install stcsim[torch])")

from stcsim.capture.storages import Storages, apart, region_of  # noqa: E402


def addresses(tensor: object) -> set[int]:
    """Return the places of all elements, by hand."""
    steps = [range(size) for size in tensor.shape]  # type: ignore[attr-defined]
    start, strides = tensor.storage_offset(), tensor.stride()  # type: ignore[attr-defined]
    return {start + sum(i * s for i, s in zip(index, strides, strict=True)) for index in itertools.product(*steps)}


def test_parts_said_to_be_apart_are() -> None:
    """The other way round it need not be: some that are apart may not be told so; slices along one axis must."""
    draw, told = random.Random(5), 0
    whole = torch.zeros(4, 5, 6, device="meta")
    for _ in range(2000):
        views = []
        for _ in range(2):
            cuts = [sorted(draw.sample(range(size + 1), 2)) for size in whole.shape]
            views.append(whole[tuple(slice(low, high, draw.choice((1, 1, 2))) for low, high in cuts)])
        if apart(*map(region_of, views)):
            told += 1
            assert not addresses(views[0]) & addresses(views[1])
    assert told > 500


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_chunks_are_apart(axis: int) -> None:
    chunks = torch.zeros(4, 6, 8, device="meta").chunk(2, axis)
    assert apart(region_of(chunks[0]), region_of(chunks[1])) and not apart(region_of(chunks[0]), region_of(chunks[0]))


def test_a_part_is_read_from_who_wrote_it() -> None:
    storages, whole = Storages(), torch.zeros(2, 6, device="meta")
    first, second = whole.chunk(2, 1)
    storages.write(whole, "activation", ("gemm",))
    storages.write(second, "activation", ("sigmoid",))
    assert storages.producers(first) == ("gemm",)
    assert storages.producers(second) == ("sigmoid",)
    assert storages.producers(whole) == ("gemm", "sigmoid")
    storages.write(second, "activation", ("mul",))
    assert storages.producers(whole) == ("gemm", "mul")
    storages.write(whole, "activation", ("add",))
    assert storages.producers(second) == storages.producers(whole) == ("add",)
    storages.write(whole, "activation", ("forward", "backward"))  # one operator, as that of a recurrent layer
    assert storages.producers(first) == ("forward", "backward")
