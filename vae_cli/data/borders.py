"""The brightness at the edge of images, which tells paper from ink."""

import torch

from vae_cli.data.dataset import Spec, Split

MAX_IMAGES = 1000  # whose edges are measured
SPREAD = 32  # of 255, by which usual edges may differ
SHARE = 0.9  # of the images, which must have a usual edge
WHITE = 255


def usual_border(train: Split) -> int | None:
    """The brightness, 0 to 255, of the edge of nearly all images; None if there is none."""
    images = train.network_input(train.rows[:MAX_IMAGES]).mean(1)
    edges = [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]]
    borders = WHITE * torch.cat(edges, 1).median(1).values
    usual = borders.median()
    if ((borders - usual).abs() <= SPREAD).float().mean() < SHARE:
        return None
    return round(float(usual))


def expected_border(spec: Spec) -> int | None:
    """The brightness that the edge of a picture should have; None if any will do."""
    if spec.usual_border is not None:
        return spec.usual_border
    return None if spec.cropped else spec.background
