"""The metrics: closed forms, honest errors, batches of any size, bad input, broken generators."""

import copy
import itertools
import json
import pickle
import warnings
import weakref

import keras
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gan_course import data, metrics, models


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """For small matrices; several threads wait for each other where cores are busy."""
    with threadpoolctl.threadpool_limits(1):
        yield


def same(samples):
    """Features that are the samples themselves."""
    return samples


def normal(count, dimension, seed, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(count, dimension))


def random_covariance(rng, dimension, rank):
    factor = rng.normal(size=(dimension, rank)) * rng.uniform(0.3, 3.0, rank)
    return factor @ factor.T


def in_batches(samples, sizes):
    """Parts of the given sizes, over and over."""
    start = 0
    for size in itertools.cycle(sizes):
        if start >= len(samples):
            return
        yield samples[start : start + size]
        start += size


# --- Scores


def test_a_score_is_a_float_that_keeps_its_error():
    score = metrics.Score(1.25, 0.031)
    assert score == 1.25 and isinstance(score, float) and score + 1 == 2.25
    assert str(score) == repr(score) == f"{score}" == "1.25 ± 0.031" and f"{score:.1f}" == "1.2"
    assert np.isnan(metrics.Score(2).error)
    for twin in (copy.deepcopy(score), pickle.loads(pickle.dumps(score))):
        assert twin == 1.25 and twin.error == 0.031
    assert json.dumps({"fid": score}) == '{"fid": 1.25}'


# --- Frechet distance: exact facts


def test_frechet_in_one_dimension():
    found = metrics.frechet_distance(1.0, 4.0, -2.0, 0.25)  # variances: deviations are 2 and 0.5
    assert found == pytest.approx(3**2 + 1.5**2, rel=1e-12)


def test_frechet_with_diagonal_covariances():
    means, deviations = np.array([[0, 1, 2], [3, 1, 0]]), np.array([[1, 2, 0], [3, 2, 5]])
    covariances = [np.diag(row**2.0) for row in deviations]
    found = metrics.frechet_distance(means[0], covariances[0], means[1], covariances[1])
    assert found == pytest.approx((9 + 0 + 4) + (4 + 0 + 25), rel=1e-12)


def test_frechet_with_equal_covariances_is_the_distance_of_the_means():
    covariance = random_covariance(np.random.default_rng(0), 5, 5)
    found = metrics.frechet_distance(np.zeros(5), covariance, np.full(5, 2.0), covariance)
    assert found == pytest.approx(5 * 4, rel=1e-9)


gaussians = st.tuples(
    st.integers(1, 8), st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1)
)


def two_gaussians(drawn):
    """Means and covariances of two Gaussians, singular ones where the rank drawn is low."""
    dimension, *ranks, seed = drawn
    rng = np.random.default_rng(seed)
    covariances = [random_covariance(rng, dimension, min(rank, dimension)) for rank in ranks]
    return rng.normal(size=(2, dimension)), covariances


@settings(max_examples=100, deadline=None)
@given(gaussians)
def test_frechet_agrees_with_eigenvalues_of_the_product(drawn):
    means, (c_1, c_2) = two_gaussians(drawn)
    roots = np.sqrt(np.maximum(scipy.linalg.eigvals(c_1 @ c_2).real, 0)).sum()
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(c_1) + np.trace(c_2) - 2 * roots
    found = metrics.frechet_distance(means[0], c_1, means[1], c_2)
    assert type(found) is float
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-7)


@settings(max_examples=50, deadline=None)
@given(gaussians)
def test_frechet_is_a_distance_between_gaussians_wherever_they_lie(drawn):
    means, (c_1, c_2) = two_gaussians(drawn)
    size = np.trace(c_1) + np.trace(c_2)
    found = metrics.frechet_distance(means[0], c_1, means[1], c_2)
    assert found >= 0
    assert metrics.frechet_distance(means[1], c_2, means[0], c_1) == pytest.approx(found, rel=1e-9)
    assert metrics.frechet_distance(means[0], c_1, means[0], c_1) <= 1e-12 * size
    turn = np.linalg.qr(np.random.default_rng(drawn[-1]).normal(size=(len(c_1), len(c_1))))[0]
    turned = [turn @ c @ turn.T for c in (c_1, c_2)]
    turned = [(c + c.T) / 2 for c in turned]
    again = metrics.frechet_distance(turn @ means[0], turned[0], turn @ means[1], turned[1])
    assert again == pytest.approx(found, rel=1e-6, abs=1e-7)


def test_frechet_of_no_spread_at_all_is_the_distance_of_points():
    nothing = np.zeros((3, 3))
    assert metrics.frechet_distance(np.zeros(3), nothing, np.ones(3), nothing) == 3.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0, 0], np.eye(2), [0], np.eye(1)), r"mean_2 and covariance_2 .*\(2,\) and \(2, 2\)"),
        (([0, 0], np.eye(3), [0, 0], np.eye(2)), r"mean_1 .*came \(2,\) and \(3, 3\)"),
        (([0, np.nan], np.eye(2), [0, 0], np.eye(2)), "mean_1 must be finite"),
        (([0, 0], -np.eye(2), [0, 0], np.eye(2)), "no negative eigenvalue, came .*-1"),
        (([0, 0], [[1, 0.5], [0, 1]], [0, 0], np.eye(2)), "covariance_1 must be symmetric"),
        (([0, 0], np.eye(2), [0, 0], -np.eye(2)), "covariance_2 must be symmetric"),
        (([0, "a"], np.eye(2), [0, 0], np.eye(2)), "mean_1 must hold numbers"),
        (([0, 1j], np.eye(2), [0, 0], np.eye(2)), "mean_1 must hold numbers"),
        (([], np.empty((0, 0)), [], np.empty((0, 0))), "mean_1 must hold numbers"),
        (([0, 0], np.eye(2), [0, 0], 1e200 * np.eye(2)), r"covariance_2 must hold .* 1e\+20"),
        ((10**400, 1, 0, 1), "mean_1 must hold numbers"),
    ],
)
def test_frechet_refuses_what_is_no_gaussian(arguments, words):
    with pytest.raises(ValueError, match=words):
        metrics.frechet_distance(*arguments)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_moments_add_up(sizes, seed):
    samples = 1e3 + normal(sum(sizes) + 1, 3, seed)
    together = metrics.Moments.of(samples[:1])
    for part in in_batches(samples[1:], sizes):
        together += metrics.Moments.of(part)
    assert together.count == len(samples)
    assert np.allclose(together.mean, samples.mean(axis=0), rtol=1e-13)
    assert np.allclose(together.covariance, np.cov(samples.T), rtol=1e-9, atol=1e-9)


# --- Frechet distance: from samples


@pytest.mark.parametrize(("d", "published", "off"), [(10, 0.0075, 0.12), (64, 0.2208, 0.04)])
def test_identical_gaussians_score_the_bias_of_their_number(d, published, off):
    count = 10_000
    assert published == pytest.approx(2 * d / count + d * (d + 1) / 2 / count, rel=1e-2)
    found = [
        metrics.FrechetDistance(normal(count, d, 2 * i), same)(normal(count, d, 2 * i + 1))
        for i in range(4)
    ]
    assert np.mean(found) == pytest.approx(published, rel=off)


@pytest.mark.parametrize("count", [2_000, 10_000])
def test_the_floor_is_what_perfect_samples_score(count):
    distance = metrics.FrechetDistance(normal(10_000, 32, 0), same)
    perfect = [distance(normal(count, 32, seed)) for seed in range(1, 7)]
    floor = distance.floor(count)
    assert floor == pytest.approx(np.mean(perfect), rel=0.06)
    assert 0.3 < floor.error / np.std(perfect, ddof=1) < 3
    assert all(abs(score - floor) < 5 * floor.error for score in perfect)


def test_the_floor_holds_for_fewer_samples_than_the_law_of_large_numbers_needs():
    distance = metrics.FrechetDistance(normal(2_000, 32, 0), same)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 30 samples for 32 features
        perfect = [distance(normal(30, 32, seed)) for seed in range(1, 5)]
    assert distance.floor(30) == pytest.approx(np.mean(perfect), rel=0.1)


def test_the_floor_is_reproducible_and_of_the_reference_if_no_count_is_given():
    distance = metrics.FrechetDistance(normal(300, 4, 0), same)
    assert distance.floor() == distance.floor(300) == distance.floor(300, seed=0)
    assert distance.floor() != distance.floor(seed=1)
    assert distance.floor(100) > distance.floor(1_000)


def test_a_known_shift_and_scale_is_measured_and_its_floor_stays_below():
    distance = metrics.FrechetDistance(normal(20_000, 3, 0), same)
    found = distance(1.0 + normal(20_000, 3, 1, scale=2.0))
    assert found == pytest.approx(3 * 1**2 + 3 * (2 - 1) ** 2, rel=0.03)
    assert abs(found - 6) < 5 * found.error and distance.floor() < 0.01


# --- Kernel distance


def double_loop(x, y):
    """The unbiased estimate as it is written in the paper."""

    def kernel(a, b):
        return (np.dot(a, b) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    between = sum(kernel(a, b) for a in x for b in y)
    return within_x / n / (n - 1) + within_y / m / (m - 1) - 2 * between / n / m


def test_one_subset_gives_the_value_of_a_double_loop():
    x, y = normal(5, 3, 0), normal(5, 3, 1) + 1
    found, witness = metrics._squared_mmd(x, y)
    assert found == pytest.approx(double_loop(x, y), rel=1e-12)
    assert witness.shape == (5,)


def test_the_mean_over_subsets_approaches_the_value_of_all():
    x, y = normal(8, 3, 0), normal(8, 3, 1) + 1
    found = metrics.KernelDistance(x, same, subsets=3_000)(y)
    assert found == pytest.approx(double_loop(x, y), rel=0.05)


def test_the_kernel_distance_of_identical_distributions_is_zero_on_average():
    found = [
        metrics.KernelDistance(normal(200, 8, 2 * i), same, 10, 100)(normal(300, 8, 2 * i + 1))
        for i in range(50)
    ]
    assert min(found) < 0 < max(found)
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    shifted = metrics.KernelDistance(normal(200, 8, 0), same, 10, 100)(normal(300, 8, 1) + 0.5)
    assert shifted > max(found)


def test_the_kernel_distance_is_reproducible_and_the_seed_chooses_the_subsets():
    x, y = normal(60, 3, 0), normal(50, 3, 1)
    found = [
        metrics.KernelDistance(x, same, 5, 20, seed)(y)
        for seed in (0, 0, 1)
    ]  # fmt: skip
    assert found[0] == found[1] != found[2] and found[0].error == found[1].error


# --- Inception score


def test_undecided_images_score_one_and_decided_and_balanced_ones_the_number_of_classes():
    score = metrics.InceptionScore(same)
    assert score(np.full((100, 10), 0.1)) == pytest.approx(1, rel=1e-12)
    assert score(np.repeat(np.eye(10), 20, axis=0)) == pytest.approx(10, rel=1e-12)
    assert score(np.tile(np.eye(10)[3], (100, 1))) == pytest.approx(1, rel=1e-12)


def test_classes_that_take_turns_do_not_end_up_in_one_split_each():
    turns = np.tile(np.eye(10), (1_000, 1))  # as the rows of a sheet of conditional samples
    assert metrics.InceptionScore(same)(turns) > 9.8
    assert metrics.InceptionScore(same, splits=5)(turns) > 9.8


def test_inception_score_by_hand():
    p = np.array([[0.5, 0.5], [0.9, 0.1]])
    m = p.mean(axis=0)
    expected = np.exp(np.mean([sum(row * np.log(row / m)) for row in p]))
    found = metrics.InceptionScore(same, splits=2)(np.repeat(p, 2, axis=0))
    assert found == pytest.approx(expected, rel=1e-12) and found.error == pytest.approx(0, abs=1e-9)


# --- Precision and recall


def brute_force(real, fake, k):
    """The four shares as they are defined, by loops over all pairs."""

    def squared(a, b):
        return np.sum((a[:, None] - b[None]) ** 2, axis=2)

    def radii(x):
        return np.array([sorted(np.delete(row, i))[k - 1] for i, row in enumerate(squared(x, x))])

    in_real = squared(fake, real) <= radii(real)  # (fake, real)
    in_fake = squared(real, fake) <= radii(fake)
    return (
        in_real.any(axis=1).mean(),
        in_fake.any(axis=1).mean(),
        in_real.sum() / k / len(fake),
        in_real.any(axis=0).mean(),
    )


def as_tuple(found):
    return found.precision, found.recall, found.density, found.coverage


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.integers(5, 14), st.integers(5, 14), st.integers(0, 2**32 - 1), st.data()
)
def test_precision_and_recall_agree_with_loops_over_all_pairs(k, n, m, seed, draws):
    """On whole numbers, too, where many samples coincide or lie on the surface of a ball."""
    rng = np.random.default_rng(seed)
    if draws.draw(st.booleans(), "whole numbers"):
        real, fake = (rng.integers(0, 4, (count, 2)).astype(float) + 100 for count in (n, m))
    else:
        real, fake = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    found = metrics.precision_recall(real, fake, k, same)
    assert as_tuple(found) == pytest.approx(brute_force(real, fake, k), rel=1e-12)


@pytest.mark.parametrize("k", [3, 5])
def test_density_and_coverage_of_identical_gaussians(k):
    found = [
        as_tuple(
            metrics.precision_recall(normal(800, 6, 2 * i), normal(800, 6, 2 * i + 1), k, same)
        )
        for i in range(6)
    ]
    precision, recall, density, coverage = np.mean(found, axis=0)
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - 2**-k, abs=0.012)
    assert precision == pytest.approx(recall, abs=0.02)  # neither set is special


def test_fidelity_and_diversity_are_told_apart():
    real = normal(500, 4, 0)
    narrow = metrics.precision_recall(real, normal(500, 4, 1, scale=0.3), features=same)
    wide = metrics.precision_recall(real, normal(500, 4, 1, scale=3.0), features=same)
    assert narrow.precision > 0.97 and narrow.recall < 0.4
    assert wide.precision < 0.4 and wide.recall > 0.97
    assert str(narrow).startswith(f"precision {narrow.precision:.3f} ± ")


def test_precision_has_no_error_where_its_parts_would_be_too_small():
    errors = [
        np.isnan(score.error)
        for count in (299, 300)
        for score in as_tuple(
            metrics.precision_recall(normal(count, 2, 0), normal(count, 2, 1), 3, same)
        )
    ]
    assert errors == [True] * 4 + [False] * 4


# --- Modes

RING = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=1)
GRID = np.array(list(itertools.product((-4, -2, 0, 2, 4), repeat=2)), float)


def mixture(centers, std, count, seed, shares=None):
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(centers), count, p=shares)
    return centers[chosen] + std * rng.normal(size=(count, 2))


@pytest.mark.parametrize(("centers", "std"), [(RING, 0.01), (GRID, 0.05)])
def test_a_perfect_generator_of_modes(centers, std):
    found = [
        metrics.mode_coverage(mixture(centers, std, 2_500, s), centers, std) for s in range(20)
    ]
    assert all(each.captured == each.modes == len(centers) for each in found)
    quality = np.mean([each.high_quality for each in found])
    assert quality == pytest.approx(1 - np.exp(-4.5), abs=1.5e-3)  # 98.89 %
    floor = np.mean([each.reverse_kl for each in found])
    assert floor == pytest.approx((len(centers) - 1) / 2 / 2_500, rel=0.25)


def test_modes_are_counted_as_defined():
    centers, std = np.array([[0.0, 0], [10, 0], [20, 0]]), 1.0
    samples = [[0, 2.9], [0, 3.1], [9, 0], [11, 0], [20, 4], [19, 4], [0, -1], [10, 3.0]]
    found = metrics.mode_coverage(np.array(samples), centers, std)
    assert found.captured == 2 and found.modes == 3  # the third has two near, none within 3
    assert found.high_quality == 5 / 8
    assert np.allclose(found.shares, [3 / 8, 3 / 8, 2 / 8])
    assert found.reverse_kl == pytest.approx(np.sum(found.shares * np.log(found.shares * 3)))
    assert np.isnan(found.captured.error)  # 8 samples are too few for ten parts
    assert str(found) == "2 of 3 modes, high quality 62.5%, reverse KL 0.01642 ± nan"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_circle_that_returns_to_its_start_is_refused(dtype):
    angles = np.linspace(0, 2 * np.pi, 8, dtype=dtype)
    centers = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    with pytest.raises(ValueError, match=r"centers must all be different: 0 and 7.*endpoint=False"):
        metrics.mode_coverage(np.zeros((5, 2)), centers, 0.01)


@pytest.mark.parametrize(
    ("samples", "centers", "std", "words"),
    [
        (np.zeros((5, 3)), RING, 0.1, r"\(N, d\) and \(modes, d\), came \(5, 3\) and \(8, 2\)"),
        (np.full((5, 2), np.nan), RING, 0.1, "samples must be finite, came NaN .* in 5 of 5"),
        (np.zeros((5, 2)), RING, 0.0, "std must be a number above 0, came 0.0"),
        (np.zeros((5, 2)), RING, np.nan, "std must be a number above 0, came nan"),
        (np.zeros((5, 2)), RING, np.ones(2), "std must be a number above 0"),
        (np.zeros((5, 2)), np.full((2, 2), np.inf), 0.1, "centers must be finite"),
    ],
)
def test_mode_coverage_refuses(samples, centers, std, words):
    with pytest.raises(ValueError, match=words):
        metrics.mode_coverage(samples, centers, std)


def painted(classes):
    """Images whose class `painted_classifier` reads from the brightness of each channel."""
    classes = np.atleast_2d(classes).astype("float32")
    return np.broadcast_to(
        classes[:, None, None, :] / 5 - 1, (len(classes), 28, 28, classes.shape[1])
    )


def painted_classifier(images):
    assert images.shape[1:] == (28, 28, 1)
    return np.eye(10)[np.rint((images[:, 0, 0, 0] + 1) * 5).astype(int)]


def test_classes_of_gray_images():
    images = painted(np.repeat([0, 3, 7], [60, 30, 10])[:, None])
    found = metrics.class_coverage(images, painted_classifier)
    assert found.captured == 3 and found.modes == 10 and found.high_quality is None
    assert np.allclose(found.shares, [0.6, 0, 0, 0.3, 0, 0, 0, 0.1, 0, 0])
    expected = np.log(10) + 0.6 * np.log(0.6) + 0.3 * np.log(0.3) + 0.1 * np.log(0.1)
    assert found.reverse_kl == pytest.approx(expected, rel=1e-6)
    assert metrics.class_coverage(images, painted_classifier, minimum=11).captured == 2


def test_stacked_digits_have_a_thousand_modes():
    every = np.array(list(itertools.product(range(10), repeat=3)))
    found = metrics.class_coverage(painted(every), painted_classifier)
    assert found.captured == found.modes == 1000 and found.reverse_kl == pytest.approx(0, abs=1e-9)
    one = metrics.class_coverage(painted([[1, 2, 3]] * 50), painted_classifier)
    assert one.captured == 1 and one.shares[123] == 1
    assert one.reverse_kl == pytest.approx(np.log(1000)) and one.captured.error == 0


def test_class_coverage_refuses_other_images():
    with pytest.raises(ValueError, match=r"\(N, 28, 28, 1 or 3\), came \(2, 28, 28, 2\)"):
        metrics.class_coverage(np.zeros((2, 28, 28, 2), "float32"), painted_classifier)
    with pytest.raises(ValueError, match="minimum must be a whole number of at least 1, came True"):
        metrics.class_coverage(painted([[1]]), painted_classifier, minimum=True)


# --- Memorizing


def test_planted_copies_are_found():
    rng = np.random.default_rng(0)
    reference = rng.uniform(-1, 1, (50, 6, 6, 1)).astype("float32")
    samples = rng.uniform(-1, 1, (9, 6, 6, 1)).astype("float32")
    samples[[2, 5]] = reference[[31, 7]]
    indices, distances = metrics.nearest_neighbors(samples, reference, k=3)
    assert indices.shape == distances.shape == (9, 3)
    assert indices[2, 0] == 31 and indices[5, 0] == 7
    assert (np.flatnonzero(distances[:, 0] < 1e-3) == [2, 5]).all()
    assert (np.diff(distances, axis=1) >= 0).all()
    expected = np.linalg.norm((samples[0] - reference).reshape(50, -1), axis=1)
    assert indices[0].tolist() == np.argsort(expected)[:3].tolist()
    assert np.allclose(distances[0], np.sort(expected)[:3], rtol=1e-5)


def test_copying_is_told_from_honest_and_from_bad_samples():
    train, held_out = normal(400, 3, 0), normal(300, 3, 1)
    assert metrics.copying_score(train[:200], train, held_out, same) == 1
    assert metrics.copying_score(held_out + 50, train, held_out, same) == 0
    honest = metrics.copying_score(normal(300, 3, 2), train, held_out, same)
    assert abs(honest - 0.5) < 4 * honest.error and honest.error < 0.05
    both_copies = metrics.copying_score(train[:9], train, train[9:29], same)
    assert both_copies == pytest.approx(0.5, abs=0.25)  # ties, up to rounding
    half = metrics.copying_score(
        np.concatenate([train[:150], held_out[:150]]), train, held_out[150:], same
    )
    assert half == pytest.approx(0.75, abs=0.05)


def test_copying_score_counts_ties_by_half():
    train, held_out = np.array([[0.0]]), np.array([[1.0], [2.0], [3.0]])
    found = metrics.copying_score(np.array([[2.0], [9.0]]), train, held_out, same)
    assert found == pytest.approx((0.5 + 1) / 6)  # of six pairs one is won and one is even


# --- Errors are honest: about as large as the spread of independent repeats


def spread(score, repeats=14):
    """The errors' mean over the spread of the values."""
    found = [score(seed) for seed in range(1, repeats + 1)]
    return np.mean([each.error for each in found]) / np.std(found, ddof=1)


@pytest.mark.parametrize("scale", [1.0, 1.3])
def test_the_error_of_the_frechet_distance(scale):
    distance = metrics.FrechetDistance(normal(1_500, 12, 0), same)
    assert 0.5 < spread(lambda seed: distance(normal(1_000, 12, seed, scale))) < 2


@pytest.mark.parametrize(("count", "scale"), [(1_000, 1.0), (1_000, 1.3), (300, 1.3)])
def test_the_error_of_the_kernel_distance(count, scale):
    distance = metrics.KernelDistance(normal(1_500, 8, 0), same, subset_size=200)
    assert 0.5 < spread(lambda seed: distance(normal(count, 8, seed, scale))) < 2


def test_the_error_of_the_inception_score():
    def probabilities(seed):
        return scipy.special.softmax(normal(1_000, 10, seed, scale=2.0), axis=1)

    score = metrics.InceptionScore(same)
    assert 0.5 < spread(lambda seed: score(probabilities(seed))) < 2


@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_the_errors_of_precision_and_recall(scale):
    found = [
        as_tuple(
            metrics.precision_recall(
                normal(600, 5, 2 * i), normal(600, 5, 2 * i + 1, scale), 3, same
            )
        )
        for i in range(14)
    ]
    errors = np.mean([[score.error for score in each] for each in found], axis=0)
    factors = errors / np.std(np.array(found, float), axis=0, ddof=1)
    assert (factors > 0.5).all() and (factors < 2).all()


def test_the_errors_of_modes():
    shares = np.r_[np.ones(20), np.full(5, 0.01)]  # five modes that 2,500 samples often miss
    shares /= shares.sum()
    found = [
        metrics.mode_coverage(mixture(GRID, 0.05, 2_500, seed, shares), GRID, 0.05)
        for seed in range(20)
    ]
    for name in ("captured", "high_quality", "reverse_kl"):
        scores = [getattr(each, name) for each in found]
        factor = np.mean([score.error for score in scores]) / np.std(scores, ddof=1)
        assert 0.5 < factor < 2, name


def test_the_error_of_the_copying_score():
    train = normal(400, 3, 0)

    def score(seed):
        samples, held_out = 0.9 * normal(150, 3, seed), normal(200, 3, 1000 + seed)
        return metrics.copying_score(samples, train, held_out, same)

    assert 0.5 < spread(score, repeats=25) < 2


def test_classes_that_take_turns_do_not_spoil_the_error():
    """A block for every tenth sample would hold one class each, and call that a huge error."""
    rng = np.random.default_rng(0)
    turns = 5 * np.tile(np.eye(10), (100, 1)) + rng.normal(size=(1_000, 10))
    shuffled = rng.permutation(turns)
    distance = metrics.FrechetDistance(rng.permutation(turns) + 0.1, same)
    assert 0.4 < distance(turns).error / distance(shuffled).error < 2.5


# --- Arrays, iterables, data sets: one result

SAMPLES = normal(230, 4, 1).astype("float32")
PROBABILITIES = scipy.special.softmax(3 * SAMPLES, axis=1)


def ways(samples):
    """The same samples given in other ways."""
    dataset = tf.data.Dataset.from_tensor_slices((samples, np.arange(len(samples))))
    return {
        "list": list(samples),
        "tensor": tf.constant(samples),
        "batches of 1": in_batches(samples, [1]),
        "uneven batches": in_batches(samples, [7, 100, 2]),
        "data set": dataset.batch(64),
        "data set without labels": dataset.map(lambda x, y: x).batch(1000),
    }


@pytest.mark.parametrize("way", ways(SAMPLES))
@pytest.mark.parametrize(
    ("score", "samples"),
    [
        (metrics.FrechetDistance(normal(200, 4, 0), same), SAMPLES),
        (metrics.KernelDistance(normal(200, 4, 0), same, 5), SAMPLES),
        (metrics.InceptionScore(same), PROBABILITIES),
        (lambda x: metrics.precision_recall(normal(300, 4, 0), x, features=same).recall, SAMPLES),
        (lambda x: metrics.copying_score(x, normal(99, 4, 0), normal(99, 4, 2), same), SAMPLES),
    ],
    ids=["frechet", "kernel", "inception", "recall", "copying"],
)
def test_the_way_that_samples_are_given_changes_nothing(way, score, samples):
    expected, found = score(samples), score(ways(samples)[way])
    assert found == pytest.approx(expected, rel=1e-9)
    assert found.error == pytest.approx(expected.error, rel=1e-7, nan_ok=True)


def test_a_reference_may_be_batches_too():
    whole, streamed = (
        metrics.FrechetDistance(x, same) for x in (SAMPLES, in_batches(SAMPLES, [9]))
    )
    assert whole(PROBABILITIES) == streamed(PROBABILITIES) and whole.floor() == streamed.floor()


def test_the_frechet_distance_of_a_stream_keeps_no_samples():
    alive, most = weakref.WeakSet(), 0

    class Counted(np.ndarray):
        pass

    def stream():
        nonlocal most
        for seed in range(30):
            batch = normal(20, 4, seed).view(Counted)
            alive.add(batch)
            most = max(most, len(alive))
            yield batch

    Counted.__hash__ = object.__hash__
    Counted.__eq__ = object.__eq__
    found = metrics.FrechetDistance(normal(200, 4, 0), same)(stream())
    assert np.isfinite(found) and most <= 3


# --- Bad input


class NumberFeatures:
    """Features of images that need no network but check them as the classifier does."""

    def __call__(self, images):
        return metrics._check_images("images", images, (28, 28, 1)).reshape(len(images), -1)[:, :3]


IMAGES = np.random.default_rng(0).uniform(-1, 1, (12, 28, 28, 1)).astype("float32")
BROKEN = IMAGES.copy()
BROKEN[[3, 7], 5, 5] = np.nan


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (BROKEN, "samples must be finite, came NaN or infinity in 2 of 12.*diverge"),
        (
            IMAGES * 127.5 + 127.5,
            r"samples: images must be floats in \[-1, 1\].*images / 127.5 - 1",
        ),
        ((IMAGES * 127).astype("uint8"), "samples: images must be floats .* came uint8"),
        (IMAGES[..., 0], r"samples: images must have the shape \(N, 28, 28, 1\).*\(12, 28, 28\)"),
        (IMAGES[:, :14], r"shape \(N, 28, 28, 1\).*\(12, 14, 28, 1\).*give `features`"),
        (IMAGES[:0], r"samples must hold samples as an array of numbers .*\(0, 28, 28, 1\)"),
        (IMAGES > 0, "samples must hold samples as an array of numbers.*came bool"),
        ([], r"samples must hold samples as an array of numbers .*came float64 of shape \(0,\)"),
        (iter([]), "samples must hold at least . samples, came 0"),
        ((IMAGES, np.arange(12)), "samples must hold .* one array .* came a tuple of 2 parts"),
        (7, "samples must be an array .* or an iterable of batches of them, came int"),
        (
            data.Images(IMAGES, np.arange(12), "any", ("any",)),
            "samples must be an array .*came Images. Of `data.Images` give the attribute `images`",
        ),
    ],
)
@pytest.mark.parametrize("score", [metrics.FrechetDistance, metrics.KernelDistance])
def test_scores_refuse_and_say_what_and_why(score, images, words):
    with pytest.raises(ValueError, match=f"(?s){words}"):
        score(IMAGES, NumberFeatures())(images)


def test_the_reference_is_named_where_it_is_at_fault():
    with pytest.raises(ValueError, match="reference must be finite"):
        metrics.FrechetDistance(BROKEN, NumberFeatures())
    with pytest.raises(ValueError, match="reference: images must be floats"):
        metrics.KernelDistance(IMAGES * 2, NumberFeatures())
    with pytest.raises(ValueError, match="fake: images must be floats"):
        metrics.precision_recall(IMAGES, IMAGES * 2, features=NumberFeatures())
    with pytest.raises(ValueError, match="held_out: images must be floats"):
        metrics.copying_score(IMAGES, IMAGES, IMAGES * 2, NumberFeatures())


def test_images_between_zero_and_one_get_a_warning():
    with pytest.warns(
        UserWarning, match=r"no pixel below 0: are they in \[0, 1\].*2 \* images - 1"
    ):
        metrics.FrechetDistance(IMAGES, NumberFeatures())((IMAGES + 1) / 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.FrechetDistance(IMAGES, NumberFeatures())(IMAGES)


def test_fewer_samples_than_features_get_a_warning_that_says_what_it_does():
    with pytest.warns(
        UserWarning, match=r"reference: 230 samples for 300 .*singular.*3000"
    ) as seen:
        distance = metrics.FrechetDistance(np.tile(SAMPLES, 75), same)
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match=r"samples: 20 samples for 300 .*far too large") as seen:
        distance(np.tile(SAMPLES[:20], 75))
    assert seen[0].filename == __file__


@pytest.mark.parametrize("features", ["mnits", None, 3, IMAGES])
def test_unknown_features(features):
    with pytest.raises(ValueError, match=r"features must be 'mnist', .* or a function .*, came"):
        metrics.FrechetDistance(IMAGES, features)


@pytest.mark.parametrize("classifier", ["inception", None, ["mnist"]])
def test_unknown_classifiers(classifier):
    with pytest.raises(ValueError, match=r"There is a classifier for 'mnist', .*came"):
        metrics.InceptionScore(classifier)
    with pytest.raises(ValueError, match=r"There is a classifier for 'mnist', .*came"):
        metrics.ClassifierFeatures(classifier)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (
            lambda x: x,
            r"features must turn 12 samples into an array \(12, d\), came shape \(12, 28",
        ),
        (lambda x: x[0, :, :, 0], r"features must turn 12 samples into .* came shape \(28, 28\)"),
        (lambda x: 1.0, r"features must turn 12 samples into .* came shape \(\)"),
        (lambda x: x[:, 0, 0] / 0, "features must turn reference into finite numbers"),
        (lambda x: x[:, 0, 0] * np.float64(1e200), r"features of reference must .* 1e\+20"),
        (lambda x: x[:, 0, 0] * 1j, "features must turn 12 samples .* of complex"),
        (lambda x: x[:, 0, 0].astype(str), "features must turn 12 samples .* of <U"),
        (lambda x: np.empty((len(x), 0)), r"features must turn 12 .* came shape \(12, 0\)"),
    ],
)
def test_feature_functions_with_other_results(features, words):
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match=words):
        metrics.FrechetDistance(IMAGES, features)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda x, y: metrics.FrechetDistance(x, same)(y),
            "samples .* as reference, 3, came 2",
        ),
        (lambda x, y: metrics.KernelDistance(x, same)(y), "samples .* as reference, 3, came 2"),
        (lambda x, y: metrics.precision_recall(x, y, features=same), "fake .* as real, 3, came 2"),
        (lambda x, y: metrics.nearest_neighbors(y, x, features=same), "samples .*, 3, came 2"),
        (lambda x, y: metrics.copying_score(x, x, y, same), "held_out .* as train, 3, came 2"),
    ],
)
def test_different_numbers_of_features(call, words):
    with pytest.raises(ValueError, match=words):
        call(normal(20, 3, 0), normal(20, 2, 0))


def test_logits_are_no_probabilities():
    for logits in (normal(40, 10, 0), np.abs(normal(40, 10, 0))):
        with pytest.raises(ValueError, match=r"classifier must give probabilities.*softmax"):
            metrics.InceptionScore(same)(logits)
    with pytest.raises(
        ValueError, match=r"classifier must turn 40 samples into .* came shape \(40,"
    ):
        metrics.InceptionScore(lambda x: x[:, 0])(normal(40, 10, 0))


@pytest.mark.parametrize("wrong", [0, -1, True, 2.0, "3", None])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("subsets", lambda n: metrics.KernelDistance(SAMPLES, same, subsets=n)),
        ("subset_size", lambda n: metrics.KernelDistance(SAMPLES, same, subset_size=n)),
        ("splits", lambda n: metrics.InceptionScore(same, splits=n)),
        ("k", lambda n: metrics.precision_recall(SAMPLES, SAMPLES, n, same)),
        ("k", lambda n: metrics.nearest_neighbors(SAMPLES, SAMPLES, n, same)),
        ("count", lambda n: n is None or metrics.FrechetDistance(SAMPLES, same).floor(n)),
    ],
)
def test_counts_are_whole_numbers(name, call, wrong):
    if name == "count" and wrong is None:  # there it means as many as the reference
        return
    with pytest.raises(ValueError, match=rf"^{name} must be a whole number of at least .*{wrong}"):
        call(wrong)


@pytest.mark.parametrize("samples", [3, np.empty((3, 0)), [["a"]], [[1j]], [[np.inf]], [()]])
def test_pixels_of_what_has_none(samples):
    with pytest.raises(ValueError, match="images must"):
        metrics.pixels(samples)


def test_seeds_are_whole_numbers():
    for call in (
        lambda: metrics.KernelDistance(SAMPLES, same, seed=-1),
        lambda: metrics.FrechetDistance(SAMPLES, same).floor(seed=0.5),
    ):
        with pytest.raises(ValueError, match="seed must be a whole number"):
            call()


def test_numpy_counts_are_counts():
    assert metrics.nearest_neighbors(SAMPLES, SAMPLES, np.int64(2), same)[0].shape == (230, 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: metrics.InceptionScore(same)(PROBABILITIES[:19]),
            "samples .* 20 samples, came 19",
        ),
        (lambda: metrics.KernelDistance(SAMPLES[:3], same), "reference .* at least 4 .* came 3"),
        (lambda: metrics.KernelDistance(SAMPLES, same)(SAMPLES[:3]), "samples .* 4 .* came 3"),
        (lambda: metrics.FrechetDistance(SAMPLES[:1], same), "reference .* at least 2 .* came 1"),
        (lambda: metrics.precision_recall(SAMPLES, SAMPLES[:4], features=same), "fake .* came 4"),
        (lambda: metrics.nearest_neighbors(SAMPLES, SAMPLES[:2], 3, same), "reference .* came 2"),
        (lambda: metrics.copying_score(SAMPLES, SAMPLES, SAMPLES[:1], same), "held_out .* came 1"),
    ],
)
def test_too_few_samples(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.filterwarnings("ignore:reference")
def test_a_floor_needs_four_samples():
    with pytest.raises(ValueError, match="at least 4 samples, this has 3"):
        metrics.FrechetDistance(SAMPLES[:3], same).floor()
    assert metrics.FrechetDistance(SAMPLES[:4], same).floor() > 0


# --- Inception


def test_without_the_network_inception_says_how_to_go_on(monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(keras.applications, "InceptionV3", no_network)
    with pytest.raises(
        ConnectionError, match=r"Inception v3 is not on this machine.*OSError.*mnist"
    ):
        metrics.get_features("inception")


def test_inception_gets_images_resized_without_aliasing_and_in_three_channels(monkeypatch):
    given_images = []

    def network(images, training):
        assert not training
        given_images.append(images.numpy())
        return tf.reduce_mean(images, axis=(1, 2))

    monkeypatch.setattr(keras.applications, "InceptionV3", lambda **arguments: network)
    features = metrics.InceptionFeatures()
    stripes = np.broadcast_to((-1.0) ** np.arange(3 * 299), (52, 4, 3 * 299))[..., None]
    found = features(stripes)
    assert found.shape == (52, 3) and [len(images) for images in given_images] == [50, 2]
    seen = np.concatenate(given_images)
    assert seen.shape == (52, 299, 299, 3) and seen.dtype == np.float32
    assert np.abs(seen).max() < 0.5  # the middle of every third stripe would be 1 or -1
    assert (seen[..., 0] == seen[..., 1]).all() and (seen[..., 0] == seen[..., 2]).all()
    colors = np.array([-1.0, 0.0, 1.0]) * np.ones((2, 5, 5, 3))
    assert np.allclose(features(colors), [[-1, 0, 1]] * 2)
    with pytest.raises(ValueError, match="images must have 1 or 3 channels, came 2"):
        features(colors[..., :2])
    with pytest.raises(ValueError, match=r"images must be floats in \[-1, 1\]"):
        features(colors * 255)


# --- The course's own classifiers


@pytest.fixture(scope="module")
def digits():
    """The embedded digits, shuffled: 900 to train on and 897 held out, with labels."""
    parts = [data.load("digits", split) for split in data.SPLITS]
    images = np.concatenate([part.images for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return images[:900], labels[:900], images[900:]


@pytest.fixture(scope="module")
def seen(digits):
    """What the classifier sees in them."""
    features = metrics.get_features("digits")
    return features(digits[0]), features(digits[2])


@pytest.mark.parametrize("split", data.SPLITS)
def test_the_classifier_is_as_good_on_the_embedded_digits_as_its_card_says(split):
    images = data.load("digits", split)
    p = metrics.ClassifierFeatures("digits").probabilities(images.images)
    assert p.shape == (len(images), 10) and np.allclose(p.sum(axis=1), 1, atol=1e-12)
    stated = models.pretrained_card("mnist_classifier")["accuracy"][f"digits {split}"]
    assert (p.argmax(axis=1) == images.labels).mean() >= stated - 1e-3


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_features_have_the_form_that_the_distances_want(name, digits):
    features = metrics.ClassifierFeatures(name)(digits[0])
    assert features.dtype == np.float32 and features.shape == (900, 96)
    assert features.min() >= 0 and (features.std(axis=0) > 0).mean() > 0.9  # hardly any is dead
    assert 0.1 < features.var(axis=0).mean() < 10  # 1 on the data set that it was trained on
    assert np.linalg.matrix_rank(features - features.mean(axis=0)) > 80


def test_features_do_not_depend_on_the_batch(digits):
    features = metrics.get_features("mnist")
    assert np.allclose(features(digits[0][:600])[590:], features(digits[0][590:600]), atol=1e-4)
    assert features is metrics.get_features("digits")  # loaded once


def test_features_are_float32_whatever_the_global_precision_is(digits):
    policy = keras.config.dtype_policy()
    expected = metrics.ClassifierFeatures()(digits[0][:50])
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        network = models.pretrained("mnist_classifier")
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert {layer.compute_dtype for layer in network.layers} == {"float32"}
        found = metrics.ClassifierFeatures()(digits[0][:50])
    finally:
        keras.config.set_dtype_policy(policy)
    assert np.array_equal(found, expected)


# --- Broken generators


def pixel_distance(x, y):
    moments = [metrics.Moments.of(metrics.pixels(each[:, 4:24, 4:24])) for each in (x, y)]
    return metrics.frechet_distance(*[v for m in moments for v in (m.mean, m.covariance)])


def blurred(images, sigma):
    return np.clip(ndimage.gaussian_filter(images, (0, sigma, sigma, 0)), -1, 1)


@pytest.fixture(scope="module")
def real(digits, seen):
    """What real samples score: the yardstick of every generator below."""
    distance = metrics.FrechetDistance(seen[1], same)
    floor = distance.floor(900)
    scores = metrics.precision_recall(seen[1], seen[0], features=same)
    assert abs(distance(seen[0]) - floor) < 5 * floor.error
    return distance, floor, scores


def test_real_samples_that_are_new_are_neither_copies_nor_strange(digits):
    train, _, held_out = digits
    score = metrics.copying_score(held_out[:400], train, held_out[400:])
    assert abs(score - 0.5) < 4 * score.error


def test_a_collapsed_generator_has_precision_but_no_recall(digits, seen, real):
    distance, floor, scores = real
    fake = seen[0][digits[1] == 0]
    found = metrics.precision_recall(seen[1], fake, features=same)
    assert found.precision > scores.precision - 0.1
    assert found.recall < 0.1 and found.coverage < 0.2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer samples than features
        assert distance(fake) > 20 * floor
    p = metrics.get_features("mnist").probabilities(digits[0][digits[1] == 0])
    assert metrics.InceptionScore(same)(p) < 1.2


def test_ten_pictures_over_and_over_please_the_inception_score_only(digits, seen, real):
    distance, floor, scores = real
    classifier = metrics.get_features("mnist")
    p = classifier.probabilities(digits[0])
    clearest = [np.where(digits[1] == c, p[:, c], 0).argmax() for c in range(10)]
    repeated = np.resize(clearest, 900)
    score = metrics.InceptionScore(same)
    assert score(p[repeated]) > score(p) and score(p[repeated]) > 9
    found = metrics.precision_recall(seen[1], seen[0][repeated], features=same)
    assert found.precision > scores.precision - 0.1
    assert found.recall < 0.05 and found.coverage < 0.1
    assert distance(seen[0][repeated]) > 10 * floor


def test_a_blurry_generator_has_no_precision(digits, seen, real):
    distance, floor, scores = real
    blurry = blurred(digits[0], 1.0)
    fake = metrics.get_features("mnist")(blurry)
    found = metrics.precision_recall(seen[1], fake, features=same)
    assert found.precision < scores.precision / 2 and found.density < scores.density / 2
    assert distance(fake) > 10 * floor


def test_pixels_admire_a_gaussian_that_the_classifier_sees_through(digits, real):
    """It has the mean and covariance of the pixels, and looks like no digit."""
    distance, floor, _ = real
    flat = digits[0].reshape(900, -1).astype(float)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(900, 900)) @ (flat - flat.mean(axis=0)) / np.sqrt(899)
    gaussian = np.clip(flat.mean(axis=0) + noise, -1, 1).astype("float32").reshape(-1, 28, 28, 1)
    blurry = blurred(digits[0], 1.0)
    assert pixel_distance(digits[2], gaussian) < pixel_distance(digits[2], blurry) / 2
    classifier = metrics.get_features("mnist")
    assert distance(classifier(gaussian)) > distance(classifier(blurry)) > 10 * floor
    assert metrics.InceptionScore()(gaussian) < metrics.InceptionScore()(blurry) / 2


def test_a_memorizer_scores_like_real_samples_and_is_caught_by_copying(digits, seen, real):
    distance, floor, scores = real
    train, _, held_out = digits
    assert distance(seen[0]) < floor + 5 * floor.error
    assert scores.precision > 0.8 and scores.recall > 0.8
    assert metrics.copying_score(train, train, held_out) > 0.99
    assert metrics.copying_score(seen[0], *seen, same) > 0.99
    slightly_noisy = train + 0.05 * np.random.default_rng(0).normal(size=train.shape)
    assert metrics.copying_score(slightly_noisy, train, held_out) > 0.99


# --- Ladders: what each metric sees, and what it does not


def rises(values):
    return all(a < b for a, b in itertools.pairwise(values))


def falls(values):
    return rises(values[::-1])


def climb(seen, steps):
    """Frechet and kernel distance, precision, recall, density and coverage at every step."""
    distances = metrics.FrechetDistance(seen[1], same), metrics.KernelDistance(seen[1], same, 20)
    rows = []
    for fake in steps:
        manifold = as_tuple(metrics.precision_recall(seen[1], fake, features=same))
        rows.append([float(score(fake)) for score in distances] + [float(x) for x in manifold])
    names = ("frechet", "kernel", "precision", "recall", "density", "coverage")
    return dict(zip(names, zip(*rows, strict=True), strict=True))


@pytest.mark.parametrize("damage", ["noise", "blur"])
def test_noise_and_blur_are_seen_by_all(damage, digits, seen):
    classifier, noise = metrics.get_features("mnist"), np.random.default_rng(0).normal
    damaged = {
        "noise": lambda step: np.clip(digits[0] + step / 10 * noise(size=digits[0].shape), -1, 1),
        "blur": lambda step: blurred(digits[0], (0.7, 1.0, 1.5)[step - 1]),
    }[damage]
    ladder = [damaged(step).astype("float32") for step in (1, 2, 3)]
    found = climb(seen, [seen[0], *map(classifier, ladder)])
    assert rises(found["frechet"]) and rises(found["kernel"])
    assert found["frechet"][1] > 2 * found["frechet"][0]
    for name in ("precision", "density", "coverage"):
        assert falls(found[name][1:]) and found[name][-1] < 0.1, name
    score = metrics.InceptionScore()
    assert falls([score(images) for images in (digits[0], *ladder[1:])])


def test_dropped_classes_are_seen_by_recall_and_not_by_precision(digits, seen):
    found = climb(seen, [np.resize(seen[0][digits[1] < left], (900, 96)) for left in (10, 8, 6, 3)])
    assert rises(found["frechet"]) and rises(found["kernel"])
    assert falls(found["recall"]) and falls(found["coverage"])
    assert min(found["precision"]) > found["precision"][0] - 0.05
    assert min(found["density"]) > found["density"][0] - 0.1


def test_repeated_images_are_seen_by_recall_and_hardly_by_the_distances(seen, real):
    found = climb(
        seen, [np.resize(seen[0][:distinct], (900, 96)) for distinct in (900, 600, 300, 90)]
    )
    assert falls(found["recall"]) and falls(found["coverage"])
    assert found["recall"][-1] < 0.05 and found["coverage"][-1] < found["coverage"][0] / 2
    assert min(found["precision"]) > found["precision"][0] - 0.05
    blurry_like = 10 * real[1]  # a distance that blurred images exceed, see above
    assert max(found["frechet"]) < blurry_like
    assert max(found["kernel"]) < 0.1


def test_an_endless_data_set_is_refused_before_it_is_read():
    endless = tf.data.Dataset.from_tensor_slices(IMAGES).batch(10).repeat()
    with pytest.raises(ValueError, match="samples has no end"):
        metrics.FrechetDistance(IMAGES, metrics.pixels)(endless)
