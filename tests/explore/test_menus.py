"""The page of a conditional model: menus of what it is told."""

from pathlib import Path

import numpy as np
import pytest
from explore.browser import Array, Page, grey_levels

from vae_cli.api.model import TrainedModel
from vae_cli.explore.content import decode_to_bytes
from vae_cli.explore.export import export_page
from vae_cli.explore.scene import build_scene
from vae_cli.explore.server import parse_position, parse_told

TELL = """
const menu = document.querySelectorAll(".told :is(select, input)")[arguments[0]];
menu.value = arguments[1];
menu.dispatchEvent(new Event("change"));
"""
TOLD = """
const text = atob(document.querySelector(".vae-explore").dataset.told ?? "");
return [...new Float32Array(Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer)]
  .map((value) => (Number.isNaN(value) ? "none" : value));
"""
NAN = float("nan")


def open_export(page: Page, model: TrainedModel, folder: Path) -> None:
    path = folder / "page.html"
    path.write_text(export_page(model, build_scene(model, model.test_set())).html, "utf-8")
    page.open(path.as_uri())


def tell(page: Page, menu: int, value: object, expected: list[object]) -> None:
    """Change a menu, and wait until what is shown was decoded with it."""
    page.run(TELL, menu, value)
    page.until(lambda: page.run(TOLD) == expected)


def test_a_menu_of_classes_keeps_the_latent_and_undo_takes_the_class_back(
    page: Page, told: TrainedModel, tmp_path: Path
) -> None:
    open_export(page, told, tmp_path)
    assert page.texts(".told option") == ["(none)", "Bag", "Coat", "Shirt"]
    z, own = page.shown(), page.run(TOLD)
    assert own == told.held_out().condition[0].tolist()  # type: ignore[index]
    for code, y in ((-1, NAN), (2, 2.0), (0, 0.0)):
        tell(page, 0, code, ["none" if code < 0 else code])
        assert np.array_equal(page.shown(), z)  # type: ignore[arg-type]
        wanted = grey_levels(told.decode(z, np.array([[y]]))[0])[..., 0]  # type: ignore[arg-type]
        assert abs(page.grey_levels() - wanted).max() <= 1
    page.click(".undo")
    page.until(lambda: page.run(TOLD) == [2])
    page.click(".sample")  # of the prior p(z|y), for the class that the menu says
    page.until(lambda: not np.array_equal(page.shown(), z))  # type: ignore[arg-type]
    assert page.run(TOLD) == [2]


def test_columns_of_a_table_have_menus_and_fields(
    page: Page, told_rows: TrainedModel, tmp_path: Path
) -> None:
    open_export(page, told_rows, tmp_path)
    assert page.texts(".told label") == ["sex (none)FM", "age ", "since "]
    sex, age, since = page.run(TOLD)
    tell(page, 0, 1 - sex, [1 - sex, age, since])
    tell(page, 1, 33, [1 - sex, 33, since])
    tell(page, 2, "2024-01-20", [1 - sex, 33, np.float32(1705708800)])
    z = page.shown()
    y = np.array([[1 - sex, 33, 1705708800]])
    found = page.texts(".values tr:not(.heading):not(.constants) td:last-child")
    (x, *_), z_text = told_rows.decode(z, y)[0], found[0]  # type: ignore[arg-type]
    assert float(z_text) == pytest.approx(x, abs=2e-3)
    tell(page, 1, "", [1 - sex, "none", np.float32(1705708800)])


def test_the_server_decodes_what_it_is_told_and_refuses_what_no_model_knows(
    told: TrainedModel,
) -> None:
    z = np.array([0.5, -1, 2], "<f4")

    def position(*numbers: float) -> Array | None:
        return parse_position(np.append(z, np.float32(numbers)).astype("<f4").tobytes(), told)

    for code in (0.0, 2.0, NAN):
        sent = position(code)
        assert sent is not None
        expected = grey_levels(told.decode(z, np.array([[code]]))[0])
        assert decode_to_bytes(told, sent) == expected.astype(np.uint8).tobytes()
    for wrong in ((), (3.0,), (0.5,), (-1.0,), (float("inf"),), (0.0, 1.0)):
        assert position(*wrong) is None
    assert parse_told("AAAAQA==", told) == np.array([[2.0]])
    for text in ("", "AAAA", "AACAQA==", "?"):
        assert parse_told(text, told) is None
