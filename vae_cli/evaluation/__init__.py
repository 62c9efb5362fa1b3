"""Figures of a trained model that can stand in a table beside papers, each with its error.

One file for each family of figures: likelihood.py, latents.py, reconstruction.py, features.py (of
classes), disentanglement.py (of factors), samples.py, and tables.py (of synthetic rows, from
similarity.py, usefulness.py and copies.py). Each returns `figures.Figures`: a value, its standard
error and its definition, or the reason why there is none. report.py computes all of them for a
`Subject`, a model with data (subject.py); fitted_models.py fits what they need, and keeps it;
scores.py says how strange single items are, detection.py how well a score tells two classes apart,
and claims.py compares with what was published.

It may import runs, the core and the data, and no user interface: the API is built on it.
"""
