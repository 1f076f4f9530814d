"""Bounds on every value of a network over a domain, true in exact arithmetic, without a solver."""

from reludsl.bounds.boxes import BoxBounds as BoxBounds
from reludsl.bounds.boxes import crown_boxes as crown_boxes
from reludsl.bounds.expression import expression_upper as expression_upper
from reludsl.bounds.linear import Exchange as Exchange
from reludsl.bounds.linear import LinearForm as LinearForm
from reludsl.bounds.linear import best_is_interval as best_is_interval
from reludsl.bounds.linear import crown as crown
from reludsl.bounds.linear import linear_form as linear_form
from reludsl.bounds.linear import linear_upper as linear_upper
from reludsl.bounds.linear import relaxed as relaxed
from reludsl.bounds.linear import upper_over as upper_over
from reludsl.bounds.optimised import Chosen as Chosen
from reludsl.bounds.optimised import optimised as optimised
from reludsl.bounds.optimised import optimised_upper as optimised_upper
from reludsl.bounds.propagate import Bounds as Bounds
from reludsl.bounds.propagate import forward_errors as forward_errors
from reludsl.bounds.propagate import interval as interval
from reludsl.bounds.ties import settle_ties as settle_ties
