"""Linear regions in a plane: the exact cell complex."""

from reludsl.regions.planar.build import decision_plane as decision_plane
from reludsl.regions.planar.build import plane as plane
from reludsl.regions.planar.build import plane_parts as plane_parts
from reludsl.regions.planar.result import Plane as Plane
