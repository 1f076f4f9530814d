"""Search for an input that satisfies a condition: corners, random points, gradients, evolution, walks over regions.

Nothing here proves anything but existence: what is found is replayed (`reludsl.replay.holds`). Every step works on a
batch of points:

* *seeds*: the centre, corners, random points, and for every neuron the corners at which it is largest and smallest
  to first order: they reach linear regions that no gradient leads to;
* *climb*: gradient ascent of -sum over the comparisons that fail of how far they fail; of an alternation only the
  part that is nearest to holding;
* *evolve*: mutation and selection, for inputs of few coordinates;
* *walk*: in the linear region of a point, the linear program that makes the slack as large as it gets there; its
  optimum lies on the border of the next region.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from reludsl.backend import FloatArray
from reludsl.cases import Case
from reludsl.expr import Expr, InputVariable
from reludsl.logic import All, AnyOf, Atoms, Condition
from reludsl.replay import Evaluator, Values, holds, local

MARGIN = 1e-6
"""Slack beyond zero that the climb aims at, as a share of the comparison's mean size over the first batch."""

FEW = 32
"""Inputs of up to so many coordinates are searched by evolution too."""

MOST_CORNERS = 3072
"""Corners that neurons give, at most; of more neurons a random choice is taken."""

YOUNG = 2000
"""Points of one generation."""

LENGTHS = np.array([1.0, 1.0 + 1e-9, 1.0 + 1e-6, 1.001, 1.01, 1.1, 1.5, 2.0, 0.5])
"""How far a walk goes towards the optimum of a region, and beyond it."""

LARGEST_SLOPES = 4e6
"""Derivatives of all neurons with respect to all coordinates beyond which no corners are taken from them."""

MOST_VALUES = 2e7
"""Values of neurons in the first forward pass: of large networks fewer corners are tried."""

LARGEST_WALK = 2e5
"""Coefficients of a region's linear program beyond which no walk is tried: it would take seconds."""

Batch = dict[InputVariable, FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """An input of the question at which a condition holds, replayed."""

    case: Case
    point: Batch


class Search:
    """The search in some cases at once. What was seen is kept from one round to the next.

    Args:
        cases: those that are not empty.
        seed: of every random choice.
    """

    def __init__(self, cases: Sequence[Case], seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        groups: dict[tuple[InputVariable, ...], list[Case]] = {}
        for case in cases:
            groups.setdefault(tuple(case.inputs), []).append(case)
        self.hunts: list[list[Hunt]] = []
        for members in groups.values():
            # one forward pass serves all cases over the same inputs
            evaluator = Evaluator(atoms.expr for case in members for atoms in case.goal.atoms)
            self.hunts.append([Hunt(case, evaluator, self.rng) for case in members])
        self.rounds = 0

    def drop(self, case: Case) -> None:
        """Search no more in a case that is known never to occur."""
        self.hunts = [kept for group in self.hunts if (kept := [h for h in group if h.case is not case])]

    def run(self, rounds: int, until: float | None = None) -> Hit | None:
        """Some more rounds, each dearer than the one before; ends early at a hit and at the time `until`.

        Args:
            until: a reading of `time.perf_counter`.
        """
        for _ in range(rounds):
            if not self.hunts or (until is not None and time.perf_counter() >= until):
                return None
            hit = self._scout(until) if self.rounds == 0 else self._press(until)
            self.rounds += 1
            if hit is not None:
                return hit
        return None

    def _scout(self, until: float | None) -> Hit | None:
        """One batch of seeds for all cases of a group, then a short climb in each."""
        for group in self.hunts:
            batch = group[0].seeds(64)
            values = group[0].evaluator.forward(batch)
            for hunt in group:
                hit = hunt.judge(values, batch)
                if hit is not None:
                    return hit
        for group in self.hunts:
            for hunt in group:
                hit = hunt.climb(hunt.leaders(12), 30, 0.1, until)
                if hit is not None:
                    return hit
        return None

    def _press(self, until: float | None) -> Hit | None:
        """A longer search in the cases that came nearest; every third round in all of them."""
        hunts = sorted((h for group in self.hunts for h in group), key=lambda h: -h.best)
        if self.rounds % 3:
            hunts = hunts[: max(2, len(hunts) // 3)]
        rate = (0.1, 0.03, 0.01, 0.2)[self.rounds % 4]
        for hunt in hunts:
            if until is not None and time.perf_counter() >= until:
                return None
            hit = None
            for _ in range(3 if hunt.few else 0):
                hit = hit or hunt.evolve(until)
            hit = hit or hunt.climb(hunt.leaders(24, fresh=8), 60 + 20 * min(self.rounds, 7), rate, until)
            for point in hunt.nearest(3):
                hit = hit or hunt.walk(point, 10, until)
            if hit is not None:
                return hit
        return None


class Hunt:
    """The search in one case: a pool of the best points so far, and the ways to better it."""

    def __init__(self, case: Case, evaluator: Evaluator, rng: np.random.Generator) -> None:
        self.case, self.evaluator, self.rng = case, evaluator, rng
        self.inputs = tuple(case.inputs)
        self.coordinates = sum(v.size for v in self.inputs)
        self.few = self.coordinates <= FEW
        networks = (application.network for application in self.evaluator.nodes)
        self.work = max(1, sum(sum(n.size(node.name) for node in n.nodes) for n in networks))
        self.best = -np.inf
        self.pool: Batch = {v: np.zeros((0, v.size)) for v in self.inputs}
        self.slack = np.zeros(0)
        self._spread: dict[Atoms, FloatArray] = {}

    def seeds(self, count: int) -> Batch:
        """The centre, the two ends, `count` corners (dense and sparse), as many random points, corners of neurons."""
        batch: Batch = {}
        for v in self.inputs:
            domain, n = v.domain, v.size
            middle = domain.project(0.5 * (domain.enclosure.lower + domain.enclosure.upper)[None, :])
            share = self.rng.choice([0.5, 0.1, 0.9], (count, 1))
            signs = np.where(self.rng.random((count, n)) < share, 1.0, -1.0)
            ends = np.concatenate([np.ones((1, n)), -np.ones((1, n)), signs])
            batch[v] = np.concatenate([middle, domain.maximiser(ends), domain.sample(self.rng, count)])
        corners = [batch]
        if self.evaluator.nodes and self.coordinates * self.work <= LARGEST_SLOPES:
            # around the centre, and around the lower end
            corners += [self._corners({v: x[k : k + 1] for v, x in batch.items()}) for k in (0, 2)]
        return {v: np.concatenate([part[v] for part in corners]) for v in self.inputs}

    def _corners(self, base: Batch) -> Batch:
        """For every neuron the corners at which it is largest and smallest, to first order around a point."""
        around = local(self.evaluator.forward(base))
        # inputs that are left with no comparison to satisfy have no derivatives
        width = sum(where.stop - where.start for where in around.columns.values())
        slopes = np.concatenate([np.zeros((0, width)), *(slope.T for _, _, slope in around.room)])
        most = max(2, min(MOST_CORNERS, int(MOST_VALUES / self.work)))
        if 2 * len(slopes) > most:
            slopes = slopes[self.rng.choice(len(slopes), most // 2, replace=False)]
        both = np.concatenate([slopes, -slopes])
        return {
            v: v.domain.maximiser(both[:, around.columns[v]])
            if v in around.columns
            else np.repeat(base[v], len(both), axis=0)
            for v in self.inputs
        }

    def judge(self, values: Values, batch: Batch) -> Hit | None:
        """Keep the best points of a forward pass; a hit when one of them is one, replayed."""
        m = len(batch[self.inputs[0]]) if self.inputs else 1
        slack = np.array(np.broadcast_to(values.slack(self.case.goal), (m,)))
        slack = np.where(np.isnan(slack), -np.inf, slack)
        order = np.argsort(-slack)[:64]
        for k in order[:3].tolist():
            if slack[k] < -1e-9:
                break
            hit = self.replay({v: x[k] for v, x in batch.items()})
            if hit is not None:
                return hit
        both = np.concatenate([self.slack, slack[order]])
        kept = np.argsort(-both)[:64]
        self.pool = {v: np.concatenate([self.pool[v], batch[v][order]])[kept] for v in self.inputs}
        self.slack = both[kept]
        self.best = float(self.slack[0]) if self.slack.size else -np.inf
        return None

    def look(self, batch: Batch) -> tuple[Values, Hit | None]:
        """A forward pass of a batch inside the domains, judged."""
        values = self.evaluator.forward(batch)
        return values, self.judge(values, batch)

    def replay(self, point: Batch) -> Hit | None:
        """The point as a hit of the question, when the condition truly holds there."""
        whole = self.case.original(point)
        return Hit(self.case, whole) if holds(self.case.condition, whole) else None

    def nearest(self, count: int) -> list[Batch]:
        """The best points of the pool, one by one."""
        return [{v: x[k] for v, x in self.pool.items()} for k in range(min(count, self.slack.size))]

    def leaders(self, count: int, fresh: int = 0) -> Batch:
        """The best points of the pool, and some new random corners and points."""
        best = {v: x[:count] for v, x in self.pool.items()}
        if not fresh:
            return best
        batch: Batch = {}
        for v in self.inputs:
            signs = np.where(self.rng.random((fresh, v.size)) < self.rng.random((fresh, 1)), 1.0, -1.0)
            corners, points = v.domain.maximiser(signs), v.domain.sample(self.rng, fresh)
            batch[v] = np.concatenate([best[v], corners, points])
        return batch

    def climb(self, batch: Batch, iterations: int, rate: float, until: float | None = None) -> Hit | None:
        """Projected Adam ascent from a batch of points, all at once.

        Args:
            rate: length of a step as a share of each coordinate's width; falls to a twentieth.
        """
        width = {v: v.domain.enclosure.upper - v.domain.enclosure.lower for v in self.inputs}
        first = {v: np.zeros_like(x) for v, x in batch.items()}
        second = {v: np.zeros_like(x) for v, x in batch.items()}
        for t in range(iterations):
            values, hit = self.look(batch)
            if hit is not None or (until is not None and time.perf_counter() >= until):
                return hit
            gradient = values.gradient(_pull(self.case.goal, values, np.ones(len(values)), self._spread))
            fall = rate * (1 - 0.95 * t / iterations)
            moved = dict(batch)
            for v in gradient.keys() & batch.keys():
                # the size of a gradient says nothing about how far to go: every point gets the same step
                g = gradient[v] * width[v]
                g = g / (np.abs(g).max(axis=1, keepdims=True) + 1e-300)
                first[v] = 0.9 * first[v] + 0.1 * g
                second[v] = 0.99 * second[v] + 0.01 * g**2
                step = first[v] / (1 - 0.9 ** (t + 1)) / (np.sqrt(second[v] / (1 - 0.99 ** (t + 1))) + 1e-8)
                moved[v] = v.domain.project(batch[v] + fall * width[v] * step)
            batch = moved
        return self.look(batch)[1]

    def evolve(self, until: float | None = None) -> Hit | None:
        """Random points, then generations of mutants of the best thirty, each closer to them than the one before."""
        parents, slack = {v: np.zeros((0, v.size)) for v in self.inputs}, np.zeros(0)
        reach = float(self.rng.choice([0.1, 0.2, 0.05]))
        for generation in range(9):
            if generation < 2:
                young = {v: v.domain.sample(self.rng, YOUNG) for v in self.inputs}
            else:
                young, reach = self._mutants(parents, YOUNG, reach), 0.6 * reach
            values, hit = self.look(young)
            if hit is not None or (until is not None and time.perf_counter() >= until):
                return hit
            both = np.concatenate([slack, np.broadcast_to(values.slack(self.case.goal), (YOUNG,))])
            kept = np.argsort(-both)[:30]
            parents = {v: np.concatenate([x, young[v]])[kept] for v, x in parents.items()}
            slack = both[kept]
        return None

    def _mutants(self, parents: Batch, count: int, reach: float) -> Batch:
        """Copies of random parents, some of whose coordinates were kicked by about `reach` of their widths."""
        changed: Batch = {}
        chosen = self.rng.integers(0, len(next(iter(parents.values()))), count)
        for v, x in parents.items():
            width = v.domain.enclosure.upper - v.domain.enclosure.lower
            kick = self.rng.standard_normal((count, v.size)) * (self.rng.random((count, v.size)) < 0.6)
            changed[v] = v.domain.project(x[chosen] + reach * width * kick)
        return changed

    def walk(self, point: Batch, steps: int, until: float | None = None) -> Hit | None:
        """From region to region: in each, the point of largest slack, by a linear program over the inputs."""
        here, reached = point, -np.inf
        for _ in range(steps):
            target = self._best_in_region(here)
            if target is None or (until is not None and time.perf_counter() >= until):
                return None
            # a little beyond the optimum lies the next region
            batch = {v: v.domain.project(here[v] + LENGTHS[:, None] * (target[v] - here[v])) for v in self.inputs}
            values, hit = self.look(batch)
            slack = np.broadcast_to(values.slack(self.case.goal), LENGTHS.shape)
            k = int(slack.argmax())
            if hit is not None or slack[k] <= reached + 1e-12 * (1.0 + abs(reached)):
                return hit
            here, reached = {v: x[k] for v, x in batch.items()}, float(slack[k])
        return None

    def _best_in_region(self, here: Batch) -> Batch | None:
        """The point of largest slack while every activation keeps its piece; None where the program fails."""
        values = self.evaluator.forward({v: x[None, :] for v, x in here.items()})
        around = local(values)
        atoms = list(_nearest(self.case.goal, values))
        if self.coordinates * (sum(len(a) for a in atoms) + sum(len(d) for d, _, _ in around.room)) > LARGEST_WALK:
            return None
        slopes = [around.slope(a.expr) for a in atoms]
        rows = [np.hstack([slope, np.ones((len(slope), 1))]) for slope in slopes]
        sides = [-values.value(a.expr)[0] for a in atoms]
        for down, up, slope in around.room:
            for room, sign in ((up, 1.0), (down, -1.0)):
                bounded = np.isfinite(room)
                rows.append(np.hstack([sign * slope.T[bounded], np.zeros((int(bounded.sum()), 1))]))
                sides.append(room[bounded])
        n = rows[0].shape[1] - 1 if rows else 0
        low, high, cost = np.full(n + 1, -np.inf), np.full(n + 1, np.inf), np.zeros(n + 1)
        for v, where in around.columns.items():
            low[where] = np.minimum(v.domain.enclosure.lower - here[v], 0.0)
            high[where] = np.maximum(v.domain.enclosure.upper - here[v], 0.0)
        cost[-1] = -1.0
        answer = optimize.linprog(
            cost, np.vstack(rows), np.concatenate(sides), bounds=np.stack([low, high], axis=1), method="highs"
        )
        if answer.x is None:
            return None
        return {**here, **{v: here[v] + answer.x[where] for v, where in around.columns.items() if v in here}}


def _nearest(condition: Condition, values: Values) -> Iterator[Atoms]:
    """The comparisons that must hold at the first point: of an alternation those of the part nearest to holding."""
    match condition:
        case Atoms():
            if condition.every:
                yield condition
            else:
                yield condition[int(values.value(condition.expr)[0].argmin())]
        case All():
            for part in condition.parts:
                yield from _nearest(part, values)
        case AnyOf():
            best = max(condition.parts, key=lambda part: float(values.slack(part)[0]), default=None)
            if best is not None:
                yield from _nearest(best, values)


def _pull(
    condition: Condition, values: Values, weight: FloatArray, spread: dict[Atoms, FloatArray]
) -> Iterator[tuple[Expr, FloatArray]]:
    """Directions in which a condition comes nearer to holding: weights on its comparisons, point by point.

    Args:
        weight: (m,) of the condition at every point.
        spread: mean size of every comparison, filled at its first sight.
    """
    match condition:
        case Atoms():
            e = values.value(condition.expr)
            if condition not in spread:
                spread[condition] = np.maximum(np.abs(e).mean(axis=0), 1e-12)
            rows, points = np.zeros_like(e), np.arange(len(e))
            if condition.every:
                rows[e > -MARGIN * spread[condition]] = 1.0
                # where all hold, the one that holds least is pushed further
                rows[points, e.argmax(axis=1)] = 1.0
            else:
                rows[points, e.argmin(axis=1)] = 1.0
            yield condition.expr, -rows * weight[:, None]
        case All():
            slacks = np.array([np.broadcast_to(values.slack(p), weight.shape) for p in condition.parts])
            failing = slacks <= 0
            failing[slacks.argmin(axis=0), np.arange(weight.size)] = True
            for part, on in zip(condition.parts, failing):
                yield from _pull(part, values, weight * on, spread)
        case AnyOf():
            slacks = np.array([np.broadcast_to(values.slack(p), weight.shape) for p in condition.parts])
            chosen = slacks.argmax(axis=0)
            for k, part in enumerate(condition.parts):
                yield from _pull(part, values, weight * (chosen == k), spread)
