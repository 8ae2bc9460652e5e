"""Which steps fuse into which kernel: small networks by hand, where each rule holds and where it just does not."""

from __future__ import annotations

from stcsim.capture.fusing import decide_fusion
from stcsim.trace import Conv2d, Gemm, Memory, Op


def gemm(name: str, *inputs: str, m: int = 4, n: int = 4, count: int = 1) -> Gemm:
    return Gemm(name=name, m=m, n=n, k=8, inputs=inputs, count=count)


def product(name: str, *inputs: str) -> Gemm:
    """A product of two activations."""
    return Gemm(name=name, m=4, n=4, k=8, weight_operand=None, inputs=inputs)


def conv(name: str, *inputs: str) -> Conv2d:
    return Conv2d(name=name, batch=1, c=4, h=2, w=2, k=4, r=1, s=1, inputs=inputs)


def step(name: str, *inputs: str, operator: str = "", written: int = 16, count: int = 1, into: str = "") -> Memory:
    fields = {"operator": operator or name.rstrip("0123456789"), "elements_read": 16 * len(inputs), "elements_written": written}
    return Memory(name=name, inputs=inputs, count=count, fuses_into=into, **fields)


def fused(*ops: Op) -> dict[str, str]:
    """Return what each step fuses into."""
    decided = decide_fusion(ops)
    assert [op.changed(fuses_into="") if isinstance(op, Memory) else op for op in decided] == [
        op.changed(fuses_into="") if isinstance(op, Memory) else op for op in ops
    ]
    return {op.name: op.fuses_into for op in decided if isinstance(op, Memory)}


def test_a_chain_behind_a_convolution() -> None:
    ops = (conv("c"), step("batch_norm", "c"), step("relu", "batch_norm"), step("max_pool", "relu"), conv("d", "max_pool"))
    assert fused(*ops) == {"batch_norm": "c", "relu": "c", "max_pool": ""}


def test_a_residual_sum_goes_to_the_product_before_it() -> None:
    ops = (gemm("a"), gemm("b", "a"), step("add", "b", "a"), step("layer_norm", "add"), gemm("c", "layer_norm", "add"))
    assert fused(*ops) == {"add": "b", "layer_norm": ""}


def test_a_residual_that_is_made_later_takes_the_sum() -> None:
    """So that the kernels can run in the order of their products."""
    assert fused(gemm("a"), gemm("shortcut"), step("add", "a", "shortcut"), step("relu", "add")) == {
        "add": "shortcut",
        "relu": "shortcut",
    }


def test_gate_and_up_of_a_gated_layer() -> None:
    ops = (gemm("gate"), step("silu", "gate"), gemm("up"), step("mul", "silu", "up"), gemm("down", "mul"))
    assert fused(*ops) == {"silu": "gate", "mul": "up"}


def test_what_somebody_else_reads_stays() -> None:
    assert fused(gemm("a"), step("relu", "a"), gemm("b", "a", "relu")) == {"relu": ""}
    assert fused(gemm("a"), step("relu", "a"), step("mul", "relu"), gemm("b", "mul", "relu")) == {"relu": "a", "mul": ""}


def test_an_activation_written_as_several_steps_is_one() -> None:
    """x * sigmoid(x), and the tanh form of gelu: all paths from the product meet again."""
    assert fused(gemm("a"), step("sigmoid", "a"), step("mul", "a", "sigmoid")) == {"sigmoid": "a", "mul": "a"}
    gelu = (
        step("pow", "a"),
        step("add", "a", "pow"),
        step("tanh", "add"),
        step("mul1", "a"),
        step("mul2", "mul1", "tanh"),
    )
    assert set(fused(gemm("a"), *gelu, gemm("b", "mul2")).values()) == {"a"}


def test_a_scale_for_each_channel_does_not_take_the_large_operand() -> None:
    """Squeeze and excitation: the small product cannot do the multiplication of the whole image."""
    ops = (
        conv("c"),
        step("silu", "c"),
        step("avg_pool", "silu", written=4),
        gemm("fc", "avg_pool", n=1),
        step("sigmoid", "fc", written=4),
        step("mul", "silu", "sigmoid"),
    )
    assert fused(*ops) == {"silu": "c", "avg_pool": "", "sigmoid": "fc", "mul": ""}


def test_half_of_a_product_times_the_other_half() -> None:
    ops = (gemm("gate_up", m=8), step("silu", "gate_up"), step("mul", "silu", "gate_up"))
    assert fused(*ops) == {"silu": "gate_up", "mul": "gate_up"}


def test_steps_that_no_product_takes_follow_the_first() -> None:
    ops = (step("embedding"), step("mul", "embedding"), step("add", "mul"), step("softmax", "add"))
    assert fused(*ops) == {"embedding": "", "mul": "", "add": "mul", "softmax": ""}


def test_a_norm_takes_what_follows_but_is_not_taken() -> None:
    assert fused(gemm("a"), step("group_norm", "a"), step("silu", "group_norm")) == {"group_norm": "", "silu": "group_norm"}


def test_batch_norm_without_a_product_before_it_heads_a_chain() -> None:
    assert fused(step("cat"), step("batch_norm", "cat"), step("relu", "batch_norm")) == {
        "cat": "",
        "batch_norm": "",
        "relu": "batch_norm",
    }


ATTENTION = (gemm("q"), gemm("k"), gemm("v"), product("qk", "q", "k"))


def test_the_softmax_of_an_attention() -> None:
    ops = (*ATTENTION, step("mul", "qk"), step("add", "mul"), step("softmax", "add"), product("pv", "softmax", "v"))
    assert fused(*ops) == {"mul": "qk", "add": "qk", "softmax": "qk"}


def test_a_softmax_that_is_none_of_an_attention() -> None:
    assert fused(gemm("logits"), step("softmax", "logits")) == {"softmax": ""}
    last = (*ATTENTION, step("mul", "qk"), step("softmax", "mul"))
    assert fused(*last) == {"mul": "qk", "softmax": ""}
    shown = (*ATTENTION, step("softmax", "qk"), product("pv", "softmax", "v"), step("mean", "softmax"))
    assert fused(*shown) == {"softmax": "", "mean": ""}


def test_copies_around_an_attention_are_another_way_of_storing() -> None:
    ops = (*ATTENTION[:3], step("copy1", "q"), product("qk", "copy1", "k"), product("pv", "qk", "v"), step("copy2", "pv"))
    assert fused(*ops, gemm("o", "copy2")) == {"copy1": "q", "copy2": "pv"}
    assert fused(gemm("a"), step("copy", "a"), gemm("b", "copy")) == {"copy": ""}


def test_new_keys_are_stored_where_the_cache_lies() -> None:
    ops = (gemm("k"), step("rope", "k"), step("cache_update", "rope"))
    for qk in (product("qk", "rope", "cache_update"), product("qk", "cache_update")):  # whether or not the rope is read itself
        assert fused(*ops[:3], qk) == {"rope": "", "cache_update": "rope"}
    split = (gemm("qkv", m=12), step("cache_update1", "qkv"), step("cache_update2", "qkv"), product("qk", "qkv", "cache_update1"))
    assert fused(*split) == {"cache_update1": "qkv", "cache_update2": "qkv"}
    assert fused(gemm("v"), step("cache_update", "v"), product("pv", "cache_update")) == {"cache_update": "v"}


def test_a_step_of_every_time_step_goes_with_its_product() -> None:
    ops = (gemm("input", n=12), gemm("state", count=3), step("lstm_cell", "state", "input", count=3))
    assert fused(*ops) == {"lstm_cell": "state"}


def test_what_was_decided_before_is_forgotten() -> None:
    assert fused(gemm("a"), gemm("b", "a"), step("max_pool", "b", into="a")) == {"max_pool": ""}


def test_no_operations() -> None:
    assert decide_fusion(()) == ()
