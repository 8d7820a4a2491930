"""Watching a run while a GAN trains: pictures from fixed latent vectors, scores, and its health."""

import dataclasses
import math
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import scipy.spatial
import tensorflow as tf

from gan_course import checks, metrics, plots, runtime
from gan_course.checkpoints import Resume

__all__ = [
    "Finding",
    "FrechetScore",
    "HealthMonitor",
    "Progress",
    "Resume",
    "SampleGrid",
    "TensorBoard",
    "TranslationGrid",
]


def _check_can(callback, method, watched):
    """Refuse a model that does not make what the callback looks at."""
    if not hasattr(callback.model, method):
        raise ValueError(
            f"{type(callback).__name__} must be given to the fit of a model that has {method!r}, "
            f"came a {type(callback.model).__name__}. It watches {watched}."
        )


class Progress(keras.callbacks.Callback):
    """Say in a notebook how far a training is and how long it still takes, see `ProgressLine`.

    For trainings that show nothing else: `verbose=1` leaves a line for each epoch.

    Args:
        what: what is trained, in words.

    Example:
        gan.fit(batches, epochs=50, callbacks=[callbacks.Progress("R1")], verbose=0)
    """

    def __init__(self, what="training"):
        super().__init__()
        self.what, self._line = what, None

    def on_train_begin(self, logs=None):
        self._line = None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self._line is None:
            self._line = runtime.ProgressLine(self.what, epoch / self.params["epochs"])

    def on_train_batch_end(self, batch, logs=None):
        steps, epochs = self.params.get("steps"), self.params["epochs"]
        if steps:  # else the data has an end that is not known before the first epoch is over
            where = f"epoch {self._epoch + 1} of {epochs}"
            self._line.show((self._epoch + (batch + 1) / steps) / epochs, where)

    def on_train_end(self, logs=None):
        if self._line is not None:
            self._line.end()


class SampleGrid(Progress):
    """Show samples while training, always from the same latent vectors, and keep them as a film.

    Below the picture a line says how far the training is, as `Progress` does.

    Args:
        count: samples in a picture.
        columns: samples in a row.
        every: a picture after every so many epochs, and one before the first.
        seed: chooses the latent vectors.

    Attributes:
        frames: uint8 pictures, oldest first.
        epochs: for each frame, the number of epochs before it.

    Example:
        grid = callbacks.SampleGrid()
        gan.fit(batches, epochs=20, callbacks=[grid], verbose=0)
        grid.film()
    """

    KEPT = ("frames", "epochs", "seconds")  # by `Resume`

    def __init__(self, count=50, columns=10, every=1, seed=0):
        super().__init__()
        checks.check_count("every", every)
        self.count, self.columns, self.every, self.seed = count, columns, every, seed
        self.frames, self.epochs = [], []

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.frames, self.epochs = [], []
        self._begun, self._handle, self.seconds = self.epochs, None, 0.0
        self._take(0, {})

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        if epoch and self._begun is self.epochs:  # initial_epoch; `Resume` puts another list
            self.frames.clear()
            self.epochs.clear()
            self._take(epoch, {})
        self._begun = None

    def on_epoch_end(self, epoch, logs=None):
        if self._is_due(epoch):
            self._take(epoch + 1, logs or {})

    @property
    def seconds(self):
        """How long the training has taken so far."""
        return time.monotonic() - self._begin

    @seconds.setter
    def seconds(self, value):
        self._begin = time.monotonic() - value

    def film(self, seconds=6.0, scale=2):
        """The frames as an animated GIF, see `plots.film`."""
        return plots.film(self.frames, seconds, scale)

    def scrub(self, scale=2):
        """The frames with a slider over the epochs, the last one shown first: a `plots.Panel`.

        Raises:
            ValueError: before training, when there are none.
        """
        if not self.frames:
            raise ValueError("There are no pictures to look at yet. Train first.")
        frames = dict(zip(self.epochs, self.frames, strict=True))
        start = {"epoch": self.epochs[-1]}
        return plots.Panel(lambda epoch: frames[epoch], scale, start, epoch=self.epochs)

    def _is_due(self, epoch):
        return (epoch + 1) % self.every == 0 or epoch + 1 == self.params.get("epochs")

    def _images(self):
        _check_can(self, "generate_evenly", "GANs; see TranslationGrid for a CycleGAN")
        return self.model.generate_evenly(self.count, self.seed)

    def _take(self, epoch, logs):
        images = self._images()
        self.frames.append(plots.tile(images, self.columns))
        self.epochs.append(epoch)
        self._show(images, self._title(epoch, logs))

    def _title(self, epoch, logs):
        named = [name for name in ("d_loss", "g_loss", "cycle_loss") if name in logs]
        losses = "".join(f", {name} {logs[name]:.2f}" for name in named)
        return f"after epoch {epoch} of {self.params['epochs']}{losses}  ({self.seconds:.0f} s)"

    def _show(self, images, title):
        """Draw into one output that is replaced each time; without a notebook, draw nothing."""
        from IPython import get_ipython

        if get_ipython() is None:
            return
        import matplotlib.pyplot as plt
        from IPython.display import display

        figure = plots.image_grid(images, title, self.columns).figure
        plt.close(figure)
        if self._handle is None:
            self._handle = display(figure, display_id=True)
        else:
            self._handle.update(figure)


class TranslationGrid(SampleGrid):
    """Show what a CycleGAN makes of some images while it trains, and keep the pictures as a film.

    Three rows: the images, their translations, and what becomes of those on the way back.

    Args:
        images: float32 (n, height, width, channels) in [-1, 1], of the kind that is translated.
        direction: "a_to_b" or "b_to_a".
        every: as in `SampleGrid`.

    Attributes:
        frames, epochs: as in `SampleGrid`.

    Raises:
        ValueError: another direction, or images that are no floats or lie outside of [-1, 1]; when
            the training begins, a GAN that translates nothing.

    Example:
        grid = callbacks.TranslationGrid(test_a.images[:10])
        cycle.fit(batches, epochs=8, callbacks=[grid], verbose=0)
    """

    def __init__(self, images, direction="a_to_b", every=1):
        if direction not in ("a_to_b", "b_to_a"):
            raise ValueError(f"direction must be 'a_to_b' or 'b_to_a', came {direction!r}.")
        images = checks.as_array("images", images)
        checks.check_samples("images", images, images.shape[1:])
        super().__init__(count=3 * len(images), columns=len(images), every=every)
        self.images, self.direction = images, direction

    def _images(self):
        _check_can(self, "translate", "CycleGANs; see SampleGrid for a GAN")
        back = "b_to_a" if self.direction == "a_to_b" else "a_to_b"
        made = self.model.translate(self.images, self.direction)
        rows = [self.images, made, self.model.translate(made, back)]
        channels = max(row.shape[-1] for row in rows)  # gray images beside colored ones
        return np.concatenate([np.broadcast_to(r, (*r.shape[:3], channels)) for r in rows])


class TensorBoard(keras.callbacks.Callback):
    """Write losses, scores and pictures for TensorBoard, which shows them while a GAN trains.

    After each epoch it writes what is in the logs, under the same names, and a picture of samples
    from the same latent vectors each time, as `SampleGrid` makes them. A step is an epoch; the
    picture of step 0 is from before the first. `FrechetScore` must come before it in the list.

    To look: `tensorboard --logdir runs/logs`, or in a notebook `%load_ext tensorboard` and then
    `%tensorboard --logdir runs/logs`. The package that does this (`pip install tensorboard`) need
    not be where the training runs. `keras.callbacks.TensorBoard` needs it there, and TensorFlow
    2.21 does not bring it: the training then fails at the end of its first epoch.

    With `Resume` the curves go on in the same folder.

    Args:
        folder: for this run alone, such as "runs/logs/first": TensorBoard compares the folders in
            "runs/logs".
        pictures: a `SampleGrid` or a `TranslationGrid`, which says what is drawn and how often.
            If not given, `SampleGrid()`, and nothing for a CycleGAN or for points.

    Raises:
        ValueError: other pictures, no folder, or one elsewhere (gs://...).
        OSError: in `fit`, before training: the folder cannot be made.

    Example:
        gan.fit(batches, epochs=20, callbacks=[callbacks.TensorBoard("runs/logs/first")])
    """

    def __init__(self, folder, pictures=None):
        super().__init__()
        if pictures is not None and not isinstance(pictures, SampleGrid):
            raise ValueError(
                "pictures must be a SampleGrid or a TranslationGrid, came "
                f"{type(pictures).__name__}. Example: TensorBoard('runs/logs/first', "
                "pictures=SampleGrid(count=20))."
            )
        if not str(folder) or "://" in str(folder):
            raise ValueError(
                f"folder must be one on this machine, such as 'runs/logs/first', came {folder!r}."
            )
        self.folder, self.pictures = Path(folder).expanduser(), pictures

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        self._is_new = not any(self.folder.glob("events.out.tfevents.*"))
        self._began = False
        self._writer = tf.summary.create_file_writer(str(self.folder))
        self._grid = self.pictures
        if self._grid is None and self._makes_images():
            self._grid = SampleGrid()
        if self._grid is not None:
            self._grid.set_model(self.model)
            self._grid.set_params(self.params)

    def on_epoch_begin(self, epoch, logs=None):
        if self._began or self._grid is None:
            return
        self._began = True  # now `Resume` has put the steps back, wherever it is in the list
        if not self.model._steps_made() or (self._is_new and epoch == 0):  # else it is written
            with self._writer.as_default():
                self._write_picture(epoch)
            self._writer.flush()

    def on_epoch_end(self, epoch, logs=None):
        with self._writer.as_default():
            for name, value in (logs or {}).items():
                tensor = tf.cast(value, tf.float32)
                tf.summary.write(name, tensor, epoch + 1, _SCALAR)
            if self._grid is not None and self._grid._is_due(epoch):
                self._write_picture(epoch + 1)
        self._writer.flush()

    def on_train_end(self, logs=None):
        self._writer.close()

    def _makes_images(self):
        """From latent vectors: not points, not 2 channels, and not what a CycleGAN translates."""
        generator = getattr(self.model, "generator", None)
        return generator is not None and generator.output_shape[3:] in ((1,), (3,))

    def _write_picture(self, step):
        sheet = plots.tile(self._grid._images(), self._grid.columns)
        height, width = sheet.shape[:2]
        png = tf.io.encode_png(sheet.reshape(height, width, -1))
        tf.summary.write("pictures", tf.stack([str(width), str(height), png]), step, _IMAGE)


def _shown_by(plugin, data_class):
    """Which part of TensorBoard shows a summary.

    `tf.summary.scalar` and `image` know it, but TensorFlow takes those from TensorBoard's package.
    """
    data = tf.compat.v1.SummaryMetadata.PluginData(plugin_name=plugin)
    return tf.compat.v1.SummaryMetadata(plugin_data=data, data_class=data_class)


_SCALAR = _shown_by("scalars", "DATA_CLASS_SCALAR")
_IMAGE = _shown_by("images", "DATA_CLASS_BLOB_SEQUENCE")  # width and height as texts, and a PNG


class FrechetScore(keras.callbacks.Callback):
    """Score samples after each epoch, and write "val_fid" into the logs.

    Put it before the callbacks that read the logs: with it, Keras' own `EarlyStopping`,
    `ModelCheckpoint` and `TensorBoard` follow the quality of the samples. Give those
    `mode="min"`. The test set is not for this: what chooses the epoch cannot also judge it.

    Args:
        held_out: real images (N, ...) that the GAN is not trained on.
        count: samples to score. Fewer are faster, and make the distance larger.
        every: a score after every so many epochs, the first and the last one; between, the latest
            is repeated. To `EarlyStopping` a repetition is an epoch without progress: let its
            `patience` be a multiple of `every`.
        seed: chooses the latent vectors, the same each time.
        features: see `metrics.get_features`.
        others: dict from a name to a function of samples, for more scores:
            {"kid": metrics.KernelDistance(held_out)} writes "val_kid".

    Raises:
        ValueError: a count below 2, an every below 1, or images that `metrics.FrechetDistance`
            refuses; when the training begins, a CycleGAN.

    Example:
        train, held_out = digits[:-5_000], digits[-5_000:]
        stop = keras.callbacks.EarlyStopping(
            "val_fid", mode="min", patience=5, restore_best_weights=True
        )
        scores = callbacks.FrechetScore(held_out.images)
        gan.fit(train.batches(64), epochs=50, callbacks=[scores, stop])
    """

    KEPT = ("_last",)

    def __init__(self, held_out, count=2_000, every=1, seed=0, features="mnist", others=None):
        super().__init__()
        checks.check_count("every", every)
        checks.check_count("count", count, least=2)
        self.count, self.every, self.seed = count, every, seed
        self.scores = {"fid": metrics.FrechetDistance(held_out, features), **(others or {})}

    def on_train_begin(self, logs=None):
        _check_can(self, "generate_evenly", "GANs; see TranslationGrid for a CycleGAN")
        self._last = {}

    def on_epoch_end(self, epoch, logs=None):
        last_epoch = epoch + 1 == self.params.get("epochs")
        if (epoch + 1) % self.every == 0 or last_epoch or not self._last:
            self._last = {f"val_{name}": value for name, value in self._score(epoch).items()}
        if logs is not None:
            logs.update(self._last)

    def _score(self, epoch):
        """The scores; NaN for a GAN that has diverged, so that the best weights can be put back."""
        images = self.model.generate_evenly(self.count, self.seed)
        if not np.isfinite(images).all():
            warnings.warn(
                f"The generator makes NaN or infinity after epoch {epoch + 1}: the training has "
                "diverged, and its scores are NaN. Lower the learning rates.",
                stacklevel=2,
            )
            return dict.fromkeys(self.scores, np.nan)
        return {name: float(score(images)) for name, score in self.scores.items()}


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that goes wrong in a run.

    Attributes:
        problem: its name in a few words.
        epoch: the epoch after which it was first seen, from 1 on.
        seen: the numbers that tell it.
        meaning: what it means.
        advice: what to try.
    """

    problem: str
    epoch: int
    seen: str
    meaning: str
    advice: str

    def __str__(self):
        return (
            f"After epoch {self.epoch}: {self.problem} ({self.seen}).\n"
            f"  What it means: {self.meaning}\n  What to try: {self.advice}"
        )


_PROBLEMS = {
    "NaN or infinity": (
        "the training has diverged. It stopped before that was learned, but the weights have been "
        "on their way there for a while.",
        "lower learning rates; a penalty or clipped weights if the game is Wasserstein's. Begin "
        "anew, or from weights that were saved well before.",
    ),
    "the discriminator is saturated": (
        "it tells nearly all generated images from real ones. With the minimax loss the generator "
        "then has no slope to follow; with others it is told that it is wrong, but hardly in which "
        "direction it gets better. With few training images, it may have learned them by heart.",
        "a penalty such as losses.R1(), or a stronger one; a lower learning rate or fewer weights "
        "for the discriminator; a stronger generator; more images, or augmented ones.",
    ),
    "the generator's gradient is gone": (
        "the discriminator wins, and what reaches the generator's weights is next to nothing: it "
        "stands still.",
        'the loss "non_saturating", if it is "minimax" now; a penalty such as losses.R1() instead '
        "of weights that are clipped hard; a discriminator that learns less quickly.",
    ),
    "the samples are too much alike": (
        "the generator makes one image, or a few, again and again: mode collapse. (Whether kinds "
        "are missing among many images is not seen here: metrics.class_coverage counts them.)",
        "a lower learning rate for the generator, a penalty such as losses.R1(), the relativistic "
        "loss, a discriminator that judges packs of images (GAN(..., pack=2)).",
    ),
    "the losses swing": (
        "the players go round in circles: each answers the other's last move, and both are late.",
        "a penalty such as losses.R1(), or a stronger one; a smaller beta_1 of Adam; lower "
        "learning rates. Averaged weights (use_ema=True) do not end the swing, but the samples "
        "show less of it.",
    ),
}
_ENOUGH_EPOCHS, _ENOUGH_STEPS = 20, 1_000  # to see swings; to have got away from the first noise
_SCALE = 2.0**12  # of gradients, so that small ones are not 0 in float16


class HealthMonitor(keras.callbacks.Callback):
    """Say in plain words what goes wrong in a run, when it is first seen.

    After each epoch it looks at the logs, at samples, and at the generator's gradient. It finds:

    - NaN or infinity in the losses or the samples; the training is then stopped.
    - A saturated discriminator: right in 99 of 100 cases. (Only in games where a logit means
      something by itself: not Wasserstein, not relativistic.)
    - A generator's gradient that is gone, while the discriminator is right in 9 of 10 cases: the
      loss has a slope below 0.01 for each logit, or weights get gradients below 1e-7, which is
      Adam's epsilon.
    - Samples that are too much alike: each has another one that is nearer to it than 0.3 times
      what is usual between real images (the median counts). Told if they were different before, or
      after 1,000 steps.
    - Losses that swing in waves of one length, by a quarter of their size or more. That takes 20
      epochs to see. What swings faster than an epoch is not seen.

    Several calls of `fit` on one GAN are one run.

    Args:
        real_images: some hundred real images (N, ...), to compare the samples with.
        patience: so many epochs in a row must show a problem before it is told.
        count: how many samples are looked at; no more than there are real images.
        seed: chooses the latent vectors.

    Attributes:
        findings: the problems found, oldest first: see `Finding`.
        history: for each epoch a dict with "gradient_norm", of the generator's loss for all its
            weights, as in a training step; "slope", of that loss for a logit; "diversity", the
            median distance of a sample to its nearest neighbor, in that of real images (with
            averaged weights, if they are kept); and the logs, where the cost of
            `compile(diversity=...)` is "diversity_cost" here.

    Raises:
        ValueError: real images that do not differ, are no floats or lie outside of [-1, 1], fewer
            than two samples, a patience below 1, or, when the training begins, a conditional GAN
            or a CycleGAN.

    Example:
        monitor = callbacks.HealthMonitor(digits.images[:500])
        gan.fit(batches, epochs=20, callbacks=[monitor])
        print(monitor.report())
    """

    KEPT = ("history", "_in_a_row", "_told")

    def __init__(self, real_images, patience=3, count=200, seed=0):
        super().__init__()
        checks.check_count("patience", patience)
        checks.check_count("count", count, least=2)
        real_images = checks.as_array("real_images", real_images)[:count]
        if real_images.ndim > 1 and len(real_images):
            checks.check_samples("real_images", real_images, real_images.shape[1:])
        self.real_images = real_images.astype(np.float32)
        self._real_gap = _median_gap(self.real_images)
        if self.real_images.ndim < 2 or not self._real_gap > 0:
            raise ValueError(
                "real_images must hold real images that differ, (N, ...); came an array of shape "
                f"{self.real_images.shape} in which most have a copy, or there is only one. "
                "Example: HealthMonitor(digits.images[:500])."
            )
        self.patience, self.count, self.seed = patience, len(self.real_images), seed
        self.findings, self.history, self._watched = [], [], None

    def on_train_begin(self, logs=None):
        _check_can(self, "generate_evenly", "GANs; see TranslationGrid for a CycleGAN")
        self._gradient = tf.function(self._gradient_of_a_step)  # anew: the loss may be another one
        if self._watched is self.model:
            return
        if hasattr(self.model, "classes"):
            raise ValueError(
                "HealthMonitor watches GANs whose networks take no label, came a conditional one. "
                "Watch it with SampleGrid and FrechetScore."
            )
        self.findings, self.history, self._watched = [], [], self.model
        self._in_a_row = dict.fromkeys(_PROBLEMS, 0)

    def on_epoch_end(self, epoch, logs=None):
        samples = self.model.generate_evenly(self.count, self.seed)
        gap = _median_gap(samples) if np.isfinite(samples).all() else np.nan
        measured = {**self._gradients(), "diversity": gap / self._real_gap}
        logs = dict(logs or {})
        if "diversity" in logs:  # the cost, not what is measured here
            logs["diversity_cost"] = logs.pop("diversity")
        self.history.append({**logs, **measured})
        seen = self._problems()
        for problem in _PROBLEMS:
            self._in_a_row[problem] = self._in_a_row[problem] + 1 if problem in seen else 0
            at_once = problem == "NaN or infinity"
            if self._in_a_row[problem] == (1 if at_once else self.patience):
                self._tell(problem, seen[problem])
        if "NaN or infinity" in seen:
            self.model.stop_training = True

    def report(self):
        """What was found, in plain words, and what it is too early to say."""
        epochs = len(self.history)
        if not epochs:
            return "Nothing to report: no epoch has been trained yet."
        lines = list(map(str, self.findings))
        if not self.findings:
            lines.append(f"Healthy: {epochs} epochs, and none of the problems it looks for.")
        if epochs < _ENOUGH_EPOCHS:
            lines.append(f"(It takes {_ENOUGH_EPOCHS} epochs to see whether losses swing.)")
        if not self._is_under_way():
            lines.append(f"(It takes {_ENOUGH_STEPS:,} steps to see whether samples never differ.)")
        return "\n".join(lines)

    def _gradients(self):
        """The gradient of a training step, without what a step changes in the networks."""
        states = self.model._states()
        before = [state.numpy() for state in states]
        strategy = self.model.distribute_strategy
        norm, slope = strategy.run(self._gradient)
        for state, value in zip(states, before, strict=True):
            state.assign(value)
        first = [strategy.experimental_local_results(each)[0] for each in (norm, slope)]
        return {"gradient_norm": float(first[0]), "slope": float(first[1])}

    def _gradient_of_a_step(self):
        gan, weights = self.model, self.model.generator.trainable_variables
        latents = tf.random.stateless_normal((self.count, gan.latent_dim), [self.seed, 0])
        with tf.GradientTape(persistent=True) as tape:
            fakes = gan.generator(latents, training=True)
            cost = gan._generator_loss(self.real_images, fakes) + gan._diversity(latents, fakes)
            fake_logits, real_logits = gan.judge(fakes), gan.judge(self.real_images)
            loss = gan.loss.generator_loss(fake_logits, real_logits)
        scale = tf.constant(_SCALE)
        gradients = tape.gradient(cost, weights, output_gradients=scale)
        slopes = tape.gradient(loss, fake_logits) * tf.size(fake_logits, tf.float32)
        return tf.linalg.global_norm(gradients) / scale, tf.reduce_mean(tf.abs(slopes))

    def _tell(self, problem, seen):
        if problem in [finding.problem for finding in self.findings]:
            return
        self.findings.append(Finding(problem, len(self.history), seen, *_PROBLEMS[problem]))
        print(self.findings[-1])

    @property
    def _told(self):
        return [dataclasses.asdict(finding) for finding in self.findings]

    @_told.setter
    def _told(self, entries):
        self.findings = [Finding(**entry) for entry in entries]

    def _is_under_way(self):
        """Whether samples were different once, or had the time to become so."""
        varied = max(entry["diversity"] for entry in self.history) >= 0.3
        return varied or self.model.generator_optimizer.iterations.numpy() > _ENOUGH_STEPS

    def _problems(self):
        """What the last epoch shows: a dict from the problem to its numbers."""
        now = self.history[-1]
        checked = ("d_loss", "g_loss", "penalty", "diversity_cost", "diversity")
        broken = [name for name in checked if not np.isfinite(now.get(name, 0.0))]
        if broken or self.model.diverged:
            return {"NaN or infinity": ", ".join(broken) or self.model.diverged}
        found, accuracy = {}, now.get("d_accuracy", 0.0)
        right = f"right in {accuracy:.1%} of all cases"
        if accuracy >= 0.99 and getattr(self.model.loss, "boundary", 0.0) is not None:
            found["the discriminator is saturated"] = right
        each = now["gradient_norm"] / math.sqrt(self.model.generator.count_params())
        if accuracy >= 0.9 and (now["slope"] < 0.01 or each < 1e-7):
            slope = f"a slope of {now['slope']:.1g} for a logit, {each:.1g} for a weight"
            found["the generator's gradient is gone"] = slope
        if now["diversity"] < 0.3 and self._is_under_way():
            near = f"their neighbors are {now['diversity']:.2f} times as far as real images' are"
            found["the samples are too much alike"] = near
        period = _period(
            *([entry.get(name) for entry in self.history] for name in ("g_loss", "d_loss"))
        )
        if period:
            found["the losses swing"] = f"about every {period} epochs"
        return found


def _median_gap(images):
    """The median distance of an image to the one that is nearest to it, or 0 if there is one."""
    flat = np.reshape(images, (len(images), -1))
    if len(flat) < 2:
        return 0.0
    distances = scipy.spatial.distance.cdist(flat, flat)
    np.fill_diagonal(distances, np.inf)
    return float(np.median(distances.min(axis=1)))


def _period(g_losses, d_losses, least=_ENOUGH_EPOCHS - 2):
    """The length of a wave in the generator's loss, if the last values make one.

    A wave's autocorrelation falls below -0.45 and rises above 0.45 again, within a third of the
    values: so three waves must fit. Noise, and a random walk, do that once in a hundred runs.

    Returns:
        int: the lag at which the values are most like themselves again, or None.
    """
    values, others = (np.asarray(each[-48:], float) for each in (g_losses, d_losses))
    count = len(values)
    if count < least:
        return None
    steps = np.arange(count)
    rest = values - np.polyval(np.polyfit(steps, values, 1), steps)
    size = max(np.abs(values).mean(), np.abs(others).mean())  # a critic's own level is arbitrary
    if not rest.std() > 0.25 * size:
        return None
    lags = range(1, count // 3 + 1)
    alike = np.array([rest[:-lag] @ rest[lag:] for lag in lags]) / (rest @ rest)
    falls = np.flatnonzero(alike < -0.45)
    rises = [i for i in np.flatnonzero(alike > 0.45) if len(falls) and i > falls[0]]
    return lags[max(rises, key=lambda i: alike[i])] if rises else None
