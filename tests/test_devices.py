"""Training on several devices, and in several processes, gives what one device gives."""

import ast
import contextlib
import functools
import json
import os
import re
import runpy
import socket
import subprocess
import sys
import time
import types
import warnings
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from gan_course import callbacks, losses, models, training
from gan_course.runtime import ROOT

PAGE = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (16, 4, 4, 1)).astype("float32")
LABELS = np.arange(16) % 3
SIDES = ("generator", "discriminator")
TOLERANCE = 1e-5  # of weights that move by more than a hundred times as much


def sgd():
    return {f"{side}_optimizer": keras.optimizers.SGD(0.5) for side in SIDES}


def plain(kind=training.GAN, **settings):
    keras.utils.set_random_seed(0)
    networks = models.mlp_generator(3, (8,), (4, 4, 1)), models.mlp_discriminator((4, 4, 1), (8,))
    gan = kind(*networks, latent_dim=3)
    gan.compile(jit_compile=False, **sgd(), **settings)
    return gan


def conditional():
    """Networks without BatchNorm, whose statistics would be those of half a batch."""
    keras.utils.set_random_seed(0)
    noise, label, image = keras.Input((3,)), keras.Input((), dtype="int32"), keras.Input((4, 4, 1))
    both = layers.Concatenate()([noise, layers.Embedding(3, 4)(label)])
    made = layers.Reshape((4, 4, 1))(layers.Dense(16, "tanh")(both))
    seen = layers.Concatenate()([layers.Flatten()(image), layers.Embedding(3, 4)(label)])
    judged = layers.Dense(1)(layers.Dense(8, "leaky_relu")(seen))
    networks = keras.Model([noise, label], made), keras.Model([image, label], judged)
    gan = training.ConditionalGAN(*networks, latent_dim=3, classes=3)
    gan.compile(jit_compile=False, **sgd())
    return gan


def cycle(pool_size=0):
    keras.utils.set_random_seed(0)

    def convolution(stride, activation=None):
        return keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                layers.Conv2D(4, 3, stride, "same", activation="leaky_relu"),
                layers.Conv2D(1, 3, padding="same", activation=activation),
            ]
        )

    networks = *(convolution(1, "tanh") for _ in range(2)), *(convolution(2) for _ in range(2))
    gan = training.CycleGAN(*networks, pool_size=pool_size)
    rates = {f"{side}_optimizer": keras.optimizers.SGD(0.05) for side in SIDES}
    gan.compile(jit_compile=False, **rates)
    return gan


@pytest.fixture
def noise_of_two(monkeypatch):
    """Lets one device draw what two replicas draw together: each one half of the batch."""
    draw = training.GAN.noise

    @tf.autograph.experimental.do_not_convert
    def noise(self, count, stream=0):
        halves = []
        for replica in range(2):
            context = types.SimpleNamespace(replica_id_in_sync_group=replica)
            with mock.patch.object(tf.distribute, "get_replica_context", lambda c=context: c):
                halves.append(draw(self, count // 2, stream))
        return tf.concat(halves, 0)

    return functools.partial(monkeypatch.setattr, training.GAN, "noise", noise)


def values(gan):
    return [weight.numpy() for weight in gan.trainable_weights]


def largest_difference(ones, others):
    return max(np.abs(one - other).max() for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize(
    ("build", "data"),
    [
        (plain, (IMAGES,)),
        (functools.partial(plain, penalty=losses.R1(0.5)), (IMAGES,)),
        (functools.partial(plain, training.SimultaneousGAN), (IMAGES,)),
        (conditional, (IMAGES, LABELS)),
        (cycle, (IMAGES, -IMAGES)),
    ],
    ids=["GAN", "R1", "SimultaneousGAN", "ConditionalGAN", "CycleGAN"],
)
def test_two_devices_learn_what_one_learns(build, data, two_replicas, noise_of_two):
    def fit(gan):
        batches = tf.data.Dataset.from_tensor_slices(data).shuffle(16, seed=0).batch(8)
        return gan.fit(batches, epochs=2, verbose=0).history

    with two_replicas.scope():
        two = build()
    start, logs_of_two = values(two), fit(two)
    noise_of_two()
    one = build()
    for name, means in fit(one).items():
        np.testing.assert_allclose(means, logs_of_two[name], atol=TOLERANCE, err_msg=name)
    assert largest_difference(values(one), start) > 100 * TOLERANCE
    assert largest_difference(values(one), values(two)) < TOLERANCE


def test_replicas_draw_different_noise(two_replicas):
    with two_replicas.scope():
        gan = plain()
    noise = two_replicas.experimental_local_results(two_replicas.run(lambda: gan.noise(4)))
    assert not np.isin(noise[0].numpy(), noise[1].numpy()).any()


def test_each_device_has_its_own_pool_and_statistics(two_replicas):
    with two_replicas.scope():
        gan = cycle(pool_size=8)
        norm = layers.BatchNormalization(momentum=0.0)
        together = layers.BatchNormalization(momentum=0.0, synchronized=True)
        for layer in (norm, together):
            layer.build((None, 1))

    def step(images):
        return [layer(images, training=True) for layer in (norm, together)]

    gan.fit(tf.data.Dataset.from_tensors((IMAGES, -IMAGES)), verbose=0)
    pools = two_replicas.experimental_local_results(gan.pool_a.images.value)
    assert [int(each) for each in two_replicas.experimental_local_results(gan.pool_a.filled.value)]
    assert np.abs(pools[0] - pools[1]).max(axis=(1, 2, 3)).min() > 0

    of_each = two_replicas.experimental_distribute_values_from_function(
        lambda context: tf.fill((4, 1), 10.0 * context.replica_id_in_sync_group)
    )
    two_replicas.run(tf.function(step), args=(of_each,))
    means = [
        [float(mean[0]) for mean in two_replicas.experimental_local_results(each.moving_mean.value)]
        for each in (norm, together)
    ]
    assert means == [[0.0, 10.0], [5.0, 5.0]]


def test_a_batch_with_too_few_images_for_all_devices_is_refused(two_replicas):
    with two_replicas.scope():
        gan = plain()
    batches = tf.data.Dataset.from_tensor_slices(IMAGES[:9]).batch(4)
    with pytest.raises(
        ValueError, match=r"^Every batch must hold at least 2 .* batches are full\.$"
    ):
        gan.fit(batches, verbose=0)
    assert len(plain().fit(batches, verbose=0).history["d_loss"]) == 1  # one device takes them


def test_arrays_whose_last_batch_is_too_small_are_refused(two_replicas):
    with two_replicas.scope():
        gan = plain()
    with pytest.raises(ValueError, match="at least 2 images, one for each of 2 devices"):
        gan.fit(IMAGES[:9], batch_size=8, verbose=0)


def test_compiled_elsewhere_than_made_is_refused(two_replicas):
    with two_replicas.scope():
        gan = plain()
    with pytest.raises(ValueError, match="compile must be called where the GAN was made"):
        gan.compile()


def test_several_steps_at_once_become_one_on_several_devices(two_replicas):
    with two_replicas.scope():
        gan = plain(steps_per_execution=4)
    batches = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4)
    with pytest.warns(UserWarning, match="steps_per_execution=4 becomes 1"):
        gan.fit(batches, verbose=0)
    assert int(gan.generator_optimizer.iterations.numpy()) == 4
    one = plain(steps_per_execution=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one.fit(batches, verbose=0)
    assert one.steps_per_execution == 4


@pytest.mark.parametrize("kept", ["weights", "averages"])
def test_saved_and_watched_on_two_devices(kept, two_replicas, tmp_path):
    """What callbacks see, and what a file holds, is the GAN of all devices, not of one."""
    batches = tf.data.Dataset.from_tensor_slices(IMAGES).batch(8)
    with two_replicas.scope():
        gan = plain()
        if kept == "averages":
            optimizers = sgd() | {"generator_optimizer": keras.optimizers.SGD(0.5, use_ema=True)}
            gan.compile(jit_compile=False, **optimizers)
    grid = callbacks.SampleGrid(count=4, columns=2)
    score = callbacks.FrechetScore(IMAGES, count=32, features=lambda x: x[:, 0, :1, 0])
    history = gan.fit(batches, epochs=2, callbacks=[grid, score], verbose=0).history
    assert grid.epochs == [0, 1, 2] and (grid.frames[0] != grid.frames[2]).any()
    gan.save(tmp_path / "gan.keras")

    alone = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(alone.generate(4, seed=1), gan.generate(4, seed=1))
    assert history["val_fid"][-1] == pytest.approx(score.scores["fid"](alone.generate(32)))
    with two_replicas.scope():
        again = keras.saving.load_model(tmp_path / "gan.keras")
    for each in (gan, again):
        each.fit(batches, verbose=0)
    assert all(map(np.array_equal, again.get_weights(), gan.get_weights()))
    optimizers = [each.generator_optimizer for each in (again, gan)]
    assert [int(each.iterations.numpy()) for each in optimizers] == [6, 6]


# Several processes


SECONDS = 240  # until two workers that hang are ended; they need some fifteen
CLUSTER = json.loads(re.search(r"TF_CONFIG='(.*)'", PAGE).group(1))
SCRIPT = next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "argv" in code)


def free_addresses(count):
    """Addresses on this machine that nobody listens at."""
    with contextlib.ExitStack() as stack:
        try:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
        except OSError as error:
            pytest.skip(f"there is no loopback network here: {error}")
        return ["{}:{}".format(*each.getsockname()) for each in sockets]


def train_in_processes(script, count):
    """Run it once for each worker, in a fresh interpreter, and return what the workers print."""
    addresses, workers = free_addresses(count), []
    folder = script.parent
    with contextlib.ExitStack() as stack:
        for index in range(count):
            config = {"cluster": {"worker": addresses}, "task": CLUSTER["task"] | {"index": index}}
            environment = {
                **os.environ,
                "TF_CONFIG": json.dumps(config),
                "CUDA_VISIBLE_DEVICES": "-1",  # workers on one machine would take it all, each
                "PYTHONPATH": str(ROOT),
            }
            streams = [
                stack.enter_context(open(folder / f"{index}.{name}", "w", encoding="utf-8"))
                for name in ("out", "err")
            ]
            command = [sys.executable, str(script), str(folder / f"{index}.keras")]
            worker = subprocess.Popen(
                command, env=environment, stdout=streams[0], stderr=streams[1]
            )
            workers.append(worker)
            stack.callback(worker.wait)
            stack.callback(worker.kill)  # this comes first, and does nothing to one that has ended
        deadline = time.monotonic() + SECONDS
        while any(worker.poll() is None for worker in workers) and time.monotonic() < deadline:
            if any(worker.poll() for worker in workers):  # the others would wait for it
                break
            time.sleep(0.1)
        codes = [worker.poll() for worker in workers]
    printed, said = (
        [(folder / f"{i}.{name}").read_text(encoding="utf-8") for i in range(count)]
        for name in ("out", "err")
    )
    assert codes == [0] * count, "\n".join(text[-2_000:] for text in said)
    return printed


def last_line(text):
    return ast.literal_eval(text.strip().splitlines()[-1])


def everything(gan):
    optimizers = gan.generator_optimizer, gan.discriminator_optimizer
    return [*gan.get_weights(), *(v.numpy() for each in optimizers for v in each.variables)]


def test_two_processes_agree_and_learn_what_one_learns(tmp_path, monkeypatch, noise_of_two, capsys):
    """The script is the one that docs/devices.md shows."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    printed = train_in_processes(script, 2)
    two = [keras.saving.load_model(tmp_path / f"{i}.keras") for i in range(2)]
    assert all(map(np.array_equal, everything(two[0]), everything(two[1])))

    noise_of_two()
    monkeypatch.setattr(sys, "argv", ["train.py", str(tmp_path / "one.keras")])
    monkeypatch.delenv("TF_CONFIG", raising=False)
    one = runpy.run_path(script)["gan"]
    keras.utils.set_random_seed(0)
    start = [weight.numpy() for weight in models.mlp_generator(16, hidden=(64,)).weights]
    assert largest_difference(values(one.generator), start) > 100 * TOLERANCE
    assert largest_difference(values(one), values(two[0])) < TOLERANCE
    logs = [last_line(each) for each in (*printed, capsys.readouterr().out)]
    assert logs[0] == logs[1]
    for name, means in logs[2].items():
        np.testing.assert_allclose(logs[0][name], means, atol=TOLERANCE, err_msg=name)


# What the page computes


def trainable(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_variables)


def test_the_pages_arithmetic_is_right():
    photos = (128, 128, 3)
    pairs = {  # as in lesson 02, and in section 10 of lesson 08
        "lesson 02": (1, models.dcgan_generator(64), models.dcgan_discriminator()),
        "lesson 08": (
            2,
            models.unet_generator(photos, 3, 32, 5),
            models.patch_discriminator(photos, width=32),
        ),
    }
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines()]
    for lesson, (times, *networks) in pairs.items():
        sizes, two, eight, least = (row for row in rows if row and row[0].startswith(lesson))
        counts = [trainable(network) for network in networks]
        assert [int(cell.split(" x ")[-1].replace(",", "")) for cell in sizes[1:3]] == counts
        total = times * sum(counts)
        assert sizes[3] == f"4 x {total:,} = {4e-6 * total:.3g} MB"
        for row, factor, cells in ((two, 1, 2), (eight, 1.75, 2), (least, 2, 1)):
            for cell, gigabits in zip(row[cells:], (1, 10, 100), strict=False):
                expected = factor * 4 * total / (gigabits * 1e9 / 8) * 1e3
                assert float(cell.removesuffix(" ms")) == pytest.approx(expected, rel=0.04)
