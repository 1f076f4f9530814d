"""Pictures of results, drawn by matplotlib (the extra `plot`)."""

from reludsl.plot.axes import new_axes as new_axes
from reludsl.plot.breakpoints import plot_breakpoints as plot_breakpoints
from reludsl.plot.counts import plot_accuracy as plot_accuracy
from reludsl.plot.counts import plot_by_depth as plot_by_depth
from reludsl.plot.counts import plot_counts as plot_counts
from reludsl.plot.counts import plot_study as plot_study
from reludsl.plot.histograms import Measure as Measure
from reludsl.plot.histograms import plot_histogram as plot_histogram
from reludsl.plot.local import plot_local_stability as plot_local_stability
from reludsl.plot.plane import plot_line as plot_line
from reludsl.plot.plane import plot_plane as plot_plane
from reludsl.plot.regions import Colouring as Colouring
from reludsl.plot.regions import plot_regions as plot_regions
from reludsl.plot.spread import plot_fit as plot_fit
from reludsl.plot.spread import plot_spread as plot_spread
from reludsl.plot.trajectory import plot_image as plot_image
from reludsl.plot.trajectory import plot_images as plot_images
from reludsl.plot.trajectory import plot_lengths as plot_lengths
