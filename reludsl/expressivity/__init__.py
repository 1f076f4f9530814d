"""What a network expresses: activation patterns along trajectories, lengths, densities of regions, errors of fit."""

from reludsl.expressivity.perturb import Parameters as Parameters
from reludsl.expressivity.perturb import additive as additive
from reludsl.expressivity.perturb import multiplicative as multiplicative
from reludsl.expressivity.perturb import weighted as weighted
from reludsl.expressivity.regularisers import TrajectoryRegulariser as TrajectoryRegulariser
from reludsl.expressivity.regularisers import batch_length as batch_length
from reludsl.expressivity.subspaces import Subspaces as Subspaces
from reludsl.expressivity.subspaces import class_subspaces as class_subspaces
