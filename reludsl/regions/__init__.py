"""Linear regions: counted exactly, bounded, sampled, enumerated and drawn."""

from reludsl.regions.bounds import RegionBounds as RegionBounds
from reludsl.regions.bounds import bounds as bounds
from reludsl.regions.definition import Definition as Definition
from reludsl.regions.result import Counting as Counting
from reludsl.regions.result import RegionCount as RegionCount
