"""What tools/train_generators.py stores is what `models.pretrained` gives back."""

import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import train_generators

from gan_course import models, training


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "PRETRAINED", tmp_path / "pretrained")
    return tmp_path / "pretrained"


def test_a_run_is_stored_as_it_was_at_several_times(folder):
    arguments = {"latent_dim": 2, "hidden": [4], "output_shape": [4, 4, 1]}
    gan = training.GAN(
        models.mlp_generator(**arguments), models.mlp_discriminator((4, 4, 1), (4,)), latent_dim=2
    )
    gan.compile(generator_optimizer=keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5))
    images = np.random.default_rng(0).uniform(-1, 1, (8, 4, 4, 1)).astype("float32")
    run = train_generators.Run(
        gan,
        tf.data.Dataset.from_tensor_slices(images).batch(4).repeat(),
        (1, 3),
        {"tiny": ("generator", "mlp_generator", arguments)},
        lambda gan: {"tiny": {"made": int(gan.generator_optimizer.iterations)}},
        "noise",
    )
    train_generators.store(run, "tiny")
    card = json.loads((folder / "tiny.json").read_text(encoding="utf-8"))
    assert {steps: stage["made"] for steps, stage in card["stages"].items()} == {"1": 1, "3": 3}
    with gan.averaged_weights():
        averaged = gan.generator.get_weights()
    first, last = models.pretrained("tiny", 1), models.pretrained("tiny")
    for kept, weight in zip(last.get_weights(), averaged, strict=True):
        assert kept.dtype == np.float32
        assert np.array_equal(kept, weight.astype(np.float16).astype(np.float32))
    assert not np.array_equal(first.get_weights()[0], last.get_weights()[0])


def test_very_small_weights_are_rounded_and_not_broken(tmp_path):
    network = models.mlp_generator(2, (4,), (4, 4, 1))
    network.set_weights([np.full(w.shape, 3e-6, "float32") for w in network.get_weights()])
    train_generators.save_in_half_precision(network, tmp_path / "small.weights.h5")
    network.load_weights(tmp_path / "small.weights.h5")
    for weight in network.get_weights():
        assert np.abs(weight - 3e-6).max() < 6e-8  # half of float16's smallest step


def test_unknown_names_are_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train_generators.py", "dcgan"])
    with pytest.raises(SystemExit):
        train_generators.main()
    assert "name must be one of vanilla_mnist, dcgan_mnist" in capsys.readouterr().err
