"""Resuming: what was interrupted goes on as if nothing had happened; no file is half-written."""

import multiprocessing
import os
import runpy
import shutil
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from gan_course import callbacks, checkpoints, data, losses, models, training

SHAPE = (4, 4, 1)
IMAGES = data.Images(
    np.random.default_rng(0).uniform(-1, 1, (22, *SHAPE)).astype("float32"),
    np.arange(22) % 3,
    "noise",
    ("a", "b", "c"),
)
EPOCHS, STEPS = 3, 6  # 22 images in batches of 4: the last one is short


class Crash(Exception):
    pass


class CrashAfter(keras.callbacks.Callback):
    """Like a process that dies: nothing that comes later in `fit` happens. With 0, never."""

    def __init__(self, calls):
        super().__init__()
        self.left = calls

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise Crash


def adam(**options):
    return keras.optimizers.Adam(1e-2, beta_1=0.5, **options)


def plain(**options):
    """With everything in it that has a state: averages, a schedule, random layers, norms."""
    gan = training.GAN(
        models.mlp_generator(3, (8,), SHAPE, batch_norm=True),
        models.mlp_discriminator(SHAPE, (8,), dropout=0.3),
        latent_dim=3,
    )
    gan.compile(
        **{
            "generator_optimizer": adam(use_ema=True, ema_momentum=0.9),
            "discriminator_optimizer": keras.optimizers.Adam(
                training.ConstantThenLinear(1e-2, EPOCHS * STEPS)
            ),
            "penalty": losses.R1(1.0),
            "label_noise": 0.1,
            **options,
        }
    )
    return gan


def conditional(**options):
    latents, label = keras.Input((3,)), keras.Input((), dtype="int32")
    x = layers.Concatenate()([latents, layers.Embedding(3, 2)(label)])
    generator = keras.Model([latents, label], layers.Reshape(SHAPE)(layers.Dense(16)(x)))
    image, label = keras.Input(SHAPE), keras.Input((), dtype="int32")
    x = layers.Concatenate()([layers.Flatten()(image), layers.Embedding(3, 2)(label)])
    discriminator = keras.Model([image, label], layers.Dense(1)(layers.Dropout(0.3)(x)))
    gan = training.ConditionalGAN(generator, discriminator, latent_dim=3, classes=3)
    gan.compile(generator_optimizer=adam(), discriminator_optimizer=adam(), **options)
    return gan


def cycle(**options):
    def network(*parts):
        return keras.Sequential([keras.Input(SHAPE), *parts])

    generators = [network(layers.Conv2D(1, 3, padding="same")) for _ in "ab"]
    judges = [network(layers.Dropout(0.3), layers.Conv2D(1, 4)) for _ in "ab"]
    gan = training.CycleGAN(*generators, *judges, pool_size=8)
    gan.compile(generator_optimizer=adam(), discriminator_optimizer=adam(), **options)
    return gan


def batches_of(kind):
    turned = keras.layers.RandomFlip(seed=1)
    if kind is cycle:
        return data.batches_of_two(IMAGES, IMAGES[::-1], 4, augment=turned)
    return IMAGES.batches(4, seed=5, augment=turned)


def train(kind, folder, crash=0, others=(), batches=None, fit=(), resume=(), **options):
    """A GAN made and trained from its beginning, or to where it crashes; and its history."""
    keras.utils.set_random_seed(0)
    gan = kind(**{"jit_compile": False, **options})
    keep = callbacks.Resume(folder, **{"seconds": 0, **dict(resume)})
    history = gan.fit(
        batches_of(kind) if batches is None else batches,
        verbose=0,
        callbacks=[CrashAfter(crash), *others, keep],
        **{"epochs": EPOCHS, **dict(fit)},
    )
    return gan, history


def crash(*arguments, **options):
    with pytest.raises(Crash):
        train(*arguments, **options)


def everything(gan):
    return [np.array(each) for each in checkpoints._variables(gan)]


def identical(one, other):
    pairs = zip(everything(one), everything(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "kind, execution, crashes",
    [
        (plain, 1, (4, 3, 6, 2)),  # in an epoch's middle, at its beginning and its end
        (plain, 4, (3,)),  # an epoch's last call has two steps only
        (conditional, 1, (9,)),
        (cycle, 1, (9,)),
        (cycle, 4, (2, 2)),
    ],
)
def test_resumed_equals_uninterrupted_to_the_last_bit(kind, execution, crashes, tmp_path, capsys):
    options = {"steps_per_execution": execution}
    whole, history = train(kind, tmp_path / "a", **options)
    assert not capsys.readouterr().out
    for calls in crashes:
        crash(kind, tmp_path / "b", calls, **options)
    resumed, parts = train(kind, tmp_path / "b", **options)
    assert int(whole.generator_optimizer.iterations) == EPOCHS * STEPS
    assert identical(whole, resumed)
    assert history.history == parts.history and history.epoch == parts.epoch
    assert capsys.readouterr().out.count("goes on at step") == len(crashes)


class Looks(keras.callbacks.Callback):
    """Gathers what lesson 04's does: dicts of numbers, lists and images."""

    KEPT = ("looks",)

    def on_train_begin(self, logs=None):
        self.looks = []

    def on_epoch_end(self, epoch, logs=None):
        images = self.model.generate(2, seed=1)
        self.looks.append({"epoch": epoch, "images": images, "means": [float(images.mean())]})


def test_what_a_callback_names_in_kept_goes_on(tmp_path):
    whole, resumed = Looks(), Looks()
    train(plain, tmp_path / "a", others=[whole])
    crash(plain, tmp_path / "b", 2 * STEPS + 3, others=[Looks()])
    train(plain, tmp_path / "b", others=[resumed])
    assert [look["epoch"] for look in resumed.looks] == list(range(EPOCHS))
    for look, expected in zip(resumed.looks, whole.looks, strict=True):
        assert look["means"] == expected["means"]
        assert np.array_equal(look["images"], expected["images"])


class Counts(keras.callbacks.Callback):
    """Counts batches, and so hears of those that are passed over."""

    KEPT = ("seen",)

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(batch)


@pytest.mark.parametrize("resume_first", [True, False])
@pytest.mark.parametrize("calls", [2, STEPS + 1, STEPS + 4])
def test_what_counts_batches_counts_each_once(calls, resume_first, tmp_path):
    def run(crash):
        gan, counts = plain(), Counts()
        keep = [callbacks.Resume(tmp_path, seconds=0), counts]
        found = [CrashAfter(crash), *(keep if resume_first else reversed(keep))]
        gan.fit(batches_of(plain), epochs=EPOCHS, verbose=0, callbacks=found)
        return counts.seen

    with pytest.raises(Crash):
        run(calls)
    assert run(0) == [*range(STEPS)] * EPOCHS


@pytest.mark.filterwarnings("ignore:The object being serialized")
def test_a_lambda_of_another_kernel_is_the_same(tmp_path):
    def run(kernel, number, crash=0):
        file = tmp_path / f"ipykernel_{kernel}.py"
        file.write_text(
            "import tensorflow as tf\n"
            f"cost = lambda latents, samples: {number} * tf.reduce_mean(samples)\n"
        )
        gan = plain(diversity=runpy.run_path(str(file))["cost"])
        found = [CrashAfter(crash), callbacks.Resume(tmp_path / "kept", seconds=0)]
        gan.fit(batches_of(plain), epochs=EPOCHS, verbose=0, callbacks=found)

    with pytest.raises(Crash):
        run(1, 0.5, crash=3)
    with pytest.raises(checkpoints.CheckpointError, match=r"diversity was .a function"):
        run(2, 0.25)
    run(3, 0.5)
    assert not checkpoints.found(tmp_path / "kept")


# What callbacks have seen, and data without an end


def test_callbacks_go_on_where_they_were(tmp_path):
    def others():
        stop = keras.callbacks.EarlyStopping(
            "d_loss", mode="max", patience=2, restore_best_weights=True
        )
        grid, monitor = callbacks.SampleGrid(4, 2), callbacks.HealthMonitor(IMAGES.images, 1)
        return [grid, monitor, stop]

    def seen(grid, monitor, stop):
        stopped = stop.best, stop.best_epoch, stop.wait, stop.stopped_epoch
        return [monitor.history, monitor.findings, stopped, grid.epochs]

    whole, parts = others(), others()
    gan, _ = train(plain, tmp_path / "a", others=whole, fit={"epochs": 6})
    for calls in (9, 10):
        crash(plain, tmp_path / "b", calls, others=others(), fit={"epochs": 6})
    resumed, _ = train(plain, tmp_path / "b", others=parts, fit={"epochs": 6})
    assert seen(*whole) == seen(*parts) and len(whole[1].history) > 3
    assert np.array_equal(whole[0].frames, parts[0].frames)
    assert identical(gan, resumed)


@pytest.mark.parametrize("kind", [plain, conditional, cycle])
def test_tensorboard_goes_on_where_it_was(kind, tmp_path, written):
    def board(folder):
        grid = callbacks.TranslationGrid(IMAGES.images[:3]) if kind is cycle else None
        return callbacks.TensorBoard(tmp_path / folder, grid)

    whole, history = train(kind, tmp_path / "a", others=[board("whole")])
    for calls in (2, 9):
        crash(kind, tmp_path / "b", calls, others=[board("parts")])
    resumed, _ = train(kind, tmp_path / "b", others=[board("parts")])
    assert identical(whole, resumed)
    expected, found = written(tmp_path / "whole"), written(tmp_path / "parts")
    assert set(expected) == {(name, "scalars") for name in history.history} | {
        ("pictures", "images")
    }
    assert list(expected["pictures", "images"]) == [0, *range(1, EPOCHS + 1)]
    assert keras.tree.map_structure(np.array_equal, expected, found) == (
        keras.tree.map_structure(lambda values: True, expected)
    )


def test_tensorboard_draws_the_beginning_once(tmp_path):
    logs = tmp_path / "logs"
    crash(plain, tmp_path / "run", 2, others=[callbacks.TensorBoard(logs)])
    train(plain, tmp_path / "run", others=[callbacks.TensorBoard(logs)])
    records = tf.data.TFRecordDataset(sorted(map(str, logs.glob("*tfevents*"))))
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in records]
    drawn = [
        each.step for each in events for value in each.summary.value if value.tag == "pictures"
    ]
    assert drawn == list(range(EPOCHS + 1))


def test_data_without_an_end(tmp_path):
    def points(**options):
        generator, discriminator = (
            models.mlp_generator(2, (4,), (2,)),
            models.mlp_discriminator((2,)),
        )
        gan = training.GAN(generator, discriminator, latent_dim=2)
        gan.compile(**options)
        return gan

    options = {"fit": {"epochs": 2, "steps_per_epoch": 5}, "steps_per_execution": 2}
    drawn = {"batches": data.ring().batches(4)}
    whole, _ = train(points, tmp_path / "a", **drawn, **options)
    crash(points, tmp_path / "b", 5, **drawn, **options)
    resumed, _ = train(points, tmp_path / "b", **drawn, **options)
    assert int(whole.generator_optimizer.iterations) == 10  # 5 in an epoch, though 2 do not fit
    assert identical(whole, resumed)


# What cannot go on


@pytest.fixture(scope="module")
def four_steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupted")
    crash(plain, folder, 5)
    return folder


@pytest.fixture
def folder(four_steps, tmp_path):
    """A folder with the checkpoints of steps 3 and 4."""
    return shutil.copytree(four_steps, tmp_path / "runs")


def contents(folder):
    return {path: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "other, differs",
    [
        ({"penalty": losses.R1(2.0)}, "penalty was"),
        ({"fit": {"epochs": 4}}, "epochs was 3, now 4"),
        ({"batches": IMAGES.batches(8)}, "steps in an epoch was 6, now 3"),
        ({"batches": IMAGES.batches(4, seed=6)}, "first batch .* was"),
        ({"others": [callbacks.SampleGrid(2)]}, "callbacks was"),
        ({"resume": {"settings": {"WIDTH": 3}}}, "WIDTH was None, now 3"),
    ],
)
def test_other_settings_are_an_error_that_names_them(other, differs, folder):
    before = contents(folder)
    with pytest.raises(checkpoints.CheckpointError, match=differs):
        train(plain, folder, **other)
    assert contents(folder) == before


def test_another_network_is_an_error(folder):
    before = contents(folder)
    with pytest.raises(checkpoints.CheckpointError, match=r"class was GAN, now ConditionalGAN"):
        train(conditional, folder)
    assert contents(folder) == before


def test_changed_settings_begin_anew_if_asked_to(folder, capsys):
    before = contents(folder)
    options = {"resume": {"strict": False}, "penalty": losses.R1(2.0)}
    crash(plain, folder, 1, **options)
    assert "Training begins anew: penalty was" in capsys.readouterr().out
    assert contents(folder) == before  # nothing is replaced before there is something new
    crash(plain, folder, 2, **options)
    assert [path.name for path in checkpoints.found(folder)] == ["step-000000001.npz"]
    gan, _ = train(plain, folder, **options)
    assert "goes on at step 1, in epoch 1" in capsys.readouterr().out
    assert int(gan.generator_optimizer.iterations) == EPOCHS * STEPS
    assert not list(folder.iterdir())  # a finished run leaves nothing to go on with


def half(content):
    return content[: len(content) // 2]


def one_bit_wrong(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [half, one_bit_wrong, lambda content: b""])
def test_a_damaged_checkpoint_is_passed_over(damage, folder, tmp_path):
    newest = checkpoints.found(folder)[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    whole, _ = train(plain, tmp_path / "whole")
    with pytest.warns(UserWarning, match=r"step-000000004.npz .* is damaged"):
        resumed, _ = train(plain, folder)
    assert identical(whole, resumed)


def test_only_damaged_checkpoints_are_an_error(folder):
    for path in checkpoints.found(folder):
        path.write_bytes(path.read_bytes()[:-100])
    before = contents(folder)
    with pytest.raises(checkpoints.CheckpointError, match="is damaged"):
        train(plain, folder)
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["TensorFlow", "Keras", "course"])
def test_another_version_is_an_error(name, folder, monkeypatch):
    now = checkpoints._describe
    monkeypatch.setattr(checkpoints, "_describe", lambda model: {**now(model), name: "99.1"})
    with pytest.raises(checkpoints.CheckpointError, match=f"{name} was .*, now 99.1"):
        train(plain, folder)


def test_another_format_is_an_error(folder, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT", 2)
    with pytest.raises(checkpoints.CheckpointError, match=r"has the format 1, .* reads 2"):
        train(plain, folder)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Harm:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "harm"),))

    np.savez(tmp_path / "step-000000001.npz", content=np.array([Harm()], object))
    with pytest.raises(checkpoints.CheckpointError, match="is damaged"):
        train(plain, tmp_path)
    assert not (tmp_path / "harm").exists()


def test_a_folder_that_cannot_be_written_is_an_error_before_training(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        train(plain, tmp_path / "file" / "runs")
    with pytest.warns(UserWarning, match="No checkpoint of step 1 could be written"):
        crash(plain, tmp_path / "file" / "runs", 2, resume={"strict": False})


def test_one_place_to_keep_it_is_enough(tmp_path):
    with pytest.raises(ValueError, match="one Resume at most, came 2"):
        train(plain, tmp_path, others=[callbacks.Resume(tmp_path)])


def test_options_of_fit_may_be_given_by_their_places(tmp_path):
    keep = callbacks.Resume(tmp_path)
    history = plain().fit(batches_of(plain), None, None, EPOCHS, 0, [keep])
    assert len(history.epoch) == EPOCHS
    assert keep.train_seconds > 0


def test_time_is_that_of_both_parts(tmp_path):
    crash(plain, tmp_path, 2)
    path = checkpoints.found(tmp_path)[0]
    state = {**checkpoints.read(path), "seconds": 1_000.0}
    checkpoints.write(tmp_path, 1, checkpoints.describe(path), state)
    keep = callbacks.Resume(tmp_path, seconds=0)
    keras.utils.set_random_seed(0)
    plain(jit_compile=False).fit(
        batches_of(plain), verbose=0, epochs=EPOCHS, callbacks=[CrashAfter(0), keep]
    )
    assert 1_000 < keep.train_seconds < 2_000


def test_a_full_disk_stops_no_training_and_spoils_no_file(folder, monkeypatch):
    before = contents(folder)

    def full(*arguments, **arrays):
        arguments[0].write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(UserWarning, match=r"No checkpoint of step 5 .*No space left"):
        crash(plain, folder, 6)
    assert contents(folder) == before


@pytest.mark.parametrize(
    "batches, message",
    [
        (IMAGES.images, "x must be a tf.data.Dataset"),
        (IMAGES.batches(4).repeat(), "steps_per_epoch must be given"),
        (IMAGES.batches(4).take(0), "holds no batch"),
    ],
)
def test_data_that_cannot_be_resumed(batches, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(plain, tmp_path, batches=batches)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"seconds": -1}, "seconds must"),
        ({"keep": 0}, "keep must"),
    ],
)
def test_arguments_that_make_no_sense(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        callbacks.Resume(tmp_path, **options)


def test_as_many_checkpoints_are_kept_as_asked_for(tmp_path):
    crash(plain, tmp_path, 8, resume={"keep": 3})
    assert [path.name[-5] for path in checkpoints.found(tmp_path)] == ["5", "6", "7"]
    crash(plain, tmp_path, 2, resume={"seconds": 1e6})
    assert len(checkpoints.found(tmp_path)) == 3  # it is not time for another one


def test_training_without_resuming_after_an_interrupted_one_skips_nothing(tmp_path):
    crash(plain, tmp_path, 5)
    keras.utils.set_random_seed(0)
    gan, keep = plain(), callbacks.Resume(tmp_path, seconds=0)
    with pytest.raises(Crash):
        gan.fit(batches_of(plain), verbose=0, epochs=EPOCHS, callbacks=[CrashAfter(2), keep])
    before = int(gan.generator_optimizer.iterations)
    gan.fit(batches_of(plain), verbose=0)
    assert int(gan.generator_optimizer.iterations) == before + STEPS


# Killed


def train_in_a_process(folder, result):
    checkpoints.remove = lambda folder: None  # so that it can be killed after the end, too
    gan, _ = train(plain, folder, fit={"epochs": 50})
    np.savez(result, *everything(gan))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork server")
def test_killed_at_any_moment_it_goes_on(tmp_path):
    """As often as GAN_COURSE_KILLS says, 3 times by default, and mostly while it writes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gan_course.training", "gan_course.callbacks"])

    def start(folder, name):
        process = context.Process(target=train_in_a_process, args=(folder, tmp_path / name))
        process.start()
        return process

    def arrays(name):
        with np.load(tmp_path / name) as file:
            return [file[each] for each in file.files]

    def steps():
        return [checkpoints.read(path)["step"] for path in checkpoints.found(folder)]

    start(tmp_path / "a", "whole.npz").join()
    whole, folder, rng = arrays("whole.npz"), tmp_path / "b", np.random.default_rng(0)
    left, runs = int(os.environ.get("GAN_COURSE_KILLS", 3)), 0
    written = 0
    while left or not runs:
        before, files = steps(), checkpoints.found(folder)
        process = start(folder, "resumed.npz")
        while process.is_alive() and checkpoints.found(folder) == files:
            time.sleep(0.01)
        process.join(rng.uniform(0, 0.5) if left else None)
        if process.is_alive():
            process.kill()
            process.join()
            left -= 1
            assert steps()[-1] >= max(before, default=1)  # each is whole, and none was lost
        else:  # it had come to its end
            resumed, runs = arrays("resumed.npz"), runs + 1
            assert len(whole) == len(resumed) and all(map(np.array_equal, whole, resumed))
            written += len(list(folder.glob(".*.tmp")))
            shutil.rmtree(folder)
    print(f"{runs} runs; killed {written} times while a file was written")
