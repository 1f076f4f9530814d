"""Linear regions: counted exactly, bounded, sampled, enumerated and drawn."""

from reludsl.regions.arc import Arcs as Arcs
from reludsl.regions.arc import arc as arc
from reludsl.regions.bounds import RegionBounds as RegionBounds
from reludsl.regions.bounds import bounds as bounds
from reludsl.regions.counted import count_line as count_line
from reludsl.regions.counted import count_plane as count_plane
from reludsl.regions.definition import Definition as Definition
from reludsl.regions.distance import nearest_boundary as nearest_boundary
from reludsl.regions.line import Lines as Lines
from reludsl.regions.line import line as line
from reludsl.regions.line import polyline as polyline
from reludsl.regions.line import whole_line as whole_line
from reludsl.regions.plane import Plane as Plane
from reludsl.regions.plane import decision_plane as decision_plane
from reludsl.regions.plane import plane as plane
from reludsl.regions.result import Counting as Counting
from reludsl.regions.result import RegionCount as RegionCount
from reludsl.regions.slice import Slice as Slice
from reludsl.regions.study import StudyRow as StudyRow
from reludsl.regions.study import study as study
from reludsl.regions.study import summaries as summaries
