"""Constructed networks: random ones by seeded recipes, and those whose linear regions are known in closed form.

    drawn       random networks by the initialisations of the literature, bit by bit the same for the same seed
    arranged    arrangements of hyperplanes, and small networks that tell definitions and bounds apart
    folded      networks that fold the input onto itself, and reach bounds on the number of linear regions
    combined    networks side by side, whose regions multiply

The weights of all but the random ones are exact in float64; those of `general_position`, and of what ends with it, as
long as the powers t^n have no more than 53 bits. A network here ends with its last hidden layer, and its output is that
layer's activation, unless it says otherwise.
"""

from reludsl.networks.arranged import arrangement as arrangement
from reludsl.networks.arranged import disconnected_boundary as disconnected_boundary
from reludsl.networks.arranged import general_position as general_position
from reludsl.networks.arranged import six_definitions as six_definitions
from reludsl.networks.combined import product as product
from reludsl.networks.drawn import Initialisation as Initialisation
from reludsl.networks.drawn import gaussian_network as gaussian_network
from reludsl.networks.drawn import random_network as random_network
from reludsl.networks.folded import maximal_1d as maximal_1d
from reludsl.networks.folded import montufar_network as montufar_network
from reludsl.networks.folded import sawtooth as sawtooth
from reludsl.networks.folded import serra_network as serra_network
from reludsl.networks.folded import square as square

random = random_network
"""`networks.random(...)` in short; by its long name it does not hide the module of the standard library."""
