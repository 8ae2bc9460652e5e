"""Which side of each layer a network runs, dense or 2:4: what makes the whole fastest, at the clock that it then holds.

Layers are coupled twice. A board has one power limit, so a layer that spends less lets all others run at a higher clock; and a
layer that is stored 2:4 leaves more of the L2 to the tensors around it. So layers are not compared one by one, each as if it
were alone: on one set of terms (``Terms``: a clock, and what a joule costs the network, which is the one number through which
layers feel each other's energy) each takes the side with the least time plus price of energy; the network that results has
another clock, another price and another L2, and the comparison is made again until it repeats itself. Then every group of alike
layers, and every layer that seems to gain, is turned and the whole network timed; the best turn is kept, and so on. The search
ends when no group and no such layer, turned, makes the network faster at the clock that it then holds. A network is timed in the
same way whoever asks (``settle``), so that what pruning is said to save is what a run without it loses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stcsim.replay.clock_steps import Steps
from stcsim.replay.kernels import Kernels, Layer, Terms, Work
from stcsim.replay.planned import Network, Planned, Sides, turned
from stcsim.replay.residency import Residency, Spot
from stcsim.timing.board.power import Energy, Load, clock_under, joules, price_us_per_j

_ROUNDS = 12  # most rounds of each search; they end by themselves, after two or three
_GAIN = 1e-6  # relative; a smaller gain is rounding

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _Table:
    """Loads of kernels that are chosen on ``terms`` and timed at ``steps``: energies by part, cycles, fixed microseconds."""

    terms: Terms
    steps: Steps
    rows: dict[Spot, tuple[float, ...]]


class Chooser:
    """Times networks of one run and chooses sides.

    Args:
        kernels: chooses and times kernels. steps: in the order they run. residency: what they find in L2.
        groups: places of alike layers, which are turned together.
    """

    def __init__(
        self,
        kernels: Kernels,
        steps: Sequence[Planned],
        residency: Residency,
        groups: Sequence[Sequence[int]] = (),
    ) -> None:
        """Simulate nothing yet."""
        self._kernels, self._steps, self._residency, self._groups = kernels, steps, residency, groups
        self._arch = kernels.setup.arch
        self._choice = [at for at, step in enumerate(steps) if step.has_choice]
        self._counts = np.array([step.op.count for step in steps], np.float64)
        self._works: dict[Spot, Work] = {}
        self._numbers: dict[Work, int] = {}
        self._numbered: dict[Spot, int] = {}
        self._tables: dict[tuple[Terms, Steps], _Table] = {}
        self._networks: dict[tuple[bytes, Terms, Steps], Network] = {}
        self._settled: dict[bytes, Network] = {}
        self._of_sides: dict[Sides, Network] = {}

    def sides(self, sparse: Callable[[int], bool]) -> Sides:
        """Return sides with ``sparse(place)`` where a layer has the choice, the side it must run elsewhere."""
        return tuple(step.sparse and (not step.dense or sparse(at)) for at, step in enumerate(self._steps))

    def highest(self) -> Terms:
        """Return the terms of a network that the power limit does not bind."""
        return Terms(self._kernels.highest_mhz)

    def prepare(self, progress: Progress | None) -> None:
        """Choose the kernels of all layers, both sides, on the highest terms: most of the work, so it says how far it is.

        ``progress`` is called with (layers done, layers in all).
        """
        table = self._table(self.highest(), self._steps_around(self._kernels.highest_mhz))
        dense, sparse = (self._residency.spots(self.sides(lambda at, side=side: side)) for side in (False, True))  # type: ignore[misc]
        layers = [at for at, step in enumerate(self._steps) if step.dense or step.sparse]
        for done, at in enumerate(layers, 1):
            for spot in {dense[at], sparse[at]}:
                self._row(spot, table)
            if progress is not None:
                progress(done, len(layers))

    def settle(self, sides: Sides) -> Network:
        """Return the network with those sides: its kernels chosen on its own terms, its loads timed around its own clock."""
        if sides not in self._of_sides:
            key = self._signature(self._residency.spots(sides))
            if key not in self._settled:
                self._settled[key] = self._settle(sides)
            self._of_sides[sides] = replace(self._settled[key], sides=sides)
        return self._of_sides[sides]

    def _settle(self, sides: Sides) -> Network:
        """Time the network on the terms, and at the steps, that it was last found to have, until they repeat.

        Frugal kernels may free it of the limit where faster ones are worth a lower clock: the fastest on the way is meant.
        """
        network = self.near(sides, self.highest(), self._steps_around(self._kernels.highest_mhz))
        on_the_way, seen = [network], set()
        while network.limited and (key := self._terms_of(network)) not in seen:
            seen.add(key)
            network = self.near(sides, *key)
            on_the_way.append(network)
        held = {each.terms: self._held(each) for each in on_the_way}
        return min(held.values(), key=lambda each: each.time_us)

    def _held(self, network: Network) -> Network:
        """Return ``network``, of the same kernels, timed at the steps around the clock that it then holds."""
        for _ in range(_ROUNDS):
            steps = self._steps_around(network.clock_mhz)
            if steps == network.steps:
                break
            network = self.near(network.sides, network.terms, steps)
        return network

    def _terms_of(self, network: Network) -> tuple[Terms, Steps]:
        """Return the terms on which ``network`` would choose its kernels, and the steps around its clock."""
        price = price_us_per_j(self._arch, network.load, network.clock_mhz)
        return Terms(network.clock_mhz, price).rounded(), self._steps_around(network.clock_mhz)

    def _steps_around(self, clock_mhz: float) -> Steps:
        return Steps.around(clock_mhz, self._kernels.highest_mhz)

    def near(self, sides: Sides, terms: Terms, steps: Steps) -> Network:
        """Return the network with those sides, kernels chosen on ``terms``, its loads timed at ``steps`` and taken from there."""
        spots = self._residency.spots(sides)
        key = (self._signature(spots), terms, steps)
        if key not in self._networks:
            table = self._table(terms, steps)
            mac, smem, l2, dram, cycles, fixed = (self._counts @ np.array([self._row(spot, table) for spot in spots])).tolist()
            load = Load(Energy(mac, smem, l2, dram), cycles, fixed)
            clock_mhz = clock_under(self._arch, load, self._kernels.setup.duration)
            self._networks[key] = Network(sides, terms, steps, clock_mhz, load, clock_mhz < self._kernels.highest_mhz)
        return replace(self._networks[key], sides=sides)

    def _signature(self, spots: Sequence[Spot]) -> bytes:
        """Return what is alike for networks of the same kernels, whichever layers they belong to."""
        numbers = [self._number(spot) for spot in spots]
        return np.bincount(numbers, self._counts, len(self._numbers)).tobytes().rstrip(b"\0")

    def _number(self, spot: Spot) -> int:
        number = self._numbered.get(spot)
        if number is None:
            number = self._numbered[spot] = self._numbers.setdefault(self._work(spot), len(self._numbers))
        return number

    def works(self, sides: Sides) -> list[Work]:
        """Return what each kernel of the network with those sides does."""
        return [self._work(spot) for spot in self._residency.spots(sides)]

    def _work(self, spot: Spot) -> Work:
        if spot not in self._works:
            placed = self._residency.place(spot)
            layer = None if placed.problem is None else Layer(placed.problem, spot.sparse, placed.beside)
            self._works[spot] = layer or placed.beside
        return self._works[spot]

    def _table(self, terms: Terms, steps: Steps) -> _Table:
        return self._tables.setdefault((terms, steps), _Table(terms, steps, {}))

    def _row(self, spot: Spot, table: _Table) -> tuple[float, ...]:
        if spot not in table.rows:
            load = self._kernels.load(self._work(spot), table.terms, table.steps)
            spent = load.spent
            table.rows[spot] = spent.mac_j, spent.smem_j, spent.l2_j, spent.dram_j, load.cycles, load.fixed_us
        return table.rows[spot]

    def lost_us(self, network: Network, places: Sequence[int]) -> float:
        """Return what a settled ``network`` loses if the layers at ``places`` alone go back to dense."""
        return self.settle(turned(network.sides, places, False)).time_us - network.time_us

    def best(self, starts: Sequence[Network]) -> Network:
        """Return the fastest network that the search of this module finds; ``starts`` are some to begin from, and to beat."""
        network = self._repeated(self.highest(), self._steps_around(self._kernels.highest_mhz))
        found = min([network, *starts], key=lambda each: each.time_us)
        for _ in range(_ROUNDS):
            settled = self.settle(self._descend(found).sides)
            if settled.time_us >= found.time_us * (1 - _GAIN):
                break
            found = settled
        return self._refined(found)

    def _refined(self, network: Network) -> Network:
        """Turn groups, and pruned layers back, one by one, as long as the network that then settles is faster."""
        for _ in self._choice:
            sides = network.sides
            tried = self._groups_turned(sides) | {turned(sides, (at,), False) for at in self._choice if sides[at]}
            fastest = min(map(self.settle, sorted(tried - {sides})), key=lambda each: each.time_us, default=network)
            if fastest.time_us >= network.time_us:
                break
            network = fastest
        return network

    def _repeated(self, terms: Terms, steps: Steps) -> Network:
        """Choose sides on terms, find the terms that the network then has, and again, until sides or terms repeat."""
        found, seen = None, set()
        for _ in range(_ROUNDS):
            sides = self._cheapest(terms, steps)
            network = self.settle(sides)
            found = network if found is None or network.time_us < found.time_us else found
            if sides in seen:
                break
            seen.add(sides)
            terms, steps = network.terms, network.steps
        assert found is not None
        return found

    def _cheapest(self, terms: Terms, steps: Steps) -> Sides:
        """Return the sides that cost least, each layer by itself; what is in L2 follows the sides until they repeat."""
        sides = self.sides(lambda at: True)
        seen: set[Sides] = set()
        while sides not in seen and len(seen) < _ROUNDS:
            seen.add(sides)
            costs = self._costs(sides, terms, steps)
            sides = self.sides(lambda at: costs[at][1] < costs[at][0])  # noqa: B023 (called at once)
        return sides

    def _costs(self, sides: Sides, terms: Terms, steps: Steps) -> dict[int, tuple[float, float]]:
        """Return time plus price of the energy of each layer that has the choice, dense and 2:4, all others as in ``sides``."""
        spots, table, costs = self._residency.spots(sides), self._table(terms, steps), {}
        for at in self._choice:
            both = (self._row(spots[at]._replace(sparse=sparse), table) for sparse in (False, True))
            dense, sparse = (self._cost_us(row, table) for row in both)
            costs[at] = dense, sparse
        return costs

    def _cost_us(self, row: tuple[float, ...], table: _Table) -> float:
        *spent, cycles, fixed_us = row
        clock_mhz = table.steps.high_mhz
        energy_j = joules(self._arch, Energy(*spent), clock_mhz)
        return fixed_us + cycles / clock_mhz + table.terms.price_us_per_j * energy_j

    def _descend(self, network: Network) -> Network:
        """Turn groups of alike layers, and layers that seem to gain, as long as that makes ``network`` faster."""
        found = network
        for _ in range(_ROUNDS):
            turned = min(self._turns(found), key=lambda each: each.time_us, default=found)
            if turned.time_us >= found.time_us * (1 - _GAIN):
                break
            found = turned
        return found

    def _turns(self, network: Network) -> list[Network]:
        """Return the networks in which one group is dense or 2:4, or one layer turned that by its own cost should be."""
        costs = self._costs(network.sides, network.terms, network.steps)
        wrong = {at for at, (dense, sparse) in costs.items() if (sparse < dense) != network.sides[at]}
        tried = self._groups_turned(network.sides) | {turned(network.sides, (at,), not network.sides[at]) for at in wrong}
        return [self.near(sides, network.terms, network.steps) for sides in tried - {network.sides}]

    def _groups_turned(self, sides: Sides) -> set[Sides]:
        """Return ``sides`` with all of one group dense or 2:4, for each group."""
        return {turned(sides, group, sparse) for group in self._groups for sparse in (False, True)}
