"""Which kernels does a network launch, and in which order?"""

from __future__ import annotations

import pytest

from stcsim.errors import TraceError, UnsupportedError
from stcsim.replay.schedule import schedule
from tests.unit.small_networks import network, residual_block, square, step


def test_what_fuses_rides_along_and_a_kernel_waits_for_all_it_reads() -> None:
    found = [(kernel.op.name, [rider.name for rider in kernel.fused]) for kernel in schedule(residual_block())]
    assert found == [
        ("stem", []),
        ("first", ["first.norm", "first.relu"]),
        ("shortcut", []),  # after `second` in the trace, but its sum runs in the kernel of `second`
        ("second", ["add", "relu"]),
        ("pool", ["scale"]),
    ]


def test_without_fusion_every_operation_is_a_kernel_in_the_order_of_the_trace() -> None:
    trace = residual_block()
    kernels = schedule(trace, "none")
    assert [kernel.op for kernel in kernels] == list(trace.ops) and not any(kernel.fused for kernel in kernels)


def test_the_index_leads_back_to_the_trace() -> None:
    trace = residual_block()
    assert all(trace.ops[kernel.index] is kernel.op for kernel in schedule(trace))


def test_old_traces_may_have_a_name_twice() -> None:
    trace = network(square("fc"), square("fc"))
    assert [kernel.index for kernel in schedule(trace)] == [0, 1]


def test_kernels_that_would_wait_for_each_other_are_refused() -> None:
    # the sum is to run in the kernel of `a`, but needs `b`, which reads `a`
    trace = network(square("a"), square("b", "a"), step("add", "add", "a", "b", into="a"))
    with pytest.raises(TraceError, match="'add': fuses_into: expected an operation that can wait .*, found 'a'"):
        schedule(trace)


def test_an_unknown_fusion_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="fusion: expected one of epilogue, none, found 'all'"):
        schedule(residual_block(), "all")
