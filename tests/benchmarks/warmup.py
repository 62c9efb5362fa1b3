"""The lowest held-out loss of short trainings with more and fewer warm-up steps.

    python tests/benchmarks/warmup.py FOLDER

writes scikit-learn's digits, three of its tables, and 600 crops of its two photographs into FOLDER,
and trains on them and on 640 images of Fashion-MNIST with the seeds 0, 1 and 2. Every line is one
length, with the mean over the seeds and the deviation for each number of warm-up steps.
"""

import csv
import statistics
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn import datasets

from vae_cli.data.batches import steps_per_epoch
from vae_cli.runs.resolve import resolve
from vae_cli.runs.train import fit_resolved
from vae_cli.settings import merge

SEEDS, BATCH_SIZE = (0, 1, 2), 128
LENGTHS, WARMUPS = (50, 100, 200, 500), (25, 50, 100)  # steps
CROP, EDGE = 96, 32  # pixels, before and after a crop is made smaller


def write_crops(path: Path, count: int = 600) -> Path:
    """Random crops of the two photographs: uint8 `(count, 3, 32, 32)`."""
    draw, photos, crops = np.random.default_rng(0), datasets.load_sample_images().images, []
    for number in range(count):
        photo = photos[number % 2]
        top, left = (draw.integers(0, side - CROP) for side in photo.shape[:2])
        crop = Image.fromarray(photo[top : top + CROP, left : left + CROP])
        crops.append(np.asarray(crop.resize((EDGE, EDGE), Image.Resampling.BOX)))
    np.save(path, np.stack(crops).transpose(0, 3, 1, 2))
    return path


def write_table(path: Path) -> Path:
    """The table of scikit-learn with the name of the file."""
    found = getattr(datasets, f"load_{path.stem}")()
    with path.open("w", newline="") as file:
        names = [str(name).replace(" ", "_") for name in found.feature_names]
        csv.writer(file).writerows([names, *found.data.tolist()])
    return path


def best_loss(data: str, network: str, steps: int, warmup: float, seed: int) -> tuple[int, float]:
    """The steps of the whole epochs nearest to `steps`, and the lowest held-out loss."""
    tables = {
        "data": {"name": data, "limit": 640 if data == "fashion-mnist" else 0},
        "model": {"network": network},
        "training": {"seed": seed, "precision": "float32"},
    }
    device = torch.device("cpu")
    items = len(resolve(merge(("", tables)), device).train)
    epochs = max(1, round(steps / steps_per_epoch(items, BATCH_SIZE)))
    total = epochs * steps_per_epoch(items, BATCH_SIZE)
    tables["training"]["epochs"] = epochs
    tables["optimizer"] = {"warmup": warmup / total}
    resolved, losses = resolve(merge(("", tables)), device), []
    state = resolved.initial_state()
    fit_resolved(state, resolved, lambda done: losses.append(done.test.loss), lambda *_: None)
    return total, min(losses)


def compare(data: str, network: str) -> None:
    """Print a line for each length."""
    for steps in LENGTHS:
        cells = []
        for warmup in (
            0.05 * steps,
            *(some for some in WARMUPS if 0.05 * steps < some <= steps / 2),
        ):
            found = [best_loss(data, network, steps, warmup, seed) for seed in SEEDS]
            losses = [loss for _, loss in found]
            mean, deviation = statistics.mean(losses), statistics.stdev(losses)
            cells.append(f"{warmup:g} steps: {mean:.2f} ± {deviation:.2f}")
        line = f"{Path(data).stem}, {network}, {found[0][0]} steps: {', '.join(cells)}"
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def main(folder: Path) -> None:
    """Write the data, and compare."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = folder / "digits.npy"
    np.save(digits, (datasets.load_digits().images * 255 / 16).round().astype(np.uint8))
    crops = str(write_crops(folder / "crops.npy"))
    compare(crops, "conv")
    compare(crops, "hierarchical")
    compare("fashion-mnist", "conv")
    for data in (crops, "fashion-mnist", str(digits)):
        compare(data, "mlp")
    for name in ("wine", "diabetes", "breast_cancer"):
        compare(str(write_table(folder / f"{name}.csv")), "mlp")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
