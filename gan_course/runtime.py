"""The machine: devices, seeds, time budgets, and a report on what is there.

Imports TensorFlow only where it is needed, so that the report can say when it is missing.
"""

import contextlib
import dataclasses
import functools
import importlib.metadata
import os
import platform
import shutil
import sys
import time
from pathlib import Path

from gan_course import __version__

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ((3, 11), (3, 13))  # first and last version of Python that is supported
MEMORY_GB = 6  # what the largest lesson needs, with JupyterLab beside it
DISK_GB = 1  # the data sets and a learner's own files, once everything is installed


def is_fast():
    """True when GAN_COURSE_FAST=1 asks for a short run that only tries whether everything works."""
    return os.environ.get("GAN_COURSE_FAST", "") == "1"


def budget(*, full, fast):
    """A setting for the run at hand: `full` to learn, `fast` when GAN_COURSE_FAST=1."""
    return fast if is_fast() else full


def checkpoints(name):
    """The folder for a lesson's checkpoints, see `callbacks.Resume`.

    It is in `workbook/`, or in the folder that GAN_COURSE_CHECKPOINTS names: on Colab for example
    one on Google Drive, since Colab's own disk may vanish.

    Args:
        name: of the training, like "02" or "02-again".
    """
    return Path(os.environ.get("GAN_COURSE_CHECKPOINTS") or ROOT / "workbook/checkpoints") / name


def set_seed(seed=0):
    """Seed Python, NumPy and TensorFlow, as `keras.utils.set_random_seed`."""
    import keras

    keras.utils.set_random_seed(seed)


def quiet_logs():
    """Import TensorFlow without the lines that its C++ part writes about itself and the machine.

    Some of these no setting silences. What it calls errors there are remarks, such as one on a
    graph that it cannot make faster; errors that matter come as Python exceptions.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _native_stderr_dropped():
        import tensorflow as tf

        tf.config.list_physical_devices()  # looks for GPUs, and would write that there are none
    tf.get_logger().setLevel("ERROR")


def print_anything():
    """Let `print` write "?" for a character that a console, such as Windows', does not know."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")


@contextlib.contextmanager
def _native_stderr_dropped():
    """Send what compiled code writes to standard error nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class ProgressLine:
    """A line below a notebook's cell that says how far something is; it is gone at the end.

    It comes after three seconds, is renewed once a second at most, and is only there where somebody
    waits: in a notebook, and not in a fast run.

    Args:
        what: what goes on, in words.
        share: how much of it has been done before, in [0, 1).
    """

    def __init__(self, what, share=0.0):
        self._what, self._first, self._counting = what, share, False
        self._begin, self._due = time.monotonic(), time.monotonic() + 3
        self._handle = None

    def show(self, share, where=""):
        """Say how much is done, in [0, 1], and maybe in words where it is."""
        now = time.monotonic()
        if share <= self._first:
            return
        if not self._counting and share - self._first < 0.1:
            # The first of many steps is slow, since it also compiles: no estimate from it.
            self._begin, self._first, left = now, share, ""
        else:
            seconds = (now - self._begin) * (1 - share) / (share - self._first)
            left = f", about {seconds:.0f} s left"
        self._counting = True
        if now < self._due:
            return
        self._due = now + 1
        self._write(f"{self._what}: {where or f'{share:.0%}'}{left}")

    def end(self):
        """Take the line away."""
        if self._handle is not None:
            self._write("")

    def _write(self, text):
        from IPython import get_ipython
        from IPython.display import display

        bundle = {"text/plain": text}
        if self._handle is not None:
            self._handle.update(bundle, raw=True)
        elif hasattr(get_ipython(), "kernel") and not is_fast():
            self._handle = display(bundle, raw=True, display_id=True)


def progress(items, what):
    """Go through something that takes long, with a `ProgressLine` in a notebook.

    Args:
        items: a sequence.
        what: what goes on, in words.

    Yields:
        its items.

    Example:
        for seed in runtime.progress(range(5), "training"):
            train(seed)
    """
    line = ProgressLine(what)
    try:
        for i, item in enumerate(items):
            line.show(i / len(items))
            yield item
    finally:
        line.end()


@functools.cache
def xla_works():
    """Whether the compiler XLA can be used here: tried once, on a small function.

    It makes networks of fully connected layers faster; convolutions on a CPU become slower.
    """
    import tensorflow as tf

    try:
        tf.function(lambda x: x @ x + 1.0, jit_compile=True)(tf.ones((2, 2)))
    except tf.errors.OpError:
        return False
    return True


def strategy():
    """Every device there is: those of a cluster, a TPU, all GPUs, or the CPU.

    It is a cluster where the environment variable TF_CONFIG names several workers; then call this
    before TensorFlow computes anything. See docs/devices.md.

    Returns:
        tf.distribute.Strategy: build and compile models under its `scope()`. With one GPU or
        the CPU it is TensorFlow's default strategy and costs nothing.
    """
    import tensorflow as tf

    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
    if sum(len(cluster.get(job, ())) for job in ("chief", "worker")) > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if os.environ.get("TPU_NAME") or os.environ.get("COLAB_TPU_ADDR"):
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
        return tf.distribute.TPUStrategy(resolver)
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_LEAST_GAIN = 1.5  # so many times faster must half precision be, to be chosen on a CPU


def use_precision(name="auto"):
    """Choose the precision of all networks that are built from now on.

    Half precision (16 bits a number instead of 32) is faster where the device has instructions for
    it, and slower elsewhere. Weights, losses and a network's last layer stay in float32.

    Args:
        name: "float32", "mixed_bfloat16" or "mixed_float16", as Keras calls them, or "auto": on a
            GPU or TPU what its generation is made for; on a CPU bfloat16 if a short measurement
            (a second or two) finds a convolution with BatchNorm, forward and backward, at least
            1.5 times faster in it, else float32.

    Returns:
        str: the precision that was chosen.

    Raises:
        ValueError: another name.
    """
    import keras

    if name not in ("auto", *PRECISIONS):
        known = ", ".join(map(repr, ("auto", *PRECISIONS)))
        raise ValueError(f"name must be one of {known}; came {name!r}.")
    chosen = _best_precision() if name == "auto" else name
    keras.config.set_dtype_policy(chosen)
    return chosen


@functools.cache
def _best_precision():
    import tensorflow as tf

    if tf.config.list_logical_devices("TPU"):
        return "mixed_bfloat16"
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        oldest = min(each.get("compute_capability", (0, 0)) for each in details)
        if oldest >= (8, 0):
            return "mixed_bfloat16"
        # Keras' loss scaling looks at the first replica's gradients only: not on several GPUs.
        return "mixed_float16" if oldest >= (7, 0) and len(gpus) == 1 else "float32"
    seconds = {name: _block_seconds(name) for name in ("float32", "mixed_bfloat16")}
    gain = seconds["float32"] / seconds["mixed_bfloat16"]
    return "mixed_bfloat16" if gain >= _LEAST_GAIN else "float32"


def _block_seconds(precision):
    """The shortest of ten forward and backward passes through a block as in the lessons' networks.

    A convolution alone would promise too much: BatchNorm computes in float32 all the same.
    """
    import keras
    import tensorflow as tf
    from keras import layers

    parts = (
        layers.Conv2D(64, 3, padding="same", dtype=precision),
        layers.BatchNormalization(dtype=precision),
        layers.ReLU(dtype=precision),
    )
    block = keras.Sequential([keras.Input((14, 14, 64)), *parts])
    images = tf.random.stateless_normal((32, 14, 14, 64), [0, 0])

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.cast(block(images, training=True), tf.float32) ** 2)
        gradients = tape.gradient(loss, block.trainable_variables)
        return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])

    run()
    seconds = []
    for _ in range(10):
        begin = time.perf_counter()
        run().numpy()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def _cores():
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def free_memory():
    """The bytes of memory that programs can still get; None where it is not known, off Linux."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return None


def check_memory(count, what, setting):
    """Refuse what cannot fit into memory, before it begins.

    Args:
        count: the bytes that it takes.
        what: it, in words.
        setting: what to lower.

    Raises:
        MemoryError: less is free, as far as the system says.
    """
    free = free_memory()
    if free is not None and count > free:
        raise MemoryError(
            f"{what} would take {count / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free. "
            f"Lower {setting}, or close other programs."
        )


def describe():
    """One line for the top of a notebook: devices, versions, and the kind of run."""
    import keras
    import tensorflow as tf

    gpus = len(tf.config.list_physical_devices("GPU"))
    device = f"{gpus} GPU{'s' if gpus > 1 else ''}" if gpus else f"CPU, {_cores()} cores"
    run = "a fast run, to try the code: it is too short to learn" if is_fast() else "a full run"
    return (
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}; {device}; {run}."
    )


# The doctor's report.


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, what came, and what to do if it is wrong."""

    what: str
    found: str
    ok: bool = True
    remedy: str = ""

    def __str__(self):
        line = f"{'ok ' if self.ok else '!! '} {self.what:<13} {self.found}"
        return line if self.ok else f"{line}\n{'':17} -> {self.remedy}"


@dataclasses.dataclass(frozen=True)
class Report:
    """What `doctor` found; `ok` is False if something keeps the course from running."""

    findings: tuple

    @property
    def ok(self):
        return all(finding.ok for finding in self.findings)

    def __str__(self):
        verdict = (
            "Everything is there."
            if self.ok
            else "Lines with !! need something; what to do stands below each."
        )
        return "\n".join([*map(str, self.findings), "", verdict])


def doctor():
    """Look at the machine: versions, devices, data, network, memory and disk.

    Returns:
        Report: `str(report)` is the text, `report.ok` tells whether all is well. Never raises.
    """
    checks = (
        _course,
        _python,
        _tensorflow,
        _keras,
        _devices,
        _precision,
        _data,
        _network,
        _memory,
        _disk,
    )
    return Report(tuple(_careful(check) for check in checks))


def _careful(check):
    """A finding, even where looking fails: the report is for machines that are not well."""
    try:
        return check()
    except Exception as error:  # whatever is broken here must become a line of the report
        name = check.__name__.strip("_")
        return Finding(
            name,
            f"could not be examined: {type(error).__name__}: {error}".splitlines()[0],
            False,
            "Install the course again: delete the folder .venv and type `make lab`.",
        )


def _course():
    return Finding("GAN Course", __version__)


def _python():
    first, last = (".".join(map(str, version)) for version in PYTHONS)
    where = Path(sys.executable)
    inside = where.relative_to(ROOT) if where.is_relative_to(ROOT) else where.name
    return Finding(
        "Python",
        f"{platform.python_version()} on {platform.platform(terse=True)} ({inside})",
        PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1],
        f"TensorFlow supports Python {first} to {last}: install one of these from python.org.",
    )


def _version(package, least, below=None):
    """A finding on the installed version of a package."""
    wanted = f"{least} or newer" + (f", below {below}" if below else "")
    remedy = f"The course needs {package} {wanted}: delete the folder .venv and type `make lab`."
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return Finding(package, "not installed", False, remedy)
    fits = _numbers(version) >= _numbers(least)
    fits = fits and (below is None or _numbers(version) < _numbers(below))
    return Finding(package, version, fits, remedy)


def _numbers(version):
    """The first two numbers of a version: (2, 21) for 2.21.0."""
    return tuple(int(part) for part in version.split(".")[:2])


def _tensorflow():
    names = ("tensorflow", "tensorflow-cpu")
    found = [finding for finding in (_version(name, "2.20", "2.22") for name in names)]
    return next((finding for finding in found if finding.found != "not installed"), found[0])


def _keras():
    return _version("keras", "3.12")


def _devices():
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = [tf.config.experimental.get_device_details(g).get("device_name") for g in gpus]
        return Finding("devices", ", ".join(str(name) for name in names))
    has_nvidia = sys.platform == "linux" and shutil.which("nvidia-smi") is not None
    return Finding(
        "devices",
        f"CPU, {_cores()} cores",
        not has_nvidia,
        "There is an NVIDIA driver, but TensorFlow sees no GPU: delete the folder .venv and type "
        "`make lab TF=cuda`. The course also runs without it.",
    )


def _precision():
    import keras

    return Finding("precision", keras.config.dtype_policy().name)


def _data():
    from gan_course import data

    copies = {name: data.find_copy(name) for name in ("mnist", "fashion_mnist")}
    lines = [f"{name}: {'found' if copy else 'not yet'}" for name, copy in copies.items()]
    return Finding("data", "; ".join([*lines, "embedded digits: always there"]))


def _network():
    from gan_course import data

    if data.reachable("mnist"):
        return Finding("network", "reachable: missing data sets are downloaded when first used")
    if data.find_copy("mnist"):
        return Finding("network", "not reachable, and not needed: MNIST is here")
    return Finding(
        "network",
        "not reachable, and MNIST is not here: lessons use the embedded digits",
        False,
        "Connect once, or point TFDS_DATA_DIR at a folder that holds MNIST. Until then everything "
        "works, on smaller data.",
    )


def _memory():
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return Finding("memory", f"not measured on this system; {MEMORY_GB} GB are needed")
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Finding(
        "memory",
        f"{total:.0f} GB",
        total >= MEMORY_GB,
        f"The lessons need {MEMORY_GB} GB: close other programs, or use Colab.",
    )


def _disk():
    free = shutil.disk_usage(ROOT).free / 1e9
    return Finding(
        "free disk",
        f"{free:.0f} GB",
        free >= DISK_GB,
        f"Data and notebooks need {DISK_GB} GB: make room, or move the folder of the course.",
    )
