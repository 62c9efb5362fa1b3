"""The life of one run: its settings are resolved, it is trained, recorded, resumed, read, compared.

resolve.py turns settings into what a training needs; train.py trains, and previews.py draws the
result; recorder.py writes what directory.py names, and checkpoint.py and facts.py are what it
writes. loading.py reads a model back, and upgrade.py earlier versions. start.py is about resuming
and starting from another run, sweep.py trains several; lookup.py, summary.py and compare.py find
runs, read and compare them without torch. outputs.py says what no command may overwrite, and
origin.py whose run it is.

It may import settings and everything below them, but no command and no API.
"""
