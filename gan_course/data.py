"""Images as arrays and as batches.

`load` looks for a data set in three places, quickest first: this course's own cache, a copy
prepared by TensorFlow Datasets (TFDS), and the internet. Without any of them there are still the
embedded digits, 1,797 real handwritten digits that come with scikit-learn.

One convention everywhere: images are float32 in [-1, 1], the range of a generator's tanh.
"""

import contextlib
import dataclasses
import difflib
import json
import numbers
import os
import re
import sys
import threading
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_course import checks, runtime
from gan_course.files import written_whole

SPLITS = ("train", "test")
_ROOT = Path(__file__).resolve().parents[1]
_NETWORK_SECONDS = 5  # the whole reachability test, a hanging name look-up included
_noticed = set()  # data sets whose replacement by the embedded digits was already announced


class DatasetUnavailable(RuntimeError):
    """The data set is not on this machine and could not be downloaded."""


class DatasetBroken(RuntimeError):
    """The copy on this machine is damaged or incomplete; the message names the folder."""


class _Source(NamedTuple):
    """What is known in advance about a data set that TFDS downloads."""

    url: str  # a file on the host that the download comes from
    sizes: dict  # split -> number of images
    class_names: tuple
    shape: tuple = (28, 28, 1)  # of an image; None where any will do


_DIGIT_NAMES = tuple("0123456789")
_LABELED = ("mnist", "fashion_mnist")
_PHOTOS = {"horse2zebra": "cycle_gan/horse2zebra"}
_SOURCES = {
    "mnist": _Source(
        url="https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
        sizes={"train": 60_000, "test": 10_000},
        class_names=_DIGIT_NAMES,
    ),
    "fashion_mnist": _Source(
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
        sizes={"train": 60_000, "test": 10_000},
        class_names=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
    ),
    "cycle_gan/horse2zebra": _Source(
        url="https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/horse2zebra.zip",
        sizes={"trainA": 1_067, "trainB": 1_334, "testA": 120, "testB": 140},
        class_names=("horse", "zebra"),
        shape=(None, None, 3),
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Labeled images.

    Attributes:
        images: float32 array of shape (N, H, W, C), values in [-1, 1].
        labels: integer array of shape (N,), an index into `class_names`.
        name: the data set's name.
        class_names: a tuple of str, one a class.
        partner: what `load_unpaired` knows each image should be translated into, float32
            (N, H, W, C) in [-1, 1]: for evaluation only. None where nobody knows.

    Raises:
        ValueError: if the images' shape, type or range, or the labels' shape or type, is another,
            or the partners are not as many images of such a type and range.
    """

    images: np.ndarray = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)
    name: str
    class_names: tuple
    partner: np.ndarray | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self):
        images, labels = self.images, self.labels
        _check_images("images", images)
        is_array = isinstance(labels, np.ndarray)
        if not is_array or labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"labels must be an array of integers of shape ({len(images)},), one an image, "
                f"got {_in_words(labels)}."
            )
        if self.partner is not None:
            _check_images("partner", self.partner)
            if len(self.partner) != len(images):
                raise ValueError(
                    f"partner must have one image for each of the {len(images)}, got "
                    f"{len(self.partner)}."
                )

    def __len__(self):
        return len(self.images)

    def __getitem__(self, part):
        """Return the images of a slice or an array of indices as `Images`.

        `train, held_out = digits[:-5_000], digits[-5_000:]` keeps a part of the training set back.

        Raises:
            TypeError: if `part` is a single index, or something else that chooses no images.
            IndexError: if an index is out of range.
            ValueError: if nothing is left.
        """
        if isinstance(part, numbers.Integral):
            raise TypeError(
                f"part must be a slice or a list of indices, got {part}; [[{part}]] is one image."
            )
        if not isinstance(part, slice):
            part = np.asarray(part)
            if part.ndim != 1 or (part.dtype.kind not in "iub" and part.size):
                raise TypeError(
                    f"part must be a slice or a list of indices, got {_in_words(part)}."
                )
            part = part if part.size else part.astype(int)
        try:
            images, labels = self.images[part], self.labels[part]
        except IndexError as error:
            raise IndexError(f"part must choose among {len(self)} images: {error}.") from None
        partner = None if self.partner is None else self.partner[part]
        return dataclasses.replace(self, images=images, labels=labels, partner=partner)

    def batches(self, batch_size, seed=0, augment=None):
        """Return a `tf.data.Dataset` of (images, labels), shuffled anew each epoch.

        Each epoch holds every image exactly once; its last batch may be short. The same `seed`
        (and the same `keras.utils.set_random_seed`) gives the same orders, epoch after epoch.

        Args:
            batch_size: a positive integer, at most `len(self)`.
            seed: an integer.
            augment: a function of a float32 batch of shape (B, H, W, C) that returns another,
                applied anew each epoch. A Keras layer will do, for example
                `keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant", fill_value=-1.0)`.

        Raises:
            ValueError: if `batch_size` is not a positive integer or exceeds the data set, `seed` is
                not an integer of at least 0, or `augment` is no function.
            MemoryError: if the images, which are copied, do not fit into memory once more.
        """
        return _ahead(self._in_turn(batch_size, seed, augment))

    def _in_turn(self, batch_size, seed, augment):
        """As `batches`, each made when it is asked for, so that draws have one order."""
        seed = checks.check_seed(seed)
        if augment is not None and not callable(augment):
            raise ValueError(
                f"augment must be a function of a batch of images, or None; got {augment!r}."
            )
        is_integer = isinstance(batch_size, numbers.Integral) and not isinstance(batch_size, bool)
        if not is_integer or not 1 <= batch_size <= len(self):
            raise ValueError(
                f"batch_size must be an integer from 1 to {len(self)}, the number of images in "
                f"{self.name!r}, got {batch_size!r}."
            )
        import tensorflow as tf

        runtime.check_memory(
            self.images.nbytes,
            f"A copy of the {len(self):,} images to draw batches from",
            "their number, for example with images[:10_000]",
        )
        # Indices are shuffled and images gathered batch by batch: much faster than shuffling the
        # images themselves. The tensors are made here because an array used inside `gather` would
        # be copied into its graph, and on the CPU because that is where tf.data reads them.
        with tf.device("CPU:0"):
            images, labels = tf.constant(self.images), tf.constant(self.labels)

        def gather(indices):
            return tf.gather(images, indices), tf.gather(labels, indices)

        dataset = tf.data.Dataset.range(len(self)).shuffle(len(self), seed=seed)
        dataset = dataset.batch(batch_size).map(gather)
        if augment is not None:
            dataset = dataset.map(lambda images, labels: (augment(images), labels))
        return dataset


@dataclasses.dataclass(frozen=True, eq=False)
class Mixture:
    """Round Gaussians in the plane, all equally probable: made by `ring` or `grid`.

    Attributes:
        centers: float32 array (modes, 2).
        std: standard deviation of each, in every direction.

    Raises:
        ValueError: if samples would not fit in float32.
    """

    centers: np.ndarray
    std: float

    def __post_init__(self):
        farthest = float(np.abs(self.centers).max()) + 100 * self.std
        if not farthest < np.finfo(np.float32).max:
            raise ValueError(
                f"radius or spacing, and std, must give points that fit in float32, got {self!r}."
            )

    def sample(self, count, seed=0):
        """Return points, float32 (count, 2); the same seed gives the same ones.

        Raises:
            ValueError: if `count` is not a whole number of at least 1.
        """
        checks.check_count("count", count)
        seed = checks.check_seed(seed)
        rng = np.random.default_rng(seed)
        modes = rng.integers(0, len(self.centers), count)
        points = self.centers[modes] + rng.normal(0, self.std, (count, 2))
        return points.astype(np.float32)

    def batches(self, batch_size, seed=0):
        """Return a `tf.data.Dataset` of (points, modes) that has no end.

        Points are float32 (batch_size, 2), each drawn anew, modes int32 (batch_size,), an index
        into `centers`. Train with `fit(..., steps_per_epoch=...)`.

        Raises:
            ValueError: if `batch_size` is not a whole number of at least 1.
        """
        checks.check_count("batch_size", batch_size)
        seed = checks.check_seed(seed)
        import tensorflow as tf

        centers = tf.constant(self.centers)

        def draw(i):
            seeds = tf.random.experimental.stateless_split([tf.cast(seed, tf.int64), i], 2)
            modes = tf.random.stateless_uniform(
                (batch_size,), seeds[0], 0, len(self.centers), tf.int32
            )
            noise = tf.random.stateless_normal((batch_size, 2), seeds[1])
            return tf.gather(centers, modes) + self.std * noise, modes

        return _ahead(tf.data.Dataset.counter().map(draw))


def _ahead(batches):
    """Let a `tf.data.Dataset` make its batches while others are learned from."""
    import tensorflow as tf

    options = tf.data.Options()
    # The autotuner is woken after 10 ms, 20 ms, ... up to a minute; who is done with the batches
    # waits for it.
    options.autotune.enabled = False
    return batches.prefetch(2).with_options(options)


def ring(modes=8, radius=1.0, std=0.01):
    """Return a `Mixture` whose modes lie on a circle, evenly; as in PacGAN (Lin et al. 2018).

    Args:
        modes: how many.
        radius: of the circle.
        std: standard deviation of each mode.

    Raises:
        ValueError: a number that is not positive.
    """
    checks.check_count("modes", modes)
    checks.check_positive("radius", radius)
    checks.check_positive("std", std)
    angles = 2 * np.pi * np.arange(modes) / modes
    centers = float(radius) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _mixture(centers, std)


def grid(side=5, spacing=2.0, std=0.05):
    """Return a `Mixture` whose modes form a square grid around 0; as in PacGAN (Lin et al. 2018).

    Args:
        side: modes in a row, and rows.
        spacing: from one mode to the next.
        std: standard deviation of each mode.

    Raises:
        ValueError: a number that is not positive.
    """
    checks.check_count("side", side)
    checks.check_positive("spacing", spacing)
    checks.check_positive("std", std)
    places = float(spacing) * (np.arange(side) - (side - 1) / 2)
    return _mixture(np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2), std)


def _mixture(centers, std):
    with np.errstate(over="ignore"):  # Mixture says so
        return Mixture(centers.astype(np.float32), float(std))


def stacked_mnist(split="train", count=20_000, seed=0, fallback=None):
    """Return images of three MNIST digits, one in each color channel: 1,000 modes.

    Metz et al. 2017, https://arxiv.org/abs/1611.02163; VEEGAN and PacGAN train on 128,000 of them.
    The digits of an image are drawn independently.

    Args:
        split: "train" or "test", where the digits come from.
        count: how many images. Each takes 9 kB of memory, and in `batches` as much again.
        seed: an integer.
        fallback: as in `load`.

    Returns:
        Images: (count, 28, 28, 3), with labels from 0 to 999: hundreds are the first channel.

    Raises:
        ValueError: if an argument is none of these.
        MemoryError: if so many images do not fit into memory.
        DatasetUnavailable, DatasetBroken: as `load`.
    """
    checks.check_count("count", count)
    seed = checks.check_seed(seed)
    # three digits, and what they are put together to
    runtime.check_memory(2 * count * 3 * 28 * 28 * 4, f"count={count:,} stacked images", "count")
    digits = load("mnist", split, fallback)
    chosen = np.random.default_rng(seed).integers(0, len(digits), (count, 3))
    images = np.concatenate([digits.images[chosen[:, i]] for i in range(3)], axis=-1)
    labels = digits.labels[chosen] @ np.array([100, 10, 1])
    names = tuple(f"{label:03}" for label in range(1_000))
    return Images(images, labels, f"stacked_{digits.name}", names)


def load(name, split="train", fallback=None):
    """Return a split of a data set as `Images`.

    Args:
        name: "mnist" or "fashion_mnist" (60,000 train and 10,000 test images of 28 x 28 x 1),
            downloaded once with TensorFlow Datasets; or "digits", 1,500 train and 297 test images
            in MNIST's format that need no network.
        split: "train" or "test".
        fallback: None, or "digits" to get the embedded digits, and a notice, where the data set
            is unavailable.

    Raises:
        ValueError: if an argument is none of these.
        DatasetUnavailable: if there is no copy and no way to download one, and no fallback.
        DatasetBroken: if the copy that was found is damaged.
    """
    _check_choice("name", name, (*_LABELED, "digits"))
    _check_choice("split", split, SPLITS)
    _check_choice("fallback", fallback, (None, "digits"))
    if name == "digits":
        return _embedded_digits(split)
    try:
        pixels, labels = _load_pixels(name, split)
    except DatasetUnavailable as error:
        if fallback is None:
            raise
        _notice_once(name, error)
        return _embedded_digits(split)
    return Images(_scaled(pixels), labels.astype(np.int64), name, _SOURCES[name].class_names)


def load_unpaired(name, split="train", size=None, fallback=None):
    """Return two kinds of images, between which a CycleGAN can learn to translate.

    Two pairs are made from MNIST's digits, so that the true translation of each image is known.
    Half of a split's digits are images of the first kind, the other half, translated, those of the
    second, so that no image of one kind has its partner in the other. Labels are the digits.

    Args:
        name: "digits_to_color" (`slanted_in_color`) or "digits_to_outlines" (`outlined`); or
            "horse2zebra", photos of Zhu et al. 2017, https://arxiv.org/abs/1703.10593, downloaded
            once with TensorFlow Datasets: 1,067 horses and 1,334 zebras, for tests 120 and 140, of
            256 x 256 pixels. For research, not for commerce.
        split: "train" or "test".
        size: pixels on a side that images are brought to; None for their own.
        fallback: None, or "digits" to get, and be told so, the embedded digits in place of MNIST's
            where those are not available, and "digits_to_color" in place of the photos.

    Returns:
        (Images, Images): in the test split of digits each has its `partner`, the images that the
        translation should make of it.

    Raises:
        ValueError: if an argument is none of these.
        MemoryError: if images of that size do not fit into memory.
        DatasetUnavailable, DatasetBroken: as `load`.
    """
    _check_choice("name", name, (*_TRANSLATIONS, *_PHOTOS))
    _check_choice("split", split, SPLITS)
    _check_choice("fallback", fallback, (None, "digits"))
    if size is not None:
        checks.check_count("size", size)
    if name in _PHOTOS:
        try:
            return _photos(name, split, size)
        except DatasetUnavailable as error:
            if fallback is None:
                raise
            _notice_once(
                name, error, "The pair 'digits_to_color' takes its place, made from digits."
            )
            name = "digits_to_color"
    digits = load("mnist", split, fallback)
    middle = len(digits) // 2
    to_a, to_b = _TRANSLATIONS[name]
    pair = []
    for part, own, other in ((digits[:middle], to_a, to_b), (digits[middle:], to_b, to_a)):
        images = _resized(own(part.images), size)
        partner = _resized(other(part.images), size) if split == "test" else None
        pair.append(dataclasses.replace(part, images=images, partner=partner, name=name))
    return tuple(pair)


def slanted_in_color(images):
    """Return digits that lean to the right, in warm ink on a ground of blue and green waves.

    The ground is the same in all images. Each row moves as a whole, the upper ones to the right
    and the lower ones to the left, by up to a fifth of the image's height.

    Args:
        images: float32 (N, H, W, 1) in [-1, 1].

    Returns:
        float32 (N, H, W, 3) in [-1, 1].

    Raises:
        ValueError: other images.
    """
    from scipy import ndimage

    _check_images("images", images, channels=1)
    _, height, width, _ = images.shape
    rows = (np.arange(height) - (height - 1) / 2) / height
    ink = np.stack(
        [
            ndimage.shift(images[:, i, :, 0], (0, -0.4 * height * row), order=1, cval=-1.0)
            for i, row in enumerate(rows)
        ],
        axis=1,
    )
    ink = (ink[..., None] + 1) / 2  # 0 to 1
    columns = (np.arange(width) - (width - 1) / 2) / width
    across, along = (np.sin(2 * np.pi * 3 * (rows[:, None] + way * columns)) for way in (1, -1))
    ground = np.stack([np.full_like(across, 0.1), 0.35 + 0.2 * across, 0.55 + 0.2 * along], -1)
    warm = np.array([1.0, 0.8, 0.3], np.float32)
    return 2 * (ink * warm + (1 - ink) * ground.astype(np.float32)) - 1


def outlined(images):
    """Return the outlines of strokes: how much the pixels around a pixel differ.

    Args:
        images: float32 (N, H, W, 1) in [-1, 1].

    Returns:
        float32 (N, H, W, 1) in [-1, 1].

    Raises:
        ValueError: other images.
    """
    from scipy import ndimage

    _check_images("images", images, channels=1)
    difference = ndimage.morphological_gradient(images, (1, 3, 3, 1), mode="constant", cval=-1.0)
    return difference - 1


# The two kinds of images that are made from digits
_TRANSLATIONS = {
    "digits_to_color": (lambda digits: np.repeat(digits, 3, axis=-1), slanted_in_color),
    "digits_to_outlines": (lambda digits: digits, outlined),
}


def batches_of_two(a, b, batch_size, seed=0, augment=None, aligned=False):
    """Return a `tf.data.Dataset` of (images of one kind, images of the other) to `fit` a CycleGAN.

    Each kind is shuffled for itself, and anew each epoch. An epoch holds every image of the larger
    kind once; of the other one some come again.

    Args:
        a, b: `Images`.
        batch_size: a positive integer, at most that of either kind.
        seed: an integer.
        augment: None, or what is done with each batch, anew in each epoch: a function of images, as
            for `Images.batches`.
        aligned: whether image i of `b` belongs to image i of `a`, so that they stay together and
            are augmented alike (as channels of one image). For comparison with what pairs teach.

    Raises:
        ValueError: if an argument is none of these or `batch_size` too large; with `aligned`, if
            the two do not have as many images of the same height and width.
    """
    for name, images in (("a", a), ("b", b)):
        if not isinstance(images, Images):
            raise ValueError(f"{name} must be data.Images, got {type(images).__name__}.")
    seed = checks.check_seed(seed)
    if not aligned:
        import tensorflow as tf

        kinds = [
            each._in_turn(batch_size, seed + i, augment).map(lambda images, labels: images).repeat()
            for i, each in enumerate((a, b))
        ]
        steps = -(-max(len(a), len(b)) // int(batch_size))
        return _ahead(tf.data.Dataset.zip(*kinds).take(steps))
    if a.images.shape[:3] != b.images.shape[:3]:
        raise ValueError(
            "a and b must have as many images of the same height and width to be aligned, came "
            f"{a.images.shape} and {b.images.shape}."
        )
    channels = a.images.shape[-1]
    both = dataclasses.replace(a, images=np.concatenate([a.images, b.images], axis=-1))
    return both.batches(batch_size, seed, augment).map(
        lambda images, labels: (images[..., :channels], images[..., channels:])
    )


def _photos(name, split, size):
    kinds = []
    source = _SOURCES[_PHOTOS[name]]
    for label, kind in enumerate("AB"):
        pixels, _ = _load_pixels(_PHOTOS[name], split + kind)
        labels = np.full(len(pixels), label)
        kinds.append(Images(_resized(_scaled(pixels), size), labels, name, source.class_names))
    return tuple(kinds)


def _scaled(pixels):
    """Pixels of 0 to 255 as float32 in [-1, 1]."""
    images = pixels.astype(np.float32)
    images /= 127.5
    images -= 1.0
    return images


def _resized(images, size):
    """Images of another side, with antialiasing: without it thin lines break."""
    if size is None or images.shape[1:3] == (size, size):
        return images
    import tensorflow as tf

    # the parts, and what they are put together to
    needed = 2 * len(images) * size**2 * images.shape[-1] * 4
    runtime.check_memory(needed, f"{len(images):,} images of size={size}", "size")
    parts = [
        tf.image.resize(images[i : i + 500], (size, size), antialias=True).numpy()
        for i in range(0, len(images), 500)
    ]
    resized = np.concatenate(parts)
    return np.clip(resized, -1, 1, out=resized)


def find_copy(name):
    """Return the folder of a copy prepared by TFDS, a `pathlib.Path`, or None.

    Looks in TFDS_DATA_DIR, or else in TFDS' own default, for <name>/<version>/dataset_info.json
    and takes the newest version. Cheap: TensorFlow is not imported and no image is read.

    Raises:
        ValueError: if `name` is not a data set that TFDS downloads.
    """
    _check_choice("name", name, tuple(_SOURCES))
    for folder in _version_folders(name):
        # TFDS writes this file last, so a folder without it was not finished.
        if (folder / "dataset_info.json").is_file():
            return folder
    return None


def reachable(name):
    """Return whether the host that a data set is downloaded from answers, within 5 seconds.

    Raises:
        ValueError: if `name` is not a data set that TFDS downloads.
    """
    _check_choice("name", name, tuple(_SOURCES))
    import requests  # what TFDS downloads with: the same proxies, the same certificates

    answers = []

    def ask():
        try:
            answers.append(requests.head(_SOURCES[name].url, timeout=_NETWORK_SECONDS).ok)
        except (OSError, ValueError):  # requests' own errors are OSErrors
            answers.append(False)

    # A name look-up has no time limit of its own, so it hangs, if it does, in a thread of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_NETWORK_SECONDS)
    return answers == [True]


def _load_pixels(name, split):
    """Return uint8 images (N, H, W, C) and labels (N,) from the cache, a copy or the internet."""
    cached = _read_cache(name, split)
    if cached is not None:
        return cached
    if find_copy(name) is None:
        unfinished = _version_folders(name)
        if unfinished:  # TFDS would take this folder for a finished copy
            raise _broken(name, unfinished[0], "dataset_info.json is missing")
        _download(name)
    splits = _SOURCES[name].sizes
    arrays = {each: _read_copy(name, each, find_copy(name)) for each in splits}
    for each in splits:  # all, or a lesson that began with a copy might end without its test set
        _write_cache(name, each, *arrays[each])
    return arrays[split]


def _problem(name, split, pixels, labels):
    """Return in words what is wrong with the arrays of a data set, or None."""
    source = _SOURCES[name]
    expected = (source.sizes[split], *source.shape)
    matches = [each in (None, side) for each, side in zip(expected, pixels.shape, strict=False)]
    if pixels.ndim != 4 or not all(matches) or labels.shape != expected[:1]:
        return (
            f"its {split} split should hold images of shape {expected} and as many labels, "
            f"it holds {pixels.shape} and {labels.shape}"
        )
    if pixels.dtype != np.uint8 or labels.dtype != np.uint8:
        return f"images and labels should be uint8, they are {pixels.dtype} and {labels.dtype}"
    if labels.max() >= len(source.class_names):
        return f"labels should be below {len(source.class_names)}, there is a {labels.max()}"
    return None


def stored_results(name):
    """Return the rows of a table that was made by benchmarks/ and is stored there.

    Args:
        name: the table's name, such as "early_stopping".

    Returns:
        A list of dicts, one a row.

    Raises:
        ValueError: if there is no such table.
    """
    folder = _ROOT / "benchmarks" / "results"
    _check_choice("name", name, tuple(sorted(path.stem for path in folder.glob("*.jsonl"))))
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


# --- The cache: importing TFDS and decoding 60,000 PNGs takes seconds, this takes a fraction of one


def _cache_path(name, split):
    folder = os.environ.get("GAN_COURSE_CACHE") or _ROOT / "data" / "cache"
    return Path(folder).expanduser() / f"{name.replace('/', '-')}-{split}.npz"


def _read_cache(name, split):
    """Return (images, labels) from the cache, or None if they are not there or damaged."""
    path = _cache_path(name, split)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            pixels, labels = arrays["images"], arrays["labels"]
        problem = _problem(name, split, pixels, labels)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # damage surfaces as a dozen types
        problem = f"reading it failed with {type(error).__name__}"
    if problem is None:
        return pixels, labels
    warnings.warn(f"Dropped the cache file {path}, it was damaged: {problem}.", stacklevel=4)
    with contextlib.suppress(OSError):  # where the folder is read-only
        path.unlink()
    return None


def _write_cache(name, split, pixels, labels):
    """Write the cache whole or not at all; a folder that cannot be written is only a warning."""
    path = _cache_path(name, split)
    try:
        with written_whole(path) as file:
            np.savez(file, images=pixels, labels=labels)
    except OSError as error:
        warnings.warn(
            f"Could not keep {name!r} in the cache folder {path.parent} ({error}); loading it will "
            "take some seconds each time. Free some space, or set GAN_COURSE_CACHE to a folder "
            "that you can write to.",
            stacklevel=4,
        )


# --- Copies prepared by TensorFlow Datasets


def _tfds_folder():
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def _version_folders(name):
    """Return the folders named like a version (3.0.1), newest first; not "incomplete.…" ones."""
    folders = (_tfds_folder() / name).glob("*")
    folders = [folder for folder in folders if re.fullmatch(r"\d+\.\d+\.\d+", folder.name)]
    return sorted(folders, key=lambda f: [int(n) for n in f.name.split(".")], reverse=True)


def _import_tfds():
    import tensorflow_datasets as tfds

    if not hasattr(tfds, "builder_from_directory"):  # it only logs that a part cannot be imported
        raise DatasetUnavailable(
            "TensorFlow Datasets does not work here, since another package does not fit it (often "
            "protobuf or tensorflow-metadata; its own words are in the log). Install the tested "
            "versions: `pip install -r requirements.txt -c constraints.txt`.\n"
            'Or use the embedded digits: data.load("digits"), or fallback="digits" in this call.'
        )
    from tensorflow_datasets.core.utils import gcs_utils

    # Some versions ask a cloud bucket first, and without a network keep asking for minutes.
    gcs_utils._is_gcs_disabled = True
    return tfds


def _read_copy(name, split, folder):
    """Return uint8 (images, labels) of a prepared copy."""
    import tensorflow as tf

    tfds = _import_tfds()
    try:
        # From the folder, not from the name: any version will do.
        dataset = tfds.builder_from_directory(folder).as_dataset(split=split, batch_size=-1)
        pixels, labels = dataset["image"].numpy(), dataset["label"].numpy().astype(np.uint8)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise  # not the copy's fault
    except Exception as error:  # damage surfaces as many types, in TFDS, TensorFlow and JSON
        raise _broken(name, folder, f"reading it failed with {type(error).__name__}") from error
    problem = _problem(name, split, pixels, labels)
    if problem is not None:
        raise _broken(name, folder, problem)
    return pixels, labels


def _broken(name, folder, problem):
    return DatasetBroken(
        f"The copy of {name!r} in {folder} is damaged or incomplete: {problem}.\n"
        "Delete that folder and run this again; if it is not yours to delete, set TFDS_DATA_DIR "
        "to another folder."
    )


def _download(name):
    """Have TFDS download and prepare a data set, with its own progress bar.

    TFDS works in a folder "incomplete.…" beside the final one and renames it at the end, so an
    interrupted download never looks like a copy.
    """
    if not reachable(name):
        raise _unavailable(name, "there is no connection to the server that has it")
    import requests

    tfds = _import_tfds()
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.util import DownloadError

    folder = _tfds_folder()
    try:
        tfds.builder(name, data_dir=folder).download_and_prepare()
    except (requests.RequestException, DownloadError, NonMatchingChecksumError) as error:
        raise _unavailable(name, f"the download failed: {error}") from error
    except (OSError, RuntimeError) as error:  # TFDS turns a full disk into a RuntimeError
        raise _unavailable(
            name,
            f"it could not be written to {folder}: {error}",
            remedy=f"see that {folder} is writable and has 500 MB free, or set TFDS_DATA_DIR to "
            "another folder, and run this again",
        ) from error


def _unavailable(name, reason, remedy="connect to the internet and run this again"):
    instead = 'the embedded digits: data.load("digits")'
    if name in _PHOTOS.values():
        instead = 'a pair made from digits: data.load_unpaired("digits_to_color")'
    return DatasetUnavailable(
        f"The data set {name!r} is not on this machine, and {reason}.\n"
        "Three ways out:\n"
        f"  1. {remedy};\n"
        "  2. set the environment variable TFDS_DATA_DIR to a folder that holds a copy prepared by "
        f"TensorFlow Datasets (there is none in {_tfds_folder()});\n"
        f'  3. use {instead}, or fallback="digits" in this call.'
    )


_DIGITS_INSTEAD = "The embedded digits take its place: 1,797 small handwritten digits."


def _notice_once(name, error, instead=_DIGITS_INSTEAD):
    """Say, once a session and data set, that something else takes its place."""
    if name in _noticed:
        return
    _noticed.add(name)
    reason = str(error).splitlines()[0]
    text = (
        f"{reason} {instead} Everything runs, but pictures and numbers will differ from those in "
        f"the text. To use {name!r}, connect to the internet, or set TFDS_DATA_DIR to a folder "
        "with a prepared copy, then restart."
    )
    ipython = sys.modules.get("IPython")  # imported already if this is a notebook
    if ipython is not None and ipython.get_ipython() is not None:
        from IPython.display import display

        display({"text/plain": text, "text/markdown": f"> **Notice.** {text}"}, raw=True)
    else:
        print(text)


# --- The embedded digits


def _embedded_digits(split):
    """Return scikit-learn's digits (8 x 8) as 28 x 28 images, the digit in the central 20 x 20."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()  # 1,797 images of 8 x 8, values 0 to 16
    part = slice(None, 1500) if split == "train" else slice(1500, None)
    large = [
        np.asarray(Image.fromarray(image).resize((20, 20), Image.Resampling.LANCZOS))
        for image in (digits.images[part] / 16).astype(np.float32)
    ]
    # Enlarging blurs the strokes and leaves faint ghosts beside them; more contrast removes both.
    large = np.clip((np.stack(large) - 0.2) / 0.7, 0.0, 1.0)
    large = np.pad(large, ((0, 0), (4, 4), (4, 4)))[..., np.newaxis]
    labels = digits.target[part].astype(np.int64)
    return Images((2 * large - 1).astype(np.float32), labels, "digits", _DIGIT_NAMES)


def _in_words(value):
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__


def _check_images(name, images, channels=None):
    """Refuse what is not a float32 array of images in [-1, 1]."""
    is_array = isinstance(images, np.ndarray) and images.dtype == np.float32 and images.size > 0
    if not is_array or images.ndim != 4 or channels not in (None, images.shape[-1]):
        raise ValueError(
            f"{name} must be a float32 array of shape (N, H, W, {channels or 'C'}) with N of at "
            f"least 1, got {_in_words(images)}."
        )
    if not (images.min() >= -1 and images.max() <= 1):
        raise ValueError(
            f"{name} must lie in [-1, 1], got [{images.min():g}, {images.max():g}]. "
            "Scale pixels of 0 to 255 with pixels / 127.5 - 1."
        )


def _check_choice(argument, value, choices):
    if (value is None or isinstance(value, str)) and value in choices:
        return
    expected = ", ".join(map(repr, choices))
    close = difflib.get_close_matches(str(value).lower(), [c for c in choices if c is not None], 1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{argument} must be one of {expected}; got {value!r}.{hint}")
