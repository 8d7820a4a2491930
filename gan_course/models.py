"""Keras builders for generators, discriminators and classifiers, one function a network."""

import contextlib
import hashlib
import json
import math
import numbers
from pathlib import Path

import keras
from keras import layers, ops

from gan_course import checks

PRETRAINED = Path(__file__).resolve().parents[1] / "data" / "pretrained"
CARD_FORMAT = 1  # of the cards beside the weights there

_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


def _check_sizes(name, sizes):
    sizes = tuple(sizes) if isinstance(sizes, (list, tuple)) else (sizes,)
    whole = all(isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in sizes)
    if not sizes or not whole or min(sizes) < 1:
        raise ValueError(
            f"{name} must hold whole numbers of at least 1, came {sizes!r}. "
            f"Example: {name}=(256, 512)."
        )
    if max(sizes) >= 2**31:
        raise ValueError(f"{name} must hold numbers below 2^31, came {sizes!r}.")
    return tuple(map(int, sizes))


def _check_size(name, size):
    sizes = _check_sizes(name, size)
    if len(sizes) > 1:
        raise ValueError(f"{name} must be one whole number, came {size!r}.")
    return sizes[0]


def mlp_generator(
    latent_dim=100,
    hidden=(128,),
    output_shape=(28, 28, 1),
    output_activation="tanh",
    batch_norm=False,
    name="generator",
):
    """A generator of fully connected layers: latent vectors in, images or points out.

    The defaults are the classic 100-128-784 network; `hidden=(256, 512, 1024)` is the other
    well-known one. For 2-D points use `output_shape=(2,), output_activation=None`.

    Args:
        latent_dim: numbers in a latent vector.
        hidden: units of each hidden layer.
        output_shape: shape of one sample, without the batch.
        output_activation: "tanh" gives images in [-1, 1]; None leaves the output unbounded.
        batch_norm: normalize each hidden layer over the batch (Ioffe and Szegedy 2015,
            https://arxiv.org/abs/1502.03167).

    Returns:
        keras.Model: (batch, latent_dim) -> (batch, *output_shape).

    Raises:
        ValueError: a size that is not a whole number of at least 1.
    """
    latent_dim = _check_size("latent_dim", latent_dim)
    output_shape = _check_sizes("output_shape", output_shape)
    model = keras.Sequential(name=name)
    model.add(keras.Input((latent_dim,)))
    for units in _check_sizes("hidden", hidden):
        model.add(layers.Dense(units, use_bias=not batch_norm))
        if batch_norm:
            model.add(layers.BatchNormalization())
        model.add(layers.LeakyReLU(0.2))
    model.add(layers.Dense(math.prod(output_shape), activation=output_activation, dtype="float32"))
    model.add(layers.Reshape(output_shape, dtype="float32"))
    return model


def mlp_discriminator(input_shape=(28, 28, 1), hidden=(128,), dropout=0.0, name="discriminator"):
    """A discriminator of fully connected layers: images or points in, one logit each out.

    Args:
        input_shape: shape of one sample, without the batch.
        hidden: units of each hidden layer.
        dropout: share of each hidden layer switched off at random while training, in [0, 1).

    Returns:
        keras.Model: (batch, *input_shape) -> (batch, 1), a logit: above 0 means "real".

    Raises:
        ValueError: a size that is not a whole number of at least 1, or a dropout outside [0, 1).
    """
    if not isinstance(dropout, numbers.Real) or not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), came {dropout!r}. Example: dropout=0.3.")
    model = keras.Sequential(name=name)
    model.add(keras.Input(_check_sizes("input_shape", input_shape)))
    model.add(layers.Flatten())
    for units in _check_sizes("hidden", hidden):
        model.add(layers.Dense(units))
        model.add(layers.LeakyReLU(0.2))
        if dropout:
            model.add(layers.Dropout(dropout))
    model.add(layers.Dense(1, dtype="float32"))
    return model


def _doublings(name, shape):
    """How often the side of a square image doubles, from a map of 4 to 7 pixels on."""
    shape = _check_sizes(name, shape)
    side, count = shape[0], 0
    while side % 2 == 0 and side >= 8:
        side, count = side // 2, count + 1
    if len(shape) != 3 or shape[0] != shape[1] or count < 2 or side > 7:
        raise ValueError(
            f"{name} must be (side, side, channels), with a side of 4 to 7 times 4, 8, 16 and so "
            f"on, such as 28, 32 or 64; came {shape}."
        )
    return count


def dcgan_generator(latent_dim=64, output_shape=(28, 28, 1), variant="course", name="generator"):
    """A convolutional generator: latent vectors in, images out.

    As in Radford et al. 2015, https://arxiv.org/abs/1511.06434, a fully connected layer makes a
    small map of features and each transposed convolution doubles its side; BatchNorm and ReLU
    follow each, tanh the last layer. The variants differ in kernels and widths:

    - "course": narrow, with kernels of 4x4, which overlap evenly, and 3x3 convolutions on the
      smallest map and on the largest; learns in a minute on a CPU.
    - "small": the same without these two, for quick experiments.
    - "paper": kernels of 5x5, 128 channels before the image and twice as many in each map before
      that, 1,024 in the first one of 64 x 64 images; weights from N(0, 0.02).
    - "tensorflow": that of TensorFlow's tutorial, with kernels of 5x5, one of them at the smallest
      size, and LeakyReLU. https://www.tensorflow.org/tutorials/generative/dcgan

    Args:
        latent_dim: numbers in a latent vector.
        output_shape: (side, side, channels), with a side of 28, 32, 64 or the like.
        variant: "course", "small", "paper" or "tensorflow".

    Returns:
        keras.Model: (batch, latent_dim) -> (batch, *output_shape), in [-1, 1].

    Raises:
        ValueError: a size that does not fit, or an unknown variant.
    """
    latent_dim = _check_size("latent_dim", latent_dim)
    doublings = _doublings("output_shape", output_shape)
    side, channels = output_shape[0] // 2**doublings, output_shape[2]
    parts = _choose(_GENERATORS, variant)(side, doublings, channels)
    return keras.Sequential([keras.Input((latent_dim,)), *parts], name=name)


def dcgan_discriminator(
    input_shape=(28, 28, 1), variant="course", normalization=None, name="discriminator"
):
    """A convolutional discriminator: images in, one logit each out.

    Convolutions with stride 2 halve the image, twice or more, and LeakyReLU follows each (Radford
    et al. 2015, https://arxiv.org/abs/1511.06434). The variants belong to those of
    `dcgan_generator`:

    - "course": kernels of 4x4, down to a map of 4 x 4 (3 x 3 where the side is 5 or 6 times 4, 8
      and so on), BatchNorm after each but the first.
    - "small": the same, down to a map of 4 to 7 pixels.
    - "paper": kernels of 5x5, BatchNorm after each but the first, weights from N(0, 0.02). The
      paper does not tell the widths; its authors' code begins with 128 channels and doubles them.
    - "tensorflow": kernels of 5x5, dropout and no BatchNorm.

    Args:
        input_shape: (side, side, channels), with a side of 28, 32, 64 or the like; packs of images
            have more than 3 channels.
        variant: "course", "small", "paper" or "tensorflow".
        normalization: None for the variant's own; "course" and "small" also take "batch" (their
            own), "spectral" (`SpectralNormalization` of every layer) and "none".

    Returns:
        keras.Model: (batch, *input_shape) -> (batch, 1), a logit: above 0 means "real".

    Raises:
        ValueError: a size that does not fit, an unknown variant, or a normalization that the
            variant does not take.
    """
    halvings = _doublings("input_shape", input_shape)
    if variant == "course":
        halvings = _to_four(input_shape[0], halvings)
    build = _choose(_DISCRIMINATORS, variant)
    if normalization is None:
        parts = build(halvings)
    elif build is _course_discriminator and normalization in _NORMALIZATIONS:
        parts = build(halvings, normalization)
    else:
        names = ", ".join(map(repr, _NORMALIZATIONS))
        raise ValueError(
            f"normalization must be None or, for the variants 'course' and 'small', one of "
            f"{names}; came {normalization!r} for {variant!r}."
        )
    return keras.Sequential([keras.Input(input_shape), *parts], name=name)


def conditional_generator(
    latent_dim=64,
    classes=10,
    output_shape=(28, 28, 1),
    condition="batch_norm",
    spectral_norm=False,
    orthogonal=0.0,
    name="generator",
):
    """The generator of `dcgan_generator`, variant "course", that is told what to draw.

    How the label comes in:

    - "concatenate": a one-hot vector beside the latent vector (Mirza and Osindero 2014,
      https://arxiv.org/abs/1411.1784).
    - "embedding": the latent vector is multiplied by a trained vector for the label.
    - "batch_norm": each `ConditionalBatchNormalization` has a scale and a shift for each class.
    - "hierarchical": as in BigGAN (Brock et al. 2019, https://arxiv.org/abs/1809.11096) the latent
      vector is cut into equal parts, one for the first layer and one for each normalization, where
      it stands beside a trained vector for the label, the same in all of them.

    Args:
        latent_dim: numbers in a latent vector; for "hierarchical" and images of 28 x 28 a multiple
            of 5, the number of parts.
        classes: how many labels, from 0 on.
        output_shape: (side, side, channels), with a side of 28, 32, 64 or the like.
        condition: one of those above.
        spectral_norm: `SpectralNormalization` of every layer.
        orthogonal: above 0, factor of an `OrthogonalRegularizer` of every layer.

    Returns:
        keras.Model: [latent vectors (batch, latent_dim), labels (batch,)] ->
        (batch, *output_shape), in [-1, 1].

    Raises:
        ValueError: a size that does not fit, or an unknown condition.
    """
    latent_dim = _check_size("latent_dim", latent_dim)
    classes = _check_size("classes", classes)
    prepare = _choose(_GENERATOR_CONDITIONS, condition, "condition")
    doublings = _doublings("output_shape", output_shape)
    parts = _course_generator(output_shape[0] // 2**doublings, doublings, output_shape[2])
    norms = [each for each in parts if isinstance(each, layers.BatchNormalization)]
    if orthogonal:
        for part in parts:
            if hasattr(part, "kernel_regularizer"):
                outputs = -2 if isinstance(part, layers.Conv2DTranspose) else -1
                part.kernel_regularizer = OrthogonalRegularizer(orthogonal, outputs)
    latents = keras.Input((latent_dim,), name="latents")
    labels = keras.Input((), dtype="int32", name="labels")
    x, conditions = prepare(latents, labels, classes, len(norms))
    for part in parts:
        if conditions and part in norms:
            x = ConditionalBatchNormalization(part.momentum)([x, conditions[norms.index(part)]])
        elif spectral_norm and hasattr(part, "kernel_initializer"):
            x = SpectralNormalization(part)(x)
        else:
            x = part(x)
    return keras.Model([latents, labels], x, name=name)


def conditional_discriminator(
    input_shape=(28, 28, 1),
    classes=10,
    condition="projection",
    normalization="batch",
    name="discriminator",
):
    """The discriminator of `dcgan_discriminator`, variant "course", that is told the label, too.

    It judges whether the image is real *and* belongs to the label. How the label comes in:

    - "concatenate": one more channel for each class, 1 everywhere for the label and 0 for others
      (Mirza and Osindero 2014, https://arxiv.org/abs/1411.1784).
    - "embedding": one more channel, a trained picture for each class.
    - "projection": the inner product of the last features and a trained vector for the label is
      added to the logit (Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637).
    - "auxiliary": not at all; a second output tells the class, as logits, and `ConditionalGAN`
      trains it to (Odena et al. 2017, https://arxiv.org/abs/1610.09585).

    Args:
        input_shape: (side, side, channels), with a side of 28, 32, 64 or the like.
        classes: how many labels, from 0 on.
        condition: one of those above.
        normalization: "batch", "spectral" or "none", as in `dcgan_discriminator`; the class logits
            of "auxiliary" are never normalized.

    Returns:
        keras.Model: [images (batch, *input_shape), labels (batch,)] -> logits (batch, 1); with
        "auxiliary" images (batch, *input_shape) -> [logits (batch, 1), logits (batch, classes)].

    Raises:
        ValueError: a size that does not fit, an unknown condition or normalization.
    """
    classes = _check_size("classes", classes)
    begin, end = _choose(_DISCRIMINATOR_CONDITIONS, condition, "condition")
    _choose(dict.fromkeys(_NORMALIZATIONS), normalization, "normalization")
    halvings = _to_four(input_shape[0], _doublings("input_shape", input_shape))
    *parts, logit = _course_discriminator(halvings, normalization)
    images = keras.Input(input_shape, name="images")
    labels = keras.Input((), dtype="int32", name="labels")
    x = begin(images, labels, classes)
    for part in parts:
        x = part(x)
    inputs = images if condition == "auxiliary" else [images, labels]
    spectral = normalization == "spectral"
    return keras.Model(inputs, end(x, labels, classes, logit, spectral), name=name)


def resnet_generator(
    input_shape=(128, 128, 3), channels=None, width=64, blocks=6, name="generator"
):
    """A generator of images from images: down to a quarter, residual blocks, and up again.

    Johnson et al. 2016, https://arxiv.org/abs/1603.08155, as CycleGAN has it (Zhu et al. 2017,
    https://arxiv.org/abs/1703.10593): a 7x7 convolution, two 3x3 ones with stride 2, blocks of two
    3x3 convolutions around a shortcut, two transposed convolutions, and a 7x7 one with tanh;
    instance norm and ReLU after each but the last. Borders are mirrored, so that they look like the
    rest. (The transposed convolutions have kernels of 4x4 here, which overlap evenly.)

    Args:
        input_shape: (height, width, channels), sides that are multiples of 4, and at least 8.
        channels: of the images that come out; None for as many as go in.
        width: maps after the first convolution; twice and four times as many after the next ones.
        blocks: residual blocks; the paper has 6 for 128 x 128 and 9 for 256 x 256.

    Returns:
        keras.Model: (batch, *input_shape) -> (batch, height, width, channels), in [-1, 1].

    Raises:
        ValueError: a size that does not fit.
    """
    input_shape = _check_image("input_shape", input_shape, 4, least=8)
    width, blocks = _check_size("width", width), _check_size("blocks", blocks)
    channels = input_shape[-1] if channels is None else _check_size("channels", channels)
    images = keras.Input(input_shape)
    x = _instance_norm_relu(_mirrored(images, width, 7))
    for times in (2, 4):
        x = _instance_norm_relu(layers.Conv2D(times * width, 3, 2, "same", use_bias=False)(x))
    for _ in range(blocks):
        y = _instance_norm_relu(_mirrored(x, 4 * width, 3))
        x = layers.Add()([x, _instance_norm()(_mirrored(y, 4 * width, 3))])
    for times in (2, 1):
        x = _instance_norm_relu(_doubling(times * width, use_bias=False)(x))
    x = _mirrored(x, channels, 7, use_bias=True, activation="tanh", dtype="float32")
    return keras.Model(images, x, name=name)


def unet_generator(
    input_shape=(128, 128, 3), channels=None, width=64, halvings=5, name="generator"
):
    """A generator of images from images that hands details across (Ronneberger et al. 2015).

    Convolutions of 4x4 with stride 2 halve the image, transposed ones double it again, and each map
    on the way up stands beside the one of its size on the way down, as in pix2pix (Isola et al.
    2017, https://arxiv.org/abs/1611.07004). Instance norm after each but the first, the smallest
    and the last.

    Args:
        input_shape: (height, width, channels), sides that can be halved so often.
        channels: of the images that come out; None for as many as go in.
        width: maps after the first halving; twice as many after each, up to 8 times.
        halvings: how often.

    Returns:
        keras.Model: (batch, *input_shape) -> (batch, height, width, channels), in [-1, 1].

    Raises:
        ValueError: a size that does not fit.
    """
    halvings, width = _check_size("halvings", halvings), _check_size("width", width)
    input_shape = _check_image("input_shape", input_shape, 2 ** min(halvings, 30))
    channels = input_shape[-1] if channels is None else _check_size("channels", channels)
    widths = [width * min(2**i, 8) for i in range(halvings)]
    images = x = keras.Input(input_shape)
    seen = []
    for i, maps in enumerate(widths):
        x = layers.Conv2D(maps, 4, 2, "same")(x)
        if 0 < i < halvings - 1:
            x = _instance_norm()(x)
        x = layers.LeakyReLU(0.2)(x)
        seen.append(x)
    for maps, across in zip(widths[-2::-1], seen[-2::-1], strict=True):
        x = _instance_norm_relu(_doubling(maps, use_bias=False)(x))
        x = layers.Concatenate()([x, across])
    x = _doubling(channels, activation="tanh", dtype="float32")(x)
    return keras.Model(images, x, name=name)


def patch_discriminator(input_shape=(128, 128, 3), width=64, halvings=3, name="discriminator"):
    """A discriminator of patches: a logit for each of many overlapping parts of an image.

    Isola et al. 2017, https://arxiv.org/abs/1611.07004: `halvings` convolutions with stride 2 and
    two more, all of 4x4, with instance norm after each but the first and the last. How large a
    patch is, `receptive_field` tells: 16, 34, 70 or 142 pixels for 1 to 4 halvings.

    Args:
        input_shape: (height, width, channels).
        width: maps after the first convolution; twice as many after each, up to 8 times.
        halvings: how often the image is halved.

    Returns:
        keras.Model: (batch, *input_shape) -> logits (batch, rows, columns, 1).

    Raises:
        ValueError: a size that does not fit; one that leaves a map of 1 x 1, which instance norm
            makes 0 whatever the image is.
    """
    halvings, width = _check_size("halvings", halvings), _check_size("width", width)
    input_shape = _check_image("input_shape", input_shape, 1)
    least = 2 ** min(halvings, 30)
    if min(input_shape[:2]) < least or max(input_shape[:2]) == least:
        raise ValueError(
            f"input_shape must have sides of at least {least}, and one above that, for "
            f"halvings={halvings}; came {input_shape}. Take larger images or fewer halvings."
        )
    model = keras.Sequential([keras.Input(input_shape)], name=name)
    for i in range(halvings + 1):
        stride = 2 if i < halvings else 1
        model.add(layers.Conv2D(width * min(2**i, 8), 4, stride, "same", use_bias=i == 0))
        if i > 0:
            model.add(_instance_norm())
        model.add(layers.LeakyReLU(0.2))
    model.add(layers.Conv2D(1, 4, padding="same", dtype="float32"))
    return model


def receptive_field(model):
    """The side of the square of pixels that one number of a convolutional network's output sees.

    Counted back from the output: (side - 1) * stride + kernel for each layer, where a dilated
    kernel has (kernel - 1) * dilation + 1 pixels. (Normalization over the image is left out: it
    lets every pixel in, but only through a mean and a variance.)

    Args:
        model: keras.Sequential of convolutions, pooling and layers without a size; the
            convolutions may be wrapped, as by `SpectralNormalization`.

    Returns:
        int: pixels.
    """
    side = 1
    for layer in reversed(model.layers):
        while isinstance(layer, layers.Wrapper):
            layer = layer.layer
        if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)):
            kernel = (layer.kernel_size[0] - 1) * layer.dilation_rate[0] + 1
        elif isinstance(layer, (layers.MaxPooling2D, layers.AveragePooling2D)):
            kernel = layer.pool_size[0]
        else:
            continue
        side = (side - 1) * layer.strides[0] + kernel
    return side


@keras.saving.register_keras_serializable("gan_course")
class ConditionalBatchNormalization(layers.Layer):
    """BatchNorm whose scale and shift depend on a condition.

    The maps are normalized as by `BatchNormalization`, without its own scale and shift; then the
    scale, 1 + s, and the shift come from two linear functions of the condition (de Vries et al.
    2017, https://arxiv.org/abs/1707.00683). If that is a one-hot label, each class has its own.

    Args:
        momentum: of the running averages.

    Inputs [(batch, height, width, channels), (batch, numbers)], output like the first.
    """

    def __init__(self, momentum=0.9, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.norm = layers.BatchNormalization(
            momentum=momentum, center=False, scale=False, dtype=self.dtype_policy
        )

    def build(self, input_shape):
        maps, condition = input_shape
        self.norm.build(maps)
        for name in ("scale", "shift"):
            dense = layers.Dense(maps[-1], use_bias=False, dtype=self.dtype_policy, name=name)
            dense.build(condition)
            setattr(self, name, dense)

    def call(self, inputs, training=False):
        maps, condition = inputs
        scale, shift = (each(condition)[:, None, None] for each in (self.scale, self.shift))
        return self.norm(maps, training=training) * (1 + scale) + shift

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@keras.saving.register_keras_serializable("gan_course")
class ReflectionPadding(layers.Layer):
    """Images with a border that mirrors what lies beside it, so that it looks like the rest.

    Args:
        size: pixels on each side, less than the image has.

    Input (batch, height, width, channels), output (batch, height + 2 size, width + 2 size,
    channels).
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, images):
        border = (self.size, self.size)
        return ops.pad(images, ((0, 0), border, border, (0, 0)), mode="reflect")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return batch, height + 2 * self.size, width + 2 * self.size, channels

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("gan_course")
class SpectralNormalization(layers.Wrapper):
    """A layer that computes with its kernel divided by the kernel's largest singular value.

    So the layer, as a linear map of patches, stretches nothing. Follows Miyato et al. 2018,
    https://arxiv.org/abs/1802.05957: the weights that are trained stay as they are, and the
    gradient flows through the division. (Keras' own layer of this name overwrites the weights
    with the divided ones instead: the same outputs, but another gradient.) Each call with
    `training=True` takes one step of the power iteration that finds the singular value.

    Args:
        layer: a layer with a `kernel`: Dense, Conv2D, Conv2DTranspose or the like.

    Raises:
        ValueError: a layer without a kernel.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(layer, autocast=False, **kwargs)  # singular values need float32

    def build(self, input_shape=None):
        super().build(input_shape)
        if not hasattr(self.layer, "kernel"):
            raise ValueError(
                "layer must have a kernel, as Dense or Conv2D have; came "
                f"{type(self.layer).__name__}."
            )
        self.u = self.add_weight(
            name="u",
            shape=(1, self._matrix().shape[1]),
            initializer=keras.initializers.RandomNormal(),
            trainable=False,
        )

    def _matrix(self):
        """The kernel as (everything else, outputs)."""
        kernel = ops.convert_to_tensor(self.layer.kernel)
        if isinstance(self.layer, _TRANSPOSED):
            kernel = ops.swapaxes(kernel, -1, -2)  # theirs end with the inputs
        return ops.reshape(kernel, (-1, kernel.shape[-1]))

    def call(self, inputs, training=False):
        matrix = self._matrix()
        v = ops.normalize(self.u @ ops.transpose(matrix))
        u = ops.normalize(v @ matrix)
        if training:
            self.u.assign(u)
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        sigma = ops.sum((v @ matrix) * u)
        kernel = self.layer.kernel
        others = [(each, each.value) for each in self.layer.variables if each is not kernel]
        with keras.StatelessScope(state_mapping=[(kernel, kernel / sigma), *others]):
            return self.layer(inputs)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)


@keras.saving.register_keras_serializable("gan_course")
class OrthogonalRegularizer(keras.regularizers.Regularizer):
    """A cost of kernels whose outputs look for alike things; how long the weights are is free.

    Brock et al. 2019, section 3.1, https://arxiv.org/abs/1809.11096: for a kernel as a matrix W,
    (everything else, outputs), `factor` times the sum of the squares of W^T W off its diagonal.
    (Keras' own regularizer of this name takes matrices only, and the absolute values of cosines.)

    Args:
        factor: of the cost; 1e-4 in the paper.
        output_axis: of the kernel; -2 for transposed convolutions.

    Raises:
        ValueError: a factor that is not a number of at least 0.

    Example:
        layers.Conv2D(64, 3, kernel_regularizer=OrthogonalRegularizer())
    """

    def __init__(self, factor=1e-4, output_axis=-1):
        self.factor = checks.check_number("factor", factor, reason=" Example: factor=1e-4.")
        self.output_axis = output_axis

    def __call__(self, kernel):
        kernel = ops.moveaxis(ops.convert_to_tensor(kernel), self.output_axis, -1)
        matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
        products = ops.transpose(matrix) @ matrix
        others = products * (1 - ops.eye(products.shape[0]))
        return self.factor * ops.sum(ops.square(others))

    def get_config(self):
        return {"factor": self.factor, "output_axis": self.output_axis}


class _OfBatch(layers.Layer):
    """Layers that look at all samples of a batch compute in float32: small differences count."""

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})


@keras.saving.register_keras_serializable("gan_course")
class MinibatchDiscrimination(_OfBatch):
    """For each sample, how close the others of its batch are to it; added to its features.

    Salimans et al. 2016, section 3.2, https://arxiv.org/abs/1606.03498: a trained kernel turns each
    sample's features into `kernels` rows of `row` numbers. For each row the output is the mean of
    exp(-distance) over the other samples, the L1 distance of the two rows: 1 where all are the
    same, near 0 where they differ. (The paper takes the sum, which grows with the batch.) On
    several devices a batch is that of one device.

    Args:
        kernels: numbers that are added to each sample's features.
        row: numbers that are compared for each of them.

    Input (batch, features), output (batch, features + kernels).
    """

    def __init__(self, kernels=16, row=8, **kwargs):
        super().__init__(**kwargs)
        self.kernels = _check_size("kernels", kernels)
        self.row = _check_size("row", row)

    def build(self, input_shape):
        features = input_shape[-1]  # distances begin at about 1, however many there are
        stddev = 1 / (self.row * math.sqrt(features))
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.kernels * self.row),
            initializer=keras.initializers.RandomNormal(stddev=stddev),
        )

    def call(self, inputs):
        rows = ops.reshape(inputs @ self.kernel, (-1, self.kernels, self.row))
        distances = ops.sum(ops.abs(rows[:, None] - rows[None]), axis=-1)  # (batch, batch, kernels)
        others = ops.maximum(ops.shape(inputs)[0] - 1, 1)
        closeness = (ops.sum(ops.exp(-distances), axis=1) - 1) / ops.cast(others, "float32")
        return ops.concatenate([inputs, closeness], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.kernels)

    def get_config(self):
        return {**super().get_config(), "kernels": self.kernels, "row": self.row}


@keras.saving.register_keras_serializable("gan_course")
class MinibatchStd(_OfBatch):
    """One more channel, which tells how much the samples of the batch differ.

    The standard deviation over the batch of each feature, averaged over all of them: the same
    number for every sample and place. Karras et al. 2018, section 3, https://arxiv.org/abs/1710.10196.

    Input (batch, ..., channels), output (batch, ..., channels + 1).
    """

    def call(self, inputs):
        variance = ops.mean(ops.square(inputs - ops.mean(inputs, axis=0)), axis=0)
        std = ops.mean(ops.sqrt(variance + 1e-8))  # the slope of the root of 0 would be infinite
        return ops.concatenate([inputs, ops.full_like(inputs[..., :1], std)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)


def _choose(builders, chosen, argument="variant"):
    if not isinstance(chosen, str) or chosen not in builders:
        names = ", ".join(map(repr, builders))
        raise ValueError(f"{argument} must be one of {names}; came {chosen!r}.")
    return builders[chosen]


def _first_map(side, width, **options):
    """Layers that make a small map of features of a latent vector."""
    return [
        layers.Dense(side * side * width, use_bias=False, **options),
        layers.Reshape((side, side, width)),
    ]


def _logit(**options):
    """The end of a discriminator."""
    logit = layers.Dense(1, dtype="float32", name="logit", **options)
    return [layers.Flatten(name="features"), logit]


def _doubling(width, **options):
    return layers.Conv2DTranspose(width, 4, strides=2, padding="same", **options)


def _check_image(name, shape, multiple, least=1):
    shape = _check_sizes(name, shape)
    if len(shape) != 3 or any(side % multiple or side < least for side in shape[:2]):
        at_least = f", and at least {least}" if least > 1 else ""
        raise ValueError(
            f"{name} must be (height, width, channels), with sides that are multiples of "
            f"{multiple}{at_least}; came {shape}."
        )
    return shape


def _instance_norm():
    return layers.GroupNormalization(groups=-1, epsilon=1e-5)


def _instance_norm_relu(x):
    return layers.ReLU()(_instance_norm()(x))


def _mirrored(x, maps, kernel, use_bias=False, **options):
    """A convolution that keeps the image's size, with mirrored borders."""
    x = ReflectionPadding(kernel // 2)(x)
    return layers.Conv2D(maps, kernel, use_bias=use_bias, **options)(x)


def _normalized_relu(parts):
    """Each of the layers, followed by BatchNorm and ReLU."""
    found = []
    for part in parts:  # a short run needs averages that follow quickly: momentum 0.9
        found += [part, layers.BatchNormalization(momentum=0.9), layers.ReLU()]
    return found


def _small_generator(side, doublings, channels):
    widest, *widths = [64 + 32 * i for i in reversed(range(doublings))]
    dense, to_map = _first_map(side, widest)
    parts = _normalized_relu([to_map, *(_doubling(width, use_bias=False) for width in widths)])
    return [dense, *parts, _doubling(channels, activation="tanh", dtype="float32")]


def _course_generator(side, doublings, channels):
    widest, *widths = [16, 48, 64, *range(96, 640, 32)][doublings::-1]
    dense, to_map = _first_map(side, widest)
    same_size = layers.Conv2D(widest, 3, padding="same", use_bias=False)
    larger = [_doubling(width, use_bias=False) for width in widths]
    image = layers.Conv2D(channels, 3, padding="same", activation="tanh", dtype="float32")
    return [dense, *_normalized_relu([to_map, same_size, *larger]), image]


def _to_four(side, halvings):
    """As many halvings of a side as lead to 4 or less."""
    return halvings + (side > 4 * 2**halvings)


def _course_discriminator(halvings, normalization="batch"):
    def wrapped(layer):
        return SpectralNormalization(layer) if normalization == "spectral" else layer

    parts = []
    for i in range(halvings):
        batch_norm = normalization == "batch" and i > 0
        width = 32 * 2**i
        parts.append(wrapped(layers.Conv2D(width, 4, 2, "same", use_bias=not batch_norm)))
        if batch_norm:
            parts.append(layers.BatchNormalization(momentum=0.9))
        parts.append(layers.LeakyReLU(0.2))
    flat, logit = _logit()
    return [*parts, flat, wrapped(logit)]


def _paper_weights():
    return {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.02)}


def _paper_generator(side, doublings, channels):
    widest, *widths = [128 * 2**i for i in reversed(range(doublings))]
    parts = [
        *_first_map(side, widest, **_paper_weights()),
        layers.BatchNormalization(),
        layers.ReLU(),
    ]
    for width in widths:
        parts += [
            layers.Conv2DTranspose(width, 5, 2, "same", use_bias=False, **_paper_weights()),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    options = {"activation": "tanh", "dtype": "float32", **_paper_weights()}
    return [*parts, layers.Conv2DTranspose(channels, 5, 2, "same", **options)]


def _paper_discriminator(halvings):
    parts = [layers.Conv2D(128, 5, 2, "same", **_paper_weights()), layers.LeakyReLU(0.2)]
    for i in range(1, halvings):
        parts += [
            layers.Conv2D(128 * 2**i, 5, 2, "same", use_bias=False, **_paper_weights()),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
        ]
    return [*parts, *_logit(**_paper_weights())]


def _tensorflow_generator(side, doublings, channels):
    widest, *widths = [64 * 2**i for i in reversed(range(doublings + 1))]
    dense, to_map = _first_map(side, widest)
    parts = [dense, layers.BatchNormalization(), layers.LeakyReLU(0.3), to_map]
    for i, width in enumerate(widths):
        parts += [
            layers.Conv2DTranspose(width, 5, 2 if i else 1, "same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.3),
        ]
    options = {"use_bias": False, "activation": "tanh", "dtype": "float32"}
    return [*parts, layers.Conv2DTranspose(channels, 5, 2, "same", **options)]


def _tensorflow_discriminator(halvings):
    parts = []
    for i in range(halvings):
        parts += [
            layers.Conv2D(64 * 2**i, 5, 2, "same"),
            layers.LeakyReLU(0.3),
            layers.Dropout(0.3),
        ]
    return [*parts, *_logit()]


_GENERATORS = {
    "course": _course_generator,
    "small": _small_generator,
    "paper": _paper_generator,
    "tensorflow": _tensorflow_generator,
}
_NORMALIZATIONS = ("batch", "spectral", "none")
_DISCRIMINATORS = {
    "course": _course_discriminator,
    "small": _course_discriminator,
    "paper": _paper_discriminator,
    "tensorflow": _tensorflow_discriminator,
}


# Where the label comes in. For the generator: what the first layer takes, and a condition for each
# normalization or none. For the discriminator: what the first layer takes, and the outputs.


def _one_hot_latents(latents, labels, classes, norms):
    return layers.Concatenate()([latents, ops.one_hot(labels, classes)]), []


def _embedded_latents(latents, labels, classes, norms):
    vectors = layers.Embedding(classes, latents.shape[-1], "random_normal")(labels)
    return layers.Multiply()([latents, 1 + vectors]), []


def _one_hot_norms(latents, labels, classes, norms):
    return latents, [ops.one_hot(labels, classes)] * norms


def _hierarchical(latents, labels, classes, norms):
    if latents.shape[-1] % (norms + 1):
        raise ValueError(
            f"latent_dim must be a multiple of {norms + 1}, which are the parts for condition="
            f"'hierarchical' and this output_shape; came {latents.shape[-1]}. "
            f"Example: latent_dim={16 * (norms + 1)}."
        )
    first, *others = ops.split(latents, norms + 1, axis=-1)
    shared = layers.Embedding(classes, 32)(labels)
    return first, [layers.Concatenate()([each, shared]) for each in others]


_GENERATOR_CONDITIONS = {
    "concatenate": _one_hot_latents,
    "embedding": _embedded_latents,
    "batch_norm": _one_hot_norms,
    "hierarchical": _hierarchical,
}


def _only_images(images, labels, classes):
    return images


def _one_hot_channels(images, labels, classes):
    _, height, width, _ = images.shape
    planes = layers.Reshape((1, 1, classes))(ops.one_hot(labels, classes))
    return layers.Concatenate()([images, layers.UpSampling2D((height, width))(planes)])


def _embedded_channel(images, labels, classes):
    _, height, width, _ = images.shape
    picture = layers.Embedding(classes, height * width)(labels)
    return layers.Concatenate()([images, layers.Reshape((height, width, 1))(picture)])


def _only_logit(features, labels, classes, logit, spectral):
    return logit(features)


def _projection(features, labels, classes, logit, spectral):
    # a matrix times a one-hot vector: the same as an embedding, and can be spectrally normalized
    size = features.shape[-1]
    to_vector = layers.Dense(size, use_bias=False, dtype="float32", name="label_vectors")
    if spectral:
        to_vector = SpectralNormalization(to_vector)
    vectors = to_vector(ops.one_hot(labels, classes))
    return layers.Add(dtype="float32")(
        [logit(features), layers.Dot(-1, dtype="float32")([features, vectors])]
    )


def _class_logits(features, labels, classes, logit, spectral):
    return [logit(features), layers.Dense(classes, dtype="float32", name="class_logits")(features)]


_DISCRIMINATOR_CONDITIONS = {
    "concatenate": (_one_hot_channels, _only_logit),
    "embedding": (_embedded_channel, _only_logit),
    "projection": (_only_images, _projection),
    "auxiliary": (_only_images, _class_logits),
}


def image_classifier(input_shape=(28, 28, 1), classes=10, name="classifier"):
    """A small convolutional classifier, whose features the course's metrics compare images by.

    Three 3x3 convolutions, each followed by BatchNorm, ReLU and pooling, the last pooling being
    the layer "features"; then two fully connected layers.

    Args:
        input_shape: (height, width, channels), at least 8 x 8.
        classes: how many.

    Returns:
        keras.Model: (batch, *input_shape) -> (batch, classes), logits.

    Raises:
        ValueError: a size that is not a whole number of at least 1, or images below 8 x 8.
    """
    input_shape = _check_sizes("input_shape", input_shape)
    classes = _check_size("classes", classes)
    if len(input_shape) != 3 or min(input_shape[:2]) < 8:
        raise ValueError(
            f"input_shape must be (height, width, channels) of at least 8 x 8, came {input_shape}."
        )
    model = keras.Sequential(name=name)
    model.add(keras.Input(input_shape))
    for filters, pooling in ((32, None), (64, None), (96, "features")):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D(name=pooling))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(classes, dtype="float32"))
    return model


@contextlib.contextmanager
def float32_policy():
    """Build networks in float32, whatever the global precision is."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def pretrained_card(name):
    """How a network in data/pretrained was made, how good it is, and the hash of its weights.

    Args:
        name: such as "mnist_classifier".

    Returns:
        dict: the card, name.json.

    Raises:
        ValueError: no such name, or a card of another format.
    """
    names = sorted(card.stem for card in PRETRAINED.glob("*.json"))
    if name not in names:
        raise ValueError(
            f"name must be one of those in {PRETRAINED}: {', '.join(names) or 'there are none'}; "
            f"came {name!r}."
        )
    card = json.loads((PRETRAINED / f"{name}.json").read_text(encoding="utf-8"))
    if card["format"] != CARD_FORMAT:
        raise ValueError(
            f"{name}.json has format {card['format']}, this version of the course reads format "
            f"{CARD_FORMAT}: get gan_course and data/pretrained from the same version."
        )
    return card


def pretrained(name, steps=None):
    """A network with the weights that come with the course.

    Args:
        name: such as "mnist_classifier"; `pretrained_card` tells about it.
        steps: of a network that is stored as it was at several times of one training, after how
            many steps; the last time if not given.

    Returns:
        keras.Model: float32, whatever the global precision is.

    Raises:
        ValueError: no such name or steps, or a card of another format.
        RuntimeError: the weights are missing or damaged: their hash is not the card's.
    """
    card = pretrained_card(name)
    stage, weights = _stage(name, card, steps)
    if not weights.is_file():
        raise RuntimeError(
            f"{weights} is missing. Get it anew: git checkout -- data/pretrained, or download the "
            "course again."
        )
    if hashlib.sha256(weights.read_bytes()).hexdigest() != stage["sha256"]:
        raise RuntimeError(
            f"{weights} is damaged: it is not the file that {name}.json describes. Delete it and "
            "get it anew: git checkout -- data/pretrained, or download the course again."
        )
    with float32_policy():
        model = _BUILDERS[card["builder"]](**card["arguments"])
    model.load_weights(weights)
    return model


# What a card may name.
_BUILDERS = {
    each.__name__: each
    for each in (
        image_classifier,
        mlp_generator,
        dcgan_generator,
        conditional_generator,
        resnet_generator,
    )
}


def _stage(name, card, steps):
    """What a card says of the weights that are asked for, and their file."""
    stages = {int(each): stage for each, stage in card.get("stages", {}).items()}
    if not stages and steps is None:
        return card, PRETRAINED / f"{name}.weights.h5"
    steps = max(stages, default=None) if steps is None else steps
    if steps not in stages:
        raise ValueError(
            f"steps must be one of those that {name} is stored after: "
            f"{', '.join(map(str, sorted(stages))) or 'none, leave it out'}; came {steps!r}."
        )
    return stages[steps], PRETRAINED / f"{name}-{steps}.weights.h5"
