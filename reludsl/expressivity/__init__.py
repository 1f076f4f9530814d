"""What a network expresses: activation patterns along trajectories, lengths, densities of regions, errors of fit."""

from reludsl.expressivity.image import Image as Image
from reludsl.expressivity.image import image as image
from reludsl.expressivity.perturb import Parameters as Parameters
from reludsl.expressivity.perturb import additive as additive
from reludsl.expressivity.perturb import multiplicative as multiplicative
from reludsl.expressivity.perturb import weighted as weighted
from reludsl.expressivity.published import BEST_WIDTH as BEST_WIDTH
from reludsl.expressivity.published import arranged_patterns as arranged_patterns
from reludsl.expressivity.published import best_width as best_width
from reludsl.expressivity.published import hard_tanh_growth as hard_tanh_growth
from reludsl.expressivity.published import relu_growth as relu_growth
from reludsl.expressivity.published import transition_rate as transition_rate
from reludsl.expressivity.published import upper_growth as upper_growth
from reludsl.expressivity.regularisers import TrajectoryRegulariser as TrajectoryRegulariser
from reludsl.expressivity.regularisers import batch_length as batch_length
from reludsl.expressivity.subspaces import Subspaces as Subspaces
from reludsl.expressivity.subspaces import class_subspaces as class_subspaces
from reludsl.expressivity.trajectory import Trajectory as Trajectory
from reludsl.expressivity.trajectory import circle_trajectory as circle_trajectory
from reludsl.expressivity.trajectory import polyline_trajectory as polyline_trajectory
from reludsl.expressivity.trajectory import trajectory as trajectory
