"""Does a person see what the result says, at any width, and does a file hold it exactly?"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

import stcsim
from stcsim import files
from stcsim.errors import StcsimError
from stcsim.report import units
from stcsim.report.clock import clock_text
from stcsim.report.export.result import write_json, write_lines
from stcsim.report.terminal.breakdown import energy_bars, time_bars
from stcsim.report.terminal.columns import shortened
from stcsim.report.terminal.explanation import explanation_text
from stcsim.report.terminal.lines import lines_of
from stcsim.report.terminal.pruning import PruneTable, prune_names
from stcsim.report.terminal.summary import not_pruned
from stcsim.report.terminal.tables import run_table
from stcsim.report.trust import fit_text, plain_words
from stcsim.result import Footprint, Gains, Interval, KernelResult, LayerRow, PruneGroup, RunResult
from stcsim.result.parts import summed, times_by_side
from stcsim.study.explain import explain, explain_problem, gemm_problem
from stcsim.trust.verdict import verdict_of
from tests.unit import runs
from tests.unit.runs import CORE, PEAK, helps, layer, run_of, step

WIDTHS = (60, 80, 100, 120, 200)
ALL = 300
"""A terminal that has room for every column."""


def unasked(result: RunResult) -> RunResult:
    """Return ``result`` with gains that nobody has looked at: tests of other files share the made ones."""

    def kernel(side: KernelResult | None) -> KernelResult | None:
        return side and dataclasses.replace(side, gains=Gains(helps))

    rows = (dataclasses.replace(row, dense=kernel(row.dense), sparse=kernel(row.sparse)) for row in result.rows)
    chosen = (dataclasses.replace(row, chosen=row.sparse if row.best == "2:4" else row.dense) for row in rows)
    return dataclasses.replace(result, rows=tuple(chosen))


TOYNET = unasked(runs.TOYNET)


def lines(content: RenderableType, width: int) -> list[str]:
    """Return what a terminal of ``width`` columns shows."""
    console = Console(width=width, file=io.StringIO(), color_system=None, legacy_windows=False)
    with console.capture() as shown:
        console.print(content)
    return shown.get().splitlines()


def line_with(content: list[str], word: str) -> str:
    found = [line for line in content if word in line]
    assert len(found) == 1, f"{word!r} stands on {len(found)} lines"
    return found[0]


def table_of(content: RenderableType, width: int) -> list[str]:
    """Return the lines above the summary."""
    shown = lines(content, width)
    return shown[: shown.index("")]


@pytest.fixture(scope="module")
def real() -> dict[str, list[RenderableType]]:
    """What the commands print of a network with memory steps, and of GEMMs with and without clusters."""
    network = stcsim.run(stcsim.load_trace("gpt2"), stcsim.load_arch("h100"))
    gemms = [stcsim.gemm(4096, 4096, 4096, stcsim.load_arch(name)) for name in ("a100", "h100")]
    for row in (*network.rows[:4], *(gemm.rows[0] for gemm in gemms)):
        for kernel in filter(None, (row.dense, row.sparse, row.chosen)):
            kernel.gains.look()
    explained = [explain_problem(stcsim.load_arch(name), gemm_problem(4096, 200, 4096)) for name in ("a100", "h100", "t4")]
    return {
        "run": [run_table(TOYNET), run_table(network), run_table(network, grouped=False)],
        "gemm": [run_table(gemm) for gemm in gemms],
        "explain": [explanation_text(each) for each in explained],
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", ["run", "gemm", "explain"])
def test_nothing_is_wider_than_the_terminal(command: str, width: int, real: dict[str, list[RenderableType]]) -> None:
    assert all(max(map(cell_len, lines(content, width))) <= width for content in real[command])


def test_narrow_table_keeps_what_matters_one_line_a_layer() -> None:
    assert table_of(run_table(TOYNET), 80) == [
        "                                          all µs           dense    2:4",
        "layer                   m×n×k (×batch)         ▼  runs        µs     µs  speedup",
        "────────────────────────────────────────────────────────────────────────────────",
        "m.l.31.mlp.down_proj    4096×2048×14336    620.0  2:4    1,000.0  620.0    1.61×",
        "e.l.11.a.qk ×12         128×128×64 (×96)    72.0  dense      6.0      –        –",
        "conv1                   64×100352×147       40.0  dense     40.0      –        –",
        "layer1.0.conv1          64×25088×576        18.0  2:4       22.0   18.0    1.22×",
        "layer4.2.conv2          512×392×4608        12.0  dense     12.0   14.0    0.86×",
        "fc                      1000×8×512           4.0  dense      4.0    4.0    1.00×",
        "no room for %, 80 % of cases, time goes to, dense TOPS % peak, 2:4 TOPS % peak,",
        "MHz, W, in L2, weights dense → 2:4, dense kernel, 2:4 kernel",
    ]


@pytest.mark.parametrize(
    ("width", "shown"),
    [(27, "encoder.layer.11.attn.query"), (20, "e.l.11.attn.query ×1"), (14, "e.l.11.a.query"), (9, "….a.query"), (1, "…")],
)
def test_dotted_names_shrink_from_the_start_and_keep_their_numbers(width: int, shown: str) -> None:
    name = Text("encoder.layer.11.attn.query" + (" ×1" if "×" in shown else ""))
    assert shortened(name, width).plain == shown


def test_columns_come_back_with_the_width() -> None:
    headers = {width: " ".join(lines(run_table(TOYNET), width)[:2]) for width in (*WIDTHS, ALL)}
    assert "speedup" in headers[60] and "runs" not in headers[60]
    assert "runs" in headers[80] and "time goes to" not in headers[80]
    assert "time goes to" in headers[120] and "TOPS" not in headers[120]
    assert "TOPS" in headers[200] and "weights" in headers[200] and "kernel" not in headers[200]
    assert headers[ALL].count("kernel") == 2


def test_columns_without_room_are_named_below_the_table() -> None:
    assert table_of(run_table(TOYNET), 200)[-1] == "no room for dense kernel, 2:4 kernel"
    assert table_of(run_table(TOYNET), ALL)[-1].startswith("fc ")
    narrow = " ".join(table_of(run_table(TOYNET), 60)[-3:])
    assert narrow.startswith("no room for m×n×k (×batch), %, runs, 80 % of cases, time goes to, dense TOPS % peak,")


def test_widest_table_shows_every_figure_of_a_layer() -> None:
    result = unasked(TOYNET)
    row = dataclasses.replace(result.rows[1], speedup_interval=Interval(1.104, 1.296), in_l2="ab")
    row.chosen.gains.look()
    wide = lines(run_table(dataclasses.replace(result, rows=(result.rows[0], row, *result.rows[2:]))), ALL)
    cells = line_with(wide, "64×25088×576").split("  ")
    # 18 of 766 us; 2 x 64 x 25088 x 576 / 22 us = 84.1 TOPS, 27 % of 312; 64 x 576 x 2 B = 72 KiB, 9/16 of it compressed
    assert [cell.strip() for cell in cells if cell.strip()] == [
        "layer1.0.conv1", "64×25088×576", "18.0", "2", "2:4", "22.0", "18.0", "1.22×", "1.10–1.30", "tensor → smem",
        "L2 bandwidth", "84.1", "27 %", "103", "16 %", "1,410", "250", "weights, input", "72.0 → 40.5 KiB",
        "sm80_128x128x32_s4_2x2", "sp80_256x128x64_s3_4x2",
    ]  # fmt: skip


def test_what_binds_a_layer_is_shown_once_it_was_looked_for() -> None:
    result = unasked(TOYNET)
    assert "bound by" not in lines(run_table(result), ALL)[1]
    result.rows[0].chosen.gains.look()
    assert "bound by" in lines(run_table(result), ALL)[1]
    alone = run_of(layer("fc", (64, 64, 64), 4.0, None))
    nothing = dataclasses.replace(alone.rows[0].chosen, gains=Gains(lambda factor: {"l2": 0.0, "dram": 0.0}))
    nothing.gains.look()
    rows = (dataclasses.replace(alone.rows[0], dense=nothing, chosen=nothing),)
    assert "none alone" in line_with(lines(run_table(dataclasses.replace(alone, rows=rows)), ALL), "fc  ")


def test_top_shows_the_slowest_by_all_launches() -> None:
    assert [line.name for line in lines_of(TOYNET.rows)[:2]] == ["model.layers.31.mlp.down_proj", "encoder.layer.11.attention.qk"]
    shown = lines(run_table(TOYNET, top=2), 120)
    # (620 + 12 x 6) of 766 us
    assert shown[5] == "the 2 of 6 lines that take longest, 90 % of the time"


def alike(number: int, dense_us: float, sparse_us: float, k: int = 64) -> LayerRow:
    return layer(f"block.{number}.fc", (64, 64, k), dense_us, sparse_us, count=2)


BLOCKS = run_of(alike(0, 4.0, 3.0), alike(1, 6.0, 5.0), alike(2, 5.0, 5.5), alike(3, 8.0, 9.0, k=128))
"""Three alike layers, of which the last stays dense, and one of another size."""


def test_alike_layers_stand_on_one_line_with_their_launches() -> None:
    shown = table_of(run_table(BLOCKS), 120)
    # all: 2 x (3 + 5 + 5) = 26 of 42 us; one launch: 15 / 3 dense, 13.5 / 3 in 2:4
    assert line_with(shown, "64×64×64").split()[:12] == [
        "block.*.fc", "×6", "64×64×64", "26.00", "62", "2", "of", "3", "2:4", "5.00", "4.50", "1.11×",
    ]  # fmt: skip
    assert line_with(shown, "64×64×128").split()[:6] == ["block.3.fc", "×2", "64×64×128", "16.00", "38", "dense"]
    assert "4 layers; those of one name and size on one line, times of one launch are means (--ungroup)" in shown


def test_ungrouped_every_layer_has_its_line() -> None:
    shown = table_of(run_table(BLOCKS, grouped=False), 120)
    assert [line.split()[:4] for line in shown if line.startswith("block")] == [
        ["block.3.fc", "×2", "64×64×128", "16.00"],
        ["block.1.fc", "×2", "64×64×64", "10.00"],
        ["block.2.fc", "×2", "64×64×64", "10.00"],
        ["block.0.fc", "×2", "64×64×64", "6.00"],
    ]
    assert not any("--ungroup" in line for line in shown)


def test_summary_adds_up() -> None:
    shown = lines(run_table(TOYNET), 120)
    # dense 40 + 22 + 12 + 12 x 6 + 1000 + 4 = 1150 us; all 2:4 takes 4 + 380 less and 2 more; best keeps layer4.2 dense
    # at 250 W that is 287.5, 192 and 191.5 mJ; 2 x 124.26 GMAC over 1150 us are 216 TOPS, over 250 W 0.86 TOPS/W
    assert line_with(shown, "│  dense ").split()[1:8] == ["dense", "1.150", "ms", "–", "216", "1,410", "250"]
    sparse, best = line_with(shown, "│  all 2:4").split()[1:], line_with(shown, "│  best of both").split()[1:]
    assert sparse[:-1] == [
        "all",
        "2:4",
        "0.768",
        "ms",
        "–",
        "1.50×",
        "(1.35–1.65)",
        "324",
        "1,410",
        "250",
        "192",
        "mJ",
        "1.29",
        "1.50×",
        "4",
        "of",
        "6",
    ]
    assert best[:8] == ["best", "of", "both", "0.766", "ms", "–", "1.50×", "(1.35–1.65)"]
    assert best[8:-1] == ["324", "1,410", "250", "192", "mJ", "1.30", "1.50×", "2", "of", "6"]
    assert "17 launches, 124 GMAC, 98 % of it in layers that may be pruned" in line_with(shown, "work  ")
    assert "118 → 66.1 MiB with metadata: −44 % of the pruned, −44 % of all" in line_with(shown, "of the pruned")
    assert "1  no weight operand (1 % of the work): encoder.layer.11.attention.qk" in line_with(shown, "no weight operand")


def test_error_bars_stand_beside_times_and_speedups() -> None:
    totals = dataclasses.replace(
        TOYNET.totals, dense_us_interval=Interval(1042.0, 1263.0), best_us_interval=Interval(700.0, 811.0)
    )
    shown = lines(run_table(dataclasses.replace(TOYNET, totals=totals)), 120)
    assert "1.150 ms  1.04–1.26 ms " in line_with(shown, "│  dense ")
    assert "0.766 ms  0.70–0.81 ms    1.50×  (1.35–1.65) " in line_with(shown, "│  best of both ")


def test_energy_is_given_for_each_sample_or_token() -> None:
    images = run_of(*TOYNET.rows, trace={"input_shape": [3, 8, 8]})
    texts = run_of(*TOYNET.rows, trace={"input_shape": {"tokens": 128}})
    # 287.5 and 191.5 mJ for 8 samples, or 8 x 128 tokens
    assert "35.9 mJ → 23.9 mJ a sample" in line_with(lines(run_table(images), 120), "│  energy  ")
    assert "281 µJ → 187 µJ a token" in line_with(lines(run_table(texts), 120), "│  energy  ")


def test_time_by_part_is_on_one_scale_and_sums_to_the_total() -> None:
    parts = summed((row.dense, row.count) for row in TOYNET.rows)
    assert sum(parts.values()) == pytest.approx(1150.0, rel=1e-12)
    shown = lines(time_bars(TOYNET), 114)
    # 366 of 558 us is 15.7 of 24 columns
    assert (
        line_with(shown, "epilogue")
        == "epilogue         ████████████████████████  558.0 µs  49 %   ███████████████▊          366.0 µs  48 %"
    )
    assert line_with(shown, "ingress to SM").split()[3] == "–"  # nothing of it in the dense run


def test_energy_by_part_sums_to_the_total() -> None:
    shown = lines(energy_bars(TOYNET), 114)
    # half of 287.5 and of 191.5 mJ are MACs; a fifth of the first is 9.6 of 24 columns
    assert (
        line_with(shown, "MACs")
        == "MACs             ████████████████████████    144 mJ  50 %   ████████████████           95.8 mJ  50 %"
    )
    assert line_with(shown, "shared memory").startswith("shared memory    █████████▋                 57.5 mJ  20 % ")
    alone = lines(energy_bars(run_of(layer("fc", (64, 64, 64), None, 4.0), sparsity="2:4")), 114)
    assert alone[0].split() == ["energy", "goes", "to", "2:4"] and "500 µJ  50 %" in line_with(alone, "MACs")


def test_memory_steps_and_launch_gaps_have_their_share() -> None:
    row = layer("fc", (4096, 2048, 4096), 62.0, 42.0)
    steps = (step("norm", "layer_norm", 12.0, count=2), step("pool", "max_pool", 14.0))
    result = run_of(dataclasses.replace(row, fused=("relu",)), row, memory=steps)
    # dense 2 x 62 + 2 x 12 + 14 = 162 us: 5 launches of 2 us, 2 x 10 + 12 us of memory steps; best of both takes 40 us less
    assert result.totals.dense_us == 162.0 and result.totals.best_us == 122.0
    parts = times_by_side(result)
    assert {part: parts["dense"][part] for part in ("launch", "memory")} == {"launch": 10.0, "memory": 32.0}
    assert sum(parts["dense"].values()) == 162.0 and sum(parts["best of both"].values()) == 122.0
    shown = lines(run_table(result), 120)
    assert "GEMMs, convolutions 74 → 66 %, memory steps 20 → 26 %, launch gaps 6 → 8 %" in line_with(shown, "│  time    ")
    steps_line = "memory steps  3 (layer_norm ×2 24.00 µs, max_pool ×1 14.00 µs), 1 in the kernel before"
    assert steps_line in line_with(shown, "layer_norm")
    assert "32.00 µs  20 %" in line_with(shown, "memory steps     █")


def test_what_to_prune_first_is_ranked() -> None:
    shown = lines(run_table(TOYNET), 120)
    assert "prune these 2 layers: 384.0 of 1,150.0 µs saved " in line_with(shown, "prune these")
    # down_proj saves 380 of 384 us, layer1.0.conv1 the rest; 4096 x 14336 x 2 B = 112 MiB, 9/16 of it compressed
    assert "│  1  1     380.0      380.0   99   112 → 63.0 MiB  model.layers.31.mlp.down_proj " in line_with(shown, "380.0  ")
    assert "│  2  1       4.0      384.0  100  72.0 → 40.5 KiB  layer1.0.conv1 " in line_with(shown, "384.0  ")
    assert prune_names(TOYNET) == ["model.layers.31.mlp.down_proj", "layer1.0.conv1"]
    assert not any("prune these" in line for line in lines(run_table(run_of(TOYNET.rows[2])), 120))


PATTERNS = ("model.layers.[0-9].mlp.down_proj", "model.layers.1[0-4].mlp.down_proj")
GROUPS = (
    PruneGroup(PATTERNS, tuple(f"model.layers.{at}.mlp.down_proj" for at in range(15)), 64, 64, 64, 1, 15, 13, 90.0, 60.0, 62.0,
               30.0, 28.0, 4096, 2304),
    PruneGroup(("head",), ("head",), 64, 64, 64, 1, 1, 1, 20.0, 8.0, 8.0, 12.0, 40.0, 0, 0),
    PruneGroup(("embed",), ("embed",), 64, 64, 64, 1, 1, 0, 20.0, 28.0, 20.0, 0.0, 40.0, 4096, 4096),
)  # fmt: skip
"""A group of which 13 layers are pruned, one that shares its weights, and one that stays dense."""


def test_the_prune_table_counts_layers_and_runs_up_what_is_saved() -> None:
    shown = lines(PruneTable(dataclasses.replace(TOYNET, groups=GROUPS)), 114)
    # 28 of 40 us
    assert shown[:5] == [
        "prune these 14 layers: 384.0 of 1,150.0 µs saved",
        "          n  loses µs  so far µs    %          weights  layers",
        "1  13 of 15     30.00      28.00   70  4.00 → 2.25 KiB  model.layers.[0-9].mlp.down_proj",
        "                                                        model.layers.1[0-4].mlp.down_proj",
        "2         1     12.00      40.00  100           shared  head",
    ]
    assert not any("embed" in line for line in shown)


@pytest.mark.parametrize("width", (40, *WIDTHS))
def test_patterns_of_the_prune_table_are_never_cut(width: int) -> None:
    shown = lines(PruneTable(dataclasses.replace(TOYNET, groups=GROUPS)), width)
    assert {pattern for line in shown for pattern in line.split()} >= {*PATTERNS, "head"}
    assert max(map(cell_len, shown)) <= width


def test_exceptions_and_a_clock_below_the_highest_are_said() -> None:
    result = run_of(*TOYNET.rows, keep_dense=["first"], dtype_of={"last": "fp16"})
    assert "first kept dense, last fp16" in line_with(lines(run_table(result), 120), "by layer")
    assert not any("clock  " in line for line in lines(run_table(result), 120))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "sustained state: the limit of 300 W holds dense at 1,200 MHz and best of both at 1,300 MHz"),  # as older results
        ({"duration": "burst"}, "short burst: its power holds dense at 1,200 MHz and best of both at 1,300 MHz,"),
        ({"duration": "40ms"}, "mean of the first 40ms under load: the limit of 300 W holds dense at 1,200 MHz"),
    ],
)
def test_a_clock_that_is_held_down_says_for_which_state_of_the_board(inputs: dict[str, object], said: str) -> None:
    arch = {
        "clock": PEAK | {"sustained_mhz": {"value": 1410}}, "tensor_core": CORE,
        "power": {"board_limit_w": {"value": 300}, "burst_ratio": {"value": 1.5}},
    }  # fmt: skip
    result = run_of(*TOYNET.rows, arch=arch, **inputs)
    totals = dataclasses.replace(
        result.totals, clock_is_limited=True, dense_clock_mhz=1200.0, best_clock_mhz=1300.0,
        dense_burst_clock_mhz=1344.0, best_burst_clock_mhz=1410.0,
    )  # fmt: skip
    shown = lines(run_table(dataclasses.replace(result, totals=totals)), ALL)
    whole = " ".join(" ".join(line.strip("│ ") for line in shown).split())
    assert said in line_with(shown, "clock  ")
    assert ("(a short burst: about 1,340 and 1,410 MHz)" in whole) is (inputs != {"duration": "burst"})


def test_a_clock_says_nothing_where_no_limit_holds_it() -> None:
    assert clock_text("sustained", 300, 1410, {"dense": (1410, 1410), "2:4": (None, None)}) == ""
    one = clock_text("sustained", 300, 1410, {"dense": (1200, 1204), "2:4": (1410, 1410)})  # a burst of it is no other clock
    assert one == "sustained state: the limit of 300 W holds dense at 1,200 MHz"


def test_a_limit_that_no_clock_holds_is_said() -> None:
    def shown(limit_w: float, duration: str = "sustained") -> list[str]:
        arch = {
            "clock": PEAK,
            "power": {"board_limit_w": {"value": limit_w}, "burst_ratio": {"value": 1.25}},
            "tensor_core": CORE,
        }
        return lines(run_table(run_of(*TOYNET.rows, arch=arch, duration=duration)), 120)

    # all of it draws 250 W
    over = "250 W is over the board's limit of 249 W: its clock goes no lower than 1,410 MHz"
    assert over in line_with(shown(249.0), "│  limit")
    assert not any("over the board's limit" in line for line in shown(250.0))
    # a burst may draw more than what lasting load may
    assert not any("over the board's limit" in line for line in shown(200.0, "burst"))
    assert "over the board's limit of 249 W" in line_with(shown(199.0, "40ms"), "│  limit")


def test_one_side_alone_shows_no_empty_columns() -> None:
    dense = "\n".join(lines(run_table(run_of(layer("fc", (64, 64, 64), 4.0, None), sparsity="dense")), ALL))
    assert "2:4" not in dense and "speedup" not in dense
    sparse = lines(run_table(run_of(layer("fc", (64, 64, 64), None, 4.0), sparsity="2:4")), ALL)
    assert [sparse[1].count(word) for word in ("kernel", "µs", "speedup", "runs")] == [1, 1, 0, 0]


@pytest.mark.parametrize("width", WIDTHS)
def test_one_gemm_names_its_kernels_and_what_would_help_at_any_width(width: int) -> None:
    result = unasked(run_of(TOYNET.rows[1]))

    def said() -> str:
        return " ".join(line.strip("│ ") for line in lines(run_table(result), width))

    assert "sm80_128x128x32_s4_2x2, 98 CTAs, 1/SM, 0.90 waves, 1,410 MHz, 250 W" in said()
    assert "more of one resource" not in said()
    result.rows[0].dense.gains.look()  # type: ignore[union-attr]
    helped = "time saved by 10 % / 50 % more of one resource: L2 bandwidth −2.0 % / −8.0 %, tensor rate −1.0 % / −3.0 %"
    assert helped in said()


def test_names_are_never_taken_for_markup() -> None:
    shown = lines(run_table(run_of(layer("block[0].fc [red]", (64, 64, 64), 4.0, 3.0))), 120)
    assert shown[3].startswith("block[0].fc [red]  64×64×64")


def test_layers_that_stay_dense_are_grouped_by_reason() -> None:
    rows = [layer(name, (64, 64, 9), 4.0, None, why) for name, why in (("a", "odd"), ("b", "no weight"), ("c", "odd"))]
    assert {why: [row.name for row in group] for why, group in not_pruned(rows).items()} == {
        "odd": ["a", "c"],
        "no weight": ["b"],
    }


def words(result: RunResult) -> list[str]:
    return [str(phrases.text) for phrases in plain_words(result)]


def judged(likely: Interval) -> RunResult:
    """Return the toy network with that interval of its speedup."""
    assert TOYNET.trust is not None
    totals = dataclasses.replace(TOYNET.totals, speedup_interval=likely)
    trust = dataclasses.replace(TOYNET.trust, verdict=verdict_of(likely).value)
    return dataclasses.replace(TOYNET, totals=totals, trust=trust)


@pytest.mark.parametrize(
    ("likely", "verdict"),
    [
        (Interval(1.001, 1.6), "2:4 pays: "),
        (Interval(1.0, 1.6), "Whether 2:4 pays cannot be told: "),
        (Interval(0.9, 1.021), "Whether 2:4 pays cannot be told: "),
        (Interval(0.9, 1.02), "2:4 does not pay: "),
    ],
)
def test_the_last_words_say_whether_pruning_pays(likely: Interval, verdict: str) -> None:
    said = "the network with 2 of 6 layers pruned is predicted 1.50× as fast as dense, "
    bars = f"{likely.low:.2f}–{likely.high:.2f}× in 8 of 10 such cases."
    assert words(judged(likely))[0] == verdict + said + bars


def test_the_last_words_say_what_stays_and_what_to_try() -> None:
    _, reasons, following = words(TOYNET)
    # 534, 558 and 34 of 1150 us
    assert (
        reasons
        == "What 2:4 halves is the tensor pipe's part, 46 % of the dense time; epilogue (49 %) and launch gaps (3 %) stay."
    )
    assert following == "Next: stcsim explain 4096 2048 14336 --arch a100 --dtype fp16 says why."
    traced = run_of(*TOYNET.rows, trace={"rescalable": True})
    *_, large = words(traced)
    *_, single = words(dataclasses.replace(traced, batch=1))
    assert "--prune-list FILE writes the names of the layers to prune" in large and "--batch" not in large
    assert single.startswith("Next: --batch 32 has more work for each weight; stcsim explain 4096 2048 14336 ")


def test_the_last_words_of_one_gemm_and_of_nothing_to_prune() -> None:
    one = words(run_of(layer("fc", (64, 32, 16), 6.0, 4.0)))
    assert one == [
        "2:4 pays: the GEMM is predicted 1.50× as fast as dense, 1.35–1.65× in 8 of 10 such cases.",
        "Next: stcsim explain 64 32 16 --arch a100 --dtype fp16 says why.",
    ]
    slower = words(run_of(layer("fc", (64, 32, 16), 4.0, 6.0)))
    assert slower[0] == "2:4 does not pay: the GEMM is predicted 0.67× as fast as dense, 0.60–0.73× in 8 of 10 such cases."
    assert words(run_of(layer("fc", (64, 32, 16), 4.0, None), sparsity="dense")) == []


def test_the_last_words_stand_below_the_frame() -> None:
    shown = lines(run_table(TOYNET), 120)
    assert shown[shown.index(line_with(shown, "╰─")) + 2].startswith("2:4 pays: the network with 2 of 6 layers pruned ")


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        ("board", "GEMM times of this very board were measured"),
        ("sibling", "GEMM times of another board with this die were measured, not of this one"),
        ("generation", "no GEMM of this GPU was measured"),
    ],
)
def test_what_the_error_bars_rest_on_is_said(evidence: str, said: str) -> None:
    assert TOYNET.trust is not None
    result = dataclasses.replace(TOYNET, trust=dataclasses.replace(TOYNET.trust, evidence=evidence))
    assert said in line_with(lines(run_table(result), 120), "│  evidence ")


GIB = 1 << 30


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ((64, 36, 40), "weights 64.0 → 40.0 GiB, activations 2.00 GiB, KV cache 1.00 GiB; fits 80 GiB"),
        ((77, 44, 60), "fits 80 GiB"),
        ((78, 44, 60), "FITS 80 GiB ONLY IN 2:4 (as best of both; dense needs 81.0 GiB)"),
        ((96, 54, 90), "FITS 80 GiB ONLY IN 2:4 (with all of it pruned; dense needs 99.0 GiB)"),
        ((160, 90, 96), "DOES NOT FIT 80 GiB, not even in 2:4 (93.0 GiB): times are those of a GPU that held it"),
    ],
)
def test_a_network_that_does_not_fit_is_called_out(weights: tuple[int, int, int], said: str) -> None:
    need = Footprint(*(size * GIB for size in weights), activation_bytes=2 * GIB, cache_bytes=GIB, capacity_bytes=80 * GIB)
    assert fit_text(dataclasses.replace(TOYNET, footprint=need)).plain.endswith(said)


def test_an_explanation_gives_intervals_of_times_and_of_the_speedup() -> None:
    explained = explain_problem(stcsim.load_arch("a100"), gemm_problem(4096, 4096, 4096))
    shown = " ".join(lines(explanation_text(explained), ALL))
    for side in explained.sides:
        time_us, likely = side.result.time_us, side.result.time_us_interval
        assert likely is not None and f"{side.mode}: {time_us:,.1f} µs" in shown
        assert f"{likely.low:.0f}–{likely.high:.0f} µs in 8 of 10 cases" in shown
    assert explained.speedup is not None
    assert f"({explained.speedup.low:.2f}–{explained.speedup.high:.2f} in 8 of 10 such cases)" in shown


def test_an_explanation_says_how_busy_each_server_is() -> None:
    explained = explain(4096, 4096, 4096, "a100", sparsity="dense")
    [side], shown = explained.sides, lines(explanation_text(explained), ALL)
    head = next(at for at, line in enumerate(shown) if line.split() == ["time", "share", "busy"])
    rows = {line.split()[0]: line for line in shown[head + 1 : shown.index("", head)]}
    for server, share in side.busy.items():
        waited = units.percent(side.result.breakdown[server] / side.result.time_us)
        assert f"{waited:>5} {units.percent(share):>5}" in rows[server]
    assert side.busy["tensor"] > 0.8 and "tensor" in rows


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0.00"), (0.996, "1.00"), (1.005, "1.00"), (9.996, "10.0"), (14.23, "14.2"), (99.96, "100"), (1423.4, "1,423")],
)
def test_three_digits(number: float, text: str) -> None:
    assert units.three_digits(number) == text


def test_times_take_the_unit_of_the_longest() -> None:
    assert [units.time_text(us) for us in (4.159, 412.34, 1234.5, 15_000.0, 2.5e6)] == [
        "4.16 µs", "412.3 µs", "1.234 ms", "15.00 ms", "2.500 s",
    ]  # fmt: skip
    assert units.time_text(4.0, longest_us=1234.5) == "0.004 ms"


def test_intervals_have_the_decimals_of_what_they_stand_beside() -> None:
    assert units.interval_text(Interval(1.126, 1.314)) == "1.13–1.31"
    assert units.likely_time_text(Interval(978.0, 1212.0), 1100.0) == "0.98–1.21 ms"
    assert [units.likely_time_text(Interval(0.9 * us, 1.2 * us), us) for us in (412.0, 15.0, 4.0)] == [
        "371–494 µs", "13.5–18.0 µs", "3.60–4.80 µs",
    ]  # fmt: skip


def test_energies_take_the_unit_that_suits_them() -> None:
    assert [units.energy_text(uj) for uj in (0.412, 412.3, 1234.0, 4.56e6)] == ["0.41 µJ", "412 µJ", "1.23 mJ", "4.56 J"]


def test_bytes_share_a_unit() -> None:
    assert units.bytes_text(512, 288) == "512 → 288 B"
    assert units.bytes_text(3 << 20, 1 << 20) == "3.00 → 1.00 MiB"


def test_work_is_counted_in_millions_where_it_is_small() -> None:
    assert [units.macs_text(macs) for macs in (16_777_216, 3_663_249_408)] == ["16.8 MMAC", "3.66 GMAC"]


def test_small_shares_are_not_nothing() -> None:
    assert [units.percent(share) for share in (0.0, 0.004, 0.445, 1.0)] == ["0 %", "<1 %", "44 %", "100 %"]
    assert [units.percent_text(share) for share in (0.0004, 0.085, 0.0996, 0.214)] == ["0", "8.5 %", "10.0 %", "21 %"]


def test_bars_count_eighths() -> None:
    assert units.bar(0.5, 4) == "██  "
    assert units.bar(0.28, 4) == "█▏  "  # 0.28 x 32 = 9 eighths
    assert units.bar(0.0, 4) == "    "


def test_json_holds_every_figure_exactly(tmp_path: Path) -> None:
    write_json(TOYNET.to_dict(), tmp_path / "run.json")
    saved = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert saved["totals"]["dense_us"] == TOYNET.totals.dense_us and saved["totals"]["speedup"] == TOYNET.totals.speedup
    assert {"dense_us", "sparse_us", "best_us", "speedup"} <= saved["totals"].keys()
    row, kernel = saved["rows"][1], TOYNET.rows[1].dense
    assert {"name", "m", "n", "k", "batch", "dense", "sparse", "best", "speedup"} <= row.keys()
    assert row["dense"] | {"gains": kernel.gains} == dataclasses.asdict(kernel) | {"gains_half_more": None, "bound": None}  # type: ignore[union-attr, call-overload]
    assert {"time_us", "tops", "kernel", "most_time", "cycles", "breakdown", "bytes"} <= row["sparse"].keys()
    assert saved["rows"][0]["sparse"] is None and saved["rows"][0]["not_sparse_because"].startswith("reduction 147")
    assert saved["inputs"] == TOYNET.inputs


def test_json_says_what_would_help_where_that_was_looked_for() -> None:
    result = unasked(TOYNET)
    result.rows[1].chosen.gains.look()
    rows = result.to_dict()["rows"]
    assert [rows[1]["chosen"][name]["l2"] for name in ("gains", "gains_half_more")] == [0.02, 0.08]
    assert rows[1]["chosen"]["bound"] == "l2"
    assert [rows[0]["chosen"][name] for name in ("gains", "gains_half_more", "bound")] == [None] * 3


def test_csv_has_a_line_for_each_layer_and_a_column_for_each_figure(tmp_path: Path) -> None:
    write_lines(TOYNET.lines(), tmp_path / "run.csv")
    with (tmp_path / "run.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [row.name for row in TOYNET.rows]
    assert float(rows[1]["speedup"]) == TOYNET.rows[1].speedup
    assert rows[1]["sparse.breakdown.smem"] == "8.0" and rows[1]["dense.bytes.write"] == "802816"
    assert (rows[1]["chosen.time_us"], rows[1]["dense.time_us_interval.low"]) == ("18.0", str(0.9 * 22.0))
    assert rows[0]["sparse.time_us"] == "" and rows[0]["dense.breakdown.tensor"] == ""  # not asked for, no such part


def test_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "run.json"
    target.write_text("old", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StcsimError, match=r"run\.json: expected a file that can be written, found No space left on device$"):
        write_json(TOYNET.to_dict(), target)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"] and target.read_text(encoding="utf-8") == "old"


def test_a_nan_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        write_json({"speedup": float("nan")}, tmp_path / "run.json")
    assert list(tmp_path.iterdir()) == []


def test_links_are_followed_and_devices_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.write_whole(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text(encoding="utf-8") == "text"
    files.write_whole("/dev/null", "text")
    assert Path("/dev/null").is_char_device()


def test_the_next_command_explains_the_same_gpu() -> None:
    changed = stcsim.load_arch("a100", ["l2.capacity_mib=80", "clock.sustained_mhz=1200"])
    shown = " ".join(line.strip() for line in lines(run_table(stcsim.gemm(256, 256, 256, changed)), 200))
    assert (
        "Next: stcsim explain 256 256 256 --arch a100 --dtype fp16 --set=clock.sustained_mhz=1200.0 --set=l2.capacity_mib=80.0"
        in shown
    )


def test_what_does_not_shrink_with_another_pattern_is_held_against_its_own_share() -> None:
    quarter = stcsim.load_arch("a100", ["tensor_core.sparse_kept=1"])
    shown = " ".join(lines(explanation_text(explain(2048, 2048, 2048, quarter)), 200))
    assert "1:4 is " in shown and "not divided by 4 are " in shown and "halved" not in shown
