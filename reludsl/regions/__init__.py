"""Linear regions: counted exactly, bounded, sampled, enumerated and drawn."""

from reludsl.regions.arcs import Arcs as Arcs
from reludsl.regions.arcs import arc as arc
from reludsl.regions.bounds import RegionBounds as RegionBounds
from reludsl.regions.bounds import bounds as bounds
from reludsl.regions.counted import count_line as count_line
from reludsl.regions.counted import count_plane as count_plane
from reludsl.regions.counting import Label as Label
from reludsl.regions.counting import count as count
from reludsl.regions.counting import count_by_label as count_by_label
from reludsl.regions.counting import stream as stream
from reludsl.regions.definition import Definition as Definition
from reludsl.regions.distance import nearest_boundary as nearest_boundary
from reludsl.regions.found import Regions as Regions
from reludsl.regions.lines import Lines as Lines
from reludsl.regions.lines import line as line
from reludsl.regions.lines import polyline as polyline
from reludsl.regions.lines import whole_line as whole_line
from reludsl.regions.one_tree import find_patterns as find_patterns
from reludsl.regions.one_tree import one_tree as one_tree
from reludsl.regions.planar import Plane as Plane
from reludsl.regions.planar import decision_plane as decision_plane
from reludsl.regions.planar import plane as plane
from reludsl.regions.planar import plane_parts as plane_parts
from reludsl.regions.result import Counting as Counting
from reludsl.regions.result import RegionCount as RegionCount
from reludsl.regions.slice import Slice as Slice
from reludsl.regions.study import StudyRow as StudyRow
from reludsl.regions.study import study as study
from reludsl.regions.study import summaries as summaries
from reludsl.regions.xor_bound import xor_bound as xor_bound

enumerate = stream
