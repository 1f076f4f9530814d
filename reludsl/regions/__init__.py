"""Linear regions: counted exactly, bounded, sampled, enumerated and drawn."""

from reludsl.regions.definition import Definition as Definition
from reludsl.regions.result import Counting as Counting
from reludsl.regions.result import RegionCount as RegionCount
