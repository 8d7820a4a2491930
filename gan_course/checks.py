"""Refuse numbers that make no sense, and say which one, what was expected and what came."""

import math
import numbers


def check_count(name, value, least=1):
    """The value as an int; refuse what is not a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, came {value!r}.")
    if value >= 2**31:
        raise ValueError(f"{name} must be below 2^31, as all sizes are, came {value!r}.")
    return int(value)


def check_number(name, value, least=0.0, most=math.inf, reason=""):
    """The value as a float; refuse what is not a number from `least` to `most`.

    Args:
        name, value: of the argument.
        least, most: the smallest and the largest number that are allowed; infinity is not.
        reason: what else to say.
    """
    number = _as_float(value)
    if not least <= number <= most or math.isinf(number):
        limits = f"in [{least:g}, {most:g}]" if most < math.inf else f"of at least {least:g}"
        raise ValueError(f"{name} must be a number {limits}, came {value!r}.{reason}")
    return number


def check_positive(name, value):
    """Refuse what is not a number above 0."""
    if not 0 < _as_float(value) < math.inf:
        raise ValueError(f"{name} must be a number above 0, came {value!r}.")


def check_seed(seed):
    """The seed as an int; refuse what NumPy and TensorFlow cannot both take."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number of at least 0, below 2^63; came {seed!r}.")
    return int(seed)


def _as_float(value):
    """The number as a float, NaN if it is none, infinity if a float cannot hold it."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
