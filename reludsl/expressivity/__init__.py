"""What a network expresses: activation patterns along trajectories, lengths, densities of regions, errors of fit."""

from reludsl.expressivity.image import Image as Image
from reludsl.expressivity.image import image as image
from reludsl.expressivity.published import BEST_WIDTH as BEST_WIDTH
from reludsl.expressivity.published import arranged_patterns as arranged_patterns
from reludsl.expressivity.published import best_width as best_width
from reludsl.expressivity.published import hard_tanh_growth as hard_tanh_growth
from reludsl.expressivity.published import relu_growth as relu_growth
from reludsl.expressivity.published import transition_rate as transition_rate
from reludsl.expressivity.published import upper_growth as upper_growth
from reludsl.expressivity.trajectory import Trajectory as Trajectory
from reludsl.expressivity.trajectory import circle_trajectory as circle_trajectory
from reludsl.expressivity.trajectory import polyline_trajectory as polyline_trajectory
from reludsl.expressivity.trajectory import trajectory as trajectory
