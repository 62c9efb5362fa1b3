"""Tables as LaTeX."""

import re

import pytest

from vae_cli.cli._tables import escape_latex, to_latex
from vae_cli.runs.compare import Spread, Table

SPECIAL = r"\textbackslash{} \& \% \$ \# \_ \{ \} \textasciitilde{} \textasciicircum{}"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"\ & % $ # _ { } ~ ^", SPECIAL),
        ('a<b>|c"', r"a\textless{}b\textgreater{}\textbar{}c\textquotedbl{}"),
        ("[1pt]*", "{[}1pt]{*}"),  # after the end of a line, they would be its options
        ("a--b---c", "a-{}-b-{}-{}-c"),  # dashes of other lengths
        ("fashion-mnist é", "fashion-mnist é"),
        ("\x1b[31m\n", r"\textbackslash{}x1b{[}31m\textbackslash{}n"),
    ],
)
def test_a_text_is_printed_as_it_is(text: str, escaped: str) -> None:
    assert escape_latex(text) == escaped


def test_a_table_has_as_many_cells_in_each_line_as_columns() -> None:
    rows = [["[a]", 1, Spread(-1.5, 0.25, 3)], ["b & c", None, -2.0], ["*", 1e-9, 1e12]]
    text = to_latex(Table(["name", "β", "test_loss"], 2, rows))
    lines = text.splitlines()
    assert lines[1:3] == [r"\begin{tabular}{llr}", r"\toprule"]
    assert lines[3] == r"name & $\beta$ & test\_loss \\"
    assert lines[5] == r"{[}a] & 1 & $-$1.500 $\pm$ 0.250 \\"
    assert lines[6] == r"b \& c &  & $-$2.000 \\"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    cells = [re.split(r"(?<!\\)&", line) for line in lines if line.endswith(r"\\")]
    assert {len(line) for line in cells} == {3}
