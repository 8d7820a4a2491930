"""Two logical CPU devices for the tests, so that training on several can be tried on one."""

import pytest
import tensorflow as tf

tf.config.set_visible_devices([], "GPU")  # these tests ask for equal bits, which a CPU gives
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="session")
def two_replicas():
    """One for all tests: strategies number their exchanges alike, so those of two would clash."""
    cpus = tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([cpu.name for cpu in cpus[:2]])
