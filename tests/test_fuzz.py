"""Hostile input: whatever comes, a sensible result or an error that names the argument.

`make test` tries few cases, the same ones each time; `make fuzz` tries many, drawn anew. The last
lines tell how many were tried of each target.
"""

import asyncio
import collections
import fractions
import functools
import io
import json
import math
import os
import re
import tempfile
import unittest.mock
from pathlib import Path

import build_notebooks as tool
import nbformat
import numpy as np
import pytest
import tensorflow as tf
import test_exercises
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from gan_course import checks, data, exercises, losses, metrics, models, plots, workbook
from gan_course.exercises import checker

MANY = os.environ.get("GAN_COURSE_FUZZ") == "1"
CASES = collections.Counter()

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of NumPy and others, about the values that they get
]


def fuzz(few, many, **strategies):
    """Try so many cases in `make test` and in `make fuzz`, and count them."""

    def decorate(test):
        @functools.wraps(test)
        def counted(*args, **kwargs):
            CASES[test.__name__.removeprefix("test_")] += 1
            test(*args, **kwargs)

        of_this_run = settings(
            max_examples=many if MANY else few,
            derandomize=not MANY,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        return of_this_run(given(**strategies)(counted))

    return decorate


@pytest.fixture(scope="module", autouse=True)
def number_of_cases(request):
    yield
    plugins = request.config.pluginmanager
    with plugins.getplugin("capturemanager").global_and_fixture_disabled():
        for name, count in [*sorted(CASES.items()), ("in all", CASES.total())]:
            plugins.getplugin("terminalreporter").write_line(f"{count:6,} cases of {name}")


def result_or_refusal(call, *names, errors=(ValueError,)):
    """What a call returns, or None if it refuses one of the named arguments."""
    try:
        return call()
    except errors as error:
        words = "|".join(map(re.escape, names))
        assert re.search(rf"\b({words})\b", str(error)), f"names no argument: {error!r}"
        return None


# Hostile values


class Equal:
    """Says that it is equal to everything."""

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = None


class Series:
    """An array by another library."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def __float__(self):
        return float(self.values)


NUMBERS = st.one_of(
    st.integers(-3, 40),
    st.sampled_from([10**30, -(10**30), 10**400, 2**63, 2**64]),
    st.floats(width=64),
    st.fractions(),
    st.sampled_from([True, False, np.float16(3), np.int8(2), np.uint64(5), np.bool_(True)]),
)
TEXTS = st.one_of(st.text(max_size=6), st.sampled_from(["3", "1e-3", "nan", "\ud800", "\x1b[31m"]))
ODD = st.one_of(
    st.none(),
    TEXTS,
    st.binary(max_size=3),
    st.complex_numbers(),
    st.builds(Equal),
    st.builds(object),
    st.sampled_from(
        [..., int, len, range(3), np.nan, np.array(3), {1, 2}, {}, [], (), [[1], [2, 3]]]
    ),
    st.builds(lambda: (i for i in range(3))),
    st.lists(NUMBERS, max_size=4),
)
ANYTHING = NUMBERS | ODD
DTYPES = st.sampled_from(
    [
        "float16",
        "float32",
        "float64",
        "int8",
        "uint8",
        "int64",
        "bool",
        "complex64",
        "O",
        "U2",
        "M8[s]",
    ]
)


@st.composite
def arrays(draw, shapes=None, dtypes=DTYPES):
    """Arrays of hostile shapes, types, values and layouts."""
    dtype = np.dtype(draw(dtypes))
    shape = draw(shapes or hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    elements = TEXTS | NUMBERS if dtype.kind == "O" else hnp.from_dtype(dtype)
    array = draw(hnp.arrays(dtype, shape, elements=elements))
    layout = draw(
        st.sampled_from(["as it is"] * 3 + ["transposed", "reversed", "masked", "tensor", "list"])
    )
    if layout == "transposed":
        return array.T
    if layout == "reversed" and array.ndim:
        return array[::-1]
    if layout == "masked":
        return np.ma.array(array, mask=draw(st.booleans()))
    if layout == "tensor" and dtype.kind in "fiub":
        return tf.constant(array)
    return array.tolist() if layout == "list" else array


def numbers_of(*shape):
    """Float arrays of one shape, mostly good, sometimes with a hostile value."""
    good = hnp.arrays("float32", shape, elements=st.floats(-1, 1, width=32))
    hostile = hnp.arrays("float64", shape, elements=st.floats(-1, 1) | st.floats())
    return good | hostile


# Checks of numbers


@fuzz(40, 800, value=ANYTHING, least=st.integers(0, 3))
def test_checks_of_numbers(value, least):
    for check in (
        lambda: checks.check_count("value", value, least),
        lambda: checks.check_positive("value", value),
        lambda: checks.check_number("value", value, least),
        lambda: checks.check_number("value", value, 0, 1),
    ):
        with_value = result_or_refusal(lambda check=check: (check(), value), "value")
        if with_value is not None:
            assert math.isfinite(float(value))
    if result_or_refusal(lambda: checks.check_seed(value) or True, "seed"):
        assert np.random.default_rng(value).random() < 1


# Data


@fuzz(
    40,
    900,
    images=arrays() | numbers_of(2, 3, 3, 1) | ODD,
    labels=arrays() | st.just(np.array([0, 1])) | ODD,
    partner=st.none() | arrays() | ODD,
)
def test_images(images, labels, partner):
    made = result_or_refusal(
        lambda: data.Images(images, labels, "any", ("a", "b"), partner),
        "images",
        "labels",
        "partner",
    )
    if made is not None:
        assert made.images.dtype == np.float32 and made.images.ndim == 4
        assert np.abs(made.images).max() <= 1 and len(made.labels) == len(made)


SIX = data.Images(
    np.linspace(-1, 1, 6 * 4, dtype="float32").reshape(6, 2, 2, 1),
    np.arange(6),
    "six",
    tuple("abcdef"),
)


@fuzz(40, 800, part=ANYTHING | st.slices(6) | st.lists(st.integers(-7, 7)) | arrays())
def test_parts_of_images(part):
    chosen = result_or_refusal(
        lambda: SIX[part], "part", "images", errors=(TypeError, IndexError, ValueError)
    )
    if chosen is not None:
        assert len(chosen) >= 1 and np.isin(chosen.labels, SIX.labels).all()


@fuzz(
    8,
    300,
    size=ANYTHING | st.integers(1, 6),
    seed=ANYTHING | st.integers(0, 2**63 - 1),
    augment=st.none() | ODD.filter(lambda x: not callable(x)),
)
def test_batches(size, seed, augment):
    made = result_or_refusal(
        lambda: SIX.batches(size, seed, augment), "batch_size", "seed", "augment"
    )
    if made is not None:
        seen = np.concatenate([labels for _, labels in made.as_numpy_iterator()])
        assert sorted(seen) == list(range(6))
    result_or_refusal(
        lambda: data.batches_of_two(SIX, SIX, size, seed, augment), "batch_size", "seed", "augment"
    )


@fuzz(25, 500, a=ODD | arrays() | st.just(SIX), b=ODD | st.just(SIX), aligned=st.booleans())
def test_batches_of_two_kinds(a, b, aligned):
    made = result_or_refusal(lambda: data.batches_of_two(a, b, 3, aligned=aligned), "a", "b")
    assert made is None or a is b is SIX


@fuzz(
    40,
    800,
    make=st.sampled_from([data.ring, data.grid]),
    modes=ANYTHING | st.integers(1, 9),
    size=ANYTHING,
    std=ANYTHING,
    count=ANYTHING | st.integers(1, 9),
    seed=ANYTHING | st.just(0),
)
def test_mixtures(make, modes, size, std, count, seed):
    names = "modes", "side", "radius", "spacing", "std"
    mixture = result_or_refusal(lambda: make(modes, size, std), *names)
    if mixture is None:
        mixture = make()
    assert np.isfinite(mixture.centers).all() and mixture.centers.dtype == np.float32
    points = result_or_refusal(lambda: mixture.sample(count, seed), "count", "seed")
    assert points is None or (points.shape == (count, 2) and np.isfinite(points).all())


@fuzz(40, 800, name=ANYTHING | arrays(), split=ANYTHING, size=ANYTHING)
def test_names_of_data(name, split, size):
    for call in (
        lambda: data.load(name, split),
        lambda: data.load("digits", split),
        lambda: data.load_unpaired(name, split, size),
        lambda: data.stacked_mnist(split, name, size),
        lambda: data.find_copy(name),
        lambda: data.reachable(name),
        lambda: data.stored_results(name),
    ):
        assert result_or_refusal(call, "name", "split", "count", "seed") is None


@fuzz(25, 500, images=arrays() | numbers_of(2, 5, 4, 1) | ODD)
def test_translations_of_digits(images):
    for translate, channels in ((data.slanted_in_color, 3), (data.outlined, 1)):
        found = result_or_refusal(lambda translate=translate: translate(images), "images")
        if found is not None:
            assert found.shape == (*images.shape[:3], channels) and found.dtype == np.float32
            assert np.abs(found).max() <= 1 + 1e-6


# Metrics


def is_score(score, least=-math.inf, most=math.inf):
    return math.isfinite(score) and least <= score <= most and not score.error < 0


SAMPLES = st.integers(1, 26).flatmap(lambda n: numbers_of(n, 2)) | arrays() | ODD
FEATURES = st.sampled_from(
    [
        metrics.pixels,
        lambda x: np.reshape(x, (len(x), -1)),
        lambda x: 1e19 * np.reshape(x, (len(x), -1)),
        lambda x: np.reshape(x, (len(x), -1)) * 1e200,
        lambda x: np.reshape(x, (len(x), -1)) * 1j,
        lambda x: np.zeros((len(x), 0)),
        lambda x: [["a"]] * len(x),
        lambda x: np.reshape(x, (len(x), -1)).astype(object),
        lambda x: np.reshape(x, (len(x), -1)) > 0,
        lambda x: None,
    ]
)


@fuzz(
    60,
    1200,
    real=SAMPLES,
    fake=SAMPLES,
    features=FEATURES | ODD.filter(lambda x: not callable(x)),
    k=ANYTHING | st.integers(1, 3),
)
def test_scores(real, fake, features, k):
    def refused(call, *names):
        return result_or_refusal(call, "features", *names)

    distance = refused(lambda: metrics.FrechetDistance(real, features), "reference")
    if distance is not None:
        score = refused(lambda: distance(fake), "samples")
        assert score is None or is_score(score, 0)
        floor = refused(lambda: distance.floor(k, seed=1), "count", "reference", "floor")
        assert floor is None or is_score(floor, 0)
    kernel = refused(lambda: metrics.KernelDistance(real, features, 3, 5, k), "reference", "seed")
    if kernel is not None:
        score = refused(lambda: kernel(fake), "samples")
        assert score is None or is_score(score)
    found = refused(lambda: metrics.precision_recall(real, fake, k, features), "real", "fake", "k")
    if found is not None:
        assert is_score(found.precision, 0, 1) and is_score(found.recall, 0, 1)
        assert is_score(found.density, 0) and is_score(found.coverage, 0, 1)
    near = refused(
        lambda: metrics.nearest_neighbors(fake, real, k, features), "samples", "reference", "k"
    )
    if near is not None:
        assert (near[0] < len(real)).all() and np.isfinite(near[1]).all()
        assert (np.diff(near[1], axis=1) >= 0).all()
    copying = refused(
        lambda: metrics.copying_score(fake, real, real, features), "train", "held_out", "samples"
    )
    assert copying is None or is_score(copying, 0, 1)


@fuzz(40, 800, samples=SAMPLES, centers=SAMPLES, std=ANYTHING | st.floats(0.01, 1))
def test_modes(samples, centers, std):
    found = result_or_refusal(
        lambda: metrics.mode_coverage(samples, centers, std), "samples", "centers", "std"
    )
    if found is not None:
        assert is_score(found.captured, 0, found.modes) and is_score(found.high_quality, 0, 1)
        assert is_score(found.reverse_kl, -1e-9) and math.isclose(found.shares.sum(), 1)


MOMENTS = numbers_of(2) | numbers_of(2, 2) | arrays() | ANYTHING


@fuzz(40, 900, moments=st.tuples(MOMENTS, MOMENTS, MOMENTS, MOMENTS), square=st.booleans())
def test_frechet_distance_of_moments(moments, square):
    if square:  # nearly always covariances
        moments = [m if i % 2 == 0 else np.eye(2) * (1 + i) for i, m in enumerate(moments)]
    names = "mean_1", "mean_2", "covariance_1", "covariance_2"
    distance = result_or_refusal(lambda: metrics.frechet_distance(*moments), *names)
    assert distance is None or (math.isfinite(distance) and distance >= 0)


def shares_of(images):
    flat = np.abs(np.reshape(images, (len(images), -1)))[:, :4] + 1e-3
    return flat / flat.sum(axis=1, keepdims=True)


@fuzz(
    25,
    500,
    images=numbers_of(21, 2, 2, 1) | numbers_of(3, 2, 2, 3) | arrays() | ODD,
    minimum=ANYTHING | st.just(1),
    classifier=st.sampled_from([shares_of, metrics.pixels]) | ODD.filter(lambda x: not callable(x)),
)
def test_classes(images, minimum, classifier):
    names = "images", "minimum", "classifier"
    found = result_or_refusal(lambda: metrics.class_coverage(images, classifier, minimum), *names)
    if found is not None:
        assert is_score(found.captured, 0, found.modes) and is_score(found.reverse_kl, -1e-9)
    score = result_or_refusal(
        lambda: metrics.InceptionScore(classifier, 2)(images), "samples", "classifier"
    )
    assert score is None or is_score(score, 1 - 1e-9)


@fuzz(15, 200, images=numbers_of(2, 28, 28, 1) | arrays() | ODD)
def test_classifier_features(images):
    found = result_or_refusal(lambda: metrics.get_features("mnist")(images), "images")
    assert found is None or (found.shape == (2, 96) and np.isfinite(found).all())
    flat = result_or_refusal(lambda: metrics.pixels(images), "images")
    assert flat is None or (flat.dtype == np.float32 and flat.ndim == 2)


# Losses


@fuzz(
    40,
    800,
    value=ANYTHING,
    make=st.sampled_from(
        [
            losses.NonSaturating,
            losses.LeastSquares,
            losses.R1,
            losses.GradientPenalty,
            losses.ModeSeeking,
            lambda value: losses.R2(every=value),
            losses.get,
            losses.penalties,
        ]
    ),
)
def test_settings_of_losses(value, make):
    names = "real_label", "gamma", "weight", "every", "loss", "penalty"
    made = result_or_refusal(lambda: make(value), *names)
    if isinstance(made, losses.Loss):
        one = made.discriminator_loss(tf.ones((2, 1)), tf.ones((2, 1)))
        assert one.shape == () and math.isfinite(one)


GAMES = sorted(losses._BY_NAME)


@fuzz(
    25,
    500,
    name=st.sampled_from(GAMES),
    logits=st.tuples(
        hnp.arrays("float32", (3, 1), elements=st.floats(-(2.0**50), 2.0**50, width=32)),
        hnp.arrays("float32", (3, 1), elements=st.floats(-(2.0**50), 2.0**50, width=32)),
    ),
)
def test_losses_of_logits(name, logits):
    real, fake = map(tf.constant, logits)
    loss = losses.get(name)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, fake])
        both = loss.discriminator_loss(real, fake), loss.generator_loss(fake, real)
    for value in both:
        assert value.shape == () and math.isfinite(value)
        assert np.isfinite(tape.gradient(value, fake)).all()


@fuzz(15, 300, batch=st.integers(1, 5), size=st.integers(1, 3))
def test_mode_seeking(batch, size):
    latents, samples = tf.unstack(tf.random.stateless_normal((2, batch, size), [batch, size]))
    with tf.GradientTape() as tape:
        tape.watch(samples)
        cost = losses.ModeSeeking()(latents, samples)
    gradient = tape.gradient(cost, samples)
    assert math.isfinite(cost) and (gradient is None or np.isfinite(gradient).all())


# Models

SIZES = ANYTHING | st.integers(1, 9)
SIDE = st.sampled_from([4, 7, 8, 12, 16, 20, 28, 32])
SHAPES = (
    SIZES
    | st.tuples(SIDE, SIDE, st.integers(1, 3))
    | st.tuples(SIDE, SIZES, SIZES)
    | st.lists(SIZES)
)
CHOICES = ODD | st.sampled_from(
    ["course", "small", "batch_norm", "hierarchical", "embedding", "projection"]
)


@fuzz(
    12,
    500,
    build=st.sampled_from(
        [
            lambda shape, n, m, choice: models.mlp_generator(n, m, shape),
            lambda shape, n, m, choice: models.mlp_discriminator(shape, n, m),
            lambda shape, n, m, choice: models.dcgan_generator(n, shape, choice),
            lambda shape, n, m, choice: models.dcgan_discriminator(shape, choice, m),
            lambda shape, n, m, choice: models.conditional_generator(n, m, shape, choice),
            lambda shape, n, m, choice: models.conditional_discriminator(shape, n, choice, "batch"),
            lambda shape, n, m, choice: models.resnet_generator(shape, n, m, 1),
            lambda shape, n, m, choice: models.unet_generator(shape, n, 2, m),
            lambda shape, n, m, choice: models.patch_discriminator(shape, n, m),
            lambda shape, n, m, choice: models.image_classifier(shape, n),
        ]
    ),
    shape=SHAPES,
    n=SIZES,
    m=SIZES,
    choice=CHOICES,
)
def test_sizes_of_models(build, shape, n, m, choice):
    names = (
        "latent_dim hidden output_shape input_shape dropout variant normalization classes "
        "condition channels width blocks halvings"
    )
    network = result_or_refusal(lambda: build(shape, n, m, choice), *names.split())
    if network is not None:
        shapes = [(2, *each.shape[1:]) for each in network.inputs]
        outputs = network([np.zeros(shape, "float32") for shape in shapes])
        for output in outputs if isinstance(outputs, list) else [outputs]:
            assert len(output) == 2 and np.isfinite(output).all()


# Plots

FRAMES = hnp.arrays("uint8", (3, 2)) | hnp.arrays("uint8", (3, 2, 3))


@fuzz(
    40,
    900,
    images=arrays() | numbers_of(3, 2, 2, 1) | numbers_of(2, 2, 2, 3) | ODD,
    columns=st.none() | ANYTHING,
    gap=st.just(1) | NUMBERS.filter(lambda n: not n > 100),
)
def test_sheets(images, columns, gap):
    columns = min(columns, 50) if isinstance(columns, int) else columns
    sheet = result_or_refusal(lambda: plots.tile(images, columns, gap), "images", "columns", "gap")
    if sheet is not None:
        assert sheet.dtype == np.uint8 and sheet.ndim in (2, 3)
        assert sheet.size >= np.prod(np.shape(images))


@fuzz(
    25,
    500,
    frames=st.lists(FRAMES, max_size=3) | st.lists(arrays(), max_size=2) | ODD,
    seconds=ANYTHING | st.floats(0.1, 9),
    scale=st.just(1) | ODD,
)
def test_films_and_panels(frames, seconds, scale):
    film = result_or_refusal(
        lambda: plots.film(frames, seconds, scale), "frames", "seconds", "scale"
    )
    if film is not None:
        assert Image.open(io.BytesIO(film.data)).format == "GIF"
    panel = result_or_refusal(
        lambda: plots.Panel(lambda choice: choice, scale, choice=frames), "choices", "scale"
    )
    if panel is not None:
        first = next(iter(panel._choices["choice"]))
        result_or_refusal(lambda: panel.picture(choice=first), "draw")


@fuzz(
    15,
    300,
    history=st.dictionaries(
        st.sampled_from(["d_loss", "g_loss"]),
        st.lists(NUMBERS.map(lambda n: float(n) if abs(n) < 1e300 else math.nan), max_size=3) | ODD,
    )
    | ODD,
)
def test_curves(history):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    try:
        drawn = result_or_refusal(lambda: plots.loss_curves(history, ax=axes), "history")
        assert drawn is None or len(drawn.lines) == 4
    finally:
        plt.close(figure)


@fuzz(25, 500, start=arrays() | numbers_of(3) | ODD, end=arrays() | numbers_of(3), steps=SIZES)
def test_interpolations(start, end, steps):
    steps = steps if not isinstance(steps, int) else min(steps, 50)
    points = result_or_refusal(lambda: plots.interpolation(start, end, steps), "steps", "start")
    assert points is None or (points.dtype == np.float32 and len(points) == steps)


# Exercises


class Odd(BaseException):
    """An error that is no Exception."""


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def raising(error):
    """A method that raises an error: a type, or a type and its argument."""

    def method(*args, **kwargs):
        raise error[0](*error[1:])

    return method


def hostile_object(methods):
    """An object whose special methods misbehave."""
    return type("Hostile", (), methods)()


ERRORS = st.sampled_from(
    [
        *[(ValueError, "no"), (StopIteration,), (GeneratorExit,), (SystemExit, 3), (Odd,)],
        *[(Unprintable,), (asyncio.CancelledError,), (MemoryError,), (RecursionError,)],
        *[(NotImplementedError,), (AssertionError, "\ud800"), (Warning,), (KeyError, ...)],
        (ExceptionGroup, "two", [OSError()]),
    ]
)
METHODS = st.sampled_from(
    "repr str eq len iter getattr bool array float call getitem hash class contains".split()  # noqa: SIM905
).map(lambda name: f"__{name}__")
BEHAVIORS = ERRORS.map(raising) | st.sampled_from(
    [
        lambda *args, **kwargs: None,
        lambda *args, **kwargs: -1,
        lambda *args, **kwargs: True,
        lambda self, *args, **kwargs: self,
        property(raising((ValueError, "no"))),
    ]
)
HOSTILE = st.builds(hostile_object, st.dictionaries(METHODS, BEHAVIORS, max_size=5))
VALUES = ANYTHING | arrays() | HOSTILE


def spoil(value, how):
    """A right result, made wrong."""
    if isinstance(value, tuple):
        return tuple(spoil(part, how) for part in value)
    array = np.asarray(value)
    return {
        "imaginary": lambda: array + 1j,
        "nan": lambda: np.full(array.shape, np.nan),
        "text": lambda: array.astype(str),
        "text object": lambda: array.astype(str).astype(object) if array.ndim else str(array),
        "masked": lambda: np.ma.array(array, mask=True),
        "twice": lambda: np.stack([array, array, array]),
        "more": lambda: array + 1,
        "equal": lambda: Equal(),
        "date": lambda: np.full(array.shape, "2020-01-01", "M8[D]"),
    }[how]()


def wrap(value, how):
    """A right result, in another form that is as good."""
    if isinstance(value, tuple):
        return tuple(wrap(part, how) for part in value)
    array = np.asarray(value)
    return {
        "list": lambda: array.tolist(),
        "tensor": lambda: tf.constant(array),
        "float64": lambda: array.astype(float),
        "float32": lambda: array.astype(np.float32),
        "fortran": lambda: np.array(array, order="F"),
        "series": lambda: Series(array),
        "object": lambda: array.astype(object),
        "fraction": lambda: fractions.Fraction(float(array)) if array.ndim == 0 else array,
        "read-only": lambda: np.broadcast_to(array, array.shape),
    }[how]()


SPOILED = ["imaginary", "nan", "text", "text object", "masked", "twice", "more", "equal", "date"]
WRAPPED = [
    "list",
    "tensor",
    "float64",
    "float32",
    "fortran",
    "series",
    "object",
    "fraction",
    "read-only",
]
# Judged by more than the value that a function returns: a gradient, or a network
NOT_ONLY_VALUES = {"1.2", "1.3", "1.4", "2.3", "3.2"}
FUNCTIONS = [id for id in test_exercises.NUMBERED if callable(checker._find(id).solution)]
VALUED = [id for id in FUNCTIONS if id not in NOT_ONLY_VALUES]
SLOW = {"2.3", "6.6"}


def quick(ids):
    """Nearly always those that are judged quickly."""
    return st.sampled_from(ids).flatmap(
        lambda id: st.sampled_from([id] if id not in SLOW else [id, *VALUED])
    )


def chatty(how):
    def answer(*arguments):
        import sys

        if how == "much":
            print("x" * 300_000)
        elif how == "close":
            sys.stdout.close()
        elif how == "half a character":
            print("\ud800")
        elif how == "replace":
            sys.stdout = None
        return answer_of_nobody

    return answer


def answer_of_nobody():
    """A function where a number should be."""


@st.composite
def misbehaving(draw):
    """Functions that do anything but what is asked for."""
    kind = draw(
        st.sampled_from(
            ["return", "raise", "signature", "recursion", "chatty", "class", "async", "generator"]
        )
    )
    if kind == "return":
        value = draw(VALUES)
        return lambda *arguments: value
    if kind == "raise":
        return raising(draw(ERRORS))
    if kind == "signature":
        return draw(
            st.sampled_from(
                [lambda: 1, lambda *, a: a, lambda a, b, c, d, e, f: a, len, max, np.add, int]
            )
        )
    if kind == "recursion":

        def endless(*arguments):
            return endless(*arguments)

        return endless
    if kind == "chatty":
        return chatty(draw(st.sampled_from(["much", "close", "half a character", "replace"])))
    if kind == "async":

        async def later(*arguments):
            return 1

        return functools.partial(lambda *arguments: later(*arguments).close())
    if kind == "generator":

        def several(*arguments):
            yield from arguments

        return several
    return draw(st.sampled_from([dict, Exception, Equal, unittest.mock.MagicMock()]))


PROGRESS = st.sampled_from(
    [
        *['["0.1", "1.1"]', "[]", "", "{", '{"1.1": true}', "[1, null, [], {}]", '["0.1", 3]'],
        *["[" * 100_000, "\x00", '"1.1"', "NaN"],
    ]
)


def counts(id):
    """Whether an exercise is one that progress is kept of."""
    return not checker._find(id).is_prediction


def solved_in(text):
    """The exercises that a progress file names."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return set()
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def judged(id, answer, before='["0.1", "1.1"]', strict=False):
    """Judge an answer, and see that nothing but what is documented happens."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "progress.json"
        file.write_text(before, encoding="utf-8")
        variables = {"GAN_COURSE_PROGRESS": str(file), "GAN_COURSE_STRICT": "1" if strict else ""}
        known = solved_in(before)
        with unittest.mock.patch.dict(os.environ, variables):
            try:
                status = exercises.check(id, answer).status
            except exercises.ExerciseNotSolved as error:
                assert strict and str(error).startswith(f"{id}: ")
                status = str(error).split(": ")[1]
                assert status != "right"
        assert status in ("todo", "wrong", "right")
        after = known | {id} if status == "right" else known - {id}
        if counts(id) and after != known:
            assert json.loads(file.read_text(encoding="utf-8")) == sorted(after)
        else:
            assert file.read_text(encoding="utf-8") == before
        assert set(os.listdir(folder)) <= {"progress.json", "progress.lock"}
    return status


@fuzz(
    120,
    1500,
    id=st.sampled_from(sorted(checker._REGISTRY)),
    answer=VALUES | misbehaving(),
    before=PROGRESS,
    strict=st.booleans(),
)
def test_hostile_answers(id, answer, before, strict):
    status = judged(id, answer, before, strict)
    may_be_right = {"5.3": (int, float, fractions.Fraction, np.generic, np.ndarray, list)}
    kinds = may_be_right.get(id, () if counts(id) else str)
    assert status != "right" or issubclass(type(answer), kinds)


@fuzz(50, 600, id=quick(VALUED), how=st.sampled_from(SPOILED))
def test_right_answers_made_wrong(id, how):
    solution = checker._find(id).solution
    assert judged(id, lambda *arguments: spoil(solution(*arguments), how)) == "wrong"


@fuzz(50, 600, id=quick(VALUED), how=st.sampled_from(WRAPPED))
def test_right_answers_in_another_form(id, how):
    solution = checker._find(id).solution
    assert judged(id, lambda *arguments: wrap(solution(*arguments), how)) == "right"


@fuzz(
    30,
    300,
    id=st.sampled_from([id for id in VALUED if id not in ("6.6", "7.4")]),
    value=st.sampled_from([0, 1, 0.5, -1]),
)
def test_answers_that_change_their_arguments(id, value):
    solution, changed = checker._find(id).solution, []

    def answer(*arguments):
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                argument[...] = value
                changed.append(True)
        return solution(*arguments)

    first = judged(id, answer)
    assert first == "wrong" if changed else first == "right"
    assert judged(id, solution) == "right"  # and nothing was changed for the next answer


# What is judged of the result of an experiment
MEASURED = {
    "1.5": "ABCD",
    "2.4": ("distance", "steps"),
    "3.3": ("ends_at", "highest_answer", "steps"),
    "4.4": ("modes", "high_quality", "steps"),
    "5.5": ("distance", "steps"),
    "6.5": "ABCD",
    "7.5": ("precision", "recall"),
}
NO_MEASUREMENT = st.sampled_from(
    [
        *[math.nan, -math.inf, None, "x", "", Equal(), 1j, np.complex64(1j), [], {}, object()],
        *[np.ma.masked, len],
    ]
)


@fuzz(
    40,
    500,
    id=st.sampled_from(sorted(MEASURED)),
    value=NO_MEASUREMENT | HOSTILE,
    which=st.integers(0, 3),
)
def test_results_of_experiments(id, value, which):
    answer = test_exercises.RIGHT[id][0]
    name = MEASURED[id][which % len(MEASURED[id])]
    pair = isinstance(answer, tuple)
    result = {**(answer[which % 2] if pair else answer), name: value}
    if pair:
        result = (result, answer[1]) if which % 2 == 0 else (answer[0], result)
    assert judged(id, result) != "right"


@fuzz(25, 300, id=ANYTHING | st.sampled_from(["1.1", "9.9", "1.a"]), lesson=ANYTHING)
def test_names_of_exercises(id, lesson):
    known = isinstance(id, str) and id in checker._REGISTRY
    for call in (exercises.check, exercises.answer):
        assert (result_or_refusal(lambda call=call: call(id, ...) or ..., "id") is None) != known
    result_or_refusal(lambda: exercises.hint(id), "id")
    found = result_or_refusal(lambda: exercises.progress(lesson), "lesson")
    assert found is None or str(found).startswith("lesson 0")


# The builder of the notebooks

SECRET = "the_solution_itself"
FRAGMENTS = st.sampled_from(
    [
        *["# %%", "# %% [markdown]", "# BEGIN SOLUTION", "# STUB", "# END SOLUTION"] * 3,
        *["    # BEGIN SOLUTION", "    # STUB", "    # END SOLUTION", "    return 1"] * 2,
        *["def f():", "# return ...", "", ""] * 2,
        # other ways to begin a cell, and settings of cells
        *["#%%", "  # %%", "# %% a title [markdown]", "# %% [raw]", "# %% [md]", "# In[3]:"],
        *["# <codecell>", "# %%%%", '# %% exercise="1.1"', "# %% exercise=1.1", "# %% {"],
        *['# %% tags=["a", "b"]', '# %% tags="a"', "# %% tags=[1]", '# %% active="ipynb"'],
        *['# %% active=""', '# %% {"a": NaN}', "# %% x=["],
        # nearly markers
        *["#BEGIN SOLUTION", "# begin_solution:", "# BEGIN  SOLUTION", "# END THE SOLUTION"],
        *["# BEGIN SOLUTION of it", "# # BEGIN SOLUTION", "x = 1  # BEGIN SOLUTION", "# Stub"],
        # texts, templates, the top of a file
        *['"""', "'''", "# ```", "# ```python", "# text {{name}} {{name:.2f}} {{", "# # Title"],
        *["# {{minutes:c}} {{a:99}}", "# ![w](attachment:x.png)", "# ---", "# jupyter:"],
        *["#   gan_course: 3", "#   kernelspec: [", "# jupytext:", "#   split_at_heading: true"],
        '#   cell_markers: \'"""\'',
        # odd characters, and what else jupytext might look at
        *[
            "\t# STUB",
            "\f",
            "\x0b# %%",
            "\u2028# %%",
            "\x85",
            "\x00",
            "\ufeff# %%",
            " " * 160 + "pass",
        ],
        *["é\u0301 \U0001f600 \u202e", "%magic", "!ls", "# +", "# -"],
    ]
)


@st.composite
def sources(draw):
    """Texts of what a source is made of; a secret follows what looks like a BEGIN SOLUTION."""
    lines = []
    for line in draw(st.lists(FRAGMENTS, max_size=14)):
        lines.append(line)
        if re.search(r"begin[\s_-]*solution", line, re.I):
            indent = "# " if draw(st.integers(0, 5)) == 0 else "    "
            lines.append(f"{indent}{SECRET}_{len(lines)}")
    if draw(st.booleans()):
        lines = ["# ---", "# jupyter:", "#   gan_course:", "#     title: 1", "# ---", *lines]
    ending = draw(st.sampled_from(["\n", "\r\n", "\n", "\r"]))
    return ending.join(lines) + draw(st.sampled_from(["", "\n", "\n\n\n"]))


def build(text, folder):
    """Both notebooks of a source, as they would be stored."""
    root = Path(folder)
    (root / "notebooks/source").mkdir(parents=True)
    (root / "notebooks/source/01_fuzz.py").write_bytes(text)
    (lesson,) = tool.find_lessons(root)
    built = {}
    for variant in tool.FOLDERS:
        notebook, _, _, problems = tool.build(lesson, variant)
        assert problems == []
        built[variant] = tool.to_text(notebook, lesson.name(variant))
    return built


@fuzz(150, 2500, text=sources().map(lambda text: text.encode()) | st.binary(max_size=40))
def test_sources_of_notebooks(text):
    with tempfile.TemporaryDirectory() as folder:
        try:
            built = build(text, folder)
        except tool.BuildError as error:
            assert re.search(r"01_fuzz\.py|01_fuzz\.ipynb", str(error))
            return
    assert SECRET not in built["learner"]
    decoded = text.decode()
    for number in re.findall(rf"{SECRET}_\d+", decoded):
        assert number in built["solved"]
    for notebook in built.values():
        json.loads(notebook, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        nbformat.validate(nbformat.reads(notebook, as_version=4))


# Damaged notebooks

KEYS = st.sampled_from(["cells", "metadata", "source", "cell_type", "gan_course", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | TEXTS,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """The paths to every part of a JSON value."""
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from places(part, (*path, i))


def replaced(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["text"]},
        {
            "cell_type": "code",
            "execution_count": 1,
            "id": "b",
            "metadata": {"exercise": "1.1", "tags": ["x"]},
            "outputs": [{"name": "stdout", "output_type": "stream", "text": ["not yet\n"]}],
            "source": ["def f():\n", "    return ..."],
        },
    ],
    "metadata": {
        "gan_course": {
            **dict.fromkeys(tool.RUN_KEYS, "1"),
            "results": {"name": 1.0},
            "minutes": 1.0,
            "variant": "learner",
        }
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}
NOTEBOOK["metadata"]["gan_course"]["cells_sha256"] = workbook.cells_sha256(NOTEBOOK)


@st.composite
def damaged(draw):
    """The bytes of a notebook with something wrong."""
    kind = draw(st.sampled_from(["part", "part", "part", "cut", "bytes", "deep", "any"]))
    text = json.dumps(NOTEBOOK)
    if kind == "part":
        path = draw(st.sampled_from(list(places(NOTEBOOK))))
        return json.dumps(replaced(NOTEBOOK, path, draw(JSON))).encode()
    if kind == "cut":
        return text[: draw(st.integers(0, len(text)))].encode()
    if kind == "bytes":
        return draw(st.binary(max_size=60))
    if kind == "deep":
        depth = draw(st.sampled_from([300, 900, 2_000, 100_000]))
        return text.replace('"1.1"', "[" * depth + "]" * depth).encode()
    return json.dumps(draw(JSON)).encode()


def contents(folder):
    return sorted(path.read_bytes() for path in Path(folder).rglob("*") if path.is_file())


@fuzz(
    100,
    1500,
    mine=damaged(),
    published=damaged() | st.just(json.dumps(NOTEBOOK).encode()),
    name=st.sampled_from(
        ["01_a.ipynb", "01_ü '$(x) [1].ipynb", "01_.ipynb", "99_" + "n" * 150 + ".ipynb"]
    ),
    command=st.sampled_from(["prepare", "lesson", "exercise"]),
    which=st.sampled_from(["01", "99", "1.1", "../01", "", "9" * 30]) | TEXTS,
)
def test_damaged_notebooks(mine, published, name, command, which):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for part, content in (("notebooks", published), ("workbook", mine)):
            (root / part).mkdir()
            (root / part / name).write_bytes(content)
        stored = json.loads(mine) if workbook._read(root / "workbook" / name) else {}
        unedited = stored and workbook._stamp(stored).get("cells_sha256") == workbook.cells_sha256(
            stored
        )
        try:
            if command == "prepare":
                workbook.prepare(root)
            else:
                workbook.reset(**{command: which}, root=root)
        except workbook.WorkbookError as error:
            assert str(error)
            assert contents(root / "workbook") == [mine]
        assert unedited or mine in contents(root / "workbook")  # never lost
        assert (root / "notebooks" / name).read_bytes() == published
        assert not list(root.rglob("*.tmp"))


@fuzz(80, 1000, stored=damaged(), variant=st.sampled_from(sorted(tool.FOLDERS)))
def test_damaged_stored_notebooks(stored, variant):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for part in ("notebooks/source", "notebooks/solutions"):
            (root / part).mkdir(parents=True)
        (root / "notebooks/source/01_a.py").write_text(
            "# %%\ndef f():\n    return ...\n", encoding="utf-8"
        )
        (lesson,) = tool.find_lessons(root)
        lesson.path(variant).write_bytes(stored)
        notebook, _, reason, problems = tool.build(lesson, variant)
        tool.to_text(notebook, "it")
        assert reason and problems == []
        assert tool.check(lesson, variant)
        assert tool.why_not_published(lesson, variant)
