"""One colour per class, the same on every map: Tableau's ten, and ten more in the same style."""

DISTINCT_COLOURS = (
    *("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f"),
    *("#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#8a8f98"),
    *("#1f9e89", "#c03d6f", "#6a6fc4", "#b5a642", "#3ba3d0"),
    *("#d07c3b", "#7d5ba6", "#2e7d4f", "#a63a3a", "#556b8d"),
)
GOLDEN_ANGLE = 137.5  # degrees between successive hues, so that neighbours differ strongly


def class_colours(count: int) -> list[str]:
    """A CSS colour for each of `count` classes; after the distinct ones, hues."""
    more = range(len(DISTINCT_COLOURS), count)
    hues = (f"hsl({GOLDEN_ANGLE * label % 360} 55% 55%)" for label in more)
    return [*DISTINCT_COLOURS[:count], *hues]
