"""The browser is started without the secret part of the page's address."""

import stat
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from support import Use

from vae_cli.cli.commands.explore import open_in_browser
from vae_cli.explore.server import Server

ADDRESS = "http://127.0.0.1:8000/?token=a-secret&b=1"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the browser is given on its command line."""
    words: list[str] = []
    monkeypatch.setattr(webbrowser, "open", words.append)
    return words


def test_the_browser_gets_a_file_that_only_this_user_can_read(opened: list[str]) -> None:
    with open_in_browser(ADDRESS):
        (word,) = opened
        assert urlsplit(word).scheme == "file"
        assert "secret" not in word
        path = Path(url2pathname(urlsplit(word).path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert 'url=http://127.0.0.1:8000/?token=a-secret&amp;b=1"' in path.read_text("utf-8")
    assert not path.parent.exists()


@pytest.mark.parametrize(("words", "count"), [((), 1), (("--no-browser",), 0)], ids=str)
def test_explore_opens_such_a_file_and_prints_the_address(
    use: Use, monkeypatch: pytest.MonkeyPatch, opened: list[str], words: tuple[str, ...], count: int
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(Server, "run", lambda self: self.socket.close())
    address = urlsplit(use("explore", *words).out.strip())
    assert (address.hostname, len(opened)) == ("127.0.0.1", count)
    assert all(word.startswith("file:") and address.query not in word for word in opened)
