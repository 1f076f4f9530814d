"""Study 4: networks have few activation patterns, at initialisation, during training, and when they memorise.

Hanin and Rolnick 2019: Complexity of linear regions in deep networks (ICML), Deep ReLU networks have surprisingly few
activation patterns (NeurIPS).
"""

from __future__ import annotations

import importlib.util
from dataclasses import asdict

from benchmarks.expressivity.few_patterns import course, memory, scales, start
from benchmarks.expressivity.few_patterns.observations import NOTES, of_memory, of_start, of_training
from benchmarks.expressivity.few_patterns.pictures import memory_picture, start_pictures, training_pictures
from benchmarks.expressivity.few_patterns.settings import DEFAULT as DEFAULT
from benchmarks.expressivity.few_patterns.settings import FULL as FULL
from benchmarks.expressivity.few_patterns.settings import Settings as Settings
from benchmarks.expressivity.finding import Finding, Part
from benchmarks.expressivity.images import at_hand, images, take
from benchmarks.expressivity.training import REPEATED
from benchmarks.published.training import Images, Say

LEMMA = ((10, 10, 10), 5)
"""Widths over two inputs, and how many networks, that the scaling lemma is counted on."""


def study(settings: Settings = DEFAULT, seed: int = 0, say: Say = lambda _: None) -> Finding:
    """Everything; without torch what needs no training."""
    source, train, test, notes = data(settings, seed)
    found = at_start(settings, train, seed, say)
    notes = [*NOTES, *notes]
    if importlib.util.find_spec("torch") is None:
        notes.append(
            "torch is not installed: nothing was trained, and the parts on training and memorising are left out"
        )
    else:
        found += in_training(settings, train, test, seed, say)
        notes.append(REPEATED)
    return Finding(
        name="few-patterns",
        title="Few activation patterns",
        settings={**asdict(settings), "images": source, "seed": seed},
        observations=found.observations,
        numbers=found.numbers,
        tables=found.tables,
        pictures=found.pictures,
        notes=notes,
    )


def data(settings: Settings, seed: int) -> tuple[str, Images, Images, list[str]]:
    """Which images they are, those to train and to test on, and what to say about them."""
    chosen, notes = at_hand(settings.images), []
    if chosen != settings.images:
        notes.append("mnist.npz is not in the data folder: the digits of 8 x 8 pixels stand in for MNIST")
    train, test = images(chosen)
    if 0 < settings.part < len(train):
        notes.append(f"{settings.part:,} of the {len(train):,} training images are used, the published runs use all")
        train = take(train, settings.part, seed)
    return chosen, train, take(test, settings.tested, seed) if 0 < settings.tested < len(test) else test, notes


def at_start(settings: Settings, train: Images, seed: int, say: Say) -> Part:
    """What needs no training."""
    by_depth = start.depths(settings, train.pixels, seed, say)
    by_size = start.sizes(settings, train.pixels, seed)
    say("counted segments of networks at initialisation")
    swept = scales.sweep(settings, train.pixels, seed)
    say("swept the variances of weights and biases")
    scaled = scales.lemma(*LEMMA, seed)
    return of_start(by_depth, by_size, swept, scaled) + Part(pictures=start_pictures(by_depth, by_size, swept))


def in_training(settings: Settings, train: Images, test: Images, seed: int, say: Say) -> Part:
    """What needs torch."""
    courses = [course.course(settings, widths, train, test, seed, say) for widths in settings.trained]
    levels = memory.corruption(settings, train, seed, say)
    tasks = memory.random_points(settings, seed, say)
    found = course.maps(settings, settings.sweep, train, seed)
    pictures = [*training_pictures(courses, found), memory_picture(levels, tasks)]
    return of_training(courses) + of_memory(levels, tasks) + Part(pictures=pictures)
