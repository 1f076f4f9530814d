"""Linear regions in a plane: the exact cell complex."""

from reludsl.regions.plane.build import decision_plane as decision_plane
from reludsl.regions.plane.build import plane as plane
from reludsl.regions.plane.result import Plane as Plane
