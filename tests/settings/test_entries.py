"""Settings are found by the words that people type."""

import pytest

from vae_cli.errors import UsageError
from vae_cli.settings import entries, find_setting, short_name


def test_every_setting_is_found_by_its_key_and_by_its_flag() -> None:
    for entry in entries():
        for word in (entry.key, short_name(entry), entry.key.replace("_", "-").upper()):
            assert find_setting(word, "").key == entry.key


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("lr", "optimizer.learning_rate"),
        ("optimizer.lr", "optimizer.learning_rate"),
        ("latent_dim", "model.latent_dim"),
        (" model ", "model.network"),
        ("warmup", "optimizer.warmup"),
    ],
)
def test_other_words_for_a_setting(word: str, key: str) -> None:
    assert find_setting(word, "").key == key


@pytest.mark.parametrize(("word", "near"), [("latent-dims", "latent-dim"), ("betta", "beta")])
def test_a_typo_names_the_nearest_setting(word: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"--group: {word} is not a setting; .* is {near}$"):
        find_setting(word, "--group")
