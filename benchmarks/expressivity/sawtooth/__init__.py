"""Sawtooth networks: built exactly, perturbed, trained again; and a penalty for networks with more regions.

    construction    both forms, and how many pieces noise leaves
    relearning      many networks of one shape trained at once
    anti            training with and without the penalty for lines that do not cross
    pictures        the figures
    run             the study: settings, observations, tables

Published: Jeong, Barton and Ramirez, final presentation at ICERM, June and July 2020.
"""

from benchmarks.expressivity.sawtooth.run import DEFAULT as DEFAULT
from benchmarks.expressivity.sawtooth.run import FULL as FULL
from benchmarks.expressivity.sawtooth.run import Settings as Settings
from benchmarks.expressivity.sawtooth.run import study as study
