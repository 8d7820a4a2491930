"""Measuring generated samples: distances between distributions, coverage, memorizing.

Images are compared by features: what a trained network makes of them before it decides. The
default is the course's own classifier of MNIST; any callable from samples (N, ...) to features
(N, d) will do. Scores from different features cannot be compared with each other.

Every score is a `Score`, a float that carries its standard error. Few scores are perfect for
perfect samples: hold each against the same score of other real images, its floor.
"""

import dataclasses
import functools
import itertools
import warnings

import numpy as np
import scipy.linalg
import scipy.spatial
import scipy.special

from gan_course import checks, runtime

BLOCKS = 10  # parts that samples are dealt out to, to see how much a score varies
BATCH_SIZE = 500  # images in memory at a time
LARGEST = 1e20  # a kernel's variance takes numbers to the 12th power, and a float ends at 1e308


class Score(float):
    """A number with the standard error of its estimate.

    Attributes:
        error: one standard deviation of the estimate, NaN if it could not be estimated. It says
            how much other samples of the same generator would move the score, and nothing about
            another training.
    """

    def __new__(cls, value, error=np.nan):
        score = super().__new__(cls, value)
        score.error = float(error)
        return score

    def __getnewargs__(self):
        return float(self), self.error

    def __str__(self):
        return f"{float(self):.4g} ± {self.error:.2g}"

    __repr__ = __str__


# --- Features


def _check_samples(name, samples):
    """Samples as an array of finite numbers."""
    try:
        samples = np.asarray(samples)
    except (TypeError, ValueError) as error:  # such as [images, labels]
        parts = f" of {len(samples)} parts" if isinstance(samples, (list, tuple)) else ""
        raise ValueError(
            f"{name} must hold samples as one array of numbers of shape (N, ...), came a "
            f"{type(samples).__name__}{parts} of different shapes. Give the array of images alone."
        ) from error
    if samples.ndim < 2 or samples.size == 0 or samples.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must hold samples as an array of numbers of shape (N, ...), "
            f"came {samples.dtype} of shape {samples.shape}."
        )
    if not np.isfinite(samples).all():
        bad = int(np.sum(~np.isfinite(samples.reshape(len(samples), -1)).all(axis=1)))
        raise ValueError(
            f"{name} must be finite, came NaN or infinity in {bad} of {len(samples)} samples. "
            "Did the training diverge? Look at its losses."
        )
    _check_size(name, samples)
    return samples


def _check_size(name, values):
    if values.max() > LARGEST or values.min() < -LARGEST:
        raise ValueError(
            f"{name} must hold numbers up to {LARGEST:g}, came {values.min():g} to "
            f"{values.max():g}: their squares and products would not fit in a float."
        )


def _check_images(name, images, shape):
    """Images of a known shape, float and in [-1, 1]."""
    images = _check_samples(name, images)
    fits = images.ndim == 4 and all(
        wanted in (None, came) for wanted, came in zip(shape, images.shape[1:], strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(
            f"{name} must have the shape (N, {wanted}) for these features, came {images.shape}. "
            "For other samples give `features`, a function from samples to features (N, d)."
        )
    if images.dtype.kind != "f" or images.min() < -1.001 or images.max() > 1.001:
        raise ValueError(
            f"{name} must be floats in [-1, 1], came {images.dtype} in "
            f"[{images.min():g}, {images.max():g}]. Pixels of 0 to 255: images / 127.5 - 1."
        )
    if images.min() >= 0 and images.max() > 0:
        warnings.warn(
            f"{name} have no pixel below 0: are they in [0, 1]? Here black is -1 and white 1, "
            "and other ranges make every score wrong. Convert with 2 * images - 1.",
            stacklevel=4,
        )
    return images


class ClassifierFeatures:
    """What the course's small classifier sees in 28 x 28 gray images, see data/pretrained.

    The 96 channels of its last convolution, after pooling, averaged over positions and scaled so
    that they have variance 1 on average over the training images.

    Args:
        name: "mnist" (right for the embedded "digits", too) or "fashion_mnist".

    Raises:
        ValueError: another name.
    """

    def __init__(self, name="mnist"):
        import keras
        import tensorflow as tf

        from gan_course import models

        name = f"{_classifier_of(name)}_classifier"
        classifier, scale = models.pretrained(name), models.pretrained_card(name)["feature_scale"]
        maps = classifier.get_layer("features").output
        features = keras.layers.GlobalAveragePooling2D(dtype="float32")(maps)
        features = keras.layers.Rescaling(scale, dtype="float32")(features)
        network = keras.Model(classifier.inputs[0], [features, classifier.outputs[0]])
        images = tf.TensorSpec((None, 28, 28, 1), tf.float32)
        self._network = tf.function(lambda x: network(x, training=False), input_signature=[images])

    def __call__(self, images):
        """Features of images.

        Args:
            images: float (N, 28, 28, 1) in [-1, 1].

        Returns:
            np.ndarray: float32 (N, 96), not negative.

        Raises:
            ValueError: another shape, type or range, or NaN.
        """
        return self._apply(images)[0]

    def probabilities(self, images):
        """The probability of each class.

        Args:
            images: float (N, 28, 28, 1) in [-1, 1].

        Returns:
            np.ndarray: float64 (N, 10); rows add up to 1.

        Raises:
            ValueError: another shape, type or range, or NaN.
        """
        return scipy.special.softmax(self._apply(images)[1].astype(np.float64), axis=1)

    def _apply(self, images):
        images = _check_images("images", images, (28, 28, 1))
        batches = range(0, len(images), BATCH_SIZE)
        found = [self._network(images[i : i + BATCH_SIZE].astype(np.float32)) for i in batches]
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]


class InceptionFeatures:
    """Features of color images: the last pooling of Inception v3, trained on ImageNet.

    The network (92 MB) is downloaded by Keras when this is made for the first time. Its weights are
    Keras' own: distances cannot be compared with published ones, which use other weights and
    another resizing (Parmar et al. 2022, https://arxiv.org/abs/2104.11222).

    Raises:
        ConnectionError: the network is neither on this machine nor can it be downloaded.
    """

    def __init__(self):
        import keras

        from gan_course import models

        try:
            with models.float32_policy():
                self._model = keras.applications.InceptionV3(include_top=False, pooling="avg")
        except Exception as error:  # Keras turns what the download meets into several types
            raise ConnectionError(
                "Inception v3 is not on this machine and could not be downloaded "
                f"({type(error).__name__}). Connect to the internet and run this again, or give "
                "`features`, a function of your own. For 28 x 28 gray images the course's "
                "classifier, features='mnist', needs no download."
            ) from error

    def __call__(self, images):
        """Features of images.

        Args:
            images: float (N, height, width, 1 or 3) in [-1, 1]; resized to 299 x 299 with
                antialiasing, gray ones repeated in three channels.

        Returns:
            np.ndarray: float32 (N, 2048).

        Raises:
            ValueError: another shape, type or range, or NaN.
        """
        import tensorflow as tf

        images = _check_images("images", images, (None, None, None))
        if images.shape[-1] not in (1, 3):
            raise ValueError(f"images must have 1 or 3 channels, came {images.shape[-1]}.")
        features = []
        for start in range(0, len(images), 50):
            batch = tf.image.resize(images[start : start + 50], (299, 299), antialias=True)
            batch = tf.broadcast_to(batch, (*batch.shape[:3], 3))
            features.append(self._model(tf.clip_by_value(batch, -1.0, 1.0), training=False).numpy())
        return np.concatenate(features)


def _classifier_of(name):
    names = {"mnist": "mnist", "digits": "mnist", "fashion_mnist": "fashion_mnist"}
    if not isinstance(name, str) or name not in names:
        raise ValueError(
            f"There is a classifier for {', '.join(map(repr, names))}, came {name!r}. "
            "Where a function will do, it turns samples (N, ...) into probabilities (N, classes)."
        )
    return names[name]


@functools.cache
def _named_features(name):
    return InceptionFeatures() if name == "inception" else ClassifierFeatures(name)


def get_features(features="mnist"):
    """Look up features by name; each is loaded once.

    Args:
        features: "mnist", "digits" (the same), "fashion_mnist", "inception", or a callable from
            samples (N, ...) to features (N, d), which is returned.

    Raises:
        ValueError: neither a callable nor one of these names.
    """
    if callable(features):
        return features
    if isinstance(features, str) and features in ("mnist", "digits", "fashion_mnist"):
        return _named_features(_classifier_of(features))
    if isinstance(features, str) and features == "inception":
        return _named_features("inception")
    came = repr(features) if isinstance(features, str) else type(features).__name__
    raise ValueError(
        "features must be 'mnist', 'digits', 'fashion_mnist', 'inception' or a function from "
        f"samples (N, ...) to features (N, d), came {came}."
    )


def pixels(images):
    """Pixels as features: `features=metrics.pixels` compares images as they are.

    Args:
        images: (N, ...).

    Returns:
        np.ndarray: float32 (N, d).

    Raises:
        ValueError: no array of finite numbers.
    """
    images = _check_samples("images", images)
    return images.reshape(len(images), -1).astype(np.float32)


def _batches(name, samples):
    """An array in parts, or the batches of an iterable, which may be (images, labels)."""
    if hasattr(samples, "shape") or isinstance(samples, (list, tuple)):
        samples = _check_samples(name, samples)
        starts = range(0, len(samples), BATCH_SIZE)
        for start in runtime.progress(starts, f"features of {len(samples):,} {name}"):
            yield samples[start : start + BATCH_SIZE]
        return
    if not hasattr(samples, "__iter__"):
        raise ValueError(
            f"{name} must be an array (N, ...) or an iterable of batches of them, came "
            f"{type(samples).__name__}. Of `data.Images` give the attribute `images`."
        )
    if getattr(samples, "cardinality", lambda: 0)() == -1:
        raise ValueError(f"{name} has no end: take some of its batches, for example .take(20).")
    for batch in samples:
        yield _check_samples(name, batch[0] if isinstance(batch, tuple) and batch else batch)


def _feature_batches(name, samples, features, argument="features"):
    for batch in _batches(name, samples):
        try:
            found = np.asarray(features(batch))
        except ValueError as error:  # which of several sets of images is it about?
            raise ValueError(f"{name}: {error}") from error
        fits = found.ndim == 2 and len(found) == len(batch) and found.dtype.kind in "fiub"
        if not fits or found.size == 0:
            raise ValueError(
                f"{argument} must turn {len(batch)} samples into an array "
                f"({len(batch)}, d), came shape {found.shape} of {found.dtype}."
            )
        if not np.isfinite(found).all():
            raise ValueError(f"{argument} must turn {name} into finite numbers, came NaN or inf.")
        _check_size(f"{argument} of {name}", found)
        yield found


def _all_features(name, samples, features, least=2, argument="features"):
    """The features of all samples, (N, d)."""
    found = list(_feature_batches(name, samples, features, argument))
    count = sum(map(len, found))
    if count < least:
        raise ValueError(f"{name} must hold at least {least} samples, came {count}.")
    return np.concatenate(found)


def _check_dimension(name, dimension, other, expected):
    if dimension != expected:
        raise ValueError(
            f"{name} must have as many features as {other}, {expected}, came {dimension}."
        )


def _turns(blocks):
    """Numbers of blocks, for one sample after the other: each block once in every round.

    In an order that changes from round to round: where classes take turns, as in a sheet of
    conditional samples, no block may get one class alone.
    """
    rng = np.random.default_rng(0)
    while True:
        yield from rng.permutation(blocks)


def _take(turns, count):
    return np.fromiter(itertools.islice(turns, count), int, count)


def _deal(samples, blocks):
    """Deal samples out to blocks, like cards."""
    block = _take(_turns(blocks), len(samples))
    return [samples[block == b] for b in range(blocks)]


def _jackknife(without):
    """The standard error of a value, from what it is without each block (Efron and Stein 1981)."""
    return np.sqrt((len(without) - 1) * np.var(without, axis=0))


# --- Frechet distance


@dataclasses.dataclass
class Moments:
    """Mean and covariance, gathered in float64 and part by part, whatever the number of samples.

    Attributes:
        count: how many samples.
        mean: (d,).
        scatter: (d, d), the sum of the products of deviations from the mean.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, features):
        """The moments of features (N, d)."""
        features = np.asarray(features, np.float64)
        mean = features.mean(axis=0)
        centered = features - mean
        return cls(len(features), mean, centered.T @ centered)

    def __add__(self, other):
        """The moments of both together (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        step = other.mean - self.mean
        between = np.outer(step, step) * (self.count * other.count / count)
        mean = self.mean + step * (other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self):
        """The unbiased covariance (d, d); needs at least two samples."""
        return self.scatter / (self.count - 1)

    @functools.cached_property
    def factor(self):
        """A matrix A (d, d) with A A' = covariance."""
        return _factor(self.covariance)


def frechet_distance(mean_1, covariance_1, mean_2, covariance_2):
    """The squared Frechet distance between two Gaussians (Dowson and Landau 1982).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). With C1 = A A' and C2 = B B', the trace of the root
    is the sum of the singular values of A' B: never complex, for singular covariances too.

    Args:
        mean_1, mean_2: (d,); a number for d = 1.
        covariance_1, covariance_2: (d, d), symmetric, with no negative eigenvalue; a number, the
            variance, for d = 1.

    Returns:
        float: at least 0.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, or no covariance.
    """
    means, covariances, d = [], [], None
    for number, pair in enumerate(((mean_1, covariance_1), (mean_2, covariance_2)), 1):
        names = f"mean_{number}", f"covariance_{number}"
        found = [_as_floats(*each) for each in zip(names, pair, strict=True)]
        mean, covariance = np.atleast_1d(found[0]), np.atleast_2d(found[1])
        d = len(mean) if d is None else d
        if mean.shape != (d,) or covariance.shape != (d, d):
            raise ValueError(
                f"mean_{number} and covariance_{number} must have the shapes ({d},) and "
                f"({d}, {d}), came {mean.shape} and {covariance.shape}."
            )
        means, covariances = [*means, mean], [*covariances, covariance]
    factors = [_factor(c, f"covariance_{number}") for number, c in enumerate(covariances, 1)]
    return _frechet(means[0], factors[0], means[1], factors[1])


def _as_floats(name, values):
    """Numbers as float64, finite and not too large."""
    try:
        values = np.asarray(values)
        if values.dtype.kind not in "fiubO" or values.size == 0:
            raise TypeError
        values = values.astype(np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers, came {values!r}.") from error
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, came NaN or infinity.")
    _check_size(name, values)
    return values


def _factor(covariance, name="covariance"):
    """A with A A' = covariance; eigenvalues below the rounding error are taken as 0."""
    values, vectors = scipy.linalg.eigh(covariance)
    rounding = max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    if values[0] < -1e-6 * max(values[-1], 1e-300) or not np.allclose(covariance, covariance.T):
        raise ValueError(
            f"{name} must be symmetric and have no negative eigenvalue, came eigenvalues "
            f"from {values[0]:.3g} to {values[-1]:.3g}."
        )
    return vectors * np.sqrt(np.where(values > rounding, values, 0.0))


def _frechet(mean_1, factor_1, mean_2, factor_2):
    overlap = scipy.linalg.svdvals(factor_1.T @ factor_2).sum()
    spread = np.sum(factor_1**2) + np.sum(factor_2**2)
    return max(0.0, float(np.sum((mean_1 - mean_2) ** 2) + spread - 2 * overlap))


def _between(moments_1, moments_2):
    return _frechet(moments_1.mean, moments_1.factor, moments_2.mean, moments_2.factor)


class FrechetDistance:
    """The Frechet distance between real and generated images: FID, with the features you choose.

    Heusel et al. 2017, https://arxiv.org/abs/1706.08500. Both sets of features are described by
    mean and covariance, and the distance is that of two Gaussians. It is 0 only for infinitely many
    samples: for two sets of N samples of d independent normal features with variance 1 it is about
    2d/N + d(d + 1)/(2N), and less where features are correlated. `floor` tells what perfect samples
    score. Of other generators the excess may differ (Chong and Forsyth 2020,
    https://arxiv.org/abs/1911.07023).

    Args:
        reference: real samples (N, ...), or an iterable of batches of them. Their statistics are
            computed once.
        features: see `get_features`.

    Raises:
        ValueError: fewer than two samples, samples of the wrong shape or range, or not finite.

    Example:
        fid = metrics.FrechetDistance(test.images)
        print(fid(gan.generate(10_000)), "perfect samples:", fid.floor(10_000))
    """

    def __init__(self, reference, features="mnist"):
        self.features = get_features(features)
        self._reference = _all_features("reference", reference, self.features)
        self._moments = Moments.of(self._reference)
        self._warn_if_few("reference", len(self._reference))

    def __call__(self, samples):
        """The distance of generated samples.

        Args:
            samples: (N, ...), or an iterable of batches, of which only moments are kept.

        Returns:
            Score: the distance. Its error is a jackknife over 10 parts of the samples, NaN where
            there are fewer than 20; the reference counts as given.

        Raises:
            ValueError: fewer than two samples, samples of the wrong shape or range, or not finite.
        """
        blocks, seen, turns = {}, 0, _turns(BLOCKS)
        for batch in _feature_batches("samples", samples, self.features):
            _check_dimension("samples", batch.shape[1], "reference", len(self._moments.mean))
            block = _take(turns, len(batch))
            for b in np.unique(block):
                part = Moments.of(batch[block == b])
                blocks[b] = blocks[b] + part if b in blocks else part
            seen += len(batch)
        if seen < 2:
            raise ValueError(f"samples must hold at least 2 samples, came {seen}.")
        self._warn_if_few("samples", seen)
        parts, error = list(blocks.values()), np.nan
        if seen >= 2 * BLOCKS:
            without = [_together(parts[:b] + parts[b + 1 :]) for b in range(BLOCKS)]
            error = _jackknife([_between(self._moments, moments) for moments in without])
        return Score(_between(self._moments, _together(parts)), error)

    def floor(self, count=None, seed=0):
        """What `count` perfect samples would score, on average.

        The mean distance of so many of the reference from the rest of it, or of one half from the
        other where there are too few; brought to the sizes asked for by the law that the distance
        of identical distributions falls as 1/N.

        Args:
            count: how many samples; as many as the reference has if not given.
            seed: chooses the parts.

        Returns:
            Score: its error is the standard deviation of the score of one set of perfect samples.

        Raises:
            ValueError: a count below 2, or a reference of fewer than four samples.
        """
        total = len(self._reference)
        count = total if count is None else count
        checks.check_count("count", count, least=2)
        seed = checks.check_seed(seed)
        if total < 4:
            raise ValueError(f"A floor needs a reference of at least 4 samples, this has {total}.")
        rng, size = np.random.default_rng(seed), min(count, total // 2)
        found = []
        for _ in range(BLOCKS):
            shuffled = self._reference[rng.permutation(total)]
            found.append(_between(Moments.of(shuffled[:size]), Moments.of(shuffled[size:])))
        scale = (1 / total + 1 / count) / (1 / size + 1 / (total - size))
        return Score(scale * np.mean(found), scale * np.std(found, ddof=1))

    def _warn_if_few(self, name, count):
        dimension = len(self._moments.mean)
        if count <= dimension:
            warnings.warn(
                f"{name}: {count} samples for {dimension} features. Their covariance is singular "
                "and the distance far too large, for perfect samples too. Take at least "
                f"{10 * dimension}.",
                stacklevel=3,
            )


def _together(blocks):
    return sum(blocks[1:], blocks[0])


# --- Kernel distance


class KernelDistance:
    """The kernel distance between real and generated images: KID, with the features you choose.

    Binkowski et al. 2018, https://arxiv.org/abs/1801.01401: the squared maximum mean discrepancy
    with the kernel ((x.y)/d + 1)^3, unbiased, so that identical distributions score 0 on average,
    whatever the number of samples, and single estimates may be negative.

    Args:
        reference: real samples (N, ...), or an iterable of batches of them.
        features: see `get_features`.
        subsets: how many subsets to average over.
        subset_size: samples in a subset; half of what there is where that is less.
        seed: chooses the subsets.

    Raises:
        ValueError: fewer than four samples, samples of the wrong shape or range, or not finite.

    Example:
        kid = metrics.KernelDistance(test.images)
        print(kid(gan.generate(10_000)))
    """

    def __init__(self, reference, features="mnist", subsets=50, subset_size=1_000, seed=0):
        checks.check_count("subsets", subsets, least=2)
        checks.check_count("subset_size", subset_size, least=2)
        seed = checks.check_seed(seed)
        self.features = get_features(features)
        self.subsets, self.subset_size, self.seed = subsets, subset_size, seed
        self._reference = _all_features("reference", reference, self.features, least=4)

    def __call__(self, samples):
        """The distance of generated samples (N, ...), or of an iterable of batches of them.

        Returns:
            Score: the mean over subsets. Its error is that of the samples and of the choice of
            subsets; the reference counts as given.

        Raises:
            ValueError: fewer than four samples, samples of the wrong shape or range, or not finite.
        """
        real = self._reference
        fake = _all_features("samples", samples, self.features, least=4)
        _check_dimension("samples", fake.shape[1], "reference", real.shape[1])
        size = min(self.subset_size, len(real) // 2, len(fake) // 2)
        rng = np.random.default_rng(self.seed)
        found, witness, times = [], np.zeros(len(fake)), np.zeros(len(fake))
        for _ in range(self.subsets):
            of_real = rng.choice(len(real), size, replace=False)
            of_fake = rng.choice(len(fake), size, replace=False)
            distance, at_fake = _squared_mmd(real[of_real], fake[of_fake])
            found.append(distance)
            witness[of_fake] += at_fake
            times[of_fake] += 1
        # Each sample moves the distance by twice its witness over N (Hoeffding 1948).
        witness = witness[times > 0] / times[times > 0]
        variance = 4 * np.var(witness) / len(fake) + np.var(found, ddof=1) / self.subsets
        return Score(np.mean(found), np.sqrt(variance))


def _squared_mmd(x, y):
    """The unbiased squared maximum mean discrepancy of two sets of the same size.

    And for each y the witness function, its mean kernel with the other y less that with x.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    n, d = x.shape

    def kernel(a, b):
        return (a @ b.T / d + 1) ** 3

    def means_off_diagonal(a):
        k = kernel(a, a)
        return (k.sum(axis=1) - np.diag(k)) / (n - 1)

    to_y, to_x = means_off_diagonal(y), kernel(y, x).mean(axis=1)
    distance = means_off_diagonal(x).mean() + to_y.mean() - 2 * to_x.mean()
    return distance, to_y - to_x


# --- Inception score


class InceptionScore:
    """The inception score: confident about each image, and undecided over all of them.

    Salimans et al. 2016, https://arxiv.org/abs/1606.03498: exp of the mean Kullback-Leibler
    divergence from each image's class probabilities to their mean. From 1 to the number of classes,
    more is better; fewer images in a split make it smaller. It looks at generated images only: hold
    it against the score of as many real ones.

    Args:
        classifier: "mnist", "digits", "fashion_mnist", or a callable from samples (N, ...) to class
            probabilities (N, classes).
        splits: parts that the score is averaged over.

    Raises:
        ValueError: another name, or fewer than two splits.

    Example:
        score = metrics.InceptionScore()
        print(score(gan.generate(10_000)), "real:", score(test.images))
    """

    def __init__(self, classifier="mnist", splits=10):
        checks.check_count("splits", splits, least=2)
        self.splits = splits
        self._probabilities = _get_probabilities(classifier)

    def __call__(self, samples):
        """The score of generated samples (N, ...), or of an iterable of batches of them.

        Returns:
            Score: the mean over the splits, and its standard error.

        Raises:
            ValueError: fewer samples than twice the splits, or samples that do not fit.
        """
        p = _read_probabilities("samples", samples, self._probabilities, least=2 * self.splits)
        found = []
        for part in _deal(p, self.splits):
            divergence = scipy.special.rel_entr(part, part.mean(axis=0)).sum(axis=1)
            found.append(np.exp(divergence.mean()))
        return Score(np.mean(found), np.std(found, ddof=1) / np.sqrt(self.splits))


def _get_probabilities(classifier):
    if callable(classifier):
        return classifier
    return _named_features(_classifier_of(classifier)).probabilities


def _read_probabilities(name, samples, probabilities, least):
    p = _all_features(name, samples, probabilities, least, argument="classifier")
    if p.min() < 0 or not np.allclose(p.sum(axis=1), 1, atol=1e-3):
        raise ValueError(
            "classifier must give probabilities: not negative, and each row adding up to 1. "
            "Does it end in logits? Put a softmax behind it."
        )
    return np.asarray(p, np.float64)


# --- Precision and recall


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """Fidelity and diversity, apart.

    Attributes:
        precision: share of generated samples within the real manifold (fidelity); below 1 for the
            real distribution, too, like recall.
        recall: share of real samples within the generated manifold (diversity).
        density: how many real neighborhoods a generated sample lies in, over k; about 1 for the
            real distribution, and robust against outliers where precision is not.
        coverage: share of real samples with a generated one in their neighborhood; 1 - 2^-k for the
            real distribution and equal numbers.
    """

    precision: Score
    recall: Score
    density: Score
    coverage: Score

    def __str__(self):
        return ", ".join(
            f"{field.name} {getattr(self, field.name):.3f} ± {getattr(self, field.name).error:.3f}"
            for field in dataclasses.fields(self)
        )


def precision_recall(real, fake, k=3, features="mnist"):
    """Precision, recall, density and coverage from k-nearest-neighbor manifolds.

    A set's manifold is the union of balls around its samples, each reaching to the sample's k-th
    nearest neighbor. Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991 (precision and
    recall); Naeem et al. 2020, https://arxiv.org/abs/2002.09797 (density and coverage). The values
    depend on the numbers of samples: compare only at equal ones.

    Args:
        real, fake: samples (N, ...) and (M, ...), or iterables of batches of them.
        k: which neighbor the balls reach to; density and coverage are often given for k = 5.
        features: see `get_features`.

    Returns:
        PrecisionRecall: four Scores. Their errors come from five disjoint parts of the samples,
        NaN where these would hold fewer than 20 k samples.

    Raises:
        ValueError: k + 1 samples or fewer, samples of the wrong shape or range, or not finite.
    """
    checks.check_count("k", k)
    features = get_features(features)
    real = _all_features("real", real, features, least=k + 2)
    fake = _all_features("fake", fake, features, least=k + 2)
    _check_dimension("fake", fake.shape[1], "real", real.shape[1])
    values, errors = _manifold_scores(real, fake, k), np.full(4, np.nan)
    if min(len(real), len(fake)) // 5 >= 20 * k:
        parts = zip(_deal(real, 5), _deal(fake, 5), strict=True)
        found = [_manifold_scores(*part, k) for part in parts]
        errors = np.std(found, axis=0, ddof=1) / np.sqrt(5)
    return PrecisionRecall(*map(Score, values, errors))


def _manifold_scores(real, fake, k):
    """precision, recall, density, coverage."""
    from sklearn.metrics import pairwise_distances_chunked

    center = real.mean(axis=0, dtype=np.float64)
    real, fake = real - center, fake - center
    # Rounding must not decide about copies, which lie on the surface of a ball: they belong to it.
    slack = 1e-12 * max(np.max(np.sum(samples**2, axis=1)) for samples in (real, fake))
    real_radii, fake_radii = (_radii(samples, k) ** 2 + slack for samples in (real, fake))
    in_fake_ball, covered = [], []  # one entry a real sample
    balls = np.zeros(len(fake))  # real balls that each fake sample lies in
    start = 0
    for distances in pairwise_distances_chunked(real, fake, squared=True, working_memory=128):
        in_real_ball = distances <= real_radii[start : start + len(distances), None]
        balls += in_real_ball.sum(axis=0)
        covered.append(in_real_ball.any(axis=1))
        in_fake_ball.append((distances <= fake_radii).any(axis=1))
        start += len(distances)
    recall, coverage = np.concatenate(in_fake_ball).mean(), np.concatenate(covered).mean()
    return np.array([np.mean(balls > 0), recall, balls.mean() / k, coverage])


def _radii(features, k):
    """The distance of each sample to its k-th nearest neighbor."""
    from sklearn.neighbors import NearestNeighbors

    neighbors = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(features)
    return neighbors.kneighbors()[0][:, -1]  # without arguments, a sample is not its own neighbor


# --- Modes


@dataclasses.dataclass(frozen=True)
class ModeCoverage:
    """Which modes or classes were found.

    Attributes:
        captured: how many of the modes were found.
        modes: how many there are.
        high_quality: share of samples within three standard deviations of a mode; None for images.
        reverse_kl: Kullback-Leibler divergence from the modes' shares among the samples to the
            shares they should have, in nats; 0 is best.
        shares: (modes,), each mode's share of the samples.
    """

    captured: Score
    modes: int
    high_quality: Score | None
    reverse_kl: Score
    shares: np.ndarray = dataclasses.field(repr=False)

    def __str__(self):
        quality = "" if self.high_quality is None else f"high quality {self.high_quality:.1%}, "
        return (
            f"{int(self.captured):,} of {self.modes:,} modes, {quality}reverse KL {self.reverse_kl}"
        )


def mode_coverage(samples, centers, std):
    """Count the modes of a mixture of Gaussians that samples were found in.

    As in VEEGAN (Srivastava et al. 2017, https://arxiv.org/abs/1705.07761): a sample is of high
    quality within three standard deviations of the nearest center, and a mode is captured if a
    sample of high quality is nearest to it. A perfect generator in two dimensions has
    1 - exp(-4.5) = 98.9% of high quality; more means that its modes are too narrow. The reverse KL
    of N perfect samples is about (modes - 1) / (2N).

    Args:
        samples: (N, d), usually d = 2.
        centers: (modes, d), all different, equally probable.
        std: standard deviation of each mode, in every direction.

    Returns:
        ModeCoverage: the errors are jackknives over 10 parts of the samples, NaN where there are
        fewer than 20.

    Raises:
        ValueError: shapes that do not fit, centers that coincide, or values that are not finite.
    """
    samples, centers = _check_samples("samples", samples), _check_samples("centers", centers)
    if samples.ndim != 2 or centers.ndim != 2 or samples.shape[1] != centers.shape[1]:
        raise ValueError(
            "samples and centers must have the shapes (N, d) and (modes, d), "
            f"came {samples.shape} and {centers.shape}."
        )
    checks.check_positive("std", std)
    apart = scipy.spatial.distance.cdist(centers, centers)
    same = np.argwhere(np.triu(apart < 1e-3 * std, 1))  # a circle's ends differ by a rounding error
    if len(same):
        raise ValueError(
            f"centers must all be different: {same[0, 0]} and {same[0, 1]} are the same. Points on "
            "a circle? np.linspace(0, 2 * np.pi, n) returns to its start: add endpoint=False."
        )
    distances = scipy.spatial.distance.cdist(samples, centers)
    nearest, good = distances.argmin(axis=1), distances.min(axis=1) <= 3 * std
    return _coverage(nearest, good, len(centers))


def class_coverage(images, classifier="mnist", minimum=1):
    """Count the classes that a classifier finds in generated images.

    Gray images have one digit each, and 10 modes. Images of three channels are stacked digits, one
    a channel, and have 1,000 modes (Metz et al. 2017, https://arxiv.org/abs/1611.02163). The
    classifier errs, so a class found in a few images of thousands may not be there at all.

    Args:
        images: float (N, 28, 28, 1 or 3) in [-1, 1].
        classifier: "mnist", "digits", "fashion_mnist", or a callable from gray images to class
            probabilities (N, classes).
        minimum: images that a class needs to count as found.

    Returns:
        ModeCoverage: `high_quality` is None; the errors are jackknives over 10 parts of the images,
        NaN where there are fewer than 20.

    Raises:
        ValueError: images of another shape or range, or not finite.
    """
    checks.check_count("minimum", minimum)
    images = _check_samples("images", images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f"images must have the shape (N, 28, 28, 1 or 3), came {images.shape}.")
    probabilities = _get_probabilities(classifier)
    found, modes = np.zeros(len(images), int), 1
    for channel in range(images.shape[-1]):
        p = _read_probabilities("images", images[..., channel, None], probabilities, least=1)
        found, modes = found * p.shape[1] + p.argmax(axis=1), modes * p.shape[1]
    return _coverage(found, None, modes, minimum)


def _coverage(nearest, good, modes, minimum=1):
    """The scores, and from counts by block their errors; `good` is None if all samples are."""
    counted = np.ones(len(nearest), bool) if good is None else good
    blocks = list(zip(_deal(nearest, BLOCKS), _deal(counted, BLOCKS), strict=True))
    all_counts = np.stack([np.bincount(n, minlength=modes) for n, _ in blocks])
    good_counts = np.stack([np.bincount(n[g], minlength=modes) for n, g in blocks])

    def scores(rows):
        total, of_quality = all_counts[rows].sum(axis=0), good_counts[rows].sum(axis=0)
        reverse_kl = scipy.special.rel_entr(total / total.sum(), 1 / modes).sum()
        return np.sum(of_quality >= minimum), of_quality.sum() / total.sum(), reverse_kl

    errors = np.full(3, np.nan)
    if len(nearest) >= 2 * BLOCKS:
        errors = _jackknife([scores(np.arange(BLOCKS) != b) for b in range(BLOCKS)])
    captured, quality, reverse_kl = map(Score, scores(slice(None)), errors)
    shares = all_counts.sum(axis=0) / len(nearest)
    return ModeCoverage(captured, modes, None if good is None else quality, reverse_kl, shares)


# --- Memorizing


def nearest_neighbors(samples, reference, k=1, features=pixels):
    """For each sample the most similar ones of a reference, usually the training images.

    Args:
        samples: (N, ...).
        reference: (M, ...).
        k: how many neighbors.
        features: see `get_features`; pixels if not given. Neither pixels nor a classifier's
            features recognize a copy that was moved by some pixels.

    Returns:
        tuple: indices into reference (N, k), and Euclidean distances (N, k), nearest first.

    Raises:
        ValueError: fewer than k reference samples, or samples that are not finite.
    """
    checks.check_count("k", k)
    features = get_features(features)
    samples = _all_features("samples", samples, features, least=1)
    reference = _all_features("reference", reference, features, least=k)
    _check_dimension("samples", samples.shape[1], "reference", reference.shape[1])
    return _nearest(samples, reference, k)


def _nearest(samples, reference, k=1):
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(reference)
    distances, indices = search.kneighbors(samples)
    return indices, distances


def copying_score(samples, train, held_out, features=pixels):
    """How often a generated sample is closer to the training set than an unseen real sample is.

    The statistic of Meehan et al. 2020, https://arxiv.org/abs/2004.05675, the other way round and
    without their cells: 1/2 if generated samples keep the same distance as real ones, 1 if they are
    exact copies, near 0 if they are far from the training images, as unrealistic ones are. Copies
    that were moved are not seen, and copies mixed with bad samples may also give 1/2.

    Args:
        samples: generated samples (N, ...).
        train: what the generator was trained on.
        held_out: real samples that it was not trained on.
        features: see `get_features`; pixels if not given.

    Returns:
        Score: the probability, with its standard error (DeLong et al. 1988).

    Raises:
        ValueError: no training sample or fewer than two others, or samples that are not finite.
    """
    from scipy.stats import rankdata

    features = get_features(features)
    train = _all_features("train", train, features, least=1)
    distances = []
    for name, images in (("held_out", held_out), ("samples", samples)):
        found = _all_features(name, images, features, least=2)
        _check_dimension(name, found.shape[1], "train", train.shape[1])
        distances.append(_nearest(found, train)[1][:, 0])
    real, fake = distances
    ranks = rankdata(np.concatenate([real, fake]))
    # Placements: for each sample, the share of the other set that it beats, ties by half.
    beaten = (ranks[: len(real)] - rankdata(real)) / len(fake)
    beating = 1 - (ranks[len(real) :] - rankdata(fake)) / len(real)
    error = np.sqrt(np.var(beaten, ddof=1) / len(real) + np.var(beating, ddof=1) / len(fake))
    return Score(beaten.mean(), error)
