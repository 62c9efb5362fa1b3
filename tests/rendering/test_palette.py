"""The colours of classes."""

from itertools import pairwise

import pytest

from vae_cli.rendering.plots import DISTINCT_COLOURS, class_colours


@pytest.mark.parametrize("count", [0, 1, 2, 10, 20, 21, 100])
def test_every_class_has_a_colour_of_its_own(count: int) -> None:
    colours = class_colours(count)
    assert len(colours) == len(set(colours)) == count


def test_a_class_keeps_its_colour_if_there_are_more_classes() -> None:
    assert class_colours(100)[:10] == class_colours(10)
    assert class_colours(100)[:30] == class_colours(30)


def test_the_first_classes_have_the_distinct_colours() -> None:
    assert class_colours(20) == list(DISTINCT_COLOURS)


def test_neighbouring_hues_differ_strongly() -> None:
    hues = [float(colour[4:].split()[0]) for colour in class_colours(60)[20:]]
    for hue, following in pairwise(hues):
        assert 90 <= abs(hue - following) <= 270
