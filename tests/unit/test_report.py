"""Does a person see what the result says, at any width, and does a file hold it exactly?"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from stcsim import files
from stcsim.errors import StcsimError
from stcsim.report import units
from stcsim.report.breakdown import Breakdown, summed
from stcsim.report.columns import shortened
from stcsim.report.export import to_json, write_csv, write_json
from stcsim.report.summary import not_pruned
from stcsim.report.tables import run_table, slowest
from tests.unit.runs import TOYNET, layer, run_of, step

WIDTHS = (60, 80, 120, 200)


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


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, lines(run_table(TOYNET), width))) <= width


def test_narrow_table_keeps_what_matters_one_line_a_layer() -> None:
    assert lines(run_table(TOYNET), 80)[:9] == [
        "                                         dense    2:4",
        "layer                m×n×k (×batch)         µs     µs  speedup  bound by",
        "────────────────────────────────────────────────────────────────────────────────",
        "conv1                64×100352×147        40.0      –        –  dram",
        "layer1.0.conv1       64×25088×576         22.0   18.0    1.22×  tensor → smem",
        "layer4.2.conv2       512×392×4608         12.0   14.0    0.86×  latency",
        "e.l.11.a.qk ×12      128×128×64 (×96)      6.0      –        –  tensor",
        "m.l.31.m.down_proj   4096×2048×14336   1,000.0  620.0    1.61×  tensor → ingress",
        "fc                   1000×8×512            4.0    4.0    1.00×  tensor → smem",
    ]


@pytest.mark.parametrize(
    ("width", "shown"),
    [(27, "encoder.layer.11.attn.query"), (20, "e.l.11.attn.query ×1"), (14, "e.l.11.a.query"), (9, "….a.query"), (1, "…")],
)
def test_dotted_names_shrink_from_the_start_and_keep_their_numbers(width: int, shown: str) -> None:
    name = Text("encoder.layer.11.attn.query" + (" ×1" if "×" in shown else ""))
    assert shortened(name, width).plain == shown


def test_columns_come_back_with_the_width() -> None:
    headers = {width: " ".join(lines(run_table(TOYNET), width)[:2]) for width in WIDTHS}
    assert "bound by" not in headers[60] and "speedup" in headers[60]
    assert "TOPS" not in headers[80]
    assert "TOPS" in headers[120] and "weights" in headers[120] and "kernel" not in headers[120]
    assert headers[200].count("kernel") == 2


def test_widest_table_shows_every_figure_of_a_layer() -> None:
    cells = line_with(lines(run_table(TOYNET), 200), "64×25088×576").split("  ")
    shown = [cell.strip() for cell in cells if cell.strip()]
    # 2 x 64 x 25088 x 576 / 22 us = 84.1 TOPS, 27 % of 312; 64 x 576 x 2 B = 72 KiB, 9/16 of it compressed
    expected = ["layer1.0.conv1", "64×25088×576", "22.0", "18.0", "1.22×", "84.1", "27 %", "103", "16 %", "tensor → smem"]
    assert shown == [*expected, "72.0 → 40.5 KiB", "sm80_128x128x32_s4_2x2", "sp80_256x128x64_s3_4x2"]


def test_top_shows_the_slowest_by_all_launches() -> None:
    assert [row.name for row in slowest(TOYNET.rows, 2)] == ["model.layers.31.mlp.down_proj", "encoder.layer.11.attention.qk"]
    shown = lines(run_table(TOYNET, top=2), 120)
    assert shown[5] == "the 2 slowest of 6 layers, 90 % of the time"  # (620 + 12 x 6) of 766 us


def test_summary_adds_up() -> None:
    shown = lines(run_table(TOYNET), 120)
    # dense 40 + 22 + 12 + 12 x 6 + 1000 + 4 = 1150 us; all 2:4 takes 4 + 380 less and 2 more; best keeps layer4.2 dense
    assert line_with(shown, "│  dense").split()[1:7] == ["dense", "1.150", "ms", "216", "288", "mJ"]  # at 250 W
    best = line_with(shown, "│  best of both").split()[1:14]
    sparse = line_with(shown, "all 2:4").split()[1:12]
    assert sparse == ["all", "2:4", "0.768", "ms", "1.50×", "324", "192", "mJ", "1.29", "1.50×", "4"]
    assert best == ["best", "of", "both", "0.766", "ms", "1.50×", "324", "192", "mJ", "1.30", "1.50×", "2", "of"]
    assert "17 launches, 124 GMAC, 98 % of it in layers that may be pruned" in line_with(shown, "work ")
    assert "118 → 66.1 MiB with metadata: −44 % of the pruned, −44 % of all" in line_with(shown, "weights  1")
    assert "1  no weight operand (1 % of the work): encoder.layer.11.attention.qk" in line_with(shown, "no weight operand")


def test_time_by_part_is_on_one_scale_and_sums_to_the_total() -> None:
    parts = summed((row.dense, row.count) for row in TOYNET.rows)
    assert sum(parts.values()) == pytest.approx(1150.0, rel=1e-12)
    shown = lines(run_table(TOYNET), 120)
    assert "████████████████████████  558.0 µs  49 %   ███████████████▊          366.0 µs  48 %" in line_with(
        shown, "│  epilogue"
    )
    assert line_with(shown, "ingress to SM").split()[4] == "–"  # nothing of it in the dense run


def test_memory_steps_and_launch_gaps_have_their_share() -> None:
    row = layer("fc", (4096, 2048, 4096), 62.0, 42.0)
    steps = (step("norm", "layer_norm", 12.0, count=2), step("pool", "max_pool", 14.0))
    result = run_of(dataclasses.replace(row, fused=("relu",)), row, memory=steps)
    # dense 2 x 62 + 2 x 12 + 14 = 162 us: 5 launches of 2 us, 2 x 10 + 12 us of memory steps; best of both takes 40 us less
    assert result.totals.dense_us == 162.0 and result.totals.best_us == 122.0
    parts = Breakdown(result).sides()
    assert {part: parts["dense"][part] for part in ("launch", "memory")} == {"launch": 10.0, "memory": 32.0}
    assert sum(parts["dense"].values()) == 162.0 and sum(parts["best of both"].values()) == 122.0
    shown = lines(run_table(result), 120)
    assert "GEMMs, convolutions 74 → 66 %, memory steps 20 → 26 %, launch gaps 6 → 8 %" in line_with(shown, "time    ")
    steps_line = "memory steps  3 (layer_norm ×2 24.00 µs, max_pool ×1 14.00 µs), 1 in the kernel before"
    assert steps_line in line_with(shown, "layer_norm")
    assert "32.00 µs  20 %" in line_with(shown, "memory steps     █")


def test_what_to_prune_first_is_ranked() -> None:
    shown = lines(run_table(TOYNET), 120)
    # down_proj saves 380 of 384 us, layer1.0.conv1 the rest
    assert "prune first: 1 of 2 layers bring 99 % of the 384.0 µs" in line_with(shown, "prune first")
    assert "│  1  380.0 µs   99 %  model.layers.31.mlp.down_proj " in line_with(shown, "380.0 µs")
    assert "│  2    4.0 µs  100 %  layer1.0.conv1 " in line_with(shown, "100 %  layer1")


def test_exceptions_and_a_clock_below_the_highest_are_said() -> None:
    result = run_of(*TOYNET.rows, keep_dense=["first"], dtype_of={"last": "fp16"})
    assert "first kept dense, last fp16" in line_with(lines(run_table(result), 120), "by layer")
    limited = dataclasses.replace(result.totals, clock_is_limited=True, dense_clock_mhz=1200.0, best_clock_mhz=1300.0)
    held = lines(run_table(dataclasses.replace(result, totals=limited)), 120)
    assert "dense 1,200 MHz, best of both 1,300 MHz: held down by the board's power limit" in line_with(held, "clock  ")
    assert not any("clock  " in line for line in lines(run_table(result), 120))


def test_one_side_alone_shows_no_empty_columns() -> None:
    dense = "\n".join(lines(run_table(run_of(layer("fc", (64, 64, 64), 4.0, None), sparsity="dense")), 200))
    assert "2:4" not in dense and "speedup" not in dense
    sparse = lines(run_table(run_of(layer("fc", (64, 64, 64), None, 4.0), sparsity="2:4")), 200)
    assert [sparse[1].count(word) for word in ("kernel", "µs", "speedup")] == [1, 1, 0]


def test_one_gemm_names_its_kernels_at_any_width() -> None:
    shown = lines(run_table(run_of(TOYNET.rows[1])), 80)
    assert "sm80_128x128x32_s4_2x2, 98 CTAs, 1/SM, 0.90 waves, 1,410 MHz" in line_with(shown, "sm80_")


def test_names_are_never_taken_for_markup() -> None:
    shown = lines(run_table(run_of(layer("block[0].fc [red]", (64, 64, 64), 4.0, 3.0))), 120)
    assert shown[3].startswith("block[0].fc [red]  64×64×64")


def test_layers_that_stay_dense_are_grouped_by_reason() -> None:
    rows = [layer(name, (64, 64, 9), 4.0, None, why) for name, why in (("a", "odd"), ("b", "no weight"), ("c", "odd"))]
    assert {why: [row.name for row in group] for why, group in not_pruned(rows).items()} == {
        "odd": ["a", "c"],
        "no weight": ["b"],
    }


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


def test_bytes_share_a_unit() -> None:
    assert units.bytes_text(512, 288) == "512 → 288 B"
    assert units.bytes_text(3 << 20, 1 << 20) == "3.00 → 1.00 MiB"


def test_work_is_counted_in_millions_where_it_is_small() -> None:
    assert [units.macs_text(macs) for macs in (16_777_216, 3_663_249_408)] == ["16.8 MMAC", "3.66 GMAC"]


def test_small_shares_are_not_nothing() -> None:
    assert [units.percent(share) for share in (0.0, 0.004, 0.445, 1.0)] == ["0 %", "<1 %", "44 %", "100 %"]


def test_bars_count_eighths() -> None:
    assert units.bar(0.5, 4) == "██  "
    assert units.bar(0.28, 4) == "█▏  "  # 0.28 x 32 = 9 eighths
    assert units.bar(0.0, 4) == "    "


def test_json_holds_every_figure_exactly(tmp_path: Path) -> None:
    write_json(to_json(TOYNET), tmp_path / "run.json")
    saved = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert saved["totals"]["dense_us"] == TOYNET.totals.dense_us and saved["totals"]["speedup"] == TOYNET.totals.speedup
    assert {"dense_us", "sparse_us", "best_us", "speedup"} <= saved["totals"].keys()
    row, kernel = saved["rows"][1], TOYNET.rows[1].dense
    assert {"name", "m", "n", "k", "batch", "dense", "sparse", "best", "speedup"} <= row.keys()
    assert row["dense"] == dataclasses.asdict(kernel)  # type: ignore[call-overload]
    assert {"time_us", "tops", "kernel", "bound", "cycles", "breakdown", "bytes"} <= row["sparse"].keys()
    assert saved["rows"][0]["sparse"] is None and saved["rows"][0]["not_sparse_because"].startswith("reduction 147")
    assert saved["inputs"] == TOYNET.inputs


def test_csv_has_a_line_for_each_layer_and_a_column_for_each_figure(tmp_path: Path) -> None:
    write_csv(TOYNET, tmp_path / "run.csv")
    with (tmp_path / "run.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [row.name for row in TOYNET.rows]
    assert float(rows[1]["speedup"]) == TOYNET.rows[1].speedup
    assert rows[1]["sparse_breakdown_smem"] == "8.0" and rows[1]["dense_bytes_write"] == "802816"
    assert rows[0]["sparse_time_us"] == "" and rows[0]["dense_breakdown_tensor"] == ""  # not asked for, no such part


def test_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "run.json"
    target.write_text("old", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StcsimError, match=r"run\.json: expected a file that can be written, found No space left on device$"):
        write_json(to_json(TOYNET), target)
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
