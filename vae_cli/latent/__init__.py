"""What can be done in the latent space of a trained model: functions on a model and tensors.

Reconstruct, sample, and walk around one latent (decoding.py) or from one to the next
(interpolation.py), draw until a condition is met (rejection.py), show many in the plane
(projections.py), draw samples from what is fitted to them after the training, a mixture
(mixture.py), a flow (flow_matching.py) or a prior over codes (code_prior.py), and say what a
missing value may be, given the others of its row (imputation.py).

It may import the model and the data, and nothing else of this package.
"""
