"""Architecture files: do they say what vendors say, do overrides land, and is every mistake one clear sentence?"""

import json
import re
from pathlib import Path

import pytest
import yaml

from stcsim.arch import Arch, arch_from_dict, arch_names, load_arch, unit_of
from stcsim.arch.layers import file_layer
from stcsim.arch.tree import EXPECTED, OPTIONAL
from stcsim.data import data_folder
from stcsim.errors import ArchError, UnsupportedError

#: Dense peaks, 10^12 operations a second with FP32 (INT32) accumulate, as the vendor prints them; sparse is twice that.
#: A100 and H100 whitepapers, GA102 and Ada whitepapers appendix A, datasheets of A30, A40, L40S, H200 and T4.
VENDOR_PEAKS = {
    "a100": {"tf32": 156, "fp16": 312, "bf16": 312, "int8": 624, "int4": 1248, "fp8": None},
    "a100-40gb": {"tf32": 156, "fp16": 312, "bf16": 312, "int8": 624, "int4": 1248, "fp8": None},
    "a100-pcie": {"tf32": 156, "fp16": 312, "bf16": 312, "int8": 624, "int4": 1248, "fp8": None},
    "a30": {"tf32": 82, "fp16": 165, "bf16": 165, "int8": 330, "int4": 661, "fp8": None},
    "a40": {"tf32": 74.8, "fp16": 149.7, "bf16": 149.7, "int8": 299.3, "int4": 598.7, "fp8": None},
    "a10": {"tf32": 62.5, "fp16": 125, "bf16": 125, "int8": 250, "int4": 500, "fp8": None},
    "rtx3090": {"tf32": 35.6, "fp16": 71, "bf16": 71, "int8": 284, "int4": 568, "fp8": None},
    "rtx4090": {"tf32": 82.6, "fp16": 165.2, "bf16": 165.2, "int8": 660.6, "int4": 1321.2, "fp8": 330.3},
    "rtx4070s": {"tf32": 35.5, "fp16": 71, "bf16": 71, "int8": 284, "int4": 568, "fp8": 142},
    "l40s": {"tf32": 183, "fp16": 362.05, "bf16": 362.05, "int8": 733, "fp8": 733},
    "h100": {"tf32": 494.7, "fp16": 989.4, "bf16": 989.4, "int8": 1978.9, "fp8": 1978.9, "int4": None},
    "h100-pcie": {"tf32": 378, "fp16": 756.5, "bf16": 756.5, "int8": 1513, "fp8": 1513, "int4": None},
    "h200": {"tf32": 494.7, "fp16": 989.4, "bf16": 989.4, "int8": 1978.9, "fp8": 1978.9, "int4": None},
    "t4": {"tf32": None, "fp16": 65, "bf16": None, "int8": 130, "int4": 260, "fp8": None},
}

CAPABILITIES = {"7.5": ("turing", "sm75"), "8.0": ("ampere", "sm80"), "8.6": ("ampere", "sm86")} | {
    "8.9": ("ada", "sm89"),
    "9.0": ("hopper", "sm90"),
}


def write(folder: Path, text: str, name: str = "my.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def mistake(name_or_path: str | Path, *overrides: str) -> str:
    with pytest.raises(ArchError) as caught:
        load_arch(name_or_path, overrides)
    return str(caught.value)


def says(found: str, message: str) -> bool:
    """Compare whole sentences; where the YAML parser has the last word (and words it by version), up to there."""
    return "\n" not in found and (found.startswith(message) if message.endswith((" (", " line ")) else found == message)


# --- the shipped files


def test_every_shipped_file_has_a_vendor_peak_to_meet() -> None:
    assert arch_names() == sorted(VENDOR_PEAKS)


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, peaks in VENDOR_PEAKS.items() for dtype in peaks])
def test_peak_is_the_vendors(name: str, dtype: str) -> None:
    arch, dense = load_arch(name), VENDOR_PEAKS[name][dtype]
    sparse = None if dense is None or name == "t4" else 2 * dense
    for tops, vendor_tops in ((arch.peak_tops(dtype, sparse=False), dense), (arch.peak_tops(dtype, sparse=True), sparse)):
        assert tops == (vendor_tops if vendor_tops is None else pytest.approx(vendor_tops, rel=0.015))


@pytest.mark.parametrize(
    ("dtype", "dense", "sparse"), [("tf32", 156, 312), ("fp16", 312, 624), ("bf16", 312, 624), ("int8", 624, 1248)]
)
def test_a100_peaks_are_exact_to_the_vendors_digits(dtype: str, dense: int, sparse: int) -> None:
    arch = load_arch("a100")
    peaks = arch.peak_tops(dtype, sparse=False), arch.peak_tops(dtype, sparse=True)
    assert [round(tops) for tops in peaks if tops is not None] == [dense, sparse]


def test_peak_by_hand() -> None:
    # 2 x 108 SMs x 1024 FMA/clk/SM x 1410.6 MHz = 312.002 TFLOPS
    assert load_arch("a100").peak_tops("fp16", sparse=False) == pytest.approx(312.0021504, rel=1e-12)


@pytest.mark.parametrize("name", arch_names())
def test_every_leaf_has_a_kind_and_a_source(name: str) -> None:
    arch = load_arch(name)
    in_file = file_layer(name, Path(), "arch")
    assert list(in_file) == [path for path in EXPECTED if path in in_file]  # files keep the order of the tree
    assert [leaf.path for leaf in arch.leaves()] == [path for path in EXPECTED if "." in path]
    assert set(EXPECTED) - set(in_file) <= {path for path in OPTIONAL if arch.value(path) is None}
    for leaf in arch.leaves():
        kinds = ("vendor", "measured", "fitted", "assumed") if leaf.path in in_file else ("absent",)
        assert leaf.kind in kinds
        assert leaf.source.strip() == leaf.source != ""
        assert leaf.value == arch.value(leaf.path)


@pytest.mark.parametrize("name", arch_names())
def test_a_file_agrees_with_itself(name: str) -> None:
    arch = load_arch(name)
    assert arch.name == name
    assert (arch.generation, arch.kernel.family) == CAPABILITIES[arch.compute_capability]
    assert sum(arch.sm.sms_per_gpc) == arch.sm.count
    assert arch.clock.peak_mhz < 1.001 * arch.clock.boost_mhz  # vendors round their peaks
    # the boost of a GeForce is its typical clock: cards run above it while power allows (2,750 of 2,520 MHz on an RTX 4090)
    assert arch.clock.sustained_mhz <= arch.clock.boost_mhz * (1.1 if name.startswith("rtx") else 1)
    assert (arch.l2.near_latency_cycles == arch.l2.far_latency_cycles) == (arch.l2.partitions == 1)
    # a copy in each partition, or one for all, but for a fifth at most that other things take
    assert 0.8 / arch.l2.partitions <= arch.l2.shared_fraction <= 1
    assert arch.l2.far_latency_cycles < arch.dram.latency_cycles
    assert arch.launch.graph_us < arch.launch.stream_us
    assert arch.shared_memory.capacity_kib <= arch.shared_memory.unified_kib
    assert arch.kernel.max_cluster_ctas == (8 if arch.generation == "hopper" else 1)


@pytest.mark.parametrize("path", sorted(data_folder("arch_configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_is_written_leaf_by_leaf_on_one_line(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# NVIDIA ")
    leaf = re.compile(r" +[a-z0-9_]+: \{value: .+, kind: (vendor|measured|fitted|assumed), from: \".+\"\}")
    assert [line for line in lines if "value:" in line and not leaf.fullmatch(line)] == []
    assert not [line for line in lines if re.match(r" +", line) and not line.rstrip().endswith((":", "}"))]


def test_only_siblings_of_one_die_stand_on_each_other() -> None:
    for path in data_folder("arch_configs").glob("*.yaml"):
        base = yaml.safe_load(path.read_text(encoding="utf-8")).get("base")
        if base is not None:
            assert load_arch(path.stem).die == load_arch(base).die


def test_names_resolve_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = load_arch("h200")
    monkeypatch.chdir(tmp_path)
    assert load_arch("h200") == here


def test_a_wheels_data_folder_goes_before_the_repositorys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "stcsim"
    monkeypatch.setattr("stcsim.data.__file__", str(package / "data.py"))
    assert data_folder("arch_configs") == tmp_path / "site-packages" / "arch_configs"
    (package / "_data" / "arch_configs").mkdir(parents=True)
    assert data_folder("arch_configs") == package / "_data" / "arch_configs"


# --- the tree


def test_a_value_and_its_source() -> None:
    arch = load_arch("a100")
    assert arch.sm.count == 108
    assert (arch.sources["sm.count"].kind, arch.sources["sm.count"].source) == ("vendor", "A100 whitepaper, table 4")
    assert arch.leaves()[0] == ("sm.count", 108, "", "vendor", "A100 whitepaper, table 4")


def test_an_arch_is_frozen() -> None:
    arch = load_arch("a100")
    with pytest.raises(ValueError, match="frozen"):
        arch.sm.count = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("sm.count", ""),
        ("clock.boost_mhz", "MHz"),
        ("tensor_core.fma_per_clk_per_sm.fp16", "FMA/clk/SM"),
        ("tensor_core.latency_cycles", "cycles"),
        ("shared_memory.max_per_cta_kib", "KiB"),
        ("shared_memory.fill_contention", ""),
        ("l2.capacity_mib", "MiB"),
        ("l2.bandwidth_bytes_per_clk", "B/clk"),
        ("l2.port_bytes_per_clk_per_sm", "B/clk/SM"),
        ("dram.bandwidth_gb_per_s", "GB/s"),
        ("dram.capacity_gib", "GiB"),
        ("launch.graph_us", "µs"),
        ("power.board_limit_w", "W"),
    ],
)
def test_the_name_gives_the_unit(path: str, unit: str) -> None:
    assert path in EXPECTED
    assert unit_of(path) == unit


@pytest.mark.parametrize("name", arch_names())
def test_round_trip_through_json_and_yaml(name: str, tmp_path: Path) -> None:
    arch = load_arch(name, ["sm.count=77", "launch.stream_us=1e-3", "power.board_limit_w=1e6"])
    tree = arch.to_dict()
    assert arch_from_dict(tree) == arch
    for text in (
        json.dumps(tree),
        yaml.safe_dump(tree, sort_keys=False),
        yaml.safe_dump(tree, sort_keys=False, default_flow_style=True),
    ):
        again = load_arch(write(tmp_path, text))
        assert again == arch
        assert again.to_dict() == tree
    assert again.leaves() == arch.leaves()  # same order, too


# --- what a GPU can do


def test_t4_refuses_2_to_4() -> None:
    t4 = load_arch("t4")
    t4.require("fp16", sparse=False)
    assert t4.supports("fp16", sparse=False) and not t4.supports("fp16", sparse=True)
    with pytest.raises(UnsupportedError) as caught:
        t4.require("fp16", sparse=True)
    assert str(caught.value) == (
        "t4: expected a GPU with Sparse Tensor Cores (compute capability 8.0 or newer), found Turing (7.5), which has none"
    )


def test_a_type_the_gpu_lacks() -> None:
    a100 = load_arch("a100")
    assert not a100.supports("fp8", sparse=False) and a100.peak_tops("e4m3", sparse=True) is None
    with pytest.raises(UnsupportedError) as caught:
        a100.require("fp8", sparse=True)
    assert str(caught.value) == "a100: expected a type of its tensor cores (fp16, bf16, tf32, int8, int4), found 'fp8'"


def test_a_type_that_does_not_exist() -> None:
    with pytest.raises(UnsupportedError, match=re.escape("found 'fp61' (did you mean 'fp16'?)")):
        load_arch("a100").supports("fp61", sparse=False)


def test_aliases_of_types() -> None:
    h100 = load_arch("h100")
    h100.require("e4m3", sparse=True)
    assert h100.peak_tops("fp8e4m3", sparse=True) == h100.peak_tops("fp8", sparse=True)


def test_a_what_if_can_take_sparsity_away_and_change_its_ratio() -> None:
    dense_only = load_arch("a100", ["tensor_core.sparse_group=null", "tensor_core.sparse_kept=null"])
    with pytest.raises(UnsupportedError, match=re.escape("found Ampere (8.0), which has none")):
        dense_only.require("fp16", sparse=True)
    one_of_four = load_arch("a100", {"tensor_core.sparse_kept": 1})
    assert one_of_four.peak_tops("fp16", True) == pytest.approx(4 * (one_of_four.peak_tops("fp16", False) or 0))


# --- overrides


def test_set_replaces_a_value_and_says_so() -> None:
    arch = load_arch("a100", ["l2.capacity_mib=80", "dram.bandwidth_gb_per_s=3e3", "name=a100-wide"])
    assert (arch.l2.capacity_mib, arch.dram.bandwidth_gb_per_s, arch.name) == (80, 3000, "a100-wide")
    assert (arch.sources["l2.capacity_mib"].kind, arch.sources["l2.capacity_mib"].source) == ("assumed", "--set")
    assert arch.sources["l2.partitions"] == load_arch("a100").sources["l2.partitions"]
    assert "name" not in arch.sources
    assert arch.to_dict()["l2"]["capacity_mib"] == {"value": 80.0, "kind": "assumed", "from": "--set"}


@pytest.mark.parametrize(
    "overrides", [["l2.capacity_mib=80"], "l2.capacity_mib=80", {"l2.capacity_mib": 80}, ["l2.capacity_mib = 80"]]
)
def test_set_as_texts_or_mapping(overrides: list[str] | str | dict[str, object]) -> None:
    assert load_arch("a100", overrides) == load_arch("a100", ["l2.capacity_mib=8", "l2.capacity_mib=80"])  # the last one counts


@pytest.mark.parametrize(
    ("count", "sms_per_gpc"),
    [
        (140, (20, 20, 20, 20, 20, 20, 20)),
        (144, (22, 22, 20, 20, 20, 20, 20)),  # 72 TPCs of two SMs: 2 x 11 + 5 x 10
        (129, (20, 18, 18, 18, 18, 18, 19)),  # 64 TPCs and one SM
        (108, (16, 16, 16, 16, 16, 14, 14)),  # no change
        (3, (2, 1)),
        (1, (1,)),
    ],
)
def test_a_new_sm_count_rebuilds_the_gpcs(count: int, sms_per_gpc: tuple[int, ...], tmp_path: Path) -> None:
    arch = load_arch("a100", [f"sm.count={count}"])
    assert (arch.sm.count, arch.sm.sms_per_gpc) == (count, sms_per_gpc)
    from_file = load_arch(write(tmp_path, f"base: a100\nsm: {{count: {count}}}"))
    assert from_file.sm == arch.sm
    if count != 108:
        note = f"sm.count spread evenly over {len(sms_per_gpc)} GPCs"
        assert (arch.sources["sm.sms_per_gpc"].kind, arch.sources["sm.sms_per_gpc"].source) == ("assumed", f"--set: {note}")
        assert from_file.sources["sm.sms_per_gpc"].source == f"my.yaml: {note}"


@pytest.mark.parametrize(
    ("value", "became", "source"),
    [
        ("x1.5", 120, "--set x1.5 of 80"),
        ("×0.5", 40, "--set x0.5 of 80"),
        (" X 2 ", 160, "--set x2 of 80"),
        ("+8", 88, "--set +8 of 80"),
        ("-0.5", 79.5, "--set -0.5 of 80"),
        ("x1.1", 88, "--set x1.1 of 80"),  # exact in decimal digits, where 80 * 1.1 is 88.00000000000001 in binary ones
    ],
)
def test_a_relative_value_changes_the_one_beneath_and_says_what_it_was(value: str, became: float, source: str) -> None:
    beneath = load_arch("a100", {"l2.capacity_mib": 80})
    for overrides in ([f"l2.capacity_mib={value}"], {"l2.capacity_mib": value}):
        arch = load_arch(beneath, overrides)
        assert arch.l2.capacity_mib == became
        assert (arch.sources["l2.capacity_mib"].kind, arch.sources["l2.capacity_mib"].source) == ("assumed", source)


def test_relative_values_of_one_leaf_are_laid_on_each_other() -> None:
    arch = load_arch("a100", ["l2.capacity_mib=10", "l2.capacity_mib=x3", "l2.capacity_mib=+2"])
    assert (arch.l2.capacity_mib, arch.sources["l2.capacity_mib"].source) == (32, "--set +2 of 30")


@pytest.mark.parametrize(
    ("value", "count", "source"),
    [("+8", 116, "--set +8 of 108"), ("-8", 100, "--set -8 of 108"), ("x1.1", 119, "--set x1.1 of 108, rounded")],
)
def test_a_relative_sm_count_is_an_integer_and_rebuilds_the_gpcs(value: str, count: int, source: str) -> None:
    arch = load_arch("a100", [f"sm.count={value}"])
    assert (arch.sm.count, sum(arch.sm.sms_per_gpc)) == (count, count)
    assert arch.sources["sm.count"].source == source
    assert arch.sources["sm.sms_per_gpc"].source == f"{source}: sm.count spread evenly over 7 GPCs"


def test_a_name_may_look_like_a_relative_value() -> None:
    assert load_arch("a100", ["name=x2"]).name == "x2"


def test_a_relative_value_on_a_broken_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "base: a100\nl2: {capacity_mib: forty}")
    assert mistake(path, "l2.capacity_mib=x2") == (
        "overrides l2.capacity_mib: expected an absolute value, as there is no number beneath to change, found x2 of 'forty'"
    )


def test_given_gpcs_are_kept() -> None:
    arch = load_arch("h100", ["sm.count=20", "sm.sms_per_gpc=[18, 2]"])
    assert arch.sm.sms_per_gpc == (18, 2)
    assert arch.sources["sm.sms_per_gpc"].source == "--set"


# --- files of users


def test_a_section_without_any_of_its_leaves_is_named(tmp_path: Path) -> None:
    tree = load_arch("t4").to_dict()
    del tree["tensor_core"]["fma_per_clk_per_sm"]
    with pytest.raises(ArchError, match=r"^my\.json: tensor_core\.fma_per_clk_per_sm: expected at least one of its leaves"):
        arch_from_dict(tree, "my.json")


def test_a_file_with_a_base(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "base: a100\n"
        "title: A100 with a wide port\n"
        "shared_memory:\n"
        "  bandwidth_bytes_per_clk: 256\n"
        'dram:\n  bandwidth_gb_per_s: {value: 3000, kind: vendor, from: "a datasheet"}\n'
        "sm: {sms_per_gpc: [100, 8]}\n",
    )
    arch, a100 = load_arch(str(path)), load_arch("a100")
    assert (arch.name, arch.title, arch.die) == ("my", "A100 with a wide port", "GA100")
    assert arch.shared_memory.bandwidth_bytes_per_clk == 256
    assert (arch.sources["shared_memory.bandwidth_bytes_per_clk"].kind) == "assumed"
    assert arch.sources["shared_memory.bandwidth_bytes_per_clk"].source == "my.yaml"
    assert (arch.sources["dram.bandwidth_gb_per_s"].kind, arch.sources["dram.bandwidth_gb_per_s"].source) == (
        "vendor",
        "a datasheet",
    )
    assert arch.sm.sms_per_gpc == (100, 8)
    assert arch.l2 == a100.l2
    assert list(arch.sources) == list(a100.sources)


def test_a_base_may_be_a_path_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bases").mkdir()
    write(tmp_path / "bases", "base: t4\nname: cool-t4\nclock: {sustained_mhz: 1200}")
    top = write(tmp_path, "base: bases/my.yaml\npower: {board_limit_w: 100}", "top.yaml")
    monkeypatch.chdir(tmp_path.parent)
    arch = load_arch(top)
    assert (arch.name, arch.clock.sustained_mhz, arch.power.board_limit_w, arch.die) == ("top", 1200, 100, "TU104")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_bytes(b"\xef\xbb\xbfbase: a100\r\nl2: {capacity_mib: 80}\r\n")
    assert load_arch(path).l2.capacity_mib == 80


# --- mistakes

NAMES = "a10, a100, a100-40gb, a100-pcie, a30, a40, h100, h100-pcie, h200, l40s, rtx3090, rtx4070s, rtx4090, t4"
L2_KEYS = "capacity_mib, partitions, shared_fraction, bandwidth_bytes_per_clk, port_bytes_per_clk_per_sm, near_latency_cycles, "
L2_KEYS += "far_latency_cycles"
TOP_KEYS = (
    "name, title, generation, compute_capability, die, sm, clock, tensor_core, shared_memory, l2, dram, launch, kernel, power"
)
LEAF = "a mapping {value: ..., kind: ..., from: ...}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a1000", f"arch: expected one of {NAMES}, or the path of a file, found 'a1000' (did you mean 'a100'?)"),
        ("H1000", f"arch: expected one of {NAMES}, or the path of a file, found 'H1000' (did you mean 'h100'?)"),
        ("nowhere/b200.yaml", f"arch: expected one of {NAMES}, or the path of a file, found 'nowhere/b200.yaml'"),
        ("", f"arch: expected one of {NAMES}, or the path of a file, found ''"),
        ("x" * 5000, f"arch: expected one of {NAMES}, or the path of a file, found '{'x' * 37}...{'x' * 38}'"),
        ("a\0b", f"arch: expected one of {NAMES}, or the path of a file, found 'a\\x00b'"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    assert mistake(name) == message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "sm.cuont=1",
            "overrides sm.cuont: expected the dotted path of one value, e.g. l2.capacity_mib, "
            "found 'sm.cuont' (did you mean 'sm.count'?)",
        ),
        ("sm=1", "overrides sm: expected the dotted path of one value, e.g. l2.capacity_mib, found 'sm'"),
        ("sm.count", "overrides: expected path=value, e.g. l2.capacity_mib=80, found 'sm.count'"),
        ("sm.count=many", "overrides sm.count: expected an integer from 1 to 1000000, found 'many'"),
        ("sm.count=", "overrides sm.count: expected an integer from 1 to 1000000, found null"),
        ("sm.count=true", "overrides sm.count: expected an integer from 1 to 1000000, found true"),
        ("sm.count=108.0", "overrides sm.count: expected an integer from 1 to 1000000, found 108.0"),
        ("sm.count=0", "overrides sm.count: expected an integer from 1 to 1000000, found 0"),
        ("sm.count=-200", "overrides sm.count -200 of 108: expected an integer from 1 to 1000000, found -92"),
        ("sm.count=x0", "overrides sm.count x0 of 108: expected an integer from 1 to 1000000, found 0"),
        ("sm.count=+1.5", "overrides sm.count +1.5 of 108: expected an integer from 1 to 1000000, found 109.5"),
        ("sm.count=xtwo", "overrides sm.count: expected a factor such as x1.5, found 'xtwo'"),
        ("sm.count=x-2", "overrides sm.count: expected a factor such as x1.5, found 'x-2'"),
        ("sm.count=x1e9", "overrides sm.count: expected a factor such as x1.5, found 'x1e9'"),
        ("sm.sms_per_gpc=x2", "overrides sm.sms_per_gpc: expected a list of integers from 1 to 1000000, found 'x2'"),
        ("sm.count=2000000", "overrides sm.count: expected an integer from 1 to 1000000, found 2000000"),
        (
            f"sm.count=0x{'f' * 9999}",
            "overrides sm.count: expected an integer from 1 to 1000000, found a number too long to print",
        ),
        ("sm.sms_per_gpc=108", "overrides sm.sms_per_gpc: expected a list of integers from 1 to 1000000, found 108"),
        ("sm.sms_per_gpc=[100, x]", "overrides sm.sms_per_gpc: expected a list of integers from 1 to 1000000, found [100, 'x']"),
        ("sm.sms_per_gpc=[]", "overrides sm.sms_per_gpc: expected a list of integers from 1 to 1000000, found []"),
        ("sm.sms_per_gpc=[50, 50]", "overrides sm.sms_per_gpc: expected integers that sum to sm.count (108), found a sum of 100"),
        ("clock.sustained_mhz=0", "overrides clock.sustained_mhz: expected a number from 0.001 to 1000000, found 0"),
        ("clock.sustained_mhz=.nan", "overrides clock.sustained_mhz: expected a number from 0.001 to 1000000, found nan"),
        ("clock.sustained_mhz=.inf", "overrides clock.sustained_mhz: expected a number from 0.001 to 1000000, found inf"),
        ("clock.sustained_mhz='1410'", "overrides clock.sustained_mhz: expected a number from 0.001 to 1000000, found '1410'"),
        ("launch.stream_us=-1e3", "overrides launch.stream_us: expected a number from 0 to 1000000, found -1000.0"),
        ("dram.achieved_fraction=85", "overrides dram.achieved_fraction: expected a number from 0.001 to 1, found 85"),
        (
            "shared_memory.fill_contention=1.1",
            "overrides shared_memory.fill_contention: expected a number from 0 to 1, found 1.1",
        ),
        (
            "tensor_core.fma_per_clk_per_sm.fp8=lots",
            "overrides tensor_core.fma_per_clk_per_sm.fp8: expected an integer from 1 to 1000000, or null, found 'lots'",
        ),
        (
            "tensor_core.fma_per_clk_per_sm.fp8=x2",
            "overrides tensor_core.fma_per_clk_per_sm.fp8: expected an absolute value, as there is no number beneath to change, "
            "found x2 of null",
        ),
        (
            "tensor_core.sparse_min_issue_cycles=-7.2",
            "overrides tensor_core.sparse_min_issue_cycles -7.2 of 6.2: expected a number from 0 to 1000000, or null, found -1.0",
        ),
        (
            "tensor_core.sparse_kept=4",
            "overrides tensor_core.sparse_kept: expected less than tensor_core.sparse_group (4), found 4",
        ),
        (
            "tensor_core.sparse_kept=null",
            "overrides tensor_core.sparse_kept: expected an integer like tensor_core.sparse_group, found null",
        ),
        (
            "tensor_core.sparse_group=null",
            "a100.yaml: tensor_core.sparse_kept: expected null like tensor_core.sparse_group, found 2",
        ),
        (
            "shared_memory.capacity_kib=100",
            "a100.yaml: shared_memory.max_per_cta_kib: expected at most shared_memory.capacity_kib (100), found 163",
        ),
        ("l2.far_latency_cycles=1", "overrides l2.far_latency_cycles: expected at least l2.near_latency_cycles (206), found 1"),
        ("generation=blackwell", "overrides generation: expected one of turing, ampere, ada, hopper, found 'blackwell'"),
        ("kernel.family=sm100", "overrides kernel.family: expected one of sm75, sm80, sm86, sm89, sm90, found 'sm100'"),
        ("compute_capability=8.0", 'overrides compute_capability: expected a text such as "8.0", in quotes, found 8.0'),
        ("name=''", "overrides name: expected a text that is not empty, found ''"),
        ("sm.count=[1", "overrides sm.count: expected valid YAML, found a mistake in line "),
        ("sm.count=2024-13-45", "overrides sm.count: expected valid YAML, found characters or values that cannot be read"),
        ("sm.count=!!int x", "overrides sm.count: expected valid YAML, found characters or values that cannot be read"),
        ("sm.count=\x01", "overrides sm.count: expected valid YAML, found characters or values that cannot be read"),
    ],
)
def test_mistakes_in_set(override: str, message: str) -> None:
    assert says(mistake("a100", override), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"my.yaml: expected a mapping with {TOP_KEYS}, found nothing"),
        ("a100", f"my.yaml: expected a mapping with {TOP_KEYS}, found a text"),
        ("[1, 2]", f"my.yaml: expected a mapping with {TOP_KEYS}, found a list"),
        ("base: a1000", f"my.yaml: base: expected one of {NAMES}, or the path of a file, found 'a1000' (did you mean 'a100'?)"),
        ("base: 100", "my.yaml: base: expected the name of a shipped GPU or the path of a file, found 100"),
        ("base:", "my.yaml: base: expected the name of a shipped GPU or the path of a file, found null"),
        ("base: my.yaml", "my.yaml: base: expected bases that come to an end, found 'my.yaml' again"),
        ("base: a100\nll: {}", f"my.yaml: ll: expected one of {TOP_KEYS}, found 'll' (did you mean 'l2'?)"),
        ("base: a100\nl2:", f"my.yaml: l2: expected a mapping with {L2_KEYS}, found null"),
        ("base: a100\nl2: 40", f"my.yaml: l2: expected a mapping with {L2_KEYS}, found 40"),
        (
            "base: a100\nl2: {capacity_mb: 80}",
            f"my.yaml: l2.capacity_mb: expected one of {L2_KEYS}, found 'capacity_mb' (did you mean 'capacity_mib'?)",
        ),
        ('base: a100\nl2: {"a\\nb": 80}', f"my.yaml: l2.'a\\nb': expected one of {L2_KEYS}, found 'a\\nb'"),
        ("base: a100\nl2: {1: 80}", f"my.yaml: l2.1: expected one of {L2_KEYS}, found '1'"),
        (
            "base: a100\nl2: {capacity_mib: forty}",
            "my.yaml: l2.capacity_mib: expected a number from 0.001 to 1000000, found 'forty'",
        ),
        ("base: a100\nl2: {capacity_mib: -40}", "my.yaml: l2.capacity_mib: expected a number from 0.001 to 1000000, found -40"),
        ("base: a100\nsm: {count: &a [*a]}", "my.yaml: sm.count: expected an integer from 1 to 1000000, found [[[[...]]]]"),
        ("base: a100\nl2: {capacity_mib: {value: 80}}", f"my.yaml: l2.capacity_mib.kind: expected {LEAF}, found nothing"),
        (
            "base: a100\nl2: {capacity_mib: {value: 80, kind: mesured, from: me}}",
            "my.yaml: l2.capacity_mib.kind: expected one of vendor, measured, fitted, assumed, found 'mesured' "
            "(did you mean 'measured'?)",
        ),
        (
            "base: a100\nl2: {capacity_mib: {value: 80, kind: [vendor], from: me}}",
            "my.yaml: l2.capacity_mib.kind: expected one of vendor, measured, fitted, assumed, found ['vendor'] "
            "(did you mean 'vendor'?)",
        ),
        (
            "base: a100\nl2: {capacity_mib: {value: 80, kind: vendor, from: 2024}}",
            "my.yaml: l2.capacity_mib.from: expected a text that names the source, found 2024",
        ),
        (
            "base: a100\nl2: {capacity_mib: {value: 80, kind: vendor, form: me}}",
            "my.yaml: l2.capacity_mib.form: expected one of value, kind, from, found 'form' (did you mean 'from'?)",
        ),
        ("base: a100\nl2: {capacity_mib: 80}\nl2: {}", "my.yaml: expected each key once, found 'l2' again in line 3, column 1"),
        (
            "base: a100\nl2: {capacity_mib: 80, capacity_mib: 90}",
            "my.yaml: expected each key once, found 'capacity_mib' again in line 2, column 24",
        ),
        ("base: a100\nl2: [1", "my.yaml: expected valid YAML, found a mistake in line "),
        (
            "base: a100\n\tl2: 1",
            "my.yaml: expected valid YAML, found a mistake in line 2, column 1 (",
        ),
        ("base: !!python/object/apply:os.getcwd []", "my.yaml: expected valid YAML, found a mistake in line 1, column 7 ("),
        ("base: a100\n---\nbase: a30", "my.yaml: expected valid YAML, found a mistake in line 2, column 1 ("),
        ("[" * 100_000, "my.yaml: expected valid YAML, found a mistake (more than 50 levels)"),
    ],
)
def test_mistakes_in_a_file_with_a_base(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    assert says(mistake("my.yaml"), message)


def complete_with(change: str, tmp_path: Path) -> Path:
    """Write a complete file, which is the A100's after one regular-expression replacement ``old=>new``."""
    old, _, new = change.partition("=>")
    text, times = re.subn(old, new, (data_folder("arch_configs") / "a100.yaml").read_text(encoding="utf-8"), count=1)
    assert times == 1
    return write(tmp_path, text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (r"\{value: 40, .*\}=>40", f"my.yaml: l2.capacity_mib: expected {LEAF}, found 40"),
        (r"  capacity_mib: .*\n=>", f"my.yaml: l2.capacity_mib: expected {LEAF}, found nothing"),
        (r"power:\n(.*\n)*=>", f"my.yaml: power.board_limit_w: expected {LEAF}, found nothing"),
        (r"die: GA100=>", "my.yaml: die: expected a text that is not empty, found nothing"),
        (r"die: GA100=>die: 100", "my.yaml: die: expected a text that is not empty, found 100"),
        (r'"8.0"=>8.0', 'my.yaml: compute_capability: expected a text such as "8.0", in quotes, found 8.0'),
        (r"value: 40,=>value: null,", "my.yaml: l2.capacity_mib: expected a number from 0.001 to 1000000, found null"),
        (
            r"value: 108,=>value: 110,",
            "my.yaml: sm.sms_per_gpc: expected integers that sum to sm.count (110), found a sum of 108",
        ),
        (
            r"value: 1410, kind: vendor=>value: 1410, kind: rumour",
            "my.yaml: clock.boost_mhz.kind: expected one of vendor, measured, fitted, assumed, found 'rumour'",
        ),
    ],
)
def test_mistakes_in_a_complete_file(change: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete_with(change, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert mistake("my.yaml") == message


def test_files_that_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_bytes(b"\xff\xfe\x00")
    assert mistake("my.yaml") == "my.yaml: expected text in UTF-8, found other bytes"
    monkeypatch.setattr(
        Path, "read_text", lambda *_args, **_kwargs: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    assert mistake("my.yaml") == "my.yaml: expected a readable file, found permission denied"


def test_bases_that_go_in_a_circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "base: two.yaml", "one.yaml")
    write(tmp_path, "base: one.yaml", "two.yaml")
    assert mistake("one.yaml") == "two.yaml: base: expected bases that come to an end, found 'one.yaml' again"


def test_a_mistake_in_the_base_names_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "base: a100\nl2: {capacity_mib: forty}", "below.yaml")
    write(tmp_path, "base: below.yaml\ndram: {capacity_gib: 1}", "above.yaml")
    assert mistake("above.yaml") == "below.yaml: l2.capacity_mib: expected a number from 0.001 to 1000000, found 'forty'"


def test_a_mistake_in_a_stored_tree_names_where_it_was() -> None:
    tree = load_arch("a100").to_dict()
    del tree["dram"]["latency_cycles"]
    with pytest.raises(ArchError) as caught:
        arch_from_dict(tree, "result.json: arch")
    assert str(caught.value) == f"result.json: arch: dram.latency_cycles: expected {LEAF}, found nothing"
    assert isinstance(load_arch("a100"), Arch)
