"""Settings for the tests, and for the notebooks that nbval runs; here, both find it."""

import os
import tempfile
import time
from pathlib import Path
from queue import Empty
from unittest import mock

import nbval.kernel
import nbval.plugin
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The tests' own process and a notebook's kernel have to share a GPU's memory.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# Processes that test at once share the cores: with threads for all of them, each waits for others.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
if _PROCESSES > 1:
    for _name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(_name, str(max(1, os.cpu_count() // _PROCESSES)))

_POLL_SECONDS = 2
_FIRST_OUTPUT_SECONDS = 60  # nbval gives up after 5, which a busy machine needs at times


class Kernel(nbval.kernel.RunningKernel):
    """A notebook's kernel: run small, with files of its own, and missed when it dies.

    nbval alone waits for a dead kernel until the cell's whole time limit is over.
    """

    def __init__(self, kernel_name, cwd=None, **options):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        with mock.patch.dict(os.environ):
            os.environ.pop("GAN_COURSE_STRICT", None)
            os.environ.pop("GAN_COURSE_STRICT_RESULTS", None)  # a fast run's results are poor
            os.environ["GAN_COURSE_FAST"] = "1"
            if Path(cwd).name == "solutions":
                os.environ["GAN_COURSE_STRICT"] = "1"
            os.environ["GAN_COURSE_PROGRESS"] = str(Path(self._folder.name) / "progress.json")
            os.environ["GAN_COURSE_CHECKPOINTS"] = str(Path(self._folder.name) / "checkpoints")
            super().__init__(kernel_name, cwd=cwd, **options)

    def get_message(self, stream, timeout=None):
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            remaining = deadline - time.monotonic()
            try:
                return super().get_message(stream, timeout=max(0, min(_POLL_SECONDS, remaining)))
            except Empty:
                if not self.is_alive():
                    raise RuntimeError("the kernel died in this cell") from None
                if time.monotonic() >= deadline:
                    raise


nbval.plugin.RunningKernel = Kernel


def pytest_collection_modifyitems(items):
    """Gives cells of notebooks more time for their first output."""
    for item in items:
        if isinstance(item, nbval.plugin.IPyNbCell):
            item.output_timeout = _FIRST_OUTPUT_SECONDS


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    """Keeps tests away from the learner's progress, and from settings meant for notebooks."""
    for name in ("GAN_COURSE_FAST", "GAN_COURSE_STRICT", "GAN_COURSE_STRICT_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GAN_COURSE_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setenv("GAN_COURSE_CHECKPOINTS", str(tmp_path / "checkpoints"))
