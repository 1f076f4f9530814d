"""What a network expresses: activation patterns along trajectories, lengths, densities of regions, errors of fit."""

from reludsl.expressivity.gradients import FACTOR as FACTOR
from reludsl.expressivity.gradients import Expected as Expected
from reludsl.expressivity.gradients import bias_constant as bias_constant
from reludsl.expressivity.gradients import expected_regions as expected_regions
from reludsl.expressivity.gradients import gradient_constant as gradient_constant
from reludsl.expressivity.gradients import gradient_norms as gradient_norms
from reludsl.expressivity.scaling import scale_biases as scale_biases
from reludsl.expressivity.segments import SegmentDensity as SegmentDensity
from reludsl.expressivity.segments import segment_density as segment_density
from reludsl.expressivity.slices import SliceDensity as SliceDensity
from reludsl.expressivity.slices import draw_slices as draw_slices
from reludsl.expressivity.slices import restricted as restricted
from reludsl.expressivity.slices import slice_density as slice_density
