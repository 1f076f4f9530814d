"""What is counted: six things have been called a linear region, and their numbers differ.

See Stargalla, Hertrich, Reichman 2025 (arXiv 2505.16716), whose network f(x, y) = max(-y, min(0, -x)) has 5, 7, 3 and
3 of the four that are offered here.
"""

from __future__ import annotations

import enum


class Definition(enum.Enum):
    """A kind of linear region. The value is its name on the command line and in JSON.

    The pattern of an input says which piece every unit is on (a break belongs to the piece on its left; of inputs of a
    maximum that tie the first is copied). Always AFFINE <= CONNECTED <= ACTIVATION <= PATTERNS.
    """

    ACTIVATION = "activation"
    """Inputs of one pattern, where they have an interior in the domain (Hanin and Rolnick 2019; R2 of the survey)."""
    PATTERNS = "patterns"
    """Inputs of one pattern, however few: every pattern that occurs on the closed domain, which is what the integer
    program of Serra, Tjandraatmadja and Ramalingam 2018 counts (R1)."""
    AFFINE = "affine"
    """Inputs with an interior that share one affine map of the output, connected or not (R6)."""
    CONNECTED = "connected"
    """Connected open sets of inputs that share one affine map of the output (R4; Montufar et al. 2014). On a line and
    in a plane only."""


MEANINGS = {
    Definition.ACTIVATION: "sets of inputs with one activation pattern, that have an interior",
    Definition.PATTERNS: "activation patterns that occur, if at a single input",
    Definition.AFFINE: "affine maps that the output has on sets with an interior",
    Definition.CONNECTED: "connected sets of inputs with one affine map of the output, that have an interior",
}
"""In a line each, for people."""
