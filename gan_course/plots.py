"""Pictures, in one style for the whole course: gray grids, and colors safe for color blindness."""

import io
import math

import numpy as np

from gan_course import checks

COLORS = {
    "real": "#0072B2",  # blue: real data, and the discriminator's side
    "fake": "#D55E00",  # vermilion: generated data, and the generator's side
    "theory": "#000000",
    "other": "#009E73",
    "muted": "#7F7F7F",  # close to "other" for the color-blind: in one figure, by other lines, too
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
        images: float (N, H, W, 1) or (N, H, W, 3) in [-1, 1]; what is outside is cut off, and NaN
            is gray.
        columns: images in a row; about the square root of N if not given.
        gap: white pixels between images.

    Returns:
        np.ndarray: uint8 (height, width) for gray images, (height, width, 3) for color.

    Raises:
        ValueError: another shape, no numbers, or whole numbers above 1, as pixels of 0 to 255 are;
            columns or a gap that are no whole numbers.
    """
    images = _as_array(images)
    is_number = images.dtype.kind in "fiub"
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.size == 0 or not is_number:
        raise ValueError(
            "images must have the shape (N, H, W, 1) or (N, H, W, 3) and hold numbers, came "
            f"{images.dtype} of shape {images.shape}."
        )
    if images.dtype.kind in "iu" and images.max() > 1:
        raise ValueError(f"{checks.OUTSIDE} images came as {images.dtype} up to {images.max()}.")
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    columns, gap = checks.check_count("columns", columns), checks.check_count("gap", gap, least=0)
    rows = math.ceil(count / columns)
    images = np.nan_to_num(np.clip(images.astype(np.float32), -1, 1))
    pixels = np.round((images + 1) * 127.5).astype(np.uint8)
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

    Raises:
        ValueError: as `tile`, or a scale that is no number above 0.
    """
    import matplotlib.pyplot as plt

    checks.check_positive("scale", scale)
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

    Raises:
        ValueError: a history without these lists, or with lists of different lengths.
    """
    import matplotlib.pyplot as plt

    logs = getattr(history, "history", history)
    try:
        d_loss, g_loss = (np.asarray(logs[name], float) for name in ("d_loss", "g_loss"))
    except (LookupError, TypeError, ValueError):
        d_loss = g_loss = np.empty(0)
    if d_loss.ndim != 1 or d_loss.shape != g_loss.shape or len(d_loss) == 0:
        raise ValueError(
            "history must be what fit returns, or a dict with the lists 'd_loss' and 'g_loss', one "
            f"number for each epoch; came a {type(logs).__name__}: {str(logs)[:80]}."
        )
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 3), layout="constrained")
    epochs = np.arange(1, len(d_loss) + 1)
    ax.plot(epochs, d_loss, color=COLORS["real"], label="discriminator's loss")
    ax.plot(epochs, g_loss, color=COLORS["fake"], linestyle="--", label="generator's loss")
    for value, text, side in ((2 * math.log(2), "2 ln 2", "real"), (math.log(2), "ln 2", "fake")):
        ax.axhline(value, color=COLORS[side], linewidth=0.8, linestyle=":")
        align = "bottom" if side == "real" else "top"  # apart, even where the lines are close
        where = (1, value), ("axes fraction", "data")
        ax.annotate(text, where[0], xycoords=where[1], color=COLORS[side], va=align)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    if g_loss.min() >= 0:  # the minimax generator's is below
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
        seconds: length of the film, up to 600; the last frame stays two seconds longer.
        scale: each pixel becomes scale x scale pixels.

    Returns:
        IPython.display.Image: its `.data` is the GIF as bytes.

    Raises:
        ValueError: no frames, or other pictures; a length or a scale that makes no sense.
    """
    from IPython.display import Image
    from PIL import Image as Picture

    checks.check_number("seconds", seconds, most=600.0)
    checks.check_count("scale", scale)
    frames = _listed(frames)
    if not frames:
        raise ValueError("frames must hold at least one picture, came none. Train first.")
    for frame in frames:
        _check_picture("frames", frame)
        if frame.shape != frames[0].shape:
            raise ValueError(f"frames must have one shape, came {frames[0].shape}, {frame.shape}.")
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

    Shown when it is a cell's last value. The picture it begins with comes with it, and is all that
    is seen where there are no widgets, or no kernel behind them: without ipywidgets, on
    GitHub, on paper.

    Args:
        draw: a function of one value for each slider, to a uint8 picture as `film` takes them.
        scale: each pixel becomes scale x scale pixels.
        start: dict, of arguments the values to begin with, where that is not the first one.
        **choices: for each argument of `draw` the values to choose from.

    Raises:
        ValueError: no choices, or none for one of the arguments; a start that is none of them; a
            scale that is no whole number; once it is shown, a `draw` that returns something else.

    Example:
        plots.Panel(lambda digit: plots.tile(gan.generate(8, labels=digit)), digit=range(10))
    """

    def __init__(self, draw, scale=4, start=None, **choices):
        checks.check_count("scale", scale)
        self._draw, self._scale = draw, scale
        self._choices = {name: _listed(values) for name, values in choices.items()}
        if not self._choices or not all(self._choices.values()):
            raise ValueError(
                "choices must hold at least one value for each argument of draw, came "
                f"{self._choices}. Example: Panel(draw, digit=range(10))."
            )
        firsts = {name: values[0] for name, values in self._choices.items()}
        self._start = {**firsts, **(start or {})}
        for name, value in (start or {}).items():
            if value not in self._choices.get(name, []):
                raise ValueError(
                    f"start must name arguments of draw and values of theirs, came "
                    f"{name}={value!r}; the choices are {self._choices}."
                )

    def picture(self, **values):
        """The picture of these values, as PNG: bytes."""
        from PIL import Image as Picture

        frame = self._draw(**values)
        _check_picture("draw's result", frame)
        size = (frame.shape[1] * self._scale, frame.shape[0] * self._scale)
        buffer = io.BytesIO()
        Picture.fromarray(frame).resize(size, Picture.Resampling.NEAREST).save(buffer, "PNG")
        return buffer.getvalue()

    def widget(self):
        """The sliders and the picture: an ipywidgets.VBox."""
        import ipywidgets

        sliders = {
            name: ipywidgets.SelectionSlider(
                options=values, value=self._start[name], description=name
            )
            for name, values in self._choices.items()
        }

        def now():
            return self.picture(**{name: slider.value for name, slider in sliders.items()})

        image = ipywidgets.Image(value=now(), format="png", layout={"align_self": "flex-start"})
        for slider in sliders.values():
            slider.observe(lambda change: setattr(image, "value", now()), "value")
        return ipywidgets.VBox([*sliders.values(), image])

    def _repr_mimebundle_(self, **kwargs):
        bundle = {"text/plain": "a picture", "image/png": self.picture(**self._start)}
        try:
            box = self.widget()
        except ImportError:
            return bundle
        view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
        return {**bundle, "application/vnd.jupyter.widget-view+json": view}


def _as_array(values):
    try:
        return np.asarray(values)
    except (TypeError, ValueError):  # parts of different shapes
        return np.array(None)


def _listed(values):
    try:
        return list(values)
    except TypeError:  # a single one, or none
        return []


def _check_picture(name, frame):
    is_bytes = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.size > 0
    if not is_bytes or not (frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 3)):
        is_array = isinstance(frame, np.ndarray)
        came = f"{frame.dtype} of shape {frame.shape}" if is_array else repr(frame)
        raise ValueError(
            f"{name} must be uint8 arrays (height, width) or (height, width, 3), as `tile` makes "
            f"them, came {came}."
        )


def interpolation(start, end, steps=10):
    """Latent vectors on the straight line between two.

    Args:
        start, end: (latent_dim,).
        steps: how many vectors, both ends included; at least 2.

    Returns:
        np.ndarray: float32 (steps, latent_dim).

    Raises:
        ValueError: fewer than 2 steps, or vectors of different lengths.
    """
    checks.check_count("steps", steps, least=2)
    start, end = _as_array(start), _as_array(end)
    numbers = all(each.dtype.kind in "fiub" for each in (start, end))
    if not numbers or start.ndim != 1 or start.shape != end.shape:
        raise ValueError(
            "start and end must be vectors of numbers of one length, came "
            f"{start.dtype} of shape {start.shape} and {end.dtype} of shape {end.shape}."
        )
    weights = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    return (1 - weights) * start.astype(np.float32) + weights * end.astype(np.float32)
