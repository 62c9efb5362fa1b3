"""Lists of the names of columns, as people type them."""

import random
import shlex

import pytest

from vae_cli.data.columns import parse_kinds
from vae_cli.data.table_names import spell_name, split_names
from vae_cli.errors import UsageError


def test_every_list_of_names_is_read_back() -> None:
    source = random.Random(0)
    for _ in range(300):
        names = ["".join(source.choices("ab ,\"\n'", k=source.randint(1, 6))) for _ in range(3)]
        names = [name.strip() or "x" for name in names]
        typed = ",".join(shlex.split(spell_name(name, in_list=True))[0] for name in names)
        assert split_names(typed) == names, typed
    assert split_names("a\nb") == ["a\nb"], "a name may have a line break"
    assert split_names("a,,b") == ["a", "", "b"]
    assert split_names(' "a, b" , c') == ["a, b", "c"]


@pytest.mark.parametrize(
    "text", ["zip", "=category", "zip=text", "zip=category:standard", "a=date:x"]
)
def test_a_kind_that_there_is_not_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(UsageError, match=r"number, integer, category, date or id|comes"):
        parse_kinds([text])
