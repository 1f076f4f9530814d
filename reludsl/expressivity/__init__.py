"""What a network expresses: activation patterns along trajectories, lengths, densities of regions, errors of fit."""

from reludsl.expressivity.perturb import Parameters as Parameters
from reludsl.expressivity.perturb import additive as additive
from reludsl.expressivity.perturb import multiplicative as multiplicative
from reludsl.expressivity.perturb import weighted as weighted
