"""Pictures of results, drawn by matplotlib (the extra `plot`)."""

from reludsl.plot.axes import new_axes as new_axes
from reludsl.plot.local import plot_local_stability as plot_local_stability
