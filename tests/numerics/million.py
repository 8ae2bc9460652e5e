"""A million random dot products for each row of the rule table, fast against reference: ``python -m tests.numerics.million``.

The seven classes of ``draws`` share the million. Every row is cut into jobs for all processors; the reference needs about 40
microseconds for each dot product, so all rows take about 20 minutes of one core. Exits with 1 when a bit differs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from stcsim.numerics.engine import fast, reference
from tests.numerics.draws import CLASSES, main_rows, operands

TILES, SIDE = 80, 12  # one job: 80 tiles of 12 x 12 dot products of one class


def differing(job: tuple[str, str, int]) -> int:
    """Return how many results of one job differ; the fast engine runs its vector and its scalar lanes (12 columns)."""
    label, name, seed = job
    path = dict(main_rows())[label]
    a, b, c = operands(path, name, TILES, SIDE, SIDE, seed)
    fast_d = fast.multiply(path, a, b, c, workers=1)
    return int(np.count_nonzero(fast_d != reference.multiply(path, a, b, c)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="dot products for each row")
    parser.add_argument("--rows", default="", help="only rows whose label contains this")
    options = parser.parse_args()
    jobs_per_class = -(-options.count // (TILES * SIDE * SIDE * len(CLASSES)))
    total = failed = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for label, _ in main_rows():
            if options.rows not in label:
                continue
            start = time.perf_counter()
            jobs = [(label, name, seed) for name in CLASSES for seed in range(jobs_per_class)]
            wrong, count = sum(pool.map(differing, jobs)), len(jobs) * TILES * SIDE * SIDE
            total, failed = total + count, failed + wrong
            print(f"{label:48} {count:9,} dot products, {wrong} differ, {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{total:,} dot products, {failed} differ")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
