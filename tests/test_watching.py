"""What one sees: grids, curves, films, interpolations, and pictures while a GAN trains."""

import io

import keras
import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gan_course import callbacks, models, plots, training

matplotlib.use("Agg")


def test_tile_puts_each_image_in_its_place():
    images = np.linspace(-1, 1, 3).reshape(3, 1, 1, 1) * np.ones((3, 2, 2, 1))
    sheet = plots.tile(images, columns=2)
    assert sheet.shape == (5, 5) and sheet.dtype == np.uint8
    assert (sheet[:2, :2] == 0).all() and (sheet[3:, :2] == 255).all()
    assert (sheet[:2, 3:] == 128).all() and (sheet[3:, 3:] == 255).all()  # the last one is empty


def test_tile_keeps_colors_and_clips():
    red = np.array([3.0, -1.0, -3.0]).reshape(1, 1, 1, 3)
    assert plots.tile(red).tolist() == [[[255, 0, 0]]]


@pytest.mark.parametrize("shape", [(2, 2), (0, 2, 2, 1), (1, 2, 2, 4)])
def test_tile_refuses(shape):
    with pytest.raises(ValueError, match="images must have the shape"):
        plots.tile(np.zeros(shape))


def test_loss_curves_draw_the_equilibrium():
    plots.use_style()
    axes = plots.loss_curves({"d_loss": [1.0, 0.9], "g_loss": [1.0, 1.2]}, "a title")
    heights = {round(float(line.get_ydata()[0]), 5) for line in axes.lines[2:]}
    assert heights == {1.38629, 0.69315}
    assert list(axes.lines[0].get_ydata()) == [1.0, 0.9] and axes.get_title("left") == "a title"


def test_image_grid_shows_the_tiled_sheet():
    images = np.random.default_rng(0).uniform(-1, 1, (4, 3, 3, 1))
    axes = plots.image_grid(images, "four", columns=4)
    assert np.array_equal(axes.images[0].get_array(), plots.tile(images, 4))


def test_interpolation_is_a_straight_line():
    points = plots.interpolation([0.0, 2.0], [1.0, 0.0], steps=5)
    assert points.dtype == np.float32
    assert np.allclose(points, [[0, 2], [0.25, 1.5], [0.5, 1], [0.75, 0.5], [1, 0]])
    with pytest.raises(ValueError, match="steps must be at least 2"):
        plots.interpolation([0.0], [1.0], steps=1)


def test_film_is_a_gif_of_all_frames_that_stays_at_the_end():
    frames = [np.full((4, 6), value, np.uint8) for value in (0, 100, 200)]
    film = Image.open(io.BytesIO(plots.film(frames, seconds=3, scale=2).data))
    assert film.format == "GIF" and film.n_frames == 3 and film.size == (12, 8)
    film.seek(0)
    first = film.info["duration"]
    film.seek(2)
    assert first == 1000 and film.info["duration"] == 3000
    with pytest.raises(ValueError, match="frames must hold at least one"):
        plots.film([])


def tiny_gan():
    keras.utils.set_random_seed(0)
    gan = training.GAN(
        models.mlp_generator(2, (4,), (3, 3, 1)), models.mlp_discriminator((3, 3, 1), (4,)), 2
    )
    gan.compile(generator_optimizer=keras.optimizers.Adam(0.1))
    return gan


IMAGES = tf.data.Dataset.from_tensors(np.zeros((4, 3, 3, 1), "float32"))


def test_sample_grid_keeps_one_noise_and_every_second_frame():
    gan, grid = tiny_gan(), callbacks.SampleGrid(count=4, columns=2, every=2)
    start = plots.tile(gan.generate(4, seed=0), 2)
    gan.fit(IMAGES, epochs=5, callbacks=[grid], verbose=0)
    assert grid.epochs == [0, 2, 4, 5]
    assert np.array_equal(grid.frames[0], start)
    assert np.array_equal(grid.frames[-1], plots.tile(gan.generate(4, seed=0), 2))
    assert not np.array_equal(grid.frames[0], grid.frames[-1])
    assert Image.open(io.BytesIO(grid.film().data)).size == (14, 14)


def test_watching_does_not_change_the_training():
    watched, alone = tiny_gan(), tiny_gan()
    watched.fit(IMAGES, epochs=2, callbacks=[callbacks.SampleGrid(count=2)], verbose=0)
    alone.fit(IMAGES, epochs=2, verbose=0)
    for one, other in zip(watched.weights, alone.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


def test_a_second_training_begins_a_new_film():
    gan, grid = tiny_gan(), callbacks.SampleGrid(count=2)
    for _ in range(2):
        gan.fit(IMAGES, epochs=1, callbacks=[grid], verbose=0)
    assert grid.epochs == [0, 1]


def test_sample_grid_refuses_every_zero():
    with pytest.raises(ValueError, match="every must be at least 1"):
        callbacks.SampleGrid(every=0)
