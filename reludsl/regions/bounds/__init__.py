"""Bounds on the number of linear regions: what widths allow, what the weights allow, and what is known to be reached.

    bounds(net), bounds(784, [11, 11])      all of them, with reasons for those that do not hold

    closed_forms        arrangements of hyperplanes, and products over the layers
    recursion           dimensions that inactive units take away: Serra et al.
    histograms          the same as a product of matrices: Hinz and van de Geer
    units, ranks        what a network has: layers of units, affine maps between them, ranks from above
    coverage, activation_based      what the signs of the coefficients leave open
    expected            random networks: Hanin and Rolnick
    depth               a bound against depth at a fixed number of units
    together            all of them at once

Every value is an exact integer. They bound activation patterns, those of lower dimension included, and so whatever is
called a linear region.
"""

from reludsl.regions.bounds.activation_based import activation_based as activation_based
from reludsl.regions.bounds.closed_forms import maxout as maxout
from reludsl.regions.bounds.closed_forms import montufar_2014_lower as montufar_2014_lower
from reludsl.regions.bounds.closed_forms import montufar_2017 as montufar_2017
from reludsl.regions.bounds.closed_forms import raghu as raghu
from reludsl.regions.bounds.closed_forms import serra_2018_lower as serra_2018_lower
from reludsl.regions.bounds.closed_forms import serra_2018_lower_arora as serra_2018_lower_arora
from reludsl.regions.bounds.closed_forms import two_to_n as two_to_n
from reludsl.regions.bounds.closed_forms import zaslavsky as zaslavsky
from reludsl.regions.bounds.closed_forms import zaslavsky_families as zaslavsky_families
from reludsl.regions.bounds.depth import AtDepth as AtDepth
from reludsl.regions.bounds.depth import by_depth as by_depth
from reludsl.regions.bounds.expected import hanin_rolnick as hanin_rolnick
from reludsl.regions.bounds.histograms import deletion_histogram as deletion_histogram
from reludsl.regions.bounds.histograms import hinz_van_de_geer as hinz_van_de_geer
from reludsl.regions.bounds.histograms import zaslavsky_histogram as zaslavsky_histogram
from reludsl.regions.bounds.ranks import rank_bound as rank_bound
from reludsl.regions.bounds.ranks import structural_rank as structural_rank
from reludsl.regions.bounds.recursion import serra_2018 as serra_2018
from reludsl.regions.bounds.together import MEANINGS as MEANINGS
from reludsl.regions.bounds.together import RegionBounds as RegionBounds
from reludsl.regions.bounds.together import bounds as bounds
from reludsl.regions.bounds.together import cai_rank as cai_rank
