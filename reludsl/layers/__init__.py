"""Layers: affine maps and piecewise-linear activations on flat vectors."""

from reludsl.layers.affine import Affine as Affine
from reludsl.layers.affine import Reshape as Reshape
from reludsl.layers.affine import Scale as Scale
from reludsl.layers.affine import Shift as Shift
from reludsl.layers.base import Activation as Activation
from reludsl.layers.base import AffineLayer as AffineLayer
from reludsl.layers.base import Layer as Layer
from reludsl.layers.base import LinearBounds as LinearBounds
from reludsl.layers.base import Shape as Shape
from reludsl.layers.piecewise import PiecewiseLinear as PiecewiseLinear
from reludsl.layers.piecewise import relu as relu
