"""Refuse numbers that make no sense, and say which one, what was expected and what came."""

import math
import numbers

import numpy as np


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


# Images and points that a GAN is trained on

ROUNDING = 1e-3  # so far outside of [-1, 1] may augmented images lie
OUTSIDE = "Images must lie in [-1, 1]. Scale pixels of 0 to 255 with pixels / 127.5 - 1."


def as_array(name, samples):
    """What NumPy makes of them; of `data.Images` their `images` have to be given."""
    if hasattr(samples, "images"):
        raise ValueError(
            f"{name} must be an array, came {type(samples).__name__}: give its attribute `images`."
        )
    return np.asarray(samples)


def check_batch(name, shape, dtype, expected):
    """Refuse batches of another shape or type than a network takes.

    Args:
        name: of the argument.
        shape: of what came, with the batch first; None where a side is unknown.
        dtype: its type's name.
        expected: the shape of one sample.
    """
    what = "images" if len(expected) == 3 else "samples"
    wanted = f"{what} as floats of the shape (batch, {', '.join(map(str, expected))})"
    came = f"came {dtype} of the shape {tuple(shape)}"
    pairs = zip(shape[1:], expected, strict=False)
    if len(shape) != 1 + len(expected) or any(None not in (a, b) and a != b for a, b in pairs):
        hint = ""
        if tuple(shape) == tuple(expected):
            hint = " One sample alone is no batch: images[None] makes it one."
        elif tuple(shape[1:]) == tuple(expected[:-1]) and expected[-1] == 1:
            hint = " Add the channel: images[..., None]."
        raise ValueError(f"{name} must be {wanted}, which the networks take; {came}.{hint}")
    if not (dtype.startswith("float") or dtype == "bfloat16"):
        scale = "pixels / 127.5 - 1" if what == "images" else "np.float32(samples)"
        raise ValueError(f"{name} must be {wanted}, {came}. Make floats of them with {scale}.")


def check_samples(name, samples, expected, batch_size=None):
    """Refuse an array that no GAN can be trained on: of another shape, type or range, or empty.

    Args:
        name: of the argument.
        samples: np.ndarray or what can be made one.
        expected: the shape of one sample.
        batch_size: None, or how many are taken at a time.
    """
    samples = np.asarray(samples)
    check_batch(name, samples.shape, samples.dtype.name, expected)
    if len(samples) == 0:
        raise ValueError(f"{name} must hold at least one sample, came {samples.shape}.")
    low, high = float(samples.min()), float(samples.max())  # NaN if there is one
    if not (math.isfinite(low) and math.isfinite(high)):
        broken = np.flatnonzero(~np.isfinite(samples.reshape(len(samples), -1)).all(axis=1))
        raise ValueError(
            f"{name} must be finite, came NaN or infinity in {len(broken)} of {len(samples)} "
            f"samples; the first one is {name}[{broken[0]}]."
        )
    if len(expected) == 3 and not (low >= -1 - ROUNDING and high <= 1 + ROUNDING):
        raise ValueError(f"{OUTSIDE} {name} lies in [{low:g}, {high:g}].")
    if batch_size is not None and batch_size > len(samples):
        raise ValueError(
            f"batch_size must be at most {len(samples)}, the number of samples in {name}; came "
            f"{batch_size!r}."
        )
