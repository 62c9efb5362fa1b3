"""The features of Inception, with random weights in place of the published ones."""

import sys
from pathlib import Path

import pytest
import torch

from vae_cli.errors import UsageError, VAEError
from vae_cli.evaluation import features
from vae_cli.evaluation.features import inception_extractor, require_colors, to_color_bytes

CPU = torch.device("cpu")


def test_without_the_extra_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UsageError) as refused:
        inception_extractor(None, CPU)
    assert "pip install 'vae-cli[inception]', or use features=classifier" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("shape", [(4,), (2, 8, 8)])
def test_items_without_color_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="features=inception is for images"):
        require_colors(shape)
    require_colors((1, 8, 8))


def test_grey_images_become_bytes_of_three_equal_channels() -> None:
    grey = torch.tensor([0.0, 0.5, 1.0, 1.2]).reshape(1, 1, 2, 2)
    found = to_color_bytes(grey)
    assert found.shape == (1, 3, 2, 2)
    assert found.dtype == torch.uint8
    assert found[0, 0].flatten().tolist() == [0, 128, 255, 255]
    assert (found[0, 0] == found[0, 2]).all()


@pytest.fixture
def _extra() -> None:
    """What needs torch-fidelity."""
    pytest.importorskip("torch_fidelity")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, as torch-fidelity keeps them."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_: None)
        network = module.FeatureExtractorInceptionV3("random", ["2048"])
    torch.save(network.state_dict(), path)
    return path


def test_a_file_of_weights_gives_features_that_do_not_depend_on_the_batch(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = inception_extractor(weights, CPU)
    images = torch.rand(3, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    together = extractor.extract(images)
    assert together.shape == (3, 2048)
    assert together.dtype == torch.float32
    assert together.std(0).max() > 0
    monkeypatch.setattr(features, "BATCH_IMAGES", 2)
    torch.testing.assert_close(extractor.extract(images), together, rtol=1e-3, atol=1e-5)
    assert "not the published weights: random.pth, " in extractor.label


def test_the_published_weights_are_looked_for_where_torch_keeps_them(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    kept = tmp_path / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    kept.symlink_to(weights)
    assert inception_extractor(None, CPU).name == "inception"


@pytest.mark.usefixtures("_extra")
def test_a_download_that_fails_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (tmp_path / "weights-features.pth").as_uri()  # there is no such file
    module = "torch_fidelity.feature_extractor_inceptionv3"
    monkeypatch.setattr(f"{module}.URL_INCEPTION_V3", url)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(VAEError) as failed:
        inception_extractor(None, CPU)
    message = str(failed.value)
    assert "\n" not in message
    assert f"as {tmp_path}/hub/checkpoints/weights-features.pth" in message
    assert "or name the file with inception_weights, or use features=classifier" in message


@pytest.mark.usefixtures("_extra")
def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("text")
    (tmp_path / "empty.pth").touch()
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    for name in ("text.pth", "empty.pth", "other.pth"):
        with pytest.raises(UsageError, match="has no Inception weights") as refused:
            inception_extractor(tmp_path / name, CPU)
        assert "\n" not in str(refused.value)
    with pytest.raises(UsageError, match="No such file"):
        inception_extractor(tmp_path / "missing.pth", CPU)
