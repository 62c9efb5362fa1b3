"""From settings to everything that a training needs, with no choice left open."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shard_files import write_tar

from vae_cli.data.dataset import ignore_progress
from vae_cli.data.source import BUILT_IN_NAMES
from vae_cli.errors import UsageError
from vae_cli.model import TableCodec
from vae_cli.noise import Noise
from vae_cli.runs import resolve as resolve_module
from vae_cli.runs.directory import create_run
from vae_cli.runs.resolve import Resolved, resolve
from vae_cli.settings import SaveInterval, merge, read_config, to_dict
from vae_cli.training import precision
from vae_cli.training.precision import MIN_MEASURED_STEPS

CPU = torch.device("cpu")
FOLDER = "pictures"
PICTURES = (FOLDER, "shards/{0..2}.tar")
NAMES = ["fashion-mnist", *PICTURES, "tables/wine.csv", "arrays/*.npy"]
ResolveData = Callable[..., Resolved]


@pytest.fixture
def resolve_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResolveData:
    """`resolve_data(name, **tables)` in a folder with 30 pictures and a table of 40 rows."""
    draw = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(30):
        pixels = draw.integers(0, 256, (40, 48, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"pictures/{number}.png")
    for name in ("shards", "arrays", "tables"):
        (tmp_path / name).mkdir()
    for number in range(3):
        own = [tmp_path / f"pictures/{10 * number + one}.png" for one in range(10)]
        write_tar(tmp_path / f"shards/{number}.tar", {one.name: one.read_bytes() for one in own})
        np.save(tmp_path / f"arrays/{number}.npy", draw.integers(0, 256, (10, 16, 16), np.uint8))
    rows = draw.normal(5.0, 2.0, (40, 3))
    np.savetxt(tmp_path / "tables/wine.csv", rows, delimiter=",", header="a,b,c", comments="")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda: False)

    def resolve_with(name: str, **tables: dict[str, object]) -> Resolved:
        return resolve(merge(("", {"data": {"name": name, "limit": 20}}), ("", tables)), CPU)

    return resolve_with


@pytest.mark.parametrize("name", NAMES)
def test_no_setting_is_left_on_auto(resolve_data: ResolveData, name: str) -> None:
    tables = to_dict(resolve_data(name).config)
    settings = {
        f"{part}.{key}": value for part, table in tables.items() for key, value in table.items()
    }
    left = [key for key, value in settings.items() if value == "auto"]
    left.remove("optimizer.warmup")  # it depends on the number of epochs, which may be raised
    assert left == ([] if name in PICTURES else ["data.channels"])  # which is for pictures


@pytest.mark.parametrize("name", NAMES)
def test_the_data_have_a_name_that_means_the_same_in_every_folder(
    resolve_data: ResolveData, name: str, tmp_path: Path
) -> None:
    resolved = resolve_data(name).config.data.name
    assert resolved == (name if name in BUILT_IN_NAMES else str(tmp_path / name))


@pytest.mark.parametrize("name", NAMES)
def test_the_size_of_the_pictures_is_in_the_config(resolve_data: ResolveData, name: str) -> None:
    resolved = resolve_data(name)
    data, expected = resolved.config.data, (0, "auto")
    if name in PICTURES:
        channels, height, width = resolved.spec.shape
        assert height == width
        expected = (height, {1: "grey", 3: "rgb"}[channels])
    assert (data.image_size, data.channels) == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_config_file_of_a_run_gives_the_same_config_in_another_folder(
    resolve_data: ResolveData, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = resolve_data(name).config
    run = create_run(config, None, tmp_path / "runs")
    monkeypatch.chdir(run.path)
    again = resolve(merge(("", read_config(run.config_file))), CPU)
    assert again.config == config


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_have_at_most_as_many_items_as_the_limit(
    resolve_data: ResolveData, name: str
) -> None:
    resolved = resolve_data(name)
    assert len(resolved.train) == 20
    assert 0 < len(resolved.test) <= 20


def test_the_statistics_are_those_of_the_training_rows(resolve_data: ResolveData) -> None:
    standard = {"name": "columns", "normalization": "standard"}
    resolved = resolve_data("tables/wine.csv", likelihood=standard)
    codec = resolved.codec
    assert isinstance(codec, TableCodec)
    assert resolved.initial_state().model.codec is codec
    raw = resolve_data("tables/wine.csv").config.data.open(ignore_progress)
    for part, rows in ((resolved.train, raw.train()), (resolved.test, raw.test())):
        inputs = part.network_input(part.rows)
        assert inputs.dtype == torch.float32
        assert inputs.equal(codec.encode(rows.items[rows.rows[:20]]))
    values, _, missing = codec.layout.split(resolved.train.network_input(resolved.train.rows))
    assert not missing.any()
    torch.testing.assert_close(values.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.std(0, correction=0), torch.ones(3))


def test_the_device_and_the_save_interval_are_those_of_the_settings(
    resolve_data: ResolveData,
) -> None:
    resolved = resolve_data("tables/wine.csv", training={"save_every": "10m"})
    assert resolved.device == CPU
    assert resolved.config.training.device == "cpu"
    assert resolved.config.training.save_interval == SaveInterval(seconds=600)
    assert resolved.config.training.save_every == "10m"


@pytest.mark.parametrize(
    ("epochs", "faster", "expected"),
    [
        (MIN_MEASURED_STEPS, True, "bfloat16"),
        (MIN_MEASURED_STEPS, False, "float32"),
        (MIN_MEASURED_STEPS - 1, True, "float32"),  # too short to be measured
    ],
)
def test_the_measured_precision_is_in_the_config(
    resolve_data: ResolveData,
    monkeypatch: pytest.MonkeyPatch,
    epochs: int,
    faster: bool,
    expected: str,
) -> None:
    """An epoch has one step."""
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda: True)
    monkeypatch.setattr(resolve_module, "bfloat16_is_faster", lambda *arguments: faster)
    resolved = resolve_data("tables/wine.csv", training={"epochs": epochs})
    assert resolved.precision == resolved.config.training.precision == expected


def test_tf32_on_the_processor_is_refused_before_the_data_are_opened(
    resolve_data: ResolveData,
) -> None:
    with pytest.raises(UsageError, match=r"training\.precision=tf32 is for cuda"):
        resolve_data("no-such-data", training={"precision": "tf32"})


def test_static_binarization_draws_the_training_set_once() -> None:
    """Both sets are black and white before the training, and a step changes nothing of them."""
    tables = {"data": {"limit": 50, "validation": 0.2}, "likelihood": {"name": "binarized"}}
    once = {"likelihood": {"binarization": "static"}}
    static, dynamic = (resolve(merge(("", tables), ("", more)), CPU) for more in (once, {}))
    x = static.train.network_input(static.train.rows)
    assert x.unique().tolist() == [0, 1]
    assert static.codec.draw(x, Noise(0)).equal(x)
    grey = dynamic.train.network_input(dynamic.train.rows)
    assert not grey.equal(x)
    assert (x - grey).mean().abs() < 0.01, "the mean of the draws is the grey value"
    assert static.test.items.equal(dynamic.test.items)
