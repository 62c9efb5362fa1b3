"""Classifiers of the means."""

import sys
from pathlib import Path

import pytest
import torch

from vae_cli.errors import UsageError, VAEError
from vae_cli.evaluation import features
from vae_cli.evaluation.features import (
    BLOCK,
    classify_by_neighbours,
    classify_linearly,
    feature_figures,
    find_nearest,
    inception_extractor,
    require_colors,
    to_color_bytes,
)
from vae_cli.evaluation.figures import Absent, Figure


def blobs(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=generator)
    centres = torch.tensor([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    return centres[labels] + torch.randn(count, 2, generator=generator), labels


def test_separate_classes_are_told_apart_by_both() -> None:
    figures = feature_figures(*blobs(200, 0), *blobs(100, 1))
    for figure in figures.values():
        assert isinstance(figure, Figure)
        assert figure.value == 1


def test_a_ring_around_a_blob_is_a_task_for_neighbours_only() -> None:
    angle = torch.rand(400, generator=torch.Generator().manual_seed(0)) * 6.2832
    labels = torch.arange(400) % 2
    points = torch.stack([angle.cos(), angle.sin()], 1) * (0.1 + labels[:, None])
    train, test = slice(0, 300), slice(300, 400)
    near = classify_by_neighbours(points[train], labels[train], points[test])
    linear = classify_linearly(points[train], labels[train], points[test])
    assert torch.equal(near, labels[test])
    assert 0.2 < (linear == labels[test]).float().mean() < 0.8


def test_the_nearest_neighbour_decides_a_tie() -> None:
    train = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    labels = torch.tensor([1, 0, 0, 1])
    assert classify_by_neighbours(train, labels, torch.zeros(1, 1)).tolist() == [1]


def test_items_without_labels_have_no_accuracy() -> None:
    none = torch.empty(0, dtype=torch.int64)
    figures = feature_figures(torch.zeros(4, 2), none, torch.zeros(4, 2), none)
    assert all(isinstance(one, Absent) for one in figures.values())


def test_as_many_classes_as_items_take_no_time_and_no_memory() -> None:
    """Every label of 18,000 has two items that are equal: one to train on, and one to test on."""
    count = 18_000
    means = torch.rand(count, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    few = slice(0, 500)
    figures = feature_figures(means, labels, means[few], labels[few])
    neighbours, probe = figures["knn_accuracy"], figures["probe_accuracy"]
    assert isinstance(neighbours, Figure)
    assert neighbours.value == 1, "the nearest decides, because no label is frequent"
    assert isinstance(probe, Absent)
    assert probe.reason == "18,000 classes are too many for a linear probe"


def test_the_most_frequent_label_is_that_of_a_count_over_all_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    train, test = (torch.rand(count, 3, generator=generator) for count in (300, 200))
    labels = torch.randint(4, (300,), generator=generator)
    nearest = labels[torch.cdist(test, train).topk(5, largest=False).indices]
    votes = torch.nn.functional.one_hot(nearest, 4).sum(1).double()
    votes += 1e-3 * torch.nn.functional.one_hot(nearest[:, 0], 4)  # the nearest decides most ties
    expected, clear = votes.argmax(1), votes.sort(1).values.diff()[:, -1] > 0.5
    assert clear.sum() > 100
    assert torch.equal(classify_by_neighbours(train, labels, test)[clear], expected[clear])


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("points", [5, BLOCK, BLOCK + 1, 7 * BLOCK + 3])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_the_places_are_those_of_a_full_sort(points: int, count: int, shift: float) -> None:
    generator = torch.Generator().manual_seed(points)
    these = torch.randn(points, 3, generator=generator) + shift
    queries = torch.randn(50, 3, generator=generator) + shift
    distances = torch.cdist(queries.double(), these.double())
    expected = distances.argsort(1)[:, :count]
    torch.testing.assert_close(
        distances.gather(1, find_nearest(queries, these, count)),
        distances.gather(1, expected),
        rtol=1e-3,
        atol=1e-5,
    )


def test_a_point_is_its_own_nearest_neighbour() -> None:
    points = torch.randn(300, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(find_nearest(points, points, 1)[:, 0], torch.arange(300))


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
