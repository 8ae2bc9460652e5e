"""Is what 2:4 brings what a run of the same GEMMs says, and is the verdict one true sentence?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import stcsim
from stcsim.errors import StcsimError
from stcsim.inspection import Gain, Inspection, gains_of, inspect_checkpoint
from stcsim.inspection.gains import trace_of
from stcsim.report.inspection import verdict_text, weight_lines
from stcsim.result import Interval
from tests.unit.checkpoints import drawn, pruned, write


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """Two blocks of which the wide layer is 2:4."""
    arrays = {}
    for at in range(2):
        arrays |= {f"l.{at}.up.weight": pruned(1024, 256, seed=at), f"l.{at}.down.weight": drawn(256, 1024, seed=at)}
    return inspect_checkpoint(write(tmp_path_factory.mktemp("file") / "a.safetensors", arrays))


def test_gains_are_those_of_a_run_of_the_same_gemms(found: Inspection) -> None:
    as_it_is, could_be = gains_of(found, ["a100"], [2048])
    trace = trace_of(found, 2048)
    ran = stcsim.run(trace, "a100", pruned_as=["l.0.up.weight", "l.1.up.weight"]).totals
    assert (as_it_is.what, as_it_is.layers, as_it_is.dense_us) == ("as it is", 2, ran.dense_us)
    assert (as_it_is.sparse_us, as_it_is.speedup, as_it_is.interval) == (
        ran.sparse_us,
        ran.sparse_speedup,
        ran.sparse_speedup_interval,
    )
    best = stcsim.run(trace, "a100")
    assert (could_be.what, could_be.sparse_us, could_be.speedup) == (
        "all pruned that may be",
        best.totals.best_us,
        best.totals.speedup,
    )
    assert (
        could_be.layers == sum(row.is_pruned for row in best.rows)
        and best.trust is not None
        and could_be.verdict == best.trust.verdict
    )
    dense = 4 * 1024 * 256 * 2
    assert (as_it_is.dense_weight_bytes, as_it_is.sparse_weight_bytes) == (dense, dense // 2 + dense // 2 * 9 // 16)


def test_every_gpu_and_number_of_tokens_has_its_lines(found: Inspection) -> None:
    seen: list[tuple[int, int]] = []
    gains = gains_of(found, ["a100", "h100"], [1, 512], lambda done, whole: seen.append((done, whole)))
    assert [(gain.arch, gain.tokens) for gain in gains[::2]] == [("a100", 1), ("a100", 512), ("h100", 1), ("h100", 512)]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_gpu_without_sparse_tensor_cores_gains_nothing(found: Inspection) -> None:
    (gain,) = gains_of(found, ["t4"], [16])
    assert (gain.layers, gain.speedup, gain.verdict) == (0, 1.0, None)


def test_experts_see_their_share_of_the_tokens(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", {"experts.up": drawn(8, 64, 32)})
    (tmp_path / "config.json").write_text('{"num_local_experts": 8, "num_experts_per_tok": 2}', encoding="utf-8")
    looked = inspect_checkpoint(tmp_path)
    assert [(op.n, op.batch) for op in trace_of(looked, 512).ops] == [(128, 8)] and trace_of(looked, 1).ops[0].n == 1  # type: ignore[union-attr]


def test_a_file_without_weights_has_no_gain(tmp_path: Path) -> None:
    looked = inspect_checkpoint(write(tmp_path / "a.safetensors", {"bias": drawn(16)}))
    with pytest.raises(StcsimError, match="expected at least one weight of a GEMM, found none"):
        gains_of(looked, ["a100"], [16])
    assert verdict_text(looked) == "This file has no weight of a GEMM."


def gain(what: str, layers: int, speedup: float, verdict: str | None) -> Gain:
    likely = Interval(speedup - 0.1, speedup + 0.1)
    return Gain("h100", 512, what, layers, 10.0, 10.0 / speedup, speedup, likely, verdict, "board", 100, 60)


TODAY, COULD_BE = "as it is", "all pruned that may be"


NOW, OF = "; on h100 at 512 tokens, that", "in 8 of 10 predictions"


@pytest.mark.parametrize(
    ("gains", "sentence"),
    [
        ((), "; --arch and --tokens say what that brings."),
        ((gain(TODAY, 2, 1.3, "pays"), gain(COULD_BE, 4, 1.5, "pays")), f"{NOW} brings 1.30× (1.20–1.40 {OF})."),
        ((gain(TODAY, 2, 1.05, "cannot tell"),), f"{NOW} may or may not pay: 1.05× (0.95–1.15 {OF})."),
        (
            (gain(TODAY, 2, 0.8, "does not pay"), replace(gain(TODAY, 2, 1.2, "pays"), tokens=1)),
            f"; at best, on h100 at 1 token, that brings 1.20× (1.10–1.30 {OF}), and it pays in 1 of 2 cases.",
        ),
        ((gain(COULD_BE, 4, 1.5, "pays"),), "; no GPU of h100 runs 2:4 in its types."),
    ],
)
def test_the_verdict_is_one_sentence(found: Inspection, gains: tuple[Gain, ...], sentence: str) -> None:
    assert verdict_text(found, gains) == f"This file is 2:4 in 2 of 4 weight matrices (50 % of their elements){sentence}"


def test_the_verdict_of_a_dense_file_says_what_pruning_would_bring(tmp_path: Path) -> None:
    array = pruned(64, 64)
    array[:3, :4] = 1
    arrays = {"a.weight": array, "b.weight": pruned(64, 64, axis=0), "c.weight": pruned(64, 20)}
    looked = inspect_checkpoint(write(tmp_path / "a.safetensors", arrays))
    start = (
        "This file is 2:4 in none of its 3 weight matrices, 1 nearly so (3 groups off), "
        "1 along a direction that no instruction takes, 1 where no 2:4 kernel fits; "
    )
    assert verdict_text(looked) == f"{start}--arch and --tokens say what pruning would bring."
    assert verdict_text(looked, (gain(COULD_BE, 2, 1.5, "pays"),)).startswith(
        f"{start}on h100 at 512 tokens, pruning 2 of them brings 1.50×"
    )
    nothing = replace(gain(COULD_BE, 0, 1.0, None), interval=None)
    assert verdict_text(looked, (nothing,)) == f"{start}on h100 at 512 tokens, pruning any of them is predicted to bring nothing."
    odd = inspect_checkpoint(write(tmp_path / "b.safetensors", {"a.weight": drawn(8, 12)}))
    assert verdict_text(odd) == "The only weight matrix of this file is not 2:4; no 2:4 kernel takes it."


def test_alike_weights_share_a_line(found: Inspection) -> None:
    lines = [(line.name, len(line.weights)) for line in weight_lines(found.weights)]
    assert lines == [("l.*.up.weight", 2), ("l.*.down.weight", 2)]
    assert [line.name for line in weight_lines(found.weights, grouped=False)] == [weight.name for weight in found.weights]
