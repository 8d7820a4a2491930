"""Watching a run: pictures of one fixed set of latent vectors while a GAN trains."""

import time

import keras

from gan_course import plots


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
        if every < 1:
            raise ValueError(f"every must be at least 1 epoch, came {every!r}.")
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
