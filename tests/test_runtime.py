"""Budgets, seeds, devices, and a doctor who speaks in any condition."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import gan_course
from gan_course import callbacks, data, metrics, models, runtime, training


def test_budget_follows_the_environment(monkeypatch):
    assert runtime.budget(full=10, fast=1) == 10
    monkeypatch.setenv("GAN_COURSE_FAST", "1")
    assert runtime.budget(full=10, fast=1) == 1
    monkeypatch.setenv("GAN_COURSE_FAST", "0")
    assert runtime.budget(full=10, fast=1) == 10


def test_set_seed_seeds_numpy_and_tensorflow():
    draws = []
    for seed in (1, 1, 2):
        runtime.set_seed(seed)
        draws.append((np.random.rand(), float(tf.random.normal(()))))
    assert draws[0] == draws[1] != draws[2]


def test_describe_names_versions_and_the_kind_of_run(monkeypatch):
    assert tf.__version__ in runtime.describe() and "a full run" in runtime.describe()
    monkeypatch.setenv("GAN_COURSE_FAST", "1")
    assert "a fast run" in runtime.describe()


class Notebook:
    """In place of a notebook, with a clock of its own: what its one line says, in turn."""

    kernel = True

    def __init__(self, monkeypatch):
        self.now, self.lines = 0.0, []
        monkeypatch.setattr(runtime, "time", self)
        monkeypatch.setattr("IPython.get_ipython", lambda: self)
        monkeypatch.setattr("IPython.display.display", self.display)

    def monotonic(self):
        return self.now

    def display(self, bundle, raw, display_id):
        assert raw and display_id and not self.lines  # one line, that is replaced
        self.update(bundle, raw)
        return self

    def update(self, bundle, raw):
        self.lines.append(bundle["text/plain"])


def test_progress_is_a_line_that_comes_late_and_goes(monkeypatch):
    notebook = Notebook(monkeypatch)
    for _ in runtime.progress(range(8), "cures"):
        notebook.now += 1.5
    assert notebook.lines == [
        "cures: 25%, about 9 s left",
        "cures: 38%, about 8 s left",
        "cures: 50%, about 6 s left",
        "cures: 62%, about 4 s left",
        "cures: 75%, about 3 s left",
        "cures: 88%, about 2 s left",
        "",
    ]


def test_progress_is_not_renewed_all_the_time_and_goes_after_an_error_too(monkeypatch):
    notebook = Notebook(monkeypatch)
    with pytest.raises(ZeroDivisionError):
        for i in runtime.progress(range(80), "cures"):
            notebook.now += 0.125
            1 / (44 - i)
    assert [line[:10] for line in notebook.lines] == ["cures: 30%", "cures: 40%", "cures: 50%", ""]


def test_the_first_of_many_steps_gives_no_estimate_as_it_also_compiles(monkeypatch):
    notebook = Notebook(monkeypatch)
    for i in runtime.progress(range(101), "cures"):
        notebook.now += 0.5 if i else 20
    assert notebook.lines[:2] == ["cures: 1%", "cures: 3%, about 49 s left"]


@pytest.mark.parametrize("where", ["short", "fast run", "terminal", "no IPython"])
def test_progress_is_not_shown_where_nobody_waits(where, monkeypatch, capsys):
    notebook = Notebook(monkeypatch)
    if where == "fast run":
        monkeypatch.setenv("GAN_COURSE_FAST", "1")
    if where in ("terminal", "no IPython"):
        shell = object() if where == "terminal" else None
        monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    for _ in runtime.progress(range(5), "cures"):
        notebook.now += 0.5 if where == "short" else 2
    assert notebook.lines == [] and not capsys.readouterr().out


@pytest.mark.parametrize("batches", ["finite", "endless"])
def test_a_training_says_how_far_it_is(batches, monkeypatch):
    notebook = Notebook(monkeypatch)

    class Wait(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            notebook.now += 1

    generator, discriminator = models.mlp_generator(2, (4,), (2,)), models.mlp_discriminator((2,))
    gan = training.GAN(generator, discriminator, latent_dim=2)
    gan.compile(steps_per_execution=2)
    points = tf.data.Dataset.from_tensors(np.zeros((4, 2), "float32")).repeat(8)
    steps = {"steps_per_epoch": 8} if batches == "endless" else {}
    points = points.repeat() if steps else points
    watch = [Wait(), callbacks.Progress("R1")]
    gan.fit(points, epochs=4, initial_epoch=2, callbacks=watch, verbose=0, **steps)  # goes on
    assert notebook.lines == [
        "R1: epoch 3 of 4, about 5 s left",
        "R1: epoch 3 of 4, about 4 s left",
        "R1: epoch 4 of 4, about 3 s left",
        "R1: epoch 4 of 4, about 2 s left",
        "R1: epoch 4 of 4, about 1 s left",
        "R1: epoch 4 of 4, about 0 s left",
        "",
    ]


def test_metrics_say_how_far_they_are(monkeypatch):
    notebook = Notebook(monkeypatch)

    def features(images):
        notebook.now += 4
        return images[:, 0, :, 0]

    images = np.random.default_rng(0).uniform(-1, 1, (1_500, 2, 2, 1)).astype("float32")
    metrics.FrechetDistance(images, features)
    assert notebook.lines == [
        "features of 1,500 reference: 33%, about 8 s left",
        "features of 1,500 reference: 67%, about 4 s left",
        "",
    ]


@pytest.fixture
def float32_again():
    yield
    keras.config.set_dtype_policy("float32")
    runtime._best_precision.cache_clear()


@pytest.mark.parametrize("name", runtime.PRECISIONS)
def test_a_precision_that_is_asked_for_is_taken(float32_again, name):
    assert runtime.use_precision(name) == name == keras.config.dtype_policy().name
    assert keras.layers.Dense(1).dtype_policy.name == name


@pytest.mark.parametrize(
    ("seconds", "expected"), [((3.0, 1.0), "mixed_bfloat16"), ((1.1, 1.0), "float32")]
)
def test_on_a_cpu_the_measurement_decides(float32_again, monkeypatch, seconds, expected):
    runtime._best_precision.cache_clear()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    found = dict(zip(("float32", "mixed_bfloat16"), seconds, strict=True))
    monkeypatch.setattr(runtime, "_block_seconds", found.get)
    assert runtime.use_precision() == expected


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ([(9, 0)], "mixed_bfloat16"),
        ([(7, 5)], "mixed_float16"),
        ([(8, 0), (9, 0)], "mixed_bfloat16"),
        ([(8, 0), (7, 0)], "float32"),
        ([(6, 1)], "float32"),
    ],
)
def test_on_gpus_the_oldest_decides(float32_again, monkeypatch, capabilities, expected):
    runtime._best_precision.cache_clear()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: capabilities)
    details = "get_device_details"
    monkeypatch.setattr(
        tf.config.experimental, details, lambda gpu: {"compute_capability": gpu, "device_name": "x"}
    )
    assert runtime.use_precision("auto") == expected


def test_the_measurement_measures():
    assert all(runtime._block_seconds(name) > 0 for name in ("float32", "mixed_bfloat16"))
    assert keras.config.dtype_policy().name == "float32"


def test_an_unknown_precision_changes_nothing():
    with pytest.raises(ValueError, match=r"one of 'auto', 'float32', .*; came 'float64'"):
        runtime.use_precision("float64")
    assert keras.config.dtype_policy().name == "float32"


def test_importing_the_package_does_not_import_tensorflow():
    code = (
        "import sys; from gan_course import runtime, data; "
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=runtime.ROOT)


@pytest.fixture
def no_waiting(monkeypatch):
    """Leave the real network out."""
    monkeypatch.setattr(data, "reachable", lambda name: False)


def line(report, name):
    """The finding of this name; "tensorflow" may be installed as tensorflow-cpu."""
    names = (name, f"{name}-cpu")
    return next(finding for finding in report.findings if finding.what in names)


def test_the_doctor_on_this_machine(no_waiting):
    report = runtime.doctor()
    assert line(report, "GAN Course").found == gan_course.__version__
    assert f" on {platform.system()}" in line(report, "Python").found
    for name in ("Python", "tensorflow", "keras", "free disk", "data", "network"):
        assert line(report, name).found in str(report)
    assert str(runtime.ROOT) not in str(report)


def test_what_is_wrong_has_a_remedy(no_waiting, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.19.0")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(runtime.shutil, "disk_usage", lambda path: _Disk)
    report = runtime.doctor()
    assert not report.ok
    for name, words in {
        "Python": "3.11 to 3.13",
        "tensorflow": "2.20 or newer",
        "network": "TFDS_DATA_DIR",
        "free disk": "make room",
    }.items():
        assert not line(report, name).ok and words in line(report, name).remedy
        assert line(report, name).remedy in str(report)


class _Disk:
    free = 1e8


def test_missing_tensorflow_is_a_line_not_a_stack_trace(no_waiting, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setitem(sys.modules, "keras", None)
    report = runtime.doctor()
    assert line(report, "tensorflow").found == "not installed"
    assert "could not be examined" in line(report, "devices").found
    assert "make lab" in line(report, "devices").remedy


def test_a_copy_makes_the_network_needless(no_waiting, monkeypatch):
    monkeypatch.setattr(data, "find_copy", lambda name: runtime.ROOT)
    assert line(runtime.doctor(), "network").ok


def test_xla_is_tried_not_assumed(monkeypatch):
    runtime.xla_works.cache_clear()
    assert runtime.xla_works() in (True, False)

    def refuses(function, jit_compile):
        raise tf.errors.UnimplementedError(None, None, "no XLA here")

    runtime.xla_works.cache_clear()
    monkeypatch.setattr(tf, "function", refuses)
    assert runtime.xla_works() is False
    runtime.xla_works.cache_clear()


def test_one_device_needs_no_strategy_and_several_gpus_get_one(monkeypatch):
    assert runtime.strategy() is tf.distribute.get_strategy()
    made = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one", "two"])
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: made.append(1) or "mirrored")
    assert runtime.strategy() == "mirrored" and made == [1]


def test_only_a_cluster_of_several_workers_gets_its_strategy(monkeypatch):
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: "cluster")
    for jobs, expected in (
        ({"worker": ["a:1", "b:1"]}, "cluster"),
        ({"chief": ["a:1"], "worker": ["b:1"]}, "cluster"),
        ({"worker": ["a:1"]}, tf.distribute.get_strategy()),
    ):
        config = {"cluster": jobs, "task": {"type": "worker", "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
        assert runtime.strategy() == expected


def test_quiet_logs_silences_native_lines_only():
    code = (
        "import os, sys; from gan_course import runtime; runtime.quiet_logs(); "
        "print('said', file=sys.stderr, flush=True); os.write(2, b'native')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=runtime.ROOT
    )
    assert (done.returncode, done.stderr.split()) == (0, ["said", "native"])


# Memory


def test_free_memory_is_what_the_system_says():
    free = runtime.free_memory()
    assert (free is None) == (not sys.platform.startswith("linux"))
    if free is not None:
        assert 1e6 < free <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_what_cannot_fit_is_refused(monkeypatch):
    monkeypatch.setattr(runtime, "free_memory", lambda: 2_000_000_000)
    runtime.check_memory(2_000_000_000, "This", "count")
    with pytest.raises(
        MemoryError, match=r"This would take 3.0 GB .* 2.0 GB are free. Lower count"
    ):
        runtime.check_memory(3_000_000_000, "This", "count")
    monkeypatch.setattr(runtime, "free_memory", lambda: None)  # a system that does not say
    runtime.check_memory(10**18, "This", "count")
