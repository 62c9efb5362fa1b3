"""The extensions of files that are written, for the command line, which does not wait for torch."""

PNG, CSV, TSV = ".png", ".csv", ".tsv"
PICTURE_SUFFIXES = (PNG, ".jpg", ".jpeg")
ANIMATION_SUFFIXES = (".gif", ".webp")
TABLE_SUFFIXES = (CSV, TSV, ".parquet")
PLOT_SUFFIXES = (PNG, ".svg", ".pdf")  # of matplotlib
