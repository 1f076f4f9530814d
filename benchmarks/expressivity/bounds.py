"""Study 6: what bounds promise, what counting finds, and how later layers bend at earlier ones.

Sources: Serra, Tjandraatmadja and Ramalingam 2018, Bounding and counting linear regions of deep neural networks,
sections 4 and 6; Serra and Ramalingam 2020, Empirical bounds on linear regions of deep rectifier networks; Raghu et al.
2017, On the expressive power of deep neural networks, figure 1. `benchmarks.regions_study` is the published study of 22
units at its full size, which keeps what it has counted.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean, median
from typing import Any

import numpy as np

from benchmarks.expressivity import sixty
from benchmarks.expressivity.bending import Bends, bends, by_depth_of
from benchmarks.expressivity.finding import Finding, Observation, Picture, Table
from benchmarks.expressivity.images import images
from benchmarks.expressivity.training import Fit, accuracy, dense, fit, network_of
from benchmarks.nets import DATA
from benchmarks.published.regions import CONFIGURATIONS, UNITS, Run, encoded
from benchmarks.published.regions_page import accuracy_picture, correlation, fair
from benchmarks.published.settings import Shape
from benchmarks.published.start import MNIST
from benchmarks.published.training import Images, Say, score
from reludsl.domain import Box
from reludsl.io import read
from reludsl.network import Network
from reludsl.networks import Initialisation, random_network
from reludsl.plot import plot_by_depth, plot_plane, plot_study
from reludsl.regions import Plane, Slice, StudyRow, count, plane, summaries
from reludsl.regions import study as counted
from reludsl.regions.bounds import by_depth

SEVEN = ((1, 21), (4, 18), (7, 15), (11, 11), (15, 7), (18, 4), (21, 1))


@dataclass(frozen=True)
class Settings:
    """What is run.

    Args:
        images: that networks are trained on, "digits" or "mnist"; without torch they stay random.
        configurations: widths of both hidden layers; networks: of each.
        time_limit: seconds for each count by cells, and for each estimate by probes.
        given: count the networks of the data folder too, where there are some.
        depth, width: of the network whose slice is drawn.
    """

    images: str = "digits"
    configurations: tuple[tuple[int, int], ...] = SEVEN
    networks: int = 2
    epochs: int = 30
    batch: int = 32
    time_limit: float = 1.0
    outputs_as_units: bool = False
    given: bool = True
    depth: int = 4
    width: int = 16


DEFAULT = Settings()
FULL = Settings(
    images="mnist",
    configurations=tuple((shape.widths[0], shape.widths[1]) for shape in CONFIGURATIONS),
    networks=10,
    epochs=20,
    batch=128,
    time_limit=60.0,
)


def study(settings: Settings = DEFAULT, seed: int = 0, say: Say = lambda _: None) -> Finding:
    """22 units counted and bounded; 60 units bounded by depth; counts against accuracy; a slice, layer by layer."""
    torch = importlib.util.find_spec("torch") is not None
    train, test = images(settings.images)
    runs = list(_runs(settings, seed, train, test, torch, say))
    held = _held(settings, say) if settings.given else []
    planes = _slices(settings, seed, train, torch)
    say(f"slices of {', '.join(str(found.faces) for found in planes)} regions")
    observations = [
        sixty.sixty_units(),
        sixty.best_depths(),
        _bounded([run.row for run in [*runs, *held]]),
        _bottleneck([run.row for run in runs], "untrained" if not torch else settings.images),
        *(_with_accuracy(runs) if torch else []),
        _bent([bends(found) for found in planes]),
    ]
    return Finding(
        name="bounds",
        title="Bounds on linear regions, and counts",
        settings={**asdict(settings), "seed": seed},
        observations=observations,
        numbers={
            "60 units": {n: [at.value for at in by_depth(n, sixty.UNITS, range(1, 7))] for n in sixty.BOUNDS},
            "best depth of 60 units": {n: sixty.best_depth(n) for n in sixty.MANY_INPUTS},
            "runs": [encoded(run) for run in runs],
            "networks of the data folder": [encoded(run) for run in held],
            "correlation of accuracy and log count": correlation(fair(runs)) if torch else None,
            "slices": [{"layers": k + 1, **asdict(bends(found))} for k, found in enumerate(planes)],
        },
        tables=[
            _counts(f"Networks trained on {settings.images}" if torch else "Random networks", runs),
            *([_counts("Networks of the data folder, trained on MNIST", held)] if held else []),
            sixty.depth_table(),
        ],
        pictures=_pictures(runs, held, planes, torch),
        notes=_notes(settings, torch, bool(held)),
    )


def _notes(settings: Settings, torch: bool, held: bool) -> list[str]:
    notes = [
        "Theorem 1 is sometimes summarised as tight for one input. It is attained there where every width is at least "
        "3 (Theorem 5 of the paper): for the widths 1, 1 it gives 3, and prod (n_l + 1) = 4.",
        "Only the units of the two hidden layers are counted here. The published study counts its ten outputs as ReLU "
        "units too; `python -m benchmarks.regions_study --outputs-as-units` does.",
        "A count that did not end within its time is what was found by then, and stands beside an estimate by random "
        "probes with its standard error.",
    ]
    if settings.images == "digits":
        notes.append(
            "The published study trains on MNIST, 784 inputs, for 20 epochs, 10 networks to a configuration: `--full`."
        )
    if not torch:
        notes.append("torch is not installed: the networks are random, and the accuracies are left out.")
    if settings.given and not held:
        notes.append("The data folder holds no trained networks of 22 units: set RELUDSL_DATA to count them too.")
    return notes


# --- counting -------------------------------------------------------------------------------------------------------


def _runs(settings: Settings, seed: int, train: Images, test: Images, torch: bool, say: Say) -> Iterator[Run]:
    for widths in settings.configurations:
        for number in range(settings.networks):
            sizes = (train.pixels.shape[1], *widths)
            start = time.perf_counter()
            if torch:
                model = dense((*sizes, 10), seed + number)
                how = Fit(epochs=settings.epochs, batch=settings.batch, rate=3e-3)
                fit(model, train.pixels, train.labels, how, seed + number)
                network, right = network_of(model), accuracy(model, test.pixels, test.labels)
            else:
                network = random_network(sizes, seed + number, Initialisation.NORMAL, bias_scale=0.1, outputs=10)
                right = 0.0
            seconds = time.perf_counter() - start
            run = Run(right, seconds, _row(settings, widths, network, number))
            say(f"{_name(widths)}, network {number}: {run.row.count:,} regions, accuracy {right:.1f} %")
            yield run


def _row(settings: Settings, widths: tuple[int, ...], network: Network, number: int) -> StudyRow:
    (row,) = counted(
        {_name(widths): [network]},
        Box.full(0.0, 1.0, network.input_shape),
        count,
        time_limit=settings.time_limit,
        outputs_as_units=settings.outputs_as_units,
    )
    return replace(row, network=number)


def _name(widths: tuple[int, ...]) -> str:
    """11,11 as well, which a `Shape` calls 2x11."""
    return ",".join(map(str, widths))


def _held(settings: Settings, say: Say) -> list[Run]:
    """The networks of the data folder, trained on MNIST; their accuracy is 0 where MNIST is not there."""
    found = []
    test = images("mnist")[1] if MNIST.exists() else None
    for widths in settings.configurations:
        place = DATA / "mnist_nets" / f"mnist_{widths[0]}x{widths[1]}_l1_0_s0.onnx"
        if not place.exists():
            continue
        network = read(place, check=False)
        right = score(Shape(widths, False), network, test) if test is not None else 0.0
        run = Run(right, 0.0, _row(settings, widths, network, 0))
        say(f"{_name(widths)} of the data folder: {run.row.count:,} regions, accuracy {right:.1f} %")
        found.append(run)
    return found


def _slices(settings: Settings, seed: int, train: Images, torch: bool) -> list[Plane]:
    """The square around three images, cut by the first layer of a network, by the first two, and so on."""
    sizes = (train.pixels.shape[1], *(settings.width,) * settings.depth)
    if torch:
        model = dense((*sizes, 10), seed)
        fit(model, train.pixels, train.labels, Fit(epochs=settings.epochs, batch=settings.batch), seed)
        network = network_of(model)
    else:
        network = random_network(sizes, seed, Initialisation.NORMAL, bias_scale=0.1, outputs=10)
    chosen = [int(np.flatnonzero(train.labels == digit)[0]) for digit in (0, 1, 2)]
    where = Slice.through(train.pixels[chosen])
    return [plane(part, where) for part in by_depth_of(network)]


# --- what is seen ---------------------------------------------------------------------------------------------------


def _bounded(rows: Sequence[StudyRow]) -> Observation:
    known = [row for row in rows if row.theorem_1 and row.coefficients]
    below = all(row.lower <= row.coefficients <= row.theorem_1 for row in known if row.coefficients and row.theorem_1)
    shares = [row.count / row.theorem_1 for row in known if row.theorem_1]
    tighter = [row.theorem_1 / row.coefficients for row in known if row.theorem_1 and row.coefficients]
    return Observation(
        published="Serra et al. 2018 and 2020: counts stay below Theorem 1, and the coefficients of the network give a "
        "bound between.",
        measured=f"of {len(known)} networks the counts, estimated where they did not end, are {min(shares):.2g} to "
        f"{max(shares):.2g} of Theorem 1, which the coefficients lower by a factor of {median(tighter):.4g} (median), "
        f"{max(tighter):.3g} at most",
        seen=below and bool(known),
    )


def _bottleneck(rows: Sequence[StudyRow], what: str) -> Observation:
    means = {one.widths[:2]: one.mean for one in summaries(rows)}
    pairs = [(w, w[::-1]) for w in means if w[0] < w[1] and w[::-1] in means]
    clauses = [f"{means[a]:,.0f} ({a[0]},{a[1]}) against {means[b]:,.0f} ({b[0]},{b[1]})" for a, b in pairs]
    return Observation(
        published="Serra et al. 2018, section 4: fewer units in an earlier layer cost more regions than fewer in a "
        "later one (the bottleneck effect).",
        measured=f"mean counts of {what} networks: {', '.join(clauses) or 'none to compare'}",
        seen=bool(pairs) and all(means[a] < means[b] for a, b in pairs),
    )


def _with_accuracy(runs: Sequence[Run]) -> list[Observation]:
    chosen = fair(runs)
    learnt = mean(run.accuracy for run in chosen)
    r = correlation(chosen)
    low, high = (-1.0, 1.0) if r is None else interval(r, len(chosen))
    found = [
        Observation(
            published="Serra et al. 2018, section 6: among networks without a bottleneck (4 to 18 units in layer 1) "
            "more regions go with better accuracy.",
            measured=f"over {len(chosen)} networks of {learnt:.1f} % accuracy in the mean, the correlation of accuracy "
            f"and log count is {'not defined' if r is None else f'{r:.2f}'}, 95 % interval {low:.2f} to {high:.2f}",
            seen=low > 0,
        )
    ]
    narrow = [run.accuracy for run in runs if run not in chosen]
    if narrow:
        found.append(
            Observation(
                published="Serra et al. 2018, section 6: networks with a bottleneck learn badly, however many regions.",
                measured=f"{len(narrow)} networks with less than 4 or more than 18 units in layer 1 have an accuracy "
                f"of {mean(narrow):.1f} % in the mean, the others {learnt:.1f} %",
                seen=max(narrow) < min(run.accuracy for run in chosen),
            )
        )
    return found


def interval(r: float, n: int) -> tuple[float, float]:
    """95 % confidence interval of a correlation by Fisher's transformation; of three networks or fewer all there is.

    >>> [round(end, 2) for end in interval(0.5, 28)]
    [0.16, 0.74]
    """
    if n <= 3 or abs(r) == 1:
        return -1.0, 1.0
    reach = 1.96 / math.sqrt(n - 3)
    return math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)


def _bent(found: Sequence[Bends]) -> Observation:
    last = found[-1]
    return Observation(
        published="Raghu et al. 2017, figure 1: layer 1 cuts a slice by straight lines; boundaries of later layers "
        "bend where they meet those of earlier layers, and there only.",
        measured=f"in a slice of {last.regions:,} regions boundaries of layers 1 to {len(last.bends)} bend "
        f"{', '.join(map(str, last.bends))} times, {last.elsewhere} of them where no earlier layer has a boundary",
        seen=last.bends[0] == 0 and min(last.bends[1:], default=1) > 0 and last.elsewhere == 0,
    )


# --- how it is shown ------------------------------------------------------------------------------------------------


def _counts(caption: str, runs: Sequence[Run]) -> Table:
    rows = []
    for one in summaries(run.row for run in runs):
        own = [run for run in runs if run.row.configuration == one.configuration]
        estimate = "" if one.estimate is None else f"{one.estimate[0]:,.0f} ± {one.estimate[1]:,.0f}"
        coefficients = "" if one.coefficients is None else f"{one.coefficients:,.0f}"
        rows.append(
            [one.configuration, f"{one.exact} of {one.networks}", f"{one.lower:,.0f}", estimate, coefficients,
             f"{one.theorem_1:,}", f"{mean(run.accuracy for run in own):.1f}"]
        )  # fmt: skip
    return Table(
        caption=f"{caption}: regions on the box of all images, means over the networks of a configuration. Found: by "
        "the count, in its time; estimated: by random probes, with the standard error; by coefficients: the bound "
        "that uses the weights (Serra and Ramalingam 2020).",
        head=["widths", "counted", "found", "estimated", "by coefficients", "Theorem 1", "accuracy in %"],
        rows=rows,
    )


def _pictures(runs: Sequence[Run], held: Sequence[Run], planes: Sequence[Plane], torch: bool) -> list[Picture]:
    groups: Mapping[str, Sequence[Run]] = {"trained here": runs, **({"of the data folder": held} if held else {})}

    def counts(figure: Any) -> None:
        for axes, (name, group) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items()):
            plot_study([run.row for run in group], axes=axes)
            axes.set_title(name if torch or group is held else "random")

    def depth(figure: Any) -> None:
        plot_by_depth(sixty.UNITS, sixty.BOUNDS, axes=figure.add_subplot())

    def against_accuracy(figure: Any) -> None:
        accuracy_picture(runs, figure.add_subplot())

    def bent(figure: Any) -> None:
        for k, (axes, found) in enumerate(zip(figure.subplots(1, len(planes), squeeze=False)[0], planes)):
            plot_plane(found, depth=len(planes), axes=axes)
            axes.set(title=f"{k + 1} layer{'s' if k else ''}: {found.faces:,} regions", xticks=[], yticks=[])
            if k < len(planes) - 1:
                axes.get_legend().remove()

    found = [
        Picture(
            name="counts",
            caption=f"Counts and bounds for {UNITS} units in two layers",
            draw=counts,
            size=(5.0 * len(groups), 4.0),
        ),
        Picture(name="depth", caption=f"Theorem 1 for {sixty.UNITS} units by depth", draw=depth, size=(6.4, 4.0)),
        Picture(
            name="slices",
            caption="A slice through three images, cut by more and more layers; boundaries coloured by layer",
            draw=bent,
            size=(3.4 * len(planes) + 1.0, 3.8),
        ),
    ]
    shown = Picture(
        name="accuracy",
        caption="Accuracy against the number of regions, coloured by the width of layer 1",
        draw=against_accuracy,
        size=(6.4, 4.0),
    )
    return [*found, shown] if torch else found
