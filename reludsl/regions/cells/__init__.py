"""The search for regions in n dimensions: cells of inputs, cut by one unit after the other, each side proved."""
