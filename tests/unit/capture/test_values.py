"""Networks that look at values, and modules that are not plain: what is known is used, and what is assumed is said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch, which `pip install stcsim[torch]` brings")

from torch import nn  # noqa: E402

from stcsim.capture import capture  # noqa: E402
from stcsim.errors import TraceError  # noqa: E402
from stcsim.trace import Trace  # noqa: E402
from tests.unit.modules import Runs  # noqa: E402

made: Any = None


def make() -> Any:
    """Return what the test made, called as a factory."""
    return made()


def captured(build: Callable[[], Any], *inputs: str) -> Trace:
    """Return the trace of what ``build`` returns."""
    global made
    made = build
    return capture(f"{__name__}:make", inputs=inputs)


def macs(trace: Trace) -> int:
    """Return the multiply-accumulates of its products."""
    return trace.macs


def linear() -> Any:
    """Return the layer that every network here has."""
    return nn.Linear(8, 4)


def times_a_constant(self: Any, x: Any) -> Any:
    """Slice by the number in a tensor made on the way, and by one in a buffer."""
    return self.layer(x[:, : torch.tensor(3).item() + self.more.tolist()[1]])


def test_the_number_in_a_constant_is_known() -> None:
    def build() -> Any:
        module = Runs(times_a_constant, layer=linear())
        module.register_buffer("more", torch.tensor([5, 2]))
        return module

    trace = captured(build, "Bx9x8")
    assert trace.macs == 5 * 8 * 4 and not trace.source.notes


def test_rows_picked_by_a_constant_mask_are_counted() -> None:
    def pick(self: Any, x: Any) -> Any:
        keep = torch.arange(6) % 2 == 0
        y = x.clone()
        y[:, ~keep] = 0
        return self.layer(y[:, keep]), self.layer(torch.masked_select(x, keep[:, None]).view(-1, 8))

    assert captured(lambda: Runs(pick, layer=linear()), "Bx6x8").macs == 2 * 3 * 8 * 4


def test_ids_are_zeros_and_masks_are_ones_where_a_network_looks_at_them() -> None:
    def forward(self: Any, ids: Any) -> Any:
        return self.layer(self.table(ids)) if 7 in ids[:, [0, -1]] else self.table(ids)[..., :4] @ self.layer.weight

    parts = {"layer": linear(), "table": nn.Embedding(9, 8)}
    trace = captured(lambda: Runs(forward, **parts), "Bx6:int64")
    assert trace.macs == 6 * 4 * 8
    assert trace.source.notes == "values of inputs are taken as 0 (masks as 1) where the network looks at them"


def test_a_size_that_the_network_computes_is_assumed_and_said() -> None:
    def stretch(self: Any, x: Any) -> Any:
        length = int(self.layer(x).exp().ceil().sum())
        return self.layer(torch.ones(length, 8) * x.mean())

    trace = captured(lambda: Runs(stretch, layer=linear()), "Bx6x8")
    assert trace.macs == 6 * 8 * 4 + 24 * 8 * 4
    assert trace.source.notes.startswith("values that the network computes are taken as 0 where its sizes depend on them")


def test_a_branch_on_what_the_network_computes_is_refused() -> None:
    def branch(self: Any, x: Any) -> Any:
        return self.layer(x) if self.layer(x).sum() > 0 else x

    with pytest.raises(TraceError, match="shapes alone .*found RuntimeError: .* at aten._local_scalar_dense"):
        captured(lambda: Runs(branch, layer=linear()), "Bx8")


def test_flexible_attention_is_two_products_and_says_that_masked_blocks_count() -> None:
    def attend(self: Any, x: Any) -> Any:
        from torch.nn.attention.flex_attention import flex_attention

        query, key, value = self.qkv(x).view(x.size(0), x.size(1), 3, 4, 16).permute(2, 0, 3, 1, 4)
        return flex_attention(query, key, value)

    trace = captured(lambda: Runs(attend, qkv=nn.Linear(64, 192)), "Bx16x64")
    assert trace.macs == 16 * 64 * 192 + 2 * 4 * 16 * 16 * 16 and trace.rescalable
    assert trace.source.notes == "flex_attention is counted with all of its blocks, masked or not"


class Batch(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Takes a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = linear()

    def forward(self, batch: Any) -> Any:
        """Return the layer of one entry."""
        return self.layer(batch["x"])


class Scaled(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Takes two inputs in order and one by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = linear()

    def forward(self, x: Any, y: Any, *, scale: Any) -> Any:
        """Return the layer of the sum, scaled."""
        return self.layer(x + y) * scale


def test_a_dictionary_may_be_the_argument() -> None:
    assert captured(Batch, "x=Bx8").macs == 8 * 4


def test_inputs_in_order_stand_before_those_with_a_name() -> None:
    assert captured(Scaled, "Bx8", "Bx8", "scale=Bx4").macs == 8 * 4


def on_cpu() -> Any:
    """Return a network with data."""
    with torch.device("cpu"):
        return nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5)).eval()


def exported() -> Any:
    """Return an exported program whose batch is free."""
    return torch.export.export(on_cpu(), (torch.zeros(2, 2, 8),), dynamic_shapes=({0: torch.export.Dim("batch")},))


@pytest.mark.parametrize(
    "build",
    [
        lambda: torch.jit.script(on_cpu()),
        lambda: torch.jit.trace(on_cpu(), torch.zeros(1, 2, 8)),
        lambda: torch.jit.freeze(torch.jit.script(on_cpu())),
        lambda: torch.compile(on_cpu()),
        exported,
    ],
    ids=["scripted", "traced", "frozen", "compiled", "exported"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_module_that_is_not_plain_runs_as_what_is_in_it(build: Callable[[], Any]) -> None:
    trace = captured(build, "Bx2x8")
    assert trace.macs == 6 * 3 * 2 * 4 + 24 * 5 and trace.rescalable
    assert all(op.weight_elements for op in trace.ops if op.macs)


def test_the_exception_of_a_factory_is_one_sentence() -> None:
    def build() -> Any:
        raise KeyError("no weights")

    def leave() -> Any:
        raise SystemExit("two\nlines")

    with pytest.raises(TraceError, match="expected a network that can be built, found KeyError: 'no weights'$"):
        captured(build, "Bx8")
    with pytest.raises(TraceError, match="expected a network that can be built, found SystemExit: two$"):
        captured(leave, "Bx8")


def test_a_library_that_is_installed_but_broken_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stcsim.capture.foreign import imports

    (tmp_path / "broken_library.py").write_text("raise RuntimeError('operator lib::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        TraceError, match="^capture x: expected a broken_library that can be imported, found RuntimeError: operator"
    ):
        with imports("capture x", "broken_library"):
            import broken_library  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    assert "broken_library" not in sys.modules
