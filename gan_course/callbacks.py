"""Watching a run: pictures of one fixed set of latent vectors, and scores, while a GAN trains."""

import time
import warnings

import keras
import numpy as np

from gan_course import metrics, plots


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
