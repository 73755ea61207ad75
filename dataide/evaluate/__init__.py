"""How good a run is: metrics with intervals, comparing runs, where a model fails."""
