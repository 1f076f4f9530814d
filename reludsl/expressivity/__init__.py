"""What a network expresses: activation patterns along trajectories, lengths, densities of regions, errors of fit."""

from reludsl.expressivity.approximation import SupDistance as SupDistance
from reludsl.expressivity.approximation import sup_distance as sup_distance
from reludsl.expressivity.monomials import deep_monomial_size as deep_monomial_size
from reludsl.expressivity.monomials import shallow_monomial_size as shallow_monomial_size
