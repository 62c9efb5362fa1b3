"""The features of the Inception network, by which papers compare images.

The network and its weights are those of torch-fidelity, which are those of the first paper (Heusel
et al., 2017) in another format. It resizes images to 299x299 pixels itself. The weights are
downloaded once to the folder where torch keeps such files.
"""

import functools
import hashlib
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from vae_cli.errors import UsageError, VAEError
from vae_cli.evaluation.extractor import Extractor
from vae_cli.files import open_file

LAYER = "2048"  # the last pooling layer
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
BATCH_IMAGES = 32  # the first layers hold 30 MB for each image
CHANNELS = (1, 3)
ADVICE = "or use --features classifier"


def inception_extractor(path: Path | None, device: torch.device) -> Extractor:
    """The features `(B, 2048)` of Inception.

    Args:
        path: the file of the weights; None takes the published ones, and downloads them if need be.
        device: to compute on.

    Raises:
        UsageError: torch-fidelity is not installed, or the file is not one of these weights.
        VAEError: the weights cannot be downloaded.
    """
    try:
        import torch_fidelity  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"--features inception needs {error.name}: pip install 'vae-cli[inception]', {ADVICE}"
        ) from error
    found = published_weights() if path is None else path
    network = load_network(found).to(device)

    def extract(images: Tensor) -> Tensor:
        some = [network(to_color_bytes(part))[0] for part in images.split(BATCH_IMAGES)]
        return torch.cat(some)

    return Extractor("inception", describe_weights(found), extract)


def published_weights() -> Path:
    """The file of the published weights, which is downloaded if it is not there yet.

    Raises:
        VAEError: it cannot be downloaded.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL_INCEPTION_V3).name
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), SHA256, progress=False)
    except (OSError, RuntimeError) as error:
        raise VAEError(
            f"the Inception weights cannot be downloaded ({error}): save {URL_INCEPTION_V3} as "
            f"{path}, or name the file with --inception-weights, {ADVICE}"
        ) from error
    return path


@functools.cache
def load_network(path: Path) -> nn.Module:
    """The network with the weights in a file, which several runs share.

    The file is read without running any code in it first, which torch-fidelity would do.

    Raises:
        UsageError: the file cannot be read, or has other contents.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        with open_file(path) as file:
            torch.load(file, map_location="cpu", weights_only=True)
        return cast("nn.Module", FeatureExtractorInceptionV3("inception", [LAYER], str(path)))
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"the Inception weights {path}: {error.strerror or error}") from error
    except Exception as error:  # the bytes of another file can mean anything to the reader
        raise UsageError(
            f"{path} has no Inception weights of torch-fidelity: leave --inception-weights out to "
            f"download them, {ADVICE}"
        ) from error


def describe_weights(path: Path) -> str:
    """Whose features they are, for the definition of a figure."""
    with open_file(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == SHA256:
        return "features of Inception, the published weights"
    return f"features of Inception, but not the published weights: {path.name}, {digest[:8]}"


def to_color_bytes(images: Tensor) -> Tensor:
    """Images `(B, 1 or 3, H, W)` in [0, 1] as bytes of three equal or different channels."""
    bytes_ = (255 * images).round().clamp(0, 255).to(torch.uint8)
    return bytes_.expand(-1, 3, -1, -1)


def require_colors(shape: tuple[int, ...]) -> None:
    """Refuse what Inception has no features of.

    Raises:
        UsageError: the items of this shape are rows of a table, or have other channels.
    """
    if len(shape) == 1:
        raise UsageError("--features inception is for images, not rows of a table: leave it out")
    if shape[0] not in CHANNELS:
        raise UsageError(
            f"--features inception is for images of 1 or 3 channels, not {shape[0]}: leave it out"
        )
