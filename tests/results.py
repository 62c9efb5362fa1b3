"""What two runs must have in common that are equal."""

from torch import Tensor

from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run


def results(run: Run) -> tuple[dict[str, Tensor], list[str], list[bytes]]:
    """All that must be equal: states, metrics without their seconds, and previews."""
    tensors = {
        f"{path.name}:{name}": tensor
        for path in (run.best, run.last)
        for name, tensor in load_checkpoint(path).tensors.items()
    }
    rows = [line.rpartition(",")[0] for line in run.metrics_file.read_text().splitlines()]
    return tensors, rows, [picture.read_bytes() for picture in run.previews(".png")]


def assert_same_results(one: Run, other: Run) -> None:
    (tensors, *rest), (other_tensors, *other_rest) = results(one), results(other)
    assert rest == other_rest
    assert tensors.keys() == other_tensors.keys()
    for name, tensor in tensors.items():
        assert tensor.equal(other_tensors[name]), name
