"""Refuse numbers that make no sense, and say which one, what was expected and what came."""

import math
import numbers


def check_count(name, value, least=1):
    """Refuse what is not a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, came {value!r}.")


def check_number(name, value, least=0.0, most=math.inf, reason=""):
    """The value as a float; refuse what is not a number from `least` to `most`.

    Args:
        name, value: of the argument.
        least, most: the smallest and the largest number that are allowed; infinity is not.
        reason: what else to say.
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not least <= value <= most or math.isinf(value):
        limits = f"in [{least:g}, {most:g}]" if most < math.inf else f"of at least {least:g}"
        raise ValueError(f"{name} must be a number {limits}, came {value!r}.{reason}")
    return float(value)


def check_positive(name, value):
    """Refuse what is not a number above 0."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number above 0, came {value!r}.")
