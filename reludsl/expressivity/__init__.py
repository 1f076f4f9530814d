"""What a network expresses: activation patterns along trajectories, lengths, densities of regions, errors of fit."""
