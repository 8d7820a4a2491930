"""The data room: what is loaded, what is cached, and every way in which it can go wrong."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import types
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gan_course import data, metrics

REAL_MNIST = data.find_copy("mnist")  # asked before any test sets TFDS_DATA_DIR
SIZES = {"train": 40, "test": 10}  # of the tiny copies made here


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No cache, no prepared copy, no network and nothing announced yet."""
    monkeypatch.setenv("GAN_COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(data, "_noticed", set())

    def no_network(*args, **kwargs):
        raise requests.ConnectionError("no network in tests")

    monkeypatch.setattr(requests, "head", no_network)


@pytest.fixture
def tiny(monkeypatch):
    """Let every downloaded data set have 40 train and 10 test images."""
    sources = {name: source._replace(sizes=SIZES) for name, source in data._SOURCES.items()}
    monkeypatch.setattr(data, "_SOURCES", sources)


def tiny_pixels(split):
    """Image i is one gray of its own, and its label follows from it."""
    grays = np.arange(SIZES[split], dtype=np.uint8) * 6
    pixels = np.broadcast_to(grays[:, None, None, None], (len(grays), 28, 28, 1))
    return pixels, (grays // 6 % 10).astype(np.uint8)


def tiny_builder(during=lambda index: None):
    """Return a TFDS builder class for `tiny_pixels`; `during` is called at each image."""
    import tensorflow_datasets as tfds

    # Not registered: the real one stays what tfds.builder finds.
    class Mnist(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("3.0.1")
        pkg_dir_path = Path(__file__).parent

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(28, 28, 1)),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in SIZES}

        def _generate_examples(self, split):
            for index, (image, label) in enumerate(zip(*tiny_pixels(split), strict=True)):
                during(index)
                yield index, {"image": image, "label": label}

    return Mnist


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with a tiny copy of "mnist", as TFDS itself prepares it."""
    folder = tmp_path_factory.mktemp("prepared")
    tiny_builder()(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture
def copy(prepared, tiny):
    """The same where `load` looks for it, free to be damaged; returns the version's folder."""
    folder = data._tfds_folder()
    shutil.copytree(prepared, folder)
    return folder / "mnist" / "3.0.1"


def grays_of(images):
    """Return the sorted pixel values of tiny images, each of which is one gray."""
    return sorted(np.rint((images.images[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist())


def numbered(n, name="numbers"):
    """Images that can be told apart: image i is all i / n, its label is i."""
    values = (np.arange(n) / n).astype(np.float32)
    images = np.tile(values[:, None, None, None], (1, 2, 2, 1))
    return data.Images(images, np.arange(n), name, ("any",) * n)


def orders(dataset, epochs=1):
    """Return each epoch's labels, in order."""
    return [np.concatenate([labels for _, labels in dataset]).tolist() for _ in range(epochs)]


# --- Images and batches


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((3, 28, 28), np.float32), np.zeros(3, int), r"\(N, H, W, C\).*\(3, 28, 28\)"),
        (np.zeros((3, 2, 2, 1)), np.zeros(3, int), "float32.*got float64"),
        (np.zeros((0, 2, 2, 1), np.float32), np.zeros(0, int), "N of at least 1"),
        (np.full((3, 2, 2, 1), 255, np.float32), np.zeros(3, int), r"\[-1, 1\].*255.*127\.5"),
        (np.full((3, 2, 2, 1), np.nan, np.float32), np.zeros(3, int), r"\[-1, 1\].*nan"),
        (np.zeros((3, 2, 2, 1), np.float32), np.zeros(2, int), r"\(3,\).*\(2,\)"),
        (np.zeros((3, 2, 2, 1), np.float32), np.zeros(3), "integers.*float64"),
        (np.zeros((3, 0, 2, 1), np.float32), np.zeros(3, int), r"images must .*\(3, 0, 2, 1\)"),
        ([[[[0.0]]]], np.zeros(1, int), "images must be a float32 array .* got list"),
        (np.zeros((1, 2, 2, 1), np.float32), [0], "labels must be an array .* got list"),
    ],
)
def test_images_refuse_what_the_course_does_not_expect(images, labels, words):
    with pytest.raises(ValueError, match=words):
        data.Images(images, labels, "any", ("any",))


@pytest.mark.parametrize(
    "part",
    [slice(-3, None), slice(None, None, 4), [7, 1, 1], np.array([0, 9]), np.arange(10) % 3 == 0],
)
def test_a_part_of_the_images_keeps_its_labels(part):
    whole = numbered(10)
    found = whole[part]
    assert type(found) is data.Images and (found.name, found.class_names) == (
        "numbers",
        ("any",) * 10,
    )
    np.testing.assert_array_equal(found.labels, np.arange(10)[part])
    np.testing.assert_array_equal(found.images, whole.images[part])
    assert sorted(orders(found.batches(len(found)))[0]) == sorted(found.labels)


def test_small_integer_types_count_and_seed_as_others_do():
    assert orders(numbered(300).batches(np.int8(100), np.int8(3))) == orders(
        numbered(300).batches(100, 3)
    )
    two = data.batches_of_two(numbered(300), numbered(200), np.int8(100))
    assert len(list(two)) == 3


def test_two_slices_share_the_images_out_without_a_copy():
    whole = numbered(10)
    train, held_out = whole[:-4], whole[-4:]
    assert (len(train), len(held_out)) == (6, 4)
    assert sorted([*train.labels, *held_out.labels]) == list(range(10))
    assert np.shares_memory(train.images, whole.images)


@pytest.mark.parametrize("index", [0, -1, np.int64(3)])
def test_a_single_index_is_refused(index):
    with pytest.raises(TypeError, match=rf"part must be a slice or .*; \[\[{index}\]\] is one"):
        numbered(10)[index]
    assert len(numbered(10)[[int(index)]]) == 1


@pytest.mark.parametrize(
    ("part", "error"),
    [
        *[("a", TypeError), (None, TypeError), (..., TypeError), ([0.5], TypeError)],
        *[((slice(2), slice(1)), (TypeError, ValueError)), ([10], IndexError)],
        (np.ones(9, bool), IndexError),
    ],
)
def test_what_chooses_no_images_is_refused(part, error):
    with pytest.raises(error, match="part must"):
        numbered(10)[part]


@pytest.mark.parametrize("part", [slice(5, 5), slice(10, None), [], np.zeros(10, bool)])
def test_nothing_left_is_refused(part):
    with pytest.raises(ValueError, match=r"images must be .* with N of at least 1"):
        numbered(10)[part]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_an_epoch_holds_every_image_once_with_its_own_label(draws):
    n = draws.draw(st.integers(1, 70), "n")
    batch_size = draws.draw(st.integers(1, n), "batch_size")
    batches = numbered(n).batches(batch_size, seed=draws.draw(st.integers(0, 2**31), "seed"))
    seen = [(images.numpy(), labels.numpy()) for images, labels in batches]
    sizes = [len(labels) for _, labels in seen]
    assert sizes == [batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0)
    assert len(batches) == len(sizes)
    labels = np.concatenate([labels for _, labels in seen])
    assert sorted(labels) == list(range(n))
    images = np.concatenate([images for images, _ in seen])
    np.testing.assert_array_equal(images[:, 0, 0, 0], (labels / n).astype(np.float32))


def test_batches_are_shuffled_anew_each_epoch_and_the_seed_repeats_them():
    images = numbered(50)
    first = orders(images.batches(8, seed=1), epochs=3)
    assert first[0] != sorted(first[0])
    assert first[0] != first[1] != first[2] != first[0]
    assert orders(images.batches(8, seed=1), epochs=3) == first
    assert orders(images.batches(8, seed=2)) != first[:1]
    assert orders(images.batches(8)) == orders(images.batches(8, seed=0))


def test_batches_are_what_fit_wants():
    import tensorflow as tf

    batches = numbered(10).batches(4)
    images, labels = batches.element_spec
    assert (images.shape.as_list(), images.dtype) == ([None, 2, 2, 1], tf.float32)
    assert (labels.shape.as_list(), labels.dtype) == ([None], tf.int64)
    assert batches.options().autotune.enabled is False


def test_the_images_are_not_copied_into_a_graph():
    images = numbered(5_000)
    dataset = images.batches(10, augment=lambda batch: batch)
    layers = [dataset]
    for layer in layers:
        layers += layer._inputs()
    functions = [function.function for layer in layers for function in layer._functions()]
    assert len(functions) == 2  # gather and augment, or this test looks at the wrong thing
    for function in functions:
        assert function.graph.as_graph_def().ByteSize() < images.images.nbytes / 10


def test_augmentation_is_drawn_anew_each_epoch():
    import keras

    rng = np.random.default_rng(0)
    pixels = rng.uniform(-1, 1, (12, 8, 8, 1)).astype(np.float32)
    images = data.Images(pixels, np.arange(12), "noise", ("any",) * 12)
    augment = keras.layers.RandomTranslation(0.3, 0.3, fill_mode="constant", fill_value=-1, seed=0)

    def epoch(dataset):
        batches = [(images.numpy(), labels.numpy()) for images, labels in dataset]
        assert {images.shape[1:] for images, _ in batches} == {(8, 8, 1)}
        order = np.argsort(np.concatenate([labels for _, labels in batches]))
        return np.concatenate([images for images, _ in batches])[order]  # by label again

    plain = images.batches(5, seed=0)
    np.testing.assert_array_equal(epoch(plain), epoch(plain))
    augmented = images.batches(5, seed=0, augment=augment)
    first, second = epoch(augmented), epoch(augmented)
    for a, b, original in zip(first, second, pixels, strict=True):
        assert not np.array_equal(a, b)
        assert not np.array_equal(a, original)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "4", None, True, 11])
def test_a_wrong_batch_size_is_named(batch_size):
    with pytest.raises(
        ValueError, match=r"batch_size must be .* from 1 to 10.*'numbers', got"
    ) as e:
        numbered(10).batches(batch_size)
    assert repr(batch_size) in str(e.value)


def test_a_numpy_batch_size_will_do():
    assert len(numbered(10).batches(np.int64(10))) == 1


# --- The embedded digits


def test_embedded_digits_are_real_digits_in_mnist_s_geometry():
    from sklearn.datasets import load_digits

    original = load_digits()
    train, test = data.load("digits"), data.load("digits", "test")
    assert (train.images.shape, test.images.shape) == ((1500, 28, 28, 1), (297, 28, 28, 1))
    assert train.name == test.name == "digits"
    assert train.class_names == tuple("0123456789")
    np.testing.assert_array_equal(np.concatenate([train.labels, test.labels]), original.target)
    images = np.concatenate([train.images, test.images])[..., 0]
    assert images.dtype == np.float32
    center = images[:, 4:-4, 4:-4]
    framed = np.pad(center, ((0, 0), (4, 4), (4, 4)), constant_values=-1)
    np.testing.assert_array_equal(images, framed)  # a frame of 4 pixels is all -1
    assert (images.max(axis=(1, 2)) > 0.8).all()
    # Seen through 5 x 5 and 2 x 2 blocks they are still the pictures that they came from.
    coarse = center.reshape(-1, 4, 5, 4, 5).mean((2, 4)).reshape(-1, 16)
    expected = original.images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)
    likeness = [np.corrcoef(a, b)[0, 1] for a, b in zip(coarse, expected, strict=True)]
    assert min(likeness) > 0.9


# --- Arguments


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"name must be one of 'mnist'.*got 'mnits'.*'mnist'\?"):
        data.load("mnits")
    with pytest.raises(ValueError, match=r"got 'Fashion-MNIST'\. Did you mean 'fashion_mnist'"):
        data.load("Fashion-MNIST")
    with pytest.raises(ValueError, match=r"name must be one of .*got 7\.$"):
        data.load(7)
    with pytest.raises(ValueError, match="split must be one of 'train', 'test'; got 'Test'"):
        data.load("mnist", split="Test")
    with pytest.raises(ValueError, match="fallback must be one of None, 'digits'; got 'mnist'"):
        data.load("mnist", fallback="mnist")
    for question in (data.find_copy, data.reachable):
        with pytest.raises(ValueError, match="name must be one of 'mnist', 'fashion_mnist'"):
            question("digits")


# --- No copy and no network


def test_unavailable_names_three_ways_out(tmp_path):
    with pytest.raises(data.DatasetUnavailable) as e:
        data.load("mnist")
    for words in ("'mnist'", "connect to the internet", "TFDS_DATA_DIR", 'data.load("digits")',
                  'fallback="digits"', str(tmp_path / "tfds")):  # fmt: skip
        assert words in str(e.value)


def test_fallback_gives_the_digits_and_says_so_once(capsys):
    train = data.load("mnist", fallback="digits")
    assert (train.name, len(train)) == ("digits", 1500)
    said = capsys.readouterr().out
    assert "'mnist'" in said
    assert "digits" in said
    assert len(data.load("mnist", "test", fallback="digits")) == 297
    assert capsys.readouterr().out == ""
    data.load("fashion_mnist", fallback="digits")
    assert "'fashion_mnist'" in capsys.readouterr().out


def test_in_a_notebook_the_notice_is_displayed(monkeypatch, capsys):
    ipython = pytest.importorskip("IPython")
    shown = []
    monkeypatch.setattr(ipython, "get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    data.load("mnist", fallback="digits")
    assert len(shown) == 1
    assert all("'mnist'" in shown[0][kind] for kind in ("text/plain", "text/markdown"))
    assert capsys.readouterr().out == ""


def test_reachable_follows_the_answer(monkeypatch):
    assert data.reachable("mnist") is False  # a ConnectionError
    asked = []

    def head(url, timeout):
        asked.append((url, timeout))
        return types.SimpleNamespace(ok="mnist/" in url)

    monkeypatch.setattr(requests, "head", head)
    assert data.reachable("mnist") is True
    assert data.reachable("fashion_mnist") is False  # such as a 404
    assert all(0 < timeout < 10 for _, timeout in asked)


def test_a_hanging_name_look_up_does_not_hold_the_answer(monkeypatch):
    assert data._NETWORK_SECONDS < 10
    monkeypatch.setattr(data, "_NETWORK_SECONDS", 0.2)
    release = threading.Event()

    def hang(*args, **kwargs):
        release.wait(60)
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "head", hang)
    start = time.monotonic()
    with pytest.raises(data.DatasetUnavailable):
        data.load("mnist")
    assert time.monotonic() - start < 5
    release.set()


def test_import_and_the_doctor_s_questions_are_cheap():
    code = (
        "import sys; from gan_course import data; data.find_copy('mnist')\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'sklearn', 'PIL', 'requests'}\n"
        "sys.exit(str(heavy & set(sys.modules) or ''))"
    )
    root = Path(data.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.stderr.strip() == ""


# --- Prepared copies


def version_folder(version, finished=True):
    folder = data._tfds_folder() / "mnist" / version
    folder.mkdir(parents=True)
    if finished:
        (folder / "dataset_info.json").write_text("{}", encoding="utf-8")
    return folder


def test_find_copy_takes_the_newest_finished_version():
    assert data.find_copy("mnist") is None
    version_folder("3.0.1", finished=False)
    version_folder("incomplete.ABC123_3.0.1")
    assert data.find_copy("mnist") is None
    old = version_folder("2.9.0")
    assert data.find_copy("mnist") == old
    new = version_folder("2.10.0")
    assert data.find_copy("mnist") == new
    assert data.find_copy("fashion_mnist") is None


def test_find_copy_looks_in_tfds_default_folder(monkeypatch, tmp_path):
    for home in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(home, str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", "~/tensorflow_datasets")
    folder = version_folder("3.0.1")
    assert folder == tmp_path / "tensorflow_datasets" / "mnist" / "3.0.1"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert data.find_copy("mnist") == folder


@pytest.mark.parametrize("split", data.SPLITS)
def test_a_copy_is_loaded_and_then_the_cache(copy, split):
    pixels, _ = tiny_pixels(split)
    images = data.load("mnist", split)
    assert images.images.shape == (SIZES[split], 28, 28, 1)
    assert images.images.dtype == np.float32
    assert grays_of(images) == pixels[:, 0, 0, 0].tolist()
    grays = np.rint((images.images[:, 27, 27, 0] + 1) * 127.5).astype(int)
    np.testing.assert_array_equal(images.labels, grays // 6 % 10)
    shutil.rmtree(copy.parent)
    again = data.load("mnist", split)
    np.testing.assert_array_equal(again.images, images.images)
    np.testing.assert_array_equal(again.labels, images.labels)
    assert again.labels.dtype == images.labels.dtype
    assert (again.name, again.class_names) == (images.name, images.class_names)


def test_another_version_than_tfds_own_will_do(copy):
    older = copy.rename(copy.with_name("2.0.0"))
    info = json.loads((older / "dataset_info.json").read_text(encoding="utf-8"))
    (older / "dataset_info.json").write_text(
        json.dumps(info | {"version": "2.0.0"}), encoding="utf-8"
    )
    assert len(data.load("mnist")) == 40


def cut(keep):
    """Return a function that keeps the first `keep` (or drops the last -`keep`) bytes of a file."""
    return lambda path: path.write_bytes(path.read_bytes()[:keep])


def first_record(path):
    """Keep exactly one record of a TFRecord file: its length, two checksums and its data."""
    content = path.read_bytes()
    path.write_bytes(content[: 8 + 4 + int.from_bytes(content[:8], "little") + 4])


def flip(path):
    content = bytearray(path.read_bytes())
    content[100] ^= 0xFF
    path.write_bytes(content)


def tell(count):
    """Return a function that makes dataset_info.json promise `count` train images."""
    return lambda path: path.write_text(
        path.read_text(encoding="utf-8").replace('"40"', f'"{count}"'), encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("mnist-train.tfrecord-00000-of-00001", cut(-5)),
        ("mnist-train.tfrecord-00000-of-00001", first_record),
        ("mnist-train.tfrecord-00000-of-00001", flip),
        ("mnist-train.tfrecord-00000-of-00001", Path.unlink),
        ("features.json", Path.unlink),
        ("features.json", cut(20)),
        ("dataset_info.json", Path.unlink),
        ("dataset_info.json", cut(20)),
        ("dataset_info.json", tell(39)),
    ],
)
def test_a_damaged_copy_is_named_and_never_loaded_short(copy, file, damage):
    damage(copy / file)
    with pytest.raises(data.DatasetBroken) as e:
        data.load("mnist", fallback="digits")  # a fallback must not hide it
    assert str(copy) in str(e.value)
    assert "Delete that folder" in str(e.value)
    assert not data._cache_path("mnist", "train").exists()


def test_a_whole_copy_of_another_data_set_is_not_taken(copy, monkeypatch):
    bigger = data._SOURCES["mnist"]._replace(sizes={"train": 41, "test": 10})
    monkeypatch.setattr(data, "_SOURCES", {"mnist": bigger})
    with pytest.raises(data.DatasetBroken, match=r"\(41, 28, 28, 1\).*\(40, 28, 28, 1\)"):
        data.load("mnist")


# --- Downloads, played by a tiny builder


@pytest.fixture
def download(tiny, monkeypatch):
    """Return a function that makes downloads possible and calls `during` at each image."""
    import tensorflow_datasets as tfds

    def enable(during=lambda index: None):
        monkeypatch.setattr(data, "reachable", lambda name: True)
        builder = tiny_builder(during)
        monkeypatch.setattr(tfds, "builder", lambda name, data_dir: builder(data_dir=data_dir))

    return enable


def test_an_interrupted_download_leaves_nothing_that_looks_like_a_copy(download):
    seen = []

    def interrupt(index):
        if index == 5:
            # What a killed process would leave on the disk: TFDS has not cleaned up yet.
            seen.extend(path.name for path in (data._tfds_folder() / "mnist").iterdir())
            assert data.find_copy("mnist") is None
            raise KeyboardInterrupt

    download(interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.load("mnist")
    assert [name.split(".")[0] for name in seen] == ["incomplete"]
    (data._tfds_folder() / "mnist" / seen[0]).mkdir(exist_ok=True)  # as after a kill
    assert data.find_copy("mnist") is None
    download()
    assert len(data.load("mnist")) == 40


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        PermissionError(errno.EACCES, "Permission denied"),
        RuntimeError("ResourceExhaustedError: No space left on device"),
    ],
)
def test_a_disk_that_takes_no_download_is_named(download, error):
    def fail(index):
        raise error

    download(fail)
    with pytest.raises(data.DatasetUnavailable) as e:
        data.load("mnist")
    assert str(data._tfds_folder()) in str(e.value)
    assert "writable" in str(e.value)
    assert "TFDS_DATA_DIR" in str(e.value)
    assert error.args[-1] in str(e.value)
    assert data.load("mnist", fallback="digits").name == "digits"


def test_a_folder_that_cannot_be_made_is_named(download, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "file" / "tfds"))
    download()
    with pytest.raises(data.DatasetUnavailable, match="could not be written"):
        data.load("mnist")


def test_a_download_that_breaks_off_is_unavailable(download):
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.util import DownloadError

    for error in (requests.ConnectionError, DownloadError, NonMatchingChecksumError):

        def fail(index, error=error):
            raise error("the line went dead")

        download(fail)
        with pytest.raises(data.DatasetUnavailable, match="the download failed: the line went"):
            data.load("mnist")


# --- The cache


def test_a_damaged_cache_file_is_made_again_and_said_once(copy):
    whole = data.load("mnist")
    path = data._cache_path("mnist", "train")
    cut(-100)(path)
    with pytest.warns(UserWarning, match="damaged") as caught:
        again = data.load("mnist")
    assert [str(path) in str(warning.message) for warning in caught] == [True]
    np.testing.assert_array_equal(again.images, whole.images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.load("mnist")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_damaged_cache_file_never_loads_as_something_else(tiny, draws):
    pixels, labels = tiny_pixels("train")
    data._write_cache("mnist", "train", pixels, labels)
    path = data._cache_path("mnist", "train")
    content = bytearray(path.read_bytes())
    if draws.draw(st.booleans(), "cut it short"):
        del content[draws.draw(st.integers(0, len(content) - 1), "from") :]
    else:
        content[draws.draw(st.integers(0, len(content) - 1), "at")] ^= draws.draw(
            st.integers(1, 255), "bits"
        )
    path.write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cached = data._read_cache("mnist", "train")
    if cached is None:
        assert "damaged" in str(caught[0].message)
        assert not path.exists()
    else:  # a byte that means nothing, such as the time in a zip header
        np.testing.assert_array_equal(cached[0], pixels)
        np.testing.assert_array_equal(cached[1], labels)


PIXELS = np.zeros((40, 28, 28, 1), np.uint8)
LABELS = np.zeros(40, np.uint8)


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": PIXELS[:39], "labels": LABELS[:39]},
        {"images": PIXELS, "labels": LABELS[:39]},
        {"images": PIXELS[..., 0], "labels": LABELS},
        {"images": PIXELS.astype(np.float32), "labels": LABELS},
        {"images": PIXELS, "labels": LABELS.astype(np.int64)},
        {"images": PIXELS, "labels": LABELS + 10},
        {"images": PIXELS},
    ],
)
def test_a_cache_file_with_other_content_is_dropped(tiny, arrays):
    path = data._cache_path("mnist", "train")
    path.parent.mkdir()
    np.savez(path, **arrays)
    with pytest.warns(UserWarning, match="damaged"):
        assert data._read_cache("mnist", "train") is None


class Trap:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_cache_file_never_runs_code(tiny, tmp_path):
    path = data._cache_path("mnist", "train")
    path.parent.mkdir()
    np.savez(path, images=np.array([Trap(tmp_path / "trapped")]), labels=LABELS)
    trap = shutil.copy(path, tmp_path)
    with pytest.warns(UserWarning, match="damaged"):
        assert data._read_cache("mnist", "train") is None
    assert not (tmp_path / "trapped").exists()
    with np.load(trap, allow_pickle=True) as arrays:
        _ = arrays["images"]
    assert (tmp_path / "trapped").exists()  # it would have


def test_a_full_disk_costs_the_cache_but_not_the_images(copy, monkeypatch):
    def full(file, **arrays):
        file.write(b"a part")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(UserWarning, match="No space left.*GAN_COURSE_CACHE"):
        assert len(data.load("mnist")) == 40
    assert os.listdir(data._cache_path("mnist", "train").parent) == []


def test_a_cache_folder_that_cannot_be_made_is_a_warning(copy, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GAN_COURSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="cache folder"):
        assert len(data.load("mnist")) == 40


def test_where_tfds_itself_does_not_work_no_copy_is_called_damaged(copy, monkeypatch, capsys):
    import tensorflow_datasets as tfds

    monkeypatch.delattr(tfds, "builder_from_directory")
    with pytest.raises(data.DatasetUnavailable, match="another package does not fit it"):
        data.load("mnist")
    assert data.load("mnist", fallback="digits").name == "digits"
    assert "Install the tested versions" in capsys.readouterr().out


def test_an_interrupted_cache_write_leaves_no_file(copy, monkeypatch):
    def interrupt(file, **arrays):
        file.write(b"a part")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.load("mnist")
    assert os.listdir(data._cache_path("mnist", "train").parent) == []


# --- The real thing, where there is one


@pytest.mark.skipif(REAL_MNIST is None, reason="no prepared copy of MNIST on this machine")
def test_real_mnist_has_the_published_counts(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(REAL_MNIST.parents[1]))
    monkeypatch.setattr(data, "_write_cache", lambda *args: None)  # pytest would keep 55 MB
    train, test = data.load("mnist"), data.load("mnist", "test")
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(train.labels).tolist() == counts
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(test.labels).tolist() == counts
    assert train.images.shape == (60_000, 28, 28, 1)
    assert (train.images.min(), train.images.max()) == (-1, 1)
    mean = (train.images.mean(dtype=np.float64) + 1) / 2
    assert mean == pytest.approx(0.1307, abs=1e-4)  # as published for pixels in [0, 1]


# Mixtures and stacked digits


def test_the_ring_has_distinct_modes_at_its_radius():
    ring = data.ring()
    assert ring.centers.shape == (8, 2) and len(np.unique(ring.centers.round(4), axis=0)) == 8
    np.testing.assert_allclose(np.linalg.norm(ring.centers, axis=1), 1, rtol=1e-6)


def test_the_grid_is_that_of_the_papers():
    places = sorted(map(tuple, data.grid().centers.tolist()))
    assert places == [(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]


@pytest.mark.parametrize("mixture", [data.ring(), data.grid()])
def test_samples_of_a_mixture_are_perfect(mixture):
    batch, modes = next(iter(mixture.batches(20_000)))
    away = batch - mixture.centers[modes]
    np.testing.assert_allclose(np.std(away), mixture.std, rtol=0.02)
    for points in (mixture.sample(20_000), batch.numpy()):
        found = metrics.mode_coverage(points, mixture.centers, mixture.std)
        assert found.captured == len(mixture.centers)
        assert found.high_quality == pytest.approx(1 - np.exp(-4.5), abs=0.004)


def test_batches_of_a_mixture_are_new_each_time_and_repeatable():
    first, second = (points.numpy() for points, _ in data.ring().batches(6).take(2))
    assert not np.array_equal(first, second)
    again = [points.numpy() for points, _ in data.ring().batches(6).take(2)]
    np.testing.assert_array_equal([first, second], again)
    other = next(iter(data.ring().batches(6, seed=1)))[0].numpy()
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: data.ring(modes=0), "modes"),
        (lambda: data.ring(radius=-1.0), "radius"),
        (lambda: data.ring(std=0), "std"),
        (lambda: data.grid(side=2.5), "side"),
        (lambda: data.grid(spacing=np.inf), "spacing"),
        (lambda: data.ring().batches(0), "batch_size"),
        (lambda: data.ring().batches(4, seed=-1), "seed"),
        (lambda: data.ring().sample(4, seed=2**63), "seed"),
        (lambda: data.ring().sample(10**30), "count must be below"),
        (lambda: data.ring(radius=1e39), "radius or spacing, and std, must"),
        (lambda: data.grid(std=10**400), "std must be a number above 0"),
        (lambda: data.stacked_mnist(count=0), "count"),
        (lambda: data.stacked_mnist(seed=0.5), "seed"),
        (lambda: data.slanted_in_color(np.zeros((1, 4, 4, 3), np.float32)), r"images must .* 1\)"),
        (lambda: data.outlined([[0.0]]), "images must be a float32 array"),
        (lambda: data.batches_of_two(numbered(3), [1], 2), "b must be data.Images, got list"),
        (lambda: numbered(3).batches(2, seed="1"), "seed"),
        (lambda: numbered(3).batches(2, augment=3), "augment must be a function"),
        (lambda: data.load(np.array(["mnist", "digits"])), "name must be one of"),
    ],
)
def test_mixtures_refuse_numbers_that_make_no_sense(make, name):
    with pytest.raises(ValueError, match=name):
        make()


def test_stacked_digits_are_three_digits(copy):
    stacked, digits = data.stacked_mnist(count=50), data.load("mnist")
    assert stacked.images.shape == (50, 28, 28, 3) and len(stacked.class_names) == 1_000
    for image, label in zip(stacked.images, stacked.labels, strict=True):
        for channel, digit in enumerate(map(int, stacked.class_names[label])):
            same = (digits.images[..., 0] == image[..., channel]).all(axis=(1, 2))
            assert set(digits.labels[same]) == {digit}
    np.testing.assert_array_equal(stacked.images, data.stacked_mnist(count=50).images)
    assert not np.array_equal(stacked.labels, data.stacked_mnist(count=50, seed=1).labels)


def test_without_mnist_the_embedded_digits_are_stacked():
    assert data.stacked_mnist("test", 5, fallback="digits").name == "stacked_digits"
    with pytest.raises(data.DatasetUnavailable):
        data.stacked_mnist()


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: data.stacked_mnist(count=10**6, fallback="digits"), "count"),
        (lambda: data.load_unpaired("digits_to_color", size=512, fallback="digits"), "size"),
        (lambda: data.load("digits").batches(10), "their number"),
    ],
)
def test_what_does_not_fit_into_memory_is_refused_before_it_begins(make, setting, monkeypatch):
    monkeypatch.setattr(data.runtime, "free_memory", lambda: 4_000_000)
    monkeypatch.setattr(np, "concatenate", None)  # nothing is put together
    with pytest.raises(MemoryError, match=f"and 0.0 GB are free. Lower {setting}"):
        make()


# --- Two kinds of images


@pytest.fixture
def two_hundred(monkeypatch):
    """The embedded digits, and of each split only two hundred."""
    whole = data.load
    monkeypatch.setattr(data, "load", lambda *args: whole("digits", args[1])[:200])


@pytest.mark.parametrize("name", list(data._TRANSLATIONS))
def test_no_image_of_one_kind_has_its_partner_in_the_other(name, two_hundred):
    a, b = data.load_unpaired(name)
    assert a.partner is None and b.partner is None
    assert len(a) == len(b) == 100 and a.name == b.name == name
    digits = data.load("digits", "train")
    assert np.array_equal(np.concatenate([a.labels, b.labels]), digits.labels)
    assert np.array_equal(a.images[..., :1], digits.images[:100])
    a, b = data.load_unpaired(name, "test")
    assert a.images.shape == a.partner.shape == b.images.shape == b.partner.shape
    # b's partner is what it was made of
    translate = data._TRANSLATIONS[name][1]
    assert np.array_equal(translate(b.partner[..., :1]), b.images)
    assert np.array_equal(translate(a.images[..., :1]), a.partner)
    few = a[10:13]
    assert np.array_equal(few.partner, a.partner[10:13])


def test_translations_are_one_to_one_and_no_recoloring():
    digits = data.load("digits", "test")[:50]
    colored = data.slanted_in_color(digits.images)
    assert colored.shape == (50, 28, 28, 3) and np.abs(colored).max() <= 1
    empty = data.slanted_in_color(np.full((1, 28, 28, 1), -1, np.float32))
    ground, ink = empty[0] + 1, np.array([2.0, 1.6, 0.6])
    covered = (colored + 1 - ground) / (ink - ground)  # how much ink lies on each pixel
    np.testing.assert_allclose(covered[..., 0], covered[..., 2], atol=1e-3)
    # rows are shifted, each by its own: their sums stay
    kept = (digits.images[..., 0] + 1).sum(axis=2) / 2
    np.testing.assert_allclose(covered[..., 0].sum(axis=2), kept, atol=0.02)
    centers = (covered[..., 0] * np.arange(28)).sum(axis=2) / np.maximum(kept, 1)
    before = ((digits.images[..., 0] + 1) / 2 * np.arange(28)).sum(axis=2) / np.maximum(kept, 1)
    moved = np.median((centers - before)[:, 6:22], axis=0)
    np.testing.assert_allclose(moved, -0.4 * (np.arange(6, 22) - 13.5), atol=0.2)


def test_outlines_are_empty_inside_and_outside():
    square = np.full((1, 16, 16, 1), -1, np.float32)
    square[0, 4:12, 4:12] = 1
    outline = data.outlined(square)[0, :, :, 0]
    assert (outline[5:11, 5:11] == -1).all() and (outline[3:5, 3:13] == 1).all()
    assert (outline[:3] == -1).all() and outline.dtype == np.float32


def test_kinds_are_brought_to_a_size(two_hundred):
    a, b = data.load_unpaired("digits_to_color", "test", size=32)
    assert {x.shape for x in (a.images, a.partner, b.images, b.partner)} == {(100, 32, 32, 3)}
    larger = data.load_unpaired("digits_to_color", "test")[0].images[0]
    assert a.images[0].mean() == pytest.approx(larger.mean(), abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "digits_to_colour"}, "Did you mean 'digits_to_color'"),
        ({"name": "mnist"}, "name must be one of 'digits_to_color'"),
        ({"split": "trainA"}, "split must be one of 'train', 'test'"),
        ({"size": 0}, "size must be a whole number of at least 1"),
        ({"fallback": "zebras"}, "fallback must be one of None, 'digits'"),
    ],
)
def test_load_unpaired_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        data.load_unpaired(**{"name": "digits_to_color", **arguments})


def test_partners_are_as_many_as_images():
    few = data.load("digits", "test")[:3]
    with pytest.raises(ValueError, match="partner must have one image for each of the 3, got 2"):
        data.Images(few.images, few.labels, "some", few.class_names, few.images[:2])
    with pytest.raises(ValueError, match="partner must be a float32 array"):
        data.Images(few.images, few.labels, "some", few.class_names, [1, 2, 3])


def test_without_photos_there_is_an_error_or_the_digits(capsys, two_hundred):
    with pytest.raises(data.DatasetUnavailable, match=r'load_unpaired."digits_to_color"'):
        data.load_unpaired("horse2zebra")
    a, b = data.load_unpaired("horse2zebra", "test", size=32, fallback="digits")
    assert a.name == b.name == "digits_to_color" and a.images.shape == (100, 32, 32, 3)
    assert "The pair 'digits_to_color' takes its place" in capsys.readouterr().out


def test_photos_come_from_the_cache_scaled_and_resized(monkeypatch):
    name, sizes = "cycle_gan/horse2zebra", {"trainA": 5, "trainB": 7, "testA": 2, "testB": 3}
    source = data._SOURCES[name]._replace(sizes=sizes)
    monkeypatch.setattr(data, "_SOURCES", {**data._SOURCES, name: source})
    for split, count in sizes.items():
        gray = np.full((count, 20, 20, 3), 51 * (split[-1] == "B"), np.uint8)
        data._write_cache(name, split, gray, np.zeros(count, np.uint8))
    horses, zebras = data.load_unpaired("horse2zebra", size=10)
    assert horses.images.shape == (5, 10, 10, 3) and zebras.images.shape == (7, 10, 10, 3)
    np.testing.assert_allclose(horses.images, -1)
    np.testing.assert_allclose(zebras.images, -0.6, atol=1e-6)
    assert horses.class_names == ("horse", "zebra") and set(zebras.labels) == {1}
    assert len(data.load_unpaired("horse2zebra", "test")[1]) == 3


def test_batches_of_two_hold_all_of_the_larger_kind():
    a, b = numbered(5), numbered(8)
    batches = data.batches_of_two(a, b, 3, seed=1)
    for _ in range(2):
        epoch = [(x.numpy()[:, 0, 0, 0], y.numpy()[:, 0, 0, 0]) for x, y in batches]
        assert len(epoch) == 3
        seen = np.sort(np.concatenate([y for _, y in epoch]))
        np.testing.assert_allclose(seen, np.arange(8) / 8)
        smaller = np.concatenate([x for x, _ in epoch])
        assert set(np.rint(5 * smaller)) == set(range(5))


def test_partners_stay_together_and_are_augmented_alike():
    a, b = numbered(6), numbered(6)
    keras.utils.set_random_seed(0)
    noise = keras.layers.GaussianNoise(0.1, seed=1)

    def augment(images):  # another one for each batch, the same for all channels
        return images + noise(images[:1, :1, :1, :1] * 0, training=True)

    batches = data.batches_of_two(a, b, 2, augment=augment, aligned=True)
    epochs = [[(x.numpy(), y.numpy()) for x, y in batches] for _ in range(2)]
    assert all(np.array_equal(x, y) for x, y in epochs[0] + epochs[1])
    whole = [np.sort(np.concatenate([x[:, 0, 0, 0] for x, _ in epoch])) for epoch in epochs]
    assert not np.allclose(*whole)
    with pytest.raises(ValueError, match="as many images of the same height and width"):
        data.batches_of_two(a, numbered(5), 2, aligned=True)
    with pytest.raises(ValueError, match="batch_size must be an integer from 1 to 6"):
        data.batches_of_two(a, b, 0)
