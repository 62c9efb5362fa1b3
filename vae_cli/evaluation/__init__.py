"""Figures of a trained model that can stand in a table beside papers, each with its error.

One file for each family of figures: likelihood, latents, reconstruction, features (of classes),
factors, samples. Each returns `figures.Figures`: a value, its standard error and its definition, or
the reason why there is none. report.py computes all of them for a `Subject`, a model with data;
scores.py says how strange single items are, and verdict.py compares with what was published.

It may import runs, the core and the data, and no user interface: the API is built on it.
"""
