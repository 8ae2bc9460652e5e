"""Does a record say what ran and how far it is from fp32, as text, CSV and JSON?"""

from __future__ import annotations

import csv
import io
import json

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")

from torch import nn  # noqa: E402

from stcsim.numerics import torch as simulated  # noqa: E402
from stcsim.numerics.torch.deviations import errors_of  # noqa: E402


def test_errors_are_counted_in_units_of_the_last_place_of_the_output_type() -> None:
    # fp16: neighbours of 1.5 are 2^-10 apart, of 0.75 2^-11, of 2^-20 2^-24 (subnormal); 0 has those of the smallest numbers
    exact = torch.tensor([1.5, -0.75, 2.0**-20, 0.0])
    found = exact + torch.tensor([2.0**-10, 2.0**-12, 2.0**-23, -(2.0**-24)])
    errors = errors_of(found, exact, "fp16")
    assert (errors.max_abs, errors.max_ulp, errors.mean_ulp) == (2.0**-10, 2.0, (1 + 0.5 + 2 + 1) / 4)
    assert errors.mean_abs == (2.0**-10 + 2.0**-12 + 2.0**-23 + 2.0**-24) / 4
    assert errors_of(-exact, exact, "fp32").cosine == -1
    assert errors_of(torch.zeros(2), torch.zeros(2), "bf16").cosine == 1


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 6), nn.Linear(6, 4)).eval()


def record_of(reference: str | None, model_type=torch.float32) -> simulated.Record:
    model, x = network().to(model_type), torch.randn(9, 64, generator=torch.Generator().manual_seed(1)).to(model_type)
    with torch.no_grad(), simulated.datapath("a100", "bf16", sparse="auto", reference=reference) as record:
        model(x)
        torch.linalg.inv(torch.eye(2))
    return record


def test_errors_against_the_network_add_up_and_those_of_a_layer_do_not() -> None:
    layer, network = record_of("layer").layers, record_of("network").layers
    assert layer[0].errors == network[0].errors
    assert network[-1].errors.mean_abs > layer[-1].errors.mean_abs > 0
    assert all(row.errors is None for row in record_of(None).layers)


def test_a_network_in_16_bits_is_compared_with_itself_in_fp32() -> None:
    rows = record_of("network", torch.bfloat16).layers
    assert all(0.999 < row.errors.cosine <= 1 for row in rows)
    assert {row.activations_beyond + row.weights_beyond + row.not_finite for row in rows} == {0}


def test_a_network_that_takes_another_way_in_fp32_is_not_compared() -> None:
    class Undecided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = nn.Linear(8, 8), 0

        def forward(self, x):
            self.calls += 1
            return self.layer(x[: self.calls])

    model = Undecided().eval()
    with torch.no_grad(), simulated.datapath("a100", reference="network") as record:
        model(torch.ones(3, 8))
    assert record.not_compared == ["layer"]
    assert record.layers[0].errors is None
    assert "not compared, another shape in fp32: layer" in record.table()


def test_the_table_has_a_line_a_product_and_says_what_is_missing() -> None:
    lines = record_of("layer").table().splitlines()
    assert lines[0].split()[:7] == ["name", "kind", "m", "n", "k", "batch", "sparse"]
    assert lines[1].split()[:7] == ["0", "linear", "32", "9", "64", "1", "dense"]
    assert [line.split()[0] for line in lines[1:4]] == ["0", "2", "3"]
    assert "dense, 6 channels along k are no multiple of 4: 3" in lines
    assert lines[-1].startswith("not simulated, aten.linalg_inv_ex: the datapath has no such operator: ")
    many = simulated.Record("none", not_compared=["a", "b", "c", "d", "e"])
    assert many.table().splitlines()[-1].endswith(": a, b, c and 2 more")


def test_rows_are_the_same_in_csv_and_json() -> None:
    record = record_of("layer")
    lines = list(csv.DictReader(io.StringIO(record.to_csv())))
    whole = json.loads(record.to_json())
    assert [list(each) for each in lines] == [list(each) for each in whole["layers"]]
    assert [float(each["cosine"]) for each in lines] == [row.errors.cosine for row in record.layers]
    assert whole["not_simulated"][0]["operator"] == "aten.linalg_inv_ex"
    assert (record.macs, whole["layers"][0]["instruction"]) == (9 * (64 * 32 + 32 * 6 + 6 * 4), "mma.m16n8k16.f32.bf16.bf16.f32")
    assert record.seconds == sum(row["seconds"] for row in whole["layers"])


def test_an_empty_record_is_a_head_without_rows() -> None:
    record = simulated.Record("none")
    assert record.table().split()[:2] == ["name", "kind"]
    assert record.to_csv().startswith("name,kind,m,n,k,")
    assert json.loads(record.to_json())["layers"] == []
