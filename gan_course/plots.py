"""Pictures, in one style for the whole course: gray grids, and colors safe for color blindness."""

import io
import math

import numpy as np

COLORS = {
    "real": "#0072B2",  # blue: real data, and the discriminator's side
    "fake": "#D55E00",  # vermilion: generated data, and the generator's side
    "theory": "#000000",
    "other": "#009E73",
    "muted": "#7F7F7F",
}
_STYLE = {
    "figure.dpi": 80,
    "figure.facecolor": "white",  # legible on light and dark pages
    "savefig.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def use_style():
    """Give every figure made after this the look of the course."""
    import matplotlib.pyplot as plt

    plt.rcParams.update(_STYLE)


def tile(images, columns=None, gap=1):
    """Lay images out in one picture.

    Args:
        images: float (N, H, W, 1) or (N, H, W, 3) in [-1, 1].
        columns: images in a row; about the square root of N if not given.
        gap: white pixels between images.

    Returns:
        np.ndarray: uint8 (height, width) for gray images, (height, width, 3) for color.

    Raises:
        ValueError: another shape.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"images must have the shape (N, H, W, 1) or (N, H, W, 3), came {images.shape}."
        )
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    pixels = np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8)
    sheet = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, np.uint8
    )
    for i, image in enumerate(pixels):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet[:, :, 0] if channels == 1 else sheet


def image_grid(images, title=None, columns=None, ax=None, scale=2.0):
    """Draw images as a grid.

    Args:
        images: float (N, H, W, C) in [-1, 1].
        title: what is seen, in words.
        columns: images in a row.
        ax: matplotlib axes to draw into; a new figure if not given.
        scale: screen pixels for each image pixel of a new figure.

    Returns:
        matplotlib.axes.Axes
    """
    import matplotlib.pyplot as plt

    sheet = tile(images, columns)
    if ax is None:
        dpi = plt.rcParams["figure.dpi"]
        height, width = (side * scale / dpi for side in sheet.shape[:2])
        _, ax = plt.subplots(figsize=(width, height + 0.35), layout="constrained")
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.axis("off")
    if title:
        ax.set_title(title)
    return ax


def loss_curves(history, title=None, ax=None, legend=True):
    """Draw both losses over the epochs, with the values they would have at equilibrium.

    At equilibrium D = 1/2 everywhere: the discriminator's loss is 2 ln 2 = 1.386, the
    non-saturating generator's ln 2 = 0.693.

    Args:
        history: what `fit` returns, or a dict with lists "d_loss" and "g_loss".
        title: what is seen, in words.
        ax: matplotlib axes to draw into; a new figure if not given.
        legend: name the curves; leave it out where a neighbor has it.

    Returns:
        matplotlib.axes.Axes
    """
    import matplotlib.pyplot as plt

    logs = getattr(history, "history", history)
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 3), layout="constrained")
    epochs = np.arange(1, len(logs["d_loss"]) + 1)
    ax.plot(epochs, logs["d_loss"], color=COLORS["real"], label="discriminator's loss")
    ax.plot(epochs, logs["g_loss"], color=COLORS["fake"], linestyle="--", label="generator's loss")
    for value, text, side in ((2 * math.log(2), "2 ln 2", "real"), (math.log(2), "ln 2", "fake")):
        ax.axhline(value, color=COLORS[side], linewidth=0.8, linestyle=":")
        align = "bottom" if side == "real" else "top"  # apart, even where the lines are close
        where = (1, value), ("axes fraction", "data")
        ax.annotate(text, where[0], xycoords=where[1], color=COLORS[side], va=align)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    if min(logs["g_loss"]) >= 0:  # the minimax generator's is below
        ax.set_ylim(bottom=0)
    if legend:
        ax.legend()
    if title:
        ax.set_title(title)
    return ax


def film(frames, seconds=6.0, scale=2):
    """An animated GIF of frames, shown when it is a cell's last value.

    Args:
        frames: uint8 pictures of one shape, (height, width) or (height, width, 3).
        seconds: length of the film; the last frame stays two seconds longer.
        scale: each pixel becomes scale x scale pixels.

    Returns:
        IPython.display.Image: its `.data` is the GIF as bytes.

    Raises:
        ValueError: no frames.
    """
    from IPython.display import Image
    from PIL import Image as Picture

    if len(frames) == 0:
        raise ValueError("frames must hold at least one picture, came none. Train first.")
    pictures = [
        Picture.fromarray(frame)
        # 32 shades of gray are a third of the size, and hardly a difference to see
        .quantize(32 if frame.ndim == 2 else 128)
        .resize((frame.shape[1] * scale, frame.shape[0] * scale), Picture.Resampling.NEAREST)
        for frame in frames
    ]
    each = max(20, round(1000 * seconds / len(pictures)))
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[each] * (len(pictures) - 1) + [each + 2000],
        loop=0,
    )
    return Image(data=buffer.getvalue(), format="gif")


class Panel:
    """Sliders for the arguments of a function, and below them the picture that it returns.

    Shown when it is a cell's last value. The picture of the first values comes with it, and is all
    that is seen where there are no widgets, or no kernel behind them: without ipywidgets, on
    GitHub, on paper.

    Args:
        draw: a function of one value for each slider, to a uint8 picture as `film` takes them.
        scale: each pixel becomes scale x scale pixels.
        **choices: for each argument of `draw` the values to choose from, the first one shown first.

    Raises:
        ValueError: no choices, or none for one of the arguments.

    Example:
        plots.Panel(lambda digit: plots.tile(gan.generate(8, labels=digit)), digit=range(10))
    """

    def __init__(self, draw, scale=4, **choices):
        self._draw, self._scale = draw, scale
        self._choices = {name: list(values) for name, values in choices.items()}
        if not self._choices or not all(self._choices.values()):
            raise ValueError(
                "choices must hold at least one value for each argument of draw, came "
                f"{self._choices}. Example: Panel(draw, digit=range(10))."
            )

    def picture(self, **values):
        """The picture of these values, as PNG: bytes."""
        from PIL import Image as Picture

        frame = self._draw(**values)
        size = (frame.shape[1] * self._scale, frame.shape[0] * self._scale)
        buffer = io.BytesIO()
        Picture.fromarray(frame).resize(size, Picture.Resampling.NEAREST).save(buffer, "PNG")
        return buffer.getvalue()

    def widget(self):
        """The sliders and the picture: an ipywidgets.VBox."""
        import ipywidgets

        sliders = {
            name: ipywidgets.SelectionSlider(options=values, description=name)
            for name, values in self._choices.items()
        }

        def now():
            return self.picture(**{name: slider.value for name, slider in sliders.items()})

        image = ipywidgets.Image(value=now(), format="png", layout={"align_self": "flex-start"})
        for slider in sliders.values():
            slider.observe(lambda change: setattr(image, "value", now()), "value")
        return ipywidgets.VBox([*sliders.values(), image])

    def _repr_mimebundle_(self, **kwargs):
        first = self.picture(**{name: values[0] for name, values in self._choices.items()})
        bundle = {"text/plain": "a picture", "image/png": first}
        try:
            box = self.widget()
        except ImportError:
            return bundle
        view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
        return {**bundle, "application/vnd.jupyter.widget-view+json": view}


def interpolation(start, end, steps=10):
    """Latent vectors on the straight line between two.

    Args:
        start, end: (latent_dim,).
        steps: how many vectors, both ends included; at least 2.

    Returns:
        np.ndarray: float32 (steps, latent_dim).
    """
    if steps < 2:
        raise ValueError(f"steps must be at least 2, for both ends; came {steps!r}.")
    weights = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    return (1 - weights) * np.asarray(start, np.float32) + weights * np.asarray(end, np.float32)
