"""The signature that tells a user's own runs from those of others."""

import stat
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vae_cli.data.source import BUILT_IN_NAMES
from vae_cli.errors import mark
from vae_cli.runs import origin
from vae_cli.runs.origin import explain_unconfirmed, is_signed, sign

NAMES = ["/data/x.csv", "/", "/a b", "é", "\udce9", "\ud800", "./shapes"]


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the key of this user is written; it does not exist yet."""
    monkeypatch.setenv("VAE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "origin.key"


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_path_is_signed_if_this_user_signed_it(key: Path, name: str) -> None:
    assert is_signed(name, sign(name))
    assert len(key.read_bytes()) == 32


@pytest.mark.parametrize(
    "signature", [None, "", 0, True, [], {}, "0" * 64, "\u0130" * 64, "\udce9"], ids=ascii
)
def test_a_path_without_the_signature_is_not_trusted(key: Path, signature: object) -> None:
    assert not is_signed("/data/x.csv", signature)
    assert not key.exists(), "asking creates nothing"
    sign("/data/x.csv")
    assert not is_signed("/data/x.csv", signature)


def test_a_signature_is_of_one_name_and_of_one_user(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = sign("/data/x.csv")
    assert not is_signed("/data/x.csv/", signature)
    assert not is_signed("/", signature)
    monkeypatch.setenv("VAE_HOME", str(tmp_path / "another"))
    assert not is_signed("/data/x.csv", signature)
    assert sign("/data/x.csv") != signature
    assert key.exists()


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_a_built_in_name_needs_no_signature(key: Path, name: str) -> None:
    assert sign(name) == ""
    assert is_signed(name, None)
    assert not key.exists()


def test_only_this_user_can_read_the_key(key: Path) -> None:
    sign("/")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert [path.name for path in key.parent.iterdir()] == [key.name]


def test_all_who_sign_first_at_the_same_time_have_the_same_key(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "_create_key", origin._create_key.__wrapped__)  # without a cache
    with ThreadPoolExecutor(16) as pool:
        signatures = set(pool.map(sign, ["/"] * 64))
    assert len(signatures) == 1
    assert [path.name for path in key.parent.iterdir()] == [key.name]


def test_a_run_that_cannot_be_signed_is_nobody_s_and_one_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VAE_HOME", str(tmp_path / "file" / "home"))
    with pytest.warns(UserWarning, match="cannot be signed.*Not a directory.*set VAE_HOME"):
        assert sign("/") == ""
    with warnings.catch_warnings(action="error"):
        assert sign("/") == ""
    assert not is_signed("/", "")


def test_a_damaged_key_is_neither_used_nor_replaced(key: Path) -> None:
    key.parent.mkdir()
    key.write_bytes(b"short")
    with pytest.warns(UserWarning, match="origin.key: it is damaged"):
        assert sign("/") == ""
    assert key.read_bytes() == b"short"


def test_the_explanation_can_be_pasted_into_a_shell() -> None:
    text = explain_unconfirmed("x", "/a b; rm -rf ~")
    assert text.endswith(f"confirm it with {mark('data')} '/a b; rm -rf ~'")
