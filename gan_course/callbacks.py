"""Watching a run while a GAN trains: pictures from fixed latent vectors, scores, and its health."""

import dataclasses
import math
import time
import warnings

import keras
import numpy as np
import tensorflow as tf

from gan_course import losses, metrics, plots


class SampleGrid(keras.callbacks.Callback):
    """Show samples while training, always from the same latent vectors, and keep them as a film.

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

    def __init__(self, count=50, columns=10, every=1, seed=0):
        super().__init__()
        metrics.check_count("every", every)
        self.count, self.columns, self.every, self.seed = count, columns, every, seed
        self.frames, self.epochs = [], []

    def on_train_begin(self, logs=None):
        self.frames, self.epochs = [], []
        self._handle, self._begin = None, time.monotonic()
        self._take(0, {})

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.params.get("epochs"):
            self._take(epoch + 1, logs or {})

    def film(self, seconds=6.0, scale=2):
        """The frames as an animated GIF, see `plots.film`."""
        return plots.film(self.frames, seconds, scale)

    def _take(self, epoch, logs):
        images = self.model.generate(self.count, seed=self.seed)
        self.frames.append(plots.tile(images, self.columns))
        self.epochs.append(epoch)
        self._show(images, self._title(epoch, logs))

    def _title(self, epoch, logs):
        seconds = time.monotonic() - self._begin
        left = seconds / epoch * (self.params["epochs"] - epoch) if epoch else None
        named = [name for name in ("d_loss", "g_loss") if name in logs]
        losses = "".join(f", {name} {logs[name]:.2f}" for name in named)
        times = f"{seconds:.0f} s" + (f", about {left:.0f} s left" if left else "")
        return f"after epoch {epoch} of {self.params['epochs']}{losses}  ({times})"

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
            refuses.

    Example:
        train, held_out = digits[:-5_000], digits[-5_000:]
        stop = keras.callbacks.EarlyStopping(
            "val_fid", mode="min", patience=5, restore_best_weights=True
        )
        scores = callbacks.FrechetScore(held_out.images)
        gan.fit(train.batches(64), epochs=50, callbacks=[scores, stop])
    """

    def __init__(self, held_out, count=2_000, every=1, seed=0, features="mnist", others=None):
        super().__init__()
        metrics.check_count("every", every)
        metrics.check_count("count", count, least=2)
        self.count, self.every, self.seed = count, every, seed
        self.scores = {"fid": metrics.FrechetDistance(held_out, features), **(others or {})}

    def on_train_begin(self, logs=None):
        self._last = {}

    def on_epoch_end(self, epoch, logs=None):
        last_epoch = epoch + 1 == self.params.get("epochs")
        if (epoch + 1) % self.every == 0 or last_epoch or not self._last:
            self._last = {f"val_{name}": value for name, value in self._score(epoch).items()}
        if logs is not None:
            logs.update(self._last)

    def _score(self, epoch):
        """The scores; NaN for a GAN that has diverged, so that the best weights can be put back."""
        images = self.model.generate(self.count, seed=self.seed)
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
        "the training has diverged, and nothing that comes after can mend it.",
        "lower learning rates; a penalty or clipped weights if the game is Wasserstein's. Begin "
        "anew from weights that were saved before.",
    ),
    "the discriminator is saturated": (
        "it tells nearly all generated images from real ones. A step in any direction leaves the "
        "generator as wrong as it was, so it learns little or nothing from it.",
        "a penalty such as losses.R1(), one-sided label smoothing, a lower learning rate or fewer "
        "weights for the discriminator; or a stronger generator.",
    ),
    "the generator's gradient is gone": (
        "the discriminator wins, and where the generated images are its slope is next to nothing: "
        "the generator stands still.",
        'the loss "non_saturating" instead of "minimax"; a penalty such as losses.R1(); a '
        "discriminator that learns less quickly.",
    ),
    "the samples are too much alike": (
        "the generator has fallen onto one image, or a few: mode collapse. (That some kinds are "
        "missing among many is not seen here: metrics.class_coverage counts them.)",
        "a lower learning rate for the generator, a penalty such as losses.R1(), the relativistic "
        "loss; lesson 04 has more.",
    ),
    "the losses swing": (
        "the players go round in circles: each answers the other's last move, and both are late.",
        "a penalty such as losses.R1(), a smaller beta_1 of Adam, lower learning rates, averaged "
        "weights (use_ema=True) for the generator.",
    ),
}


class HealthMonitor(keras.callbacks.Callback):
    """Say in plain words what goes wrong in a run, when it is first seen.

    After each epoch it looks at the logs, at samples from fixed latent vectors, and at the
    generator's gradient for these. It finds five problems:

    - NaN or infinity in the logs; the training is then stopped.
    - A saturated discriminator: right in 99 of 100 cases, epoch after epoch. (Not for the
      Wasserstein game, whose critic may always be right.)
    - A generator's gradient that is gone: its norm is below 1/100 of the largest one seen, while
      the discriminator is right in 9 of 10 cases.
    - Samples that are too much alike: their variance, summed over all pixels, has fallen below half
      that of the real images, or is still there after ten epochs.
    - Losses that swing: the generator's goes up and down by a quarter of its size or more, in
      waves that keep their length.

    Args:
        real_images: some hundred real images (N, ...), to compare the samples with.
        patience: so many epochs in a row must show a problem before it is told.
        count: how many samples are looked at.
        seed: chooses the latent vectors.

    Attributes:
        findings: the problems found, oldest first: see `Finding`.
        history: for each epoch a dict with "gradient_norm", of the generator's loss for all its
            weights; "diversity", the samples' variance in that of the real images; and the logs.

    Raises:
        ValueError: real images that do not differ, fewer than two samples, or a patience below 1.

    Example:
        monitor = callbacks.HealthMonitor(digits.images[:500])
        gan.fit(batches, epochs=20, callbacks=[monitor])
        print(monitor.report())
    """

    def __init__(self, real_images, patience=3, count=200, seed=0):
        super().__init__()
        metrics.check_count("patience", patience)
        metrics.check_count("count", count, least=2)
        self.real_images = np.asarray(real_images, np.float32)
        if self.real_images.ndim < 2 or not self.real_images.var(axis=0).sum() > 0:
            raise ValueError(
                "real_images must hold real images that differ, (N, ...); came an array of shape "
                f"{self.real_images.shape} whose images are all the same. "
                "Example: HealthMonitor(digits.images[:500])."
            )
        self.patience, self.count, self.seed = patience, count, seed
        self.findings, self.history = [], []

    def on_train_begin(self, logs=None):
        self.findings, self.history = [], []
        self._in_a_row = dict.fromkeys(_PROBLEMS, 0)
        latents = tf.random.stateless_normal((self.count, self.model.latent_dim), [self.seed, 1])
        gan, real_images = self.model, tf.constant(self.real_images[: self.count])

        @tf.function
        def gradient_norm():
            with tf.GradientTape() as tape:
                fake_logits = gan.discriminator(gan.generator(latents, training=False))
                real_logits = gan.discriminator(real_images)
                loss = gan.loss.generator_loss(fake_logits[: len(real_images)], real_logits)
            return tf.linalg.global_norm(tape.gradient(loss, gan.generator.trainable_variables))

        self._gradient_norm = gradient_norm

    def on_epoch_end(self, epoch, logs=None):
        samples = self.model.generate(self.count, seed=self.seed)
        variance = samples.var(axis=0).sum() / self.real_images.var(axis=0).sum()
        measured = {"gradient_norm": float(self._gradient_norm()), "diversity": float(variance)}
        self.history.append({**(logs or {}), **measured})
        seen = self._problems()
        for problem in _PROBLEMS:
            self._in_a_row[problem] = self._in_a_row[problem] + 1 if problem in seen else 0
            at_once = problem == "NaN or infinity"
            if self._in_a_row[problem] == (1 if at_once else self.patience):
                self._tell(problem, epoch + 1, seen[problem])
        if "NaN or infinity" in seen:
            self.model.stop_training = True

    def report(self):
        """What was found, in plain words."""
        if not self.history:
            return "Nothing to report: no epoch has been trained yet."
        if not self.findings:
            return f"Healthy: {len(self.history)} epochs, and none of the problems it looks for."
        return "\n".join(map(str, self.findings))

    def _tell(self, problem, epoch, seen):
        if problem in [finding.problem for finding in self.findings]:
            return
        self.findings.append(Finding(problem, epoch, seen, *_PROBLEMS[problem]))
        print(self.findings[-1])

    def _problems(self):
        """What the last epoch shows: a dict from the problem to its numbers."""
        now = self.history[-1]
        broken = [name for name, value in now.items() if not np.isfinite(value)]
        if broken:
            return {"NaN or infinity": ", ".join(broken)}
        found, accuracy = {}, now.get("d_accuracy", 0.0)
        right = f"right in {accuracy:.1%} of all cases"
        if accuracy >= 0.99 and not isinstance(self.model.loss, losses.Wasserstein):
            found["the discriminator is saturated"] = right
        share = now["gradient_norm"] / max(entry["gradient_norm"] for entry in self.history)
        if share < 0.01 and accuracy >= 0.9:
            found["the generator's gradient is gone"] = f"{share:.1g} of its largest norm, {right}"
        varied = max(entry["diversity"] for entry in self.history) >= 0.5
        if now["diversity"] < 0.5 and (varied or len(self.history) > 10):
            variance = f"{now['diversity']:.1%} of the real images' variance"
            found["the samples are too much alike"] = variance
        period = _period([entry["g_loss"] for entry in self.history if "g_loss" in entry])
        if period:
            found["the losses swing"] = f"about every {period} epochs"
        return found


def _period(values, least=12):
    """The length of a wave, if the last values make one of at least a quarter of their size.

    A wave is one whose autocorrelation falls below -1/2 at some lag, and above 1/2 at a later one.

    Returns:
        int: the lag at which the values are most like themselves again, or None.
    """
    values = np.asarray(values[-4 * least :], float)
    if len(values) < least:
        return None
    steps = np.arange(len(values))
    rest = values - np.polyval(np.polyfit(steps, values, 1), steps)
    if rest.std() < 0.25 * max(np.abs(values).mean(), math.ulp(1.0)):
        return None
    lags = np.arange(1, len(values) // 2 + 1)
    with np.errstate(invalid="ignore"):  # a stretch that is constant is like nothing
        alike = np.array([np.corrcoef(rest[:-lag], rest[lag:])[0, 1] for lag in lags])
    falls = np.flatnonzero(alike < -0.5)
    rises = np.flatnonzero(alike > 0.5)
    rises = rises[rises > falls[0]] if len(falls) else rises[:0]
    return int(lags[rises[np.argmax(alike[rises])]]) if len(rises) else None
