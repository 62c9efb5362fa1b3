"""Kinds of items: images, and rows of a table. Everything that differs between them is here.

This file imports nothing, so that the command line can check the name of an output file without
waiting for torch.
"""

PNG, CSV = ".png", ".csv"
PICTURE_SUFFIXES = (PNG, ".jpg", ".jpeg")
ANIMATION_SUFFIXES = (".gif", ".webp")
TABLE_SUFFIXES = (CSV, ".tsv")
PLOT_SUFFIXES = (PNG, ".svg", ".pdf")  # of matplotlib
