"""How much processor time a network takes on the datapath, and whether every layer of the whole of it is what it is by hand."""

from __future__ import annotations

import resource

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")

from stcsim.numerics import torch as simulated  # noqa: E402
from tests.numerics.torch.by_hand import bert, check, pruned, resnet34  # noqa: E402


def processor_s() -> float:
    """Return the processor time of this process, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("network", "most_s"), [(bert, 8.0), (resnet34, 3.0)])
def test_processor_time_of_a_network(network, most_s: float, sparse: bool) -> None:
    model, arguments = network()
    model = pruned(model) if sparse else model
    with torch.no_grad():
        for _ in range(2):  # the first call compiles
            start = processor_s()
            with simulated.datapath("sm_80", sparse="auto" if sparse else None) as record:
                model(*arguments)
            taken = processor_s() - start
    kind = "2:4" if sparse else "dense"
    print(f"\n{type(model).__name__} {kind}: {taken:.2f} s, {record.macs / 1e9:.2f} GMAC, {len(record.layers)} products")
    assert taken <= most_s


@pytest.mark.parametrize("sparse", [False, True])
def test_every_layer_of_bert_base_is_what_it_is_by_hand(sparse: bool) -> None:
    model, arguments = bert()
    compared = check(pruned(model) if sparse else model, arguments, "sm_80", "fp16", sparse)
    assert compared == (96, 72 if sparse else 0)
