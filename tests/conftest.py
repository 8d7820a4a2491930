"""For all tests: two logical CPU devices, to try training on several; no waiting for tf.data."""

from unittest import mock

import pytest
import tensorflow as tf

tf.config.set_visible_devices([], "GPU")  # these tests ask for equal bits, which a CPU gives
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="session", autouse=True)
def no_autotuner():
    """tf.data's autotuner off: who deletes an iterator waits for its thread, up to a minute."""
    iterate, options = tf.data.Dataset.__iter__, tf.data.Options()
    options.autotune.enabled = False
    with mock.patch.object(
        tf.data.Dataset, "__iter__", lambda self: iterate(self.with_options(options))
    ):
        yield


@pytest.fixture(scope="session")
def two_replicas():
    """One for all tests: strategies number their exchanges alike, so those of two would clash."""
    cpus = tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([cpu.name for cpu in cpus[:2]])


@pytest.fixture
def written():
    """Reads TensorBoard's event files as it does, but without its package."""
    return _events


def _events(folder):
    """What is in the event files: {(name, kind): {step: value}}, a picture as an array."""
    found = {}
    for path in sorted(map(str, folder.glob("*tfevents*"))):
        for record in tf.data.TFRecordDataset(path):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                kind, tensor = value.metadata.plugin_data.plugin_name, tf.make_ndarray(value.tensor)
                if kind == "images":
                    size, picture = tensor[:2], tf.io.decode_png(tensor[2]).numpy()
                    assert [int(each) for each in size] == [*picture.shape[1::-1]]
                    tensor = picture[:, :, 0] if picture.shape[2] == 1 else picture
                found.setdefault((value.tag, kind), {})[event.step] = tensor
    return found
