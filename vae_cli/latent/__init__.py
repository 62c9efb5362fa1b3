"""What can be done in the latent space of a trained model: functions on a model and tensors.

Reconstruct, sample, and walk around one latent (decoding.py) or from one to the next
(interpolation.py), draw until a condition is met (rejection.py), show many in the plane
(projections.py), fit a density to them after the training (fitted_densities.py), and say what a
missing value may be, given the others of its row (imputation.py).

It may import the model and the data, and nothing else of this package.
"""
