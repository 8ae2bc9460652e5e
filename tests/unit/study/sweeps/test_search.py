"""A search: the same points for the same seed, nothing run twice, and a front that is better than chance finds."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="needs Optuna (pip install 'stcsim[search]')")

from stcsim.errors import StcsimError
from stcsim.study.sweeps import work as working
from stcsim.study.sweeps.crews import crew_of
from stcsim.study.sweeps.grid import Space
from stcsim.study.sweeps.reading import load_study
from stcsim.study.sweeps.search import search
from stcsim.study.sweeps.store import WritableStore
from stcsim.study.sweeps.views import Front
from stcsim.study.sweeps.work import Answer, Job
from tests.unit.study.sweeps.studies import figures, study_in

LARGE = """
arch: [a100, h100]
gemm: [64x64x256, 128x64x256]
axes:
  sm.count: 60..159:1
  l2.capacity_mib: 1..100:1
  dram.bandwidth_gb_per_s: 1000..1990:10
objectives: [min best_us, min best_uj]
"""
SMS, L2, DRAM = "sm.count", "l2.capacity_mib", "dram.bandwidth_gb_per_s"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """GPUs whose time falls with SMs and whose energy rises with them; of both, the best have 40 MiB and 1,500 GB/s."""
    keys: list[str] = []

    def answer(job: Job, archs: object) -> Answer:
        values = {name: float(value) for name, _, value in (each.partition("=") for each in job.settings)}
        away = abs(values.get(L2, 40) - 40) / 100 + abs(values.get(DRAM, 1500) - 1500) / 1000
        sms = values.get(SMS, 108)
        keys.append(job.key)
        assert isinstance(job.content, tuple)
        size = job.content[0] / 64  # 1 and 2: their geometric mean is the square root of 2
        return Answer(
            job.key, figures(best_us=size * (1000 / sms + 100 * away), best_uj=size * (sms + 100 * away), best_watts=sms)
        )

    monkeypatch.setattr(working, "answer", answer)
    return keys


def found(folder: Path, trials: int, seed: int = 0, text: str = LARGE, name: str = "s.sqlite", workers: int = 1) -> Front:
    with WritableStore(folder / name) as store, crew_of(workers) as crew:
        (front,) = search(Space(load_study(study_in(folder, text))), store, crew, trials, seed).fronts
    return front


def test_a_search_finds_better_points_than_chance(ran: list[str], tmp_path: Path) -> None:
    front = found(tmp_path, 160)
    best = [front.rows[at] for at in front.best]
    # a point drawn at random is 0.25 + 0.25 away on average, and half as far in one of four; this is the best of a front
    assert min(abs(float(str(row[L2])) - 40) / 100 + abs(float(str(row[DRAM])) - 1500) / 1000 for row in best) < 0.05
    assert len({row[SMS] for row in best}) > 3  # time against energy is a choice
    sms, away = float(str(best[0][SMS])), abs(float(str(best[0][L2])) - 40) / 100 + abs(float(str(best[0][DRAM])) - 1500) / 1000
    assert best[0]["best_us"] == pytest.approx(2**0.5 * (1000 / sms + 100 * away))


def test_a_search_goes_on_where_it_was(ran: list[str], tmp_path: Path) -> None:
    whole = found(tmp_path, 48, name="whole")
    before = len(ran)
    found(tmp_path, 16)
    assert found(tmp_path, 48) == whole and len(ran) == 2 * before and len(set(ran)) == before
    assert found(tmp_path, 48, seed=1) != whole


def test_real_points_are_the_same_whoever_works(tmp_path: Path) -> None:
    assert found(tmp_path, 16, name="one") == found(tmp_path, 16, name="two", workers=2)


def test_points_that_miss_a_constraint_are_no_part_of_a_front(ran: list[str], tmp_path: Path) -> None:
    front = found(tmp_path, 64, text=LARGE + "constraints: [sm.count <= 100, best_watts >= 80]\n")
    assert {80 <= int(str(row[SMS])) <= 100 for row in front.rows} == {True}
    with pytest.raises(StcsimError, match="constraints: expected at least one point that meets them .*, found none that was"):
        found(tmp_path, 8, text=LARGE + "constraints: best_watts >= 1000\n")


def test_a_search_that_cannot_be_made_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StcsimError, match="objectives: expected at least one"):
        found(tmp_path, 8, text=LARGE.replace("objectives: [min best_us, min best_uj]", ""))
    with pytest.raises(StcsimError, match="trials: expected a whole number from 1 to 100,000, found 0"):
        found(tmp_path, 0)
    monkeypatch.setattr("stcsim.study.sweeps.search.find_spec", lambda name: None)
    with pytest.raises(StcsimError, match=r"search: expected Optuna .pip install 'stcsim\[search\]'., found none"):
        found(tmp_path, 8)
