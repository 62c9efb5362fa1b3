"""Figures of a trained model that can stand in a table beside papers, each with its error."""
