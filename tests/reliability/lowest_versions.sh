#!/usr/bin/env bash
# Install this checkout with the lowest version of every dependency that pyproject.toml allows, and
# run the tests and the commands that use them.
#
#   tests/reliability/lowest_versions.sh [--torch-of VENV] [ARGUMENT OF PYTEST...]
#
# The lowest torch is downloaded, unless VENV is a virtual environment of the same Python with a
# torch and a torchvision to use instead.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
export PATH="$work/venv/bin:$PATH" VAE_HOME="$work/home" PYTHONDONTWRITEBYTECODE=1
installed=()
if [ "${1:-}" = --torch-of ]; then
    "$2/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
        >"$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch.pth"
    installed=(torch torchvision)
    shift 2
fi
python - "${installed[@]}" >"$work/lowest.txt" <<'PYTHON'
import re, sys, tomllib

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
for requirement in [*project["dependencies"], *(line for extra in extras.values() for line in extra)]:
    if lowest := re.fullmatch(r"([\w-]+)>=([\w.]+)", requirement):
        if lowest[1] not in sys.argv:
            print(f"{lowest[1]}=={lowest[2]}")
    elif not requirement.startswith(project["name"]):
        sys.exit(f"{requirement}: write NAME>=VERSION")
PYTHON
pip install -q -c "$work/lowest.txt" ".[dev,plot]"
pip freeze | tr _ - | grep -iE "^($(sed 's/==.*//' "$work/lowest.txt" | paste -sd '|'))==" | paste -sd ' '
# Only this plugin: the environment of torch may have others, for other versions. The text of --help
# depends on the version of typer.
PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 pytest -q -p pytest_timeout -p no:cacheprovider \
    --deselect tests/test_documents.py::test_the_help_text_is_current "$@"
cd "$work"
vae train --limit 256 --epochs 1
vae sample
vae explore --export page.html
vae embed -o z.parquet --plot map.png --method umap
