"""A colour for each class, the same on every map: Tableau's ten, then ten of their own kind."""

DISTINCT = (
    *("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f"),
    *("#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#8a8f98"),
    *("#1f9e89", "#c03d6f", "#6a6fc4", "#b5a642", "#3ba3d0"),
    *("#d07c3b", "#7d5ba6", "#2e7d4f", "#a63a3a", "#556b8d"),
)
GOLDEN_ANGLE = 137.5  # degrees: hues that follow each other are far apart


def of_classes(count: int) -> list[str]:
    """A CSS colour for each of `count` classes; hues without end follow the distinct ones."""
    more = range(len(DISTINCT), count)
    return [*DISTINCT[:count], *(f"hsl({GOLDEN_ANGLE * label % 360} 55% 55%)" for label in more)]
