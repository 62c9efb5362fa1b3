"""START:STOP:STEP, without STOP like `numpy.arange`."""

import math

from vae_cli.errors import UsageError

MAX_COLUMNS = 200


def parse_offsets(text: str) -> list[float]:
    """The numbers START, START + STEP, ... below STOP, or above it if STEP is negative.

    Raises:
        UsageError: not three finite numbers, a step of 0 or of the wrong sign, or too many columns.
    """
    try:
        start, stop, step = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise UsageError(f"--offset {text}: write START:STOP:STEP, as in -0.5:3:0.25") from error
    if not all(map(math.isfinite, (start, stop, step))):
        raise UsageError(f"--offset {text}: the three numbers must be finite")
    if step == 0:
        raise UsageError(f"--offset {text}: the step must not be 0")
    count = round((stop - start) / step, 9)  # 1:1.3:0.1 is three columns, though 1.3 - 1 > 0.3
    if count <= 0:
        raise UsageError(
            f"--offset {text} is empty: a step of {step:g} does not lead from {start:g} to {stop:g}"
        )
    if count > MAX_COLUMNS:
        raise UsageError(
            f"--offset {text} asks for {count:.0f} columns: at most {MAX_COLUMNS} fit a picture"
        )
    return [start + index * step for index in range(math.ceil(count))]
