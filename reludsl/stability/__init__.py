"""Which neurons never switch: stability certificates."""

from reludsl.stability.certify import Method as Method
from reludsl.stability.certify import stable as stable
from reludsl.stability.facts import Facts as Facts
from reludsl.stability.facts import Rung as Rung
from reludsl.stability.facts import StageFacts as StageFacts
from reludsl.stability.facts import Unknown as Unknown
from reludsl.stability.local import LocalStability as LocalStability
from reludsl.stability.local import Standing as Standing
from reludsl.stability.local import local_stability as local_stability
from reludsl.stability.one_solve import Mode as Mode
