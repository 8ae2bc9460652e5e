"""Does a record of the datapath come out as a table, as a document and as lines? (No PyTorch is needed to show one.)"""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console

from stcsim.report.export.datapath import datapath_sheet


@dataclass(frozen=True)
class Errors:
    max_abs: float = 0.25
    mean_abs: float = 0.0125
    cosine: float = 0.9999995
    max_ulp: float = 3.0
    mean_ulp: float = 0.5


@dataclass(frozen=True)
class Layer:
    name: str
    errors: Errors | None
    sparse: bool = False
    m: int = 64
    n: int = 10
    k: int = 1024


@dataclass(frozen=True)
class Left:
    name: str = "router"
    operator: str = "aten.topk"
    why: str = "no product"


@dataclass
class Made:
    reference: str
    layers: list[Layer]
    not_simulated: list[Left] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    macs: int = 1_310_720_000


def test_a_record_is_a_sheet() -> None:
    sheet = datapath_sheet(Made("network", [Layer("first", Errors(), True), Layer("second", None)], [Left()]), {"arch": "a100"})
    console = Console(width=70, color_system=None)
    with console.capture() as capture:
        console.print(sheet.table())
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert lines[:2] == ["2 products on the simulated datapath, 1.31 GMAC; errors against the", "network in fp32"]
    assert lines[5:8] == [
        "first   64  10  1,024  yes     0.25  0.0125  1.000000        0.5",
        "second  64  10  1,024  no         –       –         –          –",
        "1 not simulated",
    ]
    document = sheet.document()
    assert document["schema"] == "stcsim/datapath-1"
    assert document["rows"][0]["errors"]["max_ulp"] == 3.0
    assert (document["not_simulated"][0]["name"], document["inputs"]) == ("router", {"arch": "a100"})
    assert sheet.row_lines()[0]["errors.cosine"] == 0.9999995


def test_a_record_without_errors_says_so() -> None:
    sheet = datapath_sheet(Made("none", [Layer("first", None)]))
    assert sheet.title == "1 product on the simulated datapath, 1.31 GMAC; not compared with fp32"
    assert sheet.foot == "every product was simulated"
