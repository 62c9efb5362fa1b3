"""The life of one run: its settings are resolved, it is trained, recorded, resumed, read, compared.

resolve.py turns settings into what a training needs; train.py trains; recorder.py writes what
directory.py names, and checkpoint.py and facts.py are what it writes. loading.py reads a model back
and upgrade.py earlier versions; start.py, sweep.py, lookup.py, summary.py and compare.py are about
resuming, several runs, finding them and reading them without torch.

It may import settings and everything below them, but no command and no API.
"""
