"""Linear regions: bounds on their number."""

from reludsl.regions.bounds import RegionBounds as RegionBounds
from reludsl.regions.bounds import bounds as bounds
