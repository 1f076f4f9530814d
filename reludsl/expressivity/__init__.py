"""What a network expresses: activation patterns along trajectories, lengths, densities of regions, errors of fit."""

from reludsl.expressivity.intersections import Crossing as Crossing
from reludsl.expressivity.intersections import Crossings as Crossings
from reludsl.expressivity.intersections import FirstLayer as FirstLayer
from reludsl.expressivity.intersections import crossings as crossings
from reludsl.expressivity.intersections import intersection_penalty as intersection_penalty
from reludsl.expressivity.intersections import intersection_violations as intersection_violations
from reludsl.expressivity.perturb import Parameters as Parameters
from reludsl.expressivity.perturb import additive as additive
from reludsl.expressivity.perturb import multiplicative as multiplicative
from reludsl.expressivity.perturb import weighted as weighted
