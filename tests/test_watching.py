"""What one sees: grids, curves, films, interpolations, and pictures while a GAN trains."""

import io
import itertools
import re
import sys
import types

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gan_course import callbacks, data, losses, metrics, models, plots, runtime, training

matplotlib.use("Agg")


def test_tile_puts_each_image_in_its_place():
    images = np.linspace(-1, 1, 3).reshape(3, 1, 1, 1) * np.ones((3, 2, 2, 1))
    sheet = plots.tile(images, columns=2)
    assert sheet.shape == (5, 5) and sheet.dtype == np.uint8
    assert (sheet[:2, :2] == 0).all() and (sheet[3:, :2] == 255).all()
    assert (sheet[:2, 3:] == 128).all() and (sheet[3:, 3:] == 255).all()  # the last one is empty


GRAY = np.zeros((2, 2), np.uint8)


def test_tile_keeps_colors_and_clips():
    red = np.array([3.0, -1.0, -3.0]).reshape(1, 1, 1, 3)
    assert plots.tile(red).tolist() == [[[255, 0, 0]]]


def test_tile_draws_what_has_diverged_in_gray_and_white():
    images = np.array([np.nan, np.inf, -np.inf]).reshape(1, 1, 3, 1)
    assert plots.tile(images).tolist() == [[128, 255, 0]]


@pytest.mark.parametrize("shape", [(2, 2), (0, 2, 2, 1), (1, 2, 2, 4), (1, 0, 2, 1)])
def test_tile_refuses(shape):
    with pytest.raises(ValueError, match="images must have the shape"):
        plots.tile(np.zeros(shape))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plots.tile(np.zeros((1, 2, 2, 1), complex)), "images must .* complex128"),
        (lambda: plots.tile([[1], [2, 3]]), "images must"),
        (
            lambda: plots.tile(np.full((1, 2, 2, 1), 200, "uint8")),
            "127.5 - 1. images came as uint8",
        ),
        (lambda: plots.tile(np.zeros((1, 2, 2, 1)), 0), "columns must be a whole number"),
        (lambda: plots.tile(np.zeros((1, 2, 2, 1)), 2, -1), "gap must be a whole number"),
        (lambda: plots.image_grid(np.zeros((1, 2, 2, 1)), scale=0), "scale must be a number"),
        (lambda: plots.loss_curves({"d_loss": [1.0]}), "history must be"),
        (lambda: plots.loss_curves({"d_loss": [1.0], "g_loss": []}), "history must be"),
        (lambda: plots.loss_curves(None), "history must be .* came a NoneType"),
        (lambda: plots.film([np.zeros((2, 2))]), "frames must be uint8 .* float64"),
        (lambda: plots.film([GRAY, GRAY[:1]]), "frames must have one shape"),
        (lambda: plots.film([GRAY], seconds=1e9), r"seconds must be a number in \[0, 600\]"),
        (lambda: plots.film([GRAY], scale=0), "scale must be a whole number"),
        (lambda: plots.film(np.array(3)), "frames must hold at least one"),
        (lambda: plots.Panel(lambda x: None, x=3), "choices must hold at least one"),
        (lambda: plots.Panel(lambda x: None, x=[3]).picture(x=3), "draw's result must be uint8"),
        (lambda: plots.interpolation([0.0], [0.0, 1.0]), "start and end must be vectors"),
        (lambda: plots.interpolation(["a"], ["b"]), "start and end must be vectors of numbers"),
        (lambda: plots.interpolation([0.0], [1.0], 2.5), "steps must be a whole number"),
    ],
)
def test_pictures_of_other_things(call, words):
    with pytest.raises(ValueError, match=words):
        call()


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


def test_figures_are_opaque_so_that_dark_pages_show_them_too():
    plots.use_style()
    for axes in (
        plots.loss_curves({"d_loss": [1.0, 0.9], "g_loss": [1.0, 1.2]}),
        plots.image_grid(np.zeros((2, 40, 40, 1)), "black"),
    ):
        buffer = io.BytesIO()
        axes.figure.savefig(buffer, format="png")
        pixels = np.asarray(Image.open(buffer).convert("RGBA"))
        assert (pixels[..., 3] == 255).all()
        assert (pixels[0, 0, :3] == 255).all()  # text and axes are black
        matplotlib.pyplot.close(axes.figure)


# What those see who lack one kind of cones: Machado et al. 2009, for linear RGB; and XYZ of that.
WITHOUT = {
    "long": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "medium": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "short": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}
XYZ = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]


def in_lab(color, seen=((1, 0, 0), (0, 1, 0), (0, 0, 1))):
    """The color in CIELAB, where 2 is a difference that one just sees."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(seen @ linear, 0, 1) / np.sum(XYZ, axis=1)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * 841 / 108 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_the_conversion_to_lab():
    assert in_lab("#FFFFFF") == pytest.approx([100, 0, 0], abs=0.01)
    assert in_lab("#FF0000") == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    red, green = (in_lab(color, WITHOUT["medium"]) for color in ("#C06000", "#708000"))
    assert np.linalg.norm(red - green) < np.linalg.norm(in_lab("#C06000") - in_lab("#708000")) / 3


@pytest.mark.parametrize("cones", WITHOUT)
def test_colors_are_told_apart_without_one_kind_of_cones(cones):
    colors = {**plots.COLORS, "page": "#FFFFFF"}
    for pair in itertools.combinations(colors, 2):
        one, other = (in_lab(colors[name], WITHOUT[cones]) for name in pair)
        least = 9 if pair == ("other", "muted") else 15  # those two have other lines, too
        assert np.linalg.norm(one - other) > least, pair


def test_interpolation_is_a_straight_line():
    points = plots.interpolation([0.0, 2.0], [1.0, 0.0], steps=5)
    assert points.dtype == np.float32
    assert np.allclose(points, [[0, 2], [0.25, 1.5], [0.5, 1], [0.75, 0.5], [1, 0]])
    with pytest.raises(ValueError, match="steps must be a whole number of at least 2"):
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


def test_a_panel_shows_what_its_sliders_say():
    def draw(digit, light):
        return np.full((3, 2), 10 * digit + light, np.uint8)

    panel = plots.Panel(draw, scale=2, digit=range(4), light=[5, 7])
    picture = Image.open(io.BytesIO(panel.picture(digit=2, light=7)))
    assert picture.format == "PNG" and picture.size == (4, 6)
    assert np.asarray(picture).tolist() == np.full((6, 4), 27).tolist()
    digit, light, image = panel.widget().children
    assert [digit.description, light.description] == ["digit", "light"]
    digit.value, light.value = 3, 7
    assert bytes(image.value) == panel.picture(digit=3, light=7)


def test_a_panel_comes_with_its_first_picture(monkeypatch):
    def draw(digit):
        return np.full((3, 2), digit, np.uint8)

    bundle = plots.Panel(draw, digit=[4, 9])._repr_mimebundle_()
    assert bundle["image/png"] == plots.Panel(draw, digit=[4, 9]).picture(digit=4)
    panel = plots.Panel(draw, start={"digit": 9}, digit=[4, 9])
    bundle = panel._repr_mimebundle_()
    assert bundle["image/png"] == panel.picture(digit=9)
    assert panel.widget().children[0].value == 9
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"]
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # not installed
    assert set(panel._repr_mimebundle_()) == {"text/plain", "image/png"}


@pytest.mark.parametrize("start", [{"digit": 5}, {"size": 4}])
def test_a_panel_begins_with_one_of_its_choices(start):
    with pytest.raises(ValueError, match="start must name arguments of draw and values of theirs"):
        plots.Panel(lambda digit: None, start=start, digit=[4, 9])


@pytest.mark.parametrize("choices", [{}, {"digit": []}])
def test_a_panel_without_choices(choices):
    with pytest.raises(ValueError, match="choices must hold at least one value"):
        plots.Panel(lambda digit: None, **choices)


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
    slider, image = grid.scrub(scale=1).widget().children
    assert list(slider.options) == [0, 2, 4, 5] and slider.value == 5
    slider.value = 0
    assert np.array_equal(Image.open(io.BytesIO(bytes(image.value))), start)
    with pytest.raises(ValueError, match="Train first"):
        callbacks.SampleGrid().scrub()


def test_the_picture_is_one_output_that_is_replaced_with_a_line_below(monkeypatch):
    plt.close("all")
    shown = []  # outputs, each a list of what it showed in turn

    class Output(list):
        def update(self, what, raw=False):
            self.append(what)

    def display(what, display_id, raw=False):
        shown.append(Output([what]))
        return shown[-1]

    monkeypatch.setattr("IPython.get_ipython", lambda: types.SimpleNamespace(kernel=True))
    monkeypatch.setattr("IPython.display.display", display)
    clock = itertools.count()  # a second for each look at it
    monkeypatch.setattr(runtime.time, "monotonic", lambda: float(next(clock)))
    grid = callbacks.SampleGrid(count=2)
    tiny_gan().fit(IMAGES.repeat(), epochs=3, steps_per_epoch=4, callbacks=[grid], verbose=0)
    pictures, lines = shown
    axes = [figure.axes[0] for figure in pictures]
    titles = [each.get_title("left") or each.get_title() for each in axes]
    assert [title[:18] for title in titles] == [f"after epoch {i} of 3" for i in range(4)]
    texts = [line["text/plain"] for line in lines]
    assert texts[-1] == "" and all(
        re.match(r"training: epoch \d of 3, about \d+ s left$", text) for text in texts[:-1]
    )
    assert not plt.get_fignums()  # else each epoch's figure stays in memory


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


def test_a_training_that_begins_later_has_its_epochs():
    gan, grid = tiny_gan(), callbacks.SampleGrid(count=2)
    gan.fit(IMAGES, initial_epoch=8, epochs=10, callbacks=[grid], verbose=0)
    assert grid.epochs == [8, 9, 10] and len(grid.frames) == 3


def test_sample_grid_refuses_every_zero():
    with pytest.raises(ValueError, match="every must be a whole number of at least 1, came 0"):
        callbacks.SampleGrid(every=0)


class Inverting:
    """In place of a CycleGAN: to b colors are inverted, to a they are halved."""

    def translate(self, images, direction):
        made = -images if direction == "a_to_b" else images / 2
        return made.mean(axis=-1, keepdims=True) if direction == "b_to_a" else made


def test_translation_grid_shows_there_and_back():
    images = np.random.default_rng(0).uniform(-1, 1, (4, 3, 3, 3)).astype("float32")
    grid = callbacks.TranslationGrid(images)
    grid.set_model(Inverting())
    grid.set_params({"epochs": 1})
    grid.on_train_begin()
    gray = np.repeat(-images.mean(axis=-1, keepdims=True) / 2, 3, axis=-1)
    expected = plots.tile(np.concatenate([images, -images, gray]), 4)
    np.testing.assert_array_equal(grid.frames[0], expected)
    grid.on_epoch_end(0, {"cycle_loss": 0.5})
    assert grid.epochs == [0, 1] and "cycle_loss 0.50" in grid._title(1, {"cycle_loss": 0.5})


def test_translation_grid_refuses_another_direction():
    with pytest.raises(ValueError, match="'a_to_b' or 'b_to_a', came 'b to a'"):
        callbacks.TranslationGrid(IMAGES, "b to a")


def test_translation_grid_refuses_bytes():
    with pytest.raises(ValueError, match=r"images must be images as floats .* came uint8"):
        callbacks.TranslationGrid(np.zeros((2, 3, 3, 1), "uint8"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: callbacks.SampleGrid(), "SampleGrid must .* came a Inverting.*TranslationGrid"),
        (lambda: callbacks.HealthMonitor(NOISE), "HealthMonitor must .* see TranslationGrid"),
        (lambda: frechet_score(), "FrechetScore must .* 'generate_evenly'"),
        (lambda: callbacks.TranslationGrid(NOISE), "TranslationGrid must .* see SampleGrid"),
    ],
)
def test_what_cannot_be_watched_is_told_before_training(make, words):
    callback = make()
    is_for_cycles = isinstance(callback, callbacks.TranslationGrid)
    callback.set_model(tiny_gan() if is_for_cycles else Inverting())
    callback.set_params({"epochs": 1})
    with pytest.raises(ValueError, match=words):
        callback.on_train_begin()


# Scores while training

HELD_OUT = np.random.default_rng(0).normal(np.linspace(-0.8, 0.8, 9), 0.2, (40, 9))
HELD_OUT = np.clip(HELD_OUT, -1, 1).astype("float32").reshape(40, 3, 3, 1)
BATCHES = tf.data.Dataset.from_tensor_slices(HELD_OUT[::-1]).batch(20)


def scoring_gan(**arguments):
    keras.utils.set_random_seed(0)
    gan = training.GAN(
        models.mlp_generator(2, (8,), (3, 3, 1), batch_norm=True),
        models.mlp_discriminator((3, 3, 1), (8,)),
        latent_dim=2,
    )
    gan.compile(
        generator_optimizer=keras.optimizers.Adam(0.05, **arguments),
        discriminator_optimizer=keras.optimizers.Adam(0.05),
    )
    return gan


def frechet_score(**arguments):
    return callbacks.FrechetScore(HELD_OUT, count=30, features=metrics.pixels, **arguments)


class Remember(keras.callbacks.Callback):
    """Keeps what is generated after each epoch."""

    def on_train_begin(self, logs=None):
        self.images = []

    def on_epoch_end(self, epoch, logs=None):
        self.images.append(self.model.generate(30, seed=0))


def test_scores_are_those_of_the_images_after_each_epoch():
    gan, seen = scoring_gan(), Remember()
    others = {"kid": metrics.KernelDistance(HELD_OUT, metrics.pixels), "mean": np.mean}
    scores = frechet_score(others=others)
    history = gan.fit(BATCHES, epochs=3, callbacks=[scores, seen], verbose=0).history
    assert set(history) == {"d_loss", "g_loss", "d_accuracy", "val_fid", "val_kid", "val_mean"}
    distance = metrics.FrechetDistance(HELD_OUT, metrics.pixels)
    assert history["val_fid"] == [float(distance(images)) for images in seen.images]
    assert history["val_kid"] == [float(others["kid"](images)) for images in seen.images]
    assert {type(value) for values in history.values() for value in values} == {float}
    assert len(set(history["val_fid"])) == 3


def test_between_scores_the_last_one_is_repeated():
    calls = []
    scores = frechet_score(every=3, others={"calls": lambda images: calls.append(1) or len(calls)})
    gan = scoring_gan()
    found = gan.fit(BATCHES, epochs=8, callbacks=[scores], verbose=0).history["val_calls"]
    assert found == [1, 1, 2, 2, 2, 3, 3, 4]  # the first epoch, every third, and the last
    again = gan.fit(BATCHES, epochs=2, callbacks=[scores], verbose=0).history["val_calls"]
    assert again == [5, 6]  # nothing is left of the training before


def test_scoring_does_not_change_the_training():
    for arguments in ({}, {"use_ema": True}):
        scored, alone = scoring_gan(**arguments), scoring_gan(**arguments)
        scored.fit(BATCHES, epochs=3, callbacks=[frechet_score()], verbose=0)
        alone.fit(BATCHES, epochs=3, verbose=0)
        pairs = zip(scored.get_weights(), alone.get_weights(), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("arguments", [{}, {"use_ema": True, "ema_momentum": 0.7}])
def test_early_stopping_restores_the_images_of_the_best_epoch(arguments):
    gan, seen = scoring_gan(**arguments), Remember()
    stop = keras.callbacks.EarlyStopping(
        "val_fid", mode="min", patience=4, restore_best_weights=True
    )
    run = gan.fit(BATCHES, epochs=40, callbacks=[frechet_score(), stop, seen], verbose=0)
    best = int(np.argmin(run.history["val_fid"]))
    assert len(seen.images) == best + 1 + 4 < 40
    assert best > 0 and not np.array_equal(seen.images[best], seen.images[-1])
    assert np.array_equal(gan.generate(30, seed=0), seen.images[best])


@pytest.mark.parametrize("arguments", [{}, {"use_ema": True, "ema_momentum": 0.7}])
def test_a_checkpoint_keeps_the_images_of_the_best_epoch(arguments, tmp_path):
    gan, seen, path = scoring_gan(**arguments), Remember(), tmp_path / "best.keras"
    keep = keras.callbacks.ModelCheckpoint(path, "val_fid", mode="min", save_best_only=True)
    run = gan.fit(BATCHES, epochs=8, callbacks=[frechet_score(), keep, seen], verbose=0)
    best = int(np.argmin(run.history["val_fid"]))
    assert best < 7
    loaded = keras.saving.load_model(path)
    assert np.array_equal(loaded.generate(30, seed=0), seen.images[best])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"every": 0}, "every must be a whole number of at least 1, came 0"),
        ({"every": 1.5}, "every must be a whole number of at least 1, came 1.5"),
        ({"count": 1}, "count must be a whole number of at least 2, came 1"),
        ({"count": True}, "count must be a whole number of at least 2, came True"),
        ({"features": "mnist"}, r"reference: images must have the shape \(N, 28, 28, 1\)"),
    ],
)
def test_frechet_score_refuses(arguments, words):
    arguments = {"features": metrics.pixels, **arguments}
    with pytest.raises(ValueError, match=words):
        callbacks.FrechetScore(HELD_OUT, **arguments)


class Diverge(keras.callbacks.Callback):
    """Breaks the generator at the beginning of the third epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            variable = self.model.generator.trainable_variables[0]
            variable.assign(np.full(variable.shape, np.nan))


def test_a_diverged_gan_scores_nan_and_the_best_weights_come_back():
    gan = scoring_gan()
    stop = keras.callbacks.EarlyStopping(
        "val_fid", mode="min", patience=2, restore_best_weights=True
    )
    with pytest.warns(
        UserWarning, match="NaN or infinity after epoch 3: the training has diverged"
    ):
        run = gan.fit(BATCHES, epochs=9, callbacks=[Diverge(), frechet_score(), stop], verbose=0)
    scores = run.history["val_fid"]
    assert np.isfinite(scores[:2]).all() and np.isnan(scores[2:]).all() and len(scores) < 9
    assert np.isfinite(gan.generate(30)).all()


# TensorBoard's files


def test_tensorboard_gets_losses_scores_and_pictures(tmp_path, written):
    gan, grid = scoring_gan(), callbacks.SampleGrid(count=4, columns=2, every=2)
    shown = callbacks.SampleGrid(count=4, columns=2)
    board = callbacks.TensorBoard(tmp_path / "first", grid)
    watch = [frechet_score(), board, shown]
    history = gan.fit(BATCHES, epochs=3, callbacks=watch, verbose=0).history
    found = written(tmp_path / "first")
    pictures = found.pop(("pictures", "images"))
    assert list(pictures) == [0, 2, 3]  # before, every second one, and the last
    for step, picture in pictures.items():
        assert np.array_equal(picture, shown.frames[step])
    assert set(found) == {(name, "scalars") for name in history} and "val_fid" in history
    for (name, _), values in found.items():
        assert list(values) == [1, 2, 3]
        assert np.array_equal([*values.values()], np.float32(history[name]))


def test_tensorboard_shows_by_itself_what_sample_grid_shows(tmp_path, written):
    gan, shown = tiny_gan(), callbacks.SampleGrid()
    gan.fit(IMAGES, epochs=1, callbacks=[shown, callbacks.TensorBoard(tmp_path)], verbose=0)
    pictures = written(tmp_path)["pictures", "images"]
    assert np.array_equal(list(pictures.values()), shown.frames)


def test_tensorboard_draws_what_was_before_a_second_training(tmp_path, written):
    gan = tiny_gan()
    for folder in ("first", "second"):
        board = callbacks.TensorBoard(tmp_path / folder)
        gan.fit(IMAGES, epochs=1, callbacks=[board], verbose=0)
        assert list(written(tmp_path / folder)["pictures", "images"]) == [0, 1]


def test_tensorboard_draws_no_points(tmp_path, written):
    generator, discriminator = models.mlp_generator(2, (4,), (2,)), models.mlp_discriminator((2,))
    gan = training.GAN(generator, discriminator, latent_dim=2)
    gan.compile()
    points = tf.data.Dataset.from_tensors(np.zeros((4, 2), "float32"))
    gan.fit(points, epochs=1, callbacks=[callbacks.TensorBoard(tmp_path)], verbose=0)
    assert {kind for _, kind in written(tmp_path)} == {"scalars"}


def test_tensorboard_reads_its_files(tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    gan = tiny_gan()
    gan.fit(IMAGES, epochs=2, callbacks=[callbacks.TensorBoard(tmp_path)], verbose=0)
    events = reading.EventAccumulator(str(tmp_path))
    events.Reload()
    kinds = {
        name: events.SummaryMetadata(name).plugin_data.plugin_name
        for name in events.Tags()["tensors"]
    }
    assert kinds["pictures"] == "images" and kinds["g_loss"] == "scalars"
    assert [event.step for event in events.Tensors("pictures")] == [0, 1, 2]


def test_tensorboard_draws_nothing_of_two_channels(tmp_path, written):
    shape = (3, 3, 2)
    gan = training.GAN(
        models.mlp_generator(2, (4,), shape), models.mlp_discriminator(shape, (4,)), 2
    )
    gan.compile()
    images = tf.data.Dataset.from_tensors(np.zeros((4, *shape), "float32"))
    gan.fit(images, epochs=1, callbacks=[callbacks.TensorBoard(tmp_path)], verbose=0)
    assert {kind for _, kind in written(tmp_path)} == {"scalars"}


@pytest.mark.parametrize("folder", ["", "gs://bucket/logs"])
def test_tensorboard_refuses_what_is_no_folder_here(folder):
    with pytest.raises(ValueError, match=f"folder must be .*, came '{folder}'"):
        callbacks.TensorBoard(folder)


def test_tensorboard_refuses_other_pictures(tmp_path):
    with pytest.raises(ValueError, match=r"pictures must be a SampleGrid .* came list"):
        callbacks.TensorBoard(tmp_path, [1])
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        board = callbacks.TensorBoard(tmp_path / "file")
        tiny_gan().fit(IMAGES, epochs=1, callbacks=[board], verbose=0)


# HealthMonitor: each problem in a run that is made to have it.

NOISE = np.random.default_rng(0).normal(0, 0.3, (64, 3, 3, 1)).clip(-1, 1).astype("float32")
BRIGHT = 0.9 + 0.1 * NOISE


def monitored(gan, images=NOISE, epochs=8, steps=10, **options):
    monitor = callbacks.HealthMonitor(NOISE, count=50, **options)
    batches = tf.data.Dataset.from_tensors(images).repeat()
    gan.fit(batches, epochs=epochs, steps_per_epoch=steps, callbacks=[monitor], verbose=0)
    return monitor


def helpless(loss):
    """A generator that cannot move, against a discriminator that learns quickly."""
    gan = tiny_gan()
    gan.compile(loss, keras.optimizers.SGD(0.0), keras.optimizers.Adam(0.1))
    return gan


def problems(monitor):
    return [finding.problem for finding in monitor.findings]


def test_a_saturated_discriminator_is_told_once(capsys):
    monitor = monitored(helpless("non_saturating"), images=BRIGHT)
    assert "the discriminator is saturated" in problems(monitor)
    assert "the generator's gradient is gone" not in problems(monitor)  # what that loss is for
    printed = capsys.readouterr().out
    assert printed.count("the discriminator is saturated") == 1
    assert printed.strip() == str(monitor.findings[0]) and "What to try:" in printed
    assert monitor.report().startswith(printed.strip())


@pytest.mark.parametrize("game", ["wasserstein", "relativistic"])
def test_a_critic_that_is_always_right_is_no_problem(game):
    found = problems(monitored(helpless(game), images=BRIGHT))
    assert "the discriminator is saturated" not in found


def test_a_generators_gradient_that_is_gone():
    monitor = monitored(helpless("minimax"), images=BRIGHT, epochs=25)
    assert "the generator's gradient is gone" in problems(monitor)
    assert monitor.history[-1]["slope"] < 0.01 < monitor.history[0]["slope"]


def test_a_flat_discriminator_gives_no_gradient_whatever_the_loss():
    gan = helpless("non_saturating")
    gan.discriminator.layers[1].kernel.assign(tf.zeros((9, 4)))  # blind
    gan.discriminator_optimizer.learning_rate = 0.0
    monitor = monitored(gan, epochs=1)
    monitor.history[-1]["d_accuracy"] = 0.95  # as if it knew
    assert monitor.history[-1]["gradient_norm"] == 0.0
    assert "the generator's gradient is gone" in monitor._problems()


@pytest.mark.parametrize(("loss", "slope"), [("relativistic", 0.5), ("wasserstein", 1.0)])
def test_the_gradient_is_that_of_the_generators_loss(loss, slope):
    gan = helpless(loss)
    monitor = monitored(gan, epochs=1, steps=1)
    latents = tf.random.stateless_normal((50, 2), [0, 0], alg="philox")
    with tf.GradientTape() as tape:
        fake, real = gan.discriminator(gan.generator(latents)), gan.discriminator(NOISE[:50])
        cost = gan.loss.generator_loss(fake, real)
    squares = [np.sum(np.square(g)) for g in tape.gradient(cost, gan.generator.weights)]
    assert monitor.history[0]["gradient_norm"] == pytest.approx(np.sqrt(sum(squares)), rel=1e-4)
    assert monitor.history[0]["slope"] == pytest.approx(slope, abs=0.2)


class Collapse(keras.callbacks.Callback):
    """From some epoch on, latent vectors make no difference."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch + 1 == self.epoch:
            self.model.generator.layers[0].kernel.assign(tf.zeros((2, 4)))


@pytest.mark.parametrize(("collapse", "told"), [(1, 13), (5, 7)])  # 1,000 steps to begin with
def test_samples_that_become_alike(collapse, told):
    gan = helpless("non_saturating")
    gan.discriminator_optimizer.learning_rate = 0.0
    gan.generator.layers[-2].kernel.assign(10 * gan.generator.layers[-2].kernel)  # varied samples
    monitor = callbacks.HealthMonitor(0.3 * NOISE)  # real images that are near to each other
    batches = tf.data.Dataset.from_tensors(NOISE[:4]).repeat()
    watch = [Collapse(collapse), monitor]
    gan.fit(batches, epochs=14, steps_per_epoch=100, callbacks=watch, verbose=0)
    (found,) = monitor.findings
    assert (found.problem, found.epoch) == ("the samples are too much alike", told)
    assert found.seen == "their neighbors are 0.00 times as far as real images' are"


def test_too_few_images_again_and_again_are_alike():
    digits = data.load("digits").images[:1000]
    usual = callbacks._median_gap(digits[:200])
    for kinds, alike in ((5, True), (100, True), (200, False)):
        samples = digits[500 + np.arange(200) % kinds]
        assert (callbacks._median_gap(samples) < 0.3 * usual) == alike


def test_nan_stops_the_training():
    gan = tiny_gan()
    gan.discriminator.layers[1].kernel.assign(np.full((9, 4), np.nan))
    with pytest.warns(UserWarning, match="diverged and was stopped in step 1: the discriminator's"):
        monitor = monitored(gan)
    assert problems(monitor) == ["NaN or infinity"] and len(monitor.history) == 1
    assert "diverged" in monitor.report()
    assert "d_loss" in monitor.findings[0].seen


def test_a_gradient_alone_that_is_nan_is_told_too():
    class Steep(losses.NonSaturating):
        """The root of 0 is 0, and its slope infinite."""

        def generator_loss(self, fake_logits, real_logits=None):
            return tf.reduce_mean(tf.sqrt(0.0 * fake_logits))

    gan = tiny_gan()
    gan.compile(Steep())
    with pytest.warns(UserWarning, match="step 1: gradients of the generator's loss are NaN"):
        monitor = monitored(gan, steps=1)
    assert problems(monitor) == ["NaN or infinity"]
    assert monitor.findings[0].seen == gan.diverged
    assert np.isfinite(gan.generate(4)).all()


class Bias(keras.layers.Layer):
    """The latent vector plus a learned point."""

    def build(self, input_shape):
        self.point = self.add_weight(shape=(1,), initializer=keras.initializers.Constant(1.0))

    def call(self, latents):
        return latents + self.point


def circling(penalty=None):
    """Lines against a mean: alternating steps go round in circles, a penalty ends that."""
    judge = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    gan = training.GAN(
        keras.Sequential([keras.Input((1,)), Bias()]),
        keras.Sequential([keras.Input((1,)), judge]),
        latent_dim=1,
    )
    sgd = keras.optimizers.SGD
    gan.compile("wasserstein", sgd(0.1), sgd(0.1), penalty=penalty, jit_compile=False)
    points = np.random.default_rng(0).normal(size=(4096, 1)).astype("float32")
    monitor = callbacks.HealthMonitor(points, count=1000)
    batches = tf.data.Dataset.from_tensors(points).repeat()
    gan.fit(batches, epochs=36, steps_per_epoch=4, callbacks=[monitor], verbose=0)
    return monitor


def test_losses_that_swing():
    monitor = circling()
    assert problems(monitor) == ["the losses swing"]
    # products of the two players go round once in pi / 0.1 steps, of which 4 make an epoch
    assert monitor.findings[0].seen in ("about every 7 epochs", "about every 8 epochs")


def test_a_game_that_comes_to_rest_does_not_swing():
    assert problems(circling(losses.R1(1.0))) == []


@pytest.mark.parametrize("pack", [1, 2])
def test_a_healthy_run_is_told_to_be_healthy(pack, capsys):
    keras.utils.set_random_seed(0)
    points = np.random.default_rng(0).normal(size=(256, 2)).astype("float32")
    gan = training.GAN(
        models.mlp_generator(2, (16,), (2,), None),
        models.mlp_discriminator((2 * pack,), (16,)),
        latent_dim=2,
        pack=pack,
    )
    adam = {"learning_rate": 2e-3, "beta_1": 0.5}
    gan.compile(
        generator_optimizer=keras.optimizers.Adam(**adam),
        discriminator_optimizer=keras.optimizers.Adam(**adam),
    )
    monitor = callbacks.HealthMonitor(points)
    assert monitor.report().startswith("Nothing to report")
    batches = tf.data.Dataset.from_tensor_slices(points).batch(64).repeat()
    gan.fit(batches, epochs=20, steps_per_epoch=25, callbacks=[monitor], verbose=0)
    assert monitor.report().startswith("Healthy: 20 epochs") and capsys.readouterr().out == ""
    assert {"d_loss", "d_accuracy", "gradient_norm", "diversity"} <= set(monitor.history[0])


def test_noise_and_random_walks_are_no_waves():
    random, told = np.random.default_rng(0), {"noise": 0, "walk": 0}
    for _ in range(100):
        for kind, series in (
            ("noise", 1 + 0.4 * random.normal(size=40)),
            ("walk", np.cumsum(random.normal(size=40))),
        ):
            found = [callbacks._period(series[:n], series[:n]) for n in range(18, 41)]
            runs = zip(found, found[1:], found[2:], strict=False)
            told[kind] += any(None not in three for three in runs)
    assert max(told.values()) <= 2


@pytest.mark.parametrize("length", [4, 8, 13])
def test_waves_have_their_length(length):
    series = 1 + np.sin(2 * np.pi * np.arange(45) / length)
    assert callbacks._period(series, series) == length
    assert callbacks._period(series + 9, series + 9) is None  # small in what they ride on
    assert callbacks._period(series, 10 * series) is None


def fragile(precision="float32"):
    """A GAN with everything that a call may change: averages, dropout, spectral vectors."""
    keras.config.set_dtype_policy(precision)
    try:
        keras.utils.set_random_seed(0)
        parts = [models.SpectralNormalization(keras.layers.Dense(4)), keras.layers.Dropout(0.5)]
        judge = [keras.layers.Flatten(), *parts, keras.layers.BatchNormalization()]
        gan = training.GAN(
            models.mlp_generator(2, (4,), (3, 3, 1), batch_norm=True),
            keras.Sequential(
                [keras.Input((3, 3, 1)), *judge, keras.layers.Dense(1, dtype="float32")]
            ),
            latent_dim=2,
        )
        gan.compile(jit_compile=False)
    finally:
        keras.config.set_dtype_policy("float32")
    return gan


def test_the_health_monitor_does_not_change_the_training():
    batches = tf.data.Dataset.from_tensors(NOISE).repeat()
    weights = []
    for watch in ([], [callbacks.HealthMonitor(NOISE)]):
        gan = fragile()
        gan.fit(batches, epochs=3, steps_per_epoch=4, callbacks=watch, verbose=0)
        weights.append(gan.get_weights())
    assert all(np.array_equal(one, other) for one, other in zip(*weights, strict=True))


def test_health_in_half_precision():
    monitor = monitored(fragile("mixed_float16"), epochs=1, steps=1)
    assert np.isfinite(monitor.history[0]["gradient_norm"])
    assert monitor.history[0]["gradient_norm"] > 0


def test_health_on_two_devices(two_replicas):
    with two_replicas.scope():
        gan = tiny_gan()
    monitors = []
    for each in (gan, tiny_gan()):
        monitor = callbacks.HealthMonitor(NOISE)
        monitor.set_model(each)
        monitor.on_train_begin()
        monitor.on_epoch_end(0, {"d_loss": 1.0, "g_loss": 1.0, "d_accuracy": 0.5})
        monitors.append(monitor)
    for name in ("gradient_norm", "slope", "diversity"):
        assert monitors[0].history[0][name] == pytest.approx(monitors[1].history[0][name], rel=1e-4)


def test_the_cost_of_diversity_stands_beside_the_diversity_of_samples():
    gan = tiny_gan()
    gan.compile(diversity=losses.ModeSeeking(5))
    monitor = monitored(gan, epochs=1)
    (now,), logs = monitor.history, gan.history.history
    assert now["diversity_cost"] == logs["diversity"][0] > 1 > now["diversity"]
    monitor.on_epoch_end(1, {"d_loss": 1.0, "g_loss": 1.0, "diversity": np.nan})
    assert monitor.findings[-1].seen == "diversity_cost"


def test_the_slope_is_that_of_the_loss_now():
    gan, monitor = tiny_gan(), callbacks.HealthMonitor(NOISE, count=50)
    batches = tf.data.Dataset.from_tensors(NOISE)
    for loss in ("minimax", "wasserstein"):
        gan.compile(loss)
        gan.fit(batches, epochs=1, callbacks=[monitor], verbose=0)
    minimax, wasserstein = (each["slope"] for each in monitor.history)
    assert minimax < 0.9 and wasserstein == pytest.approx(1.0, rel=1e-5)


def test_several_fits_are_one_run():
    gan, monitor = helpless("non_saturating"), callbacks.HealthMonitor(NOISE, count=50)
    batches = tf.data.Dataset.from_tensors(BRIGHT).repeat()
    for _ in range(8):
        gan.fit(batches, epochs=1, steps_per_epoch=10, callbacks=[monitor], verbose=0)
    assert problems(monitor) == ["the discriminator is saturated"] and len(monitor.history) == 8
    assert "20 epochs to see whether losses swing" in monitor.report()
    monitored_again = tiny_gan()
    monitored_again.fit(batches, epochs=1, steps_per_epoch=1, callbacks=[monitor], verbose=0)
    assert monitor.findings == [] and len(monitor.history) == 1  # another GAN, another run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"real_images": np.zeros((5, 2, 2, 1))}, "real_images must hold real images that differ"),
        ({"real_images": NOISE, "patience": 0}, "patience must be"),
        ({"real_images": NOISE, "count": 1}, "count must be"),
        ({"real_images": np.uint8(99 * (NOISE + 1))}, "real_images must be images as floats"),
        ({"real_images": 99 * NOISE}, r"pixels / 127.5 - 1. real_images lies in"),
    ],
)
def test_health_monitor_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        callbacks.HealthMonitor(**arguments)
