"""What was kept while kinds were found is what the file says when it is read once more."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vae_cli.data import kept_cells, table_text
from vae_cli.data.dataset import TableRules
from vae_cli.data.table_files import read_table

ROWS = 500
NO_RULES = TableRules()
TABLE = "user,zip,price,late,few,hole,day,same,text,class\n" + "".join(
    f"u{n},{n % 90:05},${n % 70}.5,{n if n < ROWS - 9 else 'no'},{n % 5}.0,"
    f'{"" if n % 7 else n / 4}, 2024-01-{1 + n % 28:02},k,"a, b{n % 3}",{"xyz"[n % 3]}\n'
    for n in range(ROWS)
)


@pytest.mark.filterwarnings("ignore")
def test_rows_are_those_that_are_read_without_keeping_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_text, "SMALLEST_PART", 2000)
    monkeypatch.setattr(table_text, "BYTES_A_COLUMN", 1)
    every_kind = TableRules(label="class", kinds=("late=category",))
    cases = {
        "label.csv": (TABLE, every_kind),
        "id.csv": (TABLE, TableRules(kinds=("late=category",))),
        "irregular.csv": (TABLE + TABLE.splitlines()[-1].replace("u", "v") + ",\n", every_kind),
        "commas.csv": ("a;b\n" + "".join(f"{n % 3},0;{n % 50},5\n" for n in range(ROWS)), NO_RULES),
        "numbers.csv": ("a,b\n" + "".join(f"{n % 50},{n / 8}\n" for n in range(ROWS)), NO_RULES),
    }
    for name, (text, rules) in cases.items():
        path = tmp_path / name
        path.write_text(text)
        for missing in ("model", "drop"):
            chosen = replace(rules, missing=missing)
            with monkeypatch.context() as patch:
                patch.setattr(kept_cells, "MAX_KEPT", 0)
                read_again = read_table(path, chosen)
            for one, other in zip(read_table(path, chosen), read_again, strict=True):
                if isinstance(one, torch.Tensor):
                    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
                else:
                    assert one == other, (name, missing)
