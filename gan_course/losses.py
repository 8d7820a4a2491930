"""The games: what the discriminator minimizes and what the generator minimizes; and penalties.

A loss is a pair of functions of logits, each returning one scalar, the mean over the batch.
A logit is what the discriminator gives before a sigmoid: D = sigmoid(logit) is the probability
it gives an image of being real. A penalty is a cost for the discriminator's slope, in images.
"""

import keras
import tensorflow as tf

from gan_course import checks

_PACKAGE = "gan_course"


def _check_label(name, value):
    return checks.check_number(
        name,
        value,
        most=1.0,
        reason=" It is the probability that the discriminator is asked to give; above 1 or below "
        "0 no probability can reach it. Use for example real_label=0.9 for one-sided label "
        "smoothing.",
    )


def _cross_entropy(label, logits):
    """Mean of -label * log D - (1 - label) * log(1 - D), finite for any finite logit."""
    labels = tf.fill(tf.shape(logits), tf.cast(label, logits.dtype))
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


class Loss:
    """One game: `discriminator_loss` and `generator_loss`, both to be minimized.

    Attributes:
        boundary: the logit between what the discriminator takes for generated and for real; None
            where a logit means something only beside another one.
        needs_real_logits: whether the generator's loss looks at the real images, too.
    """

    boundary = 0.0
    needs_real_logits = False

    def discriminator_loss(self, real_logits, fake_logits):
        raise NotImplementedError

    def generator_loss(self, fake_logits, real_logits=None):
        raise NotImplementedError

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class _WithLabels(Loss):
    """A game whose discriminator is asked for numbers: labels.

    Args:
        real_label: the target for real images, in [0, 1]. Below 1: one-sided label smoothing
            (Salimans et al. 2016, https://arxiv.org/abs/1606.03498).
        fake_label: the target for generated images in the discriminator's loss, in [0, 1]. Above
            0, the discriminator's optimum depends on the generator where there is nothing real.

    Raises:
        ValueError: a label outside [0, 1], or a real one that is not above the other.
    """

    def __init__(self, real_label=1.0, fake_label=0.0):
        self.real_label = _check_label("real_label", real_label)
        self.fake_label = _check_label("fake_label", fake_label)
        if not self.real_label > self.fake_label:
            raise ValueError(
                "real_label must be above fake_label, since generators are pulled to 1; came "
                f"real_label={real_label!r} and fake_label={fake_label!r}."
            )

    def get_config(self):
        return {"real_label": self.real_label, "fake_label": self.fake_label}


class _CrossEntropy(_WithLabels):
    """What `Minimax` and `NonSaturating` share: their discriminators play the same game."""

    def discriminator_loss(self, real_logits, fake_logits):
        """Cross-entropy on real images plus cross-entropy on generated ones: 2 ln 2 at D = 0.5."""
        return _cross_entropy(self.real_label, real_logits) + _cross_entropy(
            self.fake_label, fake_logits
        )


@keras.saving.register_keras_serializable(_PACKAGE)
class Minimax(_CrossEntropy):
    """The two-player game as Goodfellow et al. (2014) first state it: G minimizes log(1 - D(G(z))).

    Its gradient vanishes where the discriminator is sure, |dL/dlogit| = D(G(z)): see
    `NonSaturating`. https://arxiv.org/abs/1406.2661, equation 1.
    """

    def generator_loss(self, fake_logits, real_logits=None):
        """Mean of log(1 - D(G(z))), that is -softplus(logit); -ln 2 at D = 0.5."""
        return -tf.reduce_mean(tf.nn.softplus(fake_logits))


@keras.saving.register_keras_serializable(_PACKAGE)
class NonSaturating(_CrossEntropy):
    """The usual form of the original game: G minimizes -log D(G(z)).

    The same fixed point as `Minimax`, but |dL/dlogit| = 1 - D(G(z)): strong where the generator
    is bad. Goodfellow et al. (2014), section 3, https://arxiv.org/abs/1406.2661.
    """

    def generator_loss(self, fake_logits, real_logits=None):
        """Mean of -log D(G(z)), that is softplus(-logit); ln 2 at D = 0.5."""
        return tf.reduce_mean(tf.nn.softplus(-fake_logits))


@keras.saving.register_keras_serializable(_PACKAGE)
class LeastSquares(_WithLabels):
    """The discriminator fits its labels by least squares; the generator is pulled to 1.

    A logit is the output itself here, no sigmoid follows. An image far on the right side of the
    boundary still pulls, so the generator learns from those, too. Mao et al. 2017,
    https://arxiv.org/abs/1611.04076.
    """

    @property
    def boundary(self):
        return (self.real_label + self.fake_label) / 2

    def discriminator_loss(self, real_logits, fake_logits):
        """Half the mean squared distance to the labels, of real and of generated images."""
        return 0.5 * (
            tf.reduce_mean(tf.square(real_logits - self.real_label))
            + tf.reduce_mean(tf.square(fake_logits - self.fake_label))
        )

    def generator_loss(self, fake_logits, real_logits=None):
        """Half the mean squared distance of generated images' logits to 1."""
        return 0.5 * tf.reduce_mean(tf.square(fake_logits - 1.0))


@keras.saving.register_keras_serializable(_PACKAGE)
class Hinge(Loss):
    """The discriminator wants real logits above 1 and fake ones below -1, and no more than that.

    Lim and Ye 2017, https://arxiv.org/abs/1705.02894, equations 11 and 12.
    """

    def discriminator_loss(self, real_logits, fake_logits):
        """Mean of max(0, 1 - D(x)) plus mean of max(0, 1 + D(G(z)))."""
        return tf.reduce_mean(tf.nn.relu(1.0 - real_logits)) + tf.reduce_mean(
            tf.nn.relu(1.0 + fake_logits)
        )

    def generator_loss(self, fake_logits, real_logits=None):
        """Mean of -D(G(z))."""
        return -tf.reduce_mean(fake_logits)


@keras.saving.register_keras_serializable(_PACKAGE)
class Wasserstein(Loss):
    """The critic's mean on real images minus its mean on generated ones estimates W1.

    Only for a critic whose slope is kept near 1, or below: with `GradientPenalty`, with
    `clip_weights`, or with spectral norm. Without, its loss has no lower bound. Arjovsky et al.
    2017, https://arxiv.org/abs/1701.07875.
    """

    boundary = None

    def discriminator_loss(self, real_logits, fake_logits):
        """Mean of D(G(z)) minus mean of D(x), the estimate of W1 with its sign turned."""
        return tf.reduce_mean(fake_logits) - tf.reduce_mean(real_logits)

    def generator_loss(self, fake_logits, real_logits=None):
        """Mean of -D(G(z))."""
        return -tf.reduce_mean(fake_logits)


@keras.saving.register_keras_serializable(_PACKAGE)
class Relativistic(Loss):
    """The discriminator tells which of two images is the real one; the generator swaps the two.

    Each generated image is paired with a real one of the batch. Jolicoeur-Martineau 2018,
    https://arxiv.org/abs/1807.00734; with `R1` and `R2` the game of Huang et al. 2024 ("R3GAN"),
    https://arxiv.org/abs/2501.05441.
    """

    boundary = None
    needs_real_logits = True

    def discriminator_loss(self, real_logits, fake_logits):
        """Mean of softplus(-(D(x) - D(G(z)))); ln 2 where nothing can be told."""
        return tf.reduce_mean(tf.nn.softplus(fake_logits - real_logits))

    def generator_loss(self, fake_logits, real_logits=None):
        """Mean of softplus(-(D(G(z)) - D(x))); ln 2 where nothing can be told.

        Raises:
            ValueError: no real logits.
        """
        if real_logits is None:
            raise ValueError(
                "generator_loss of a relativistic game needs real_logits, the discriminator's "
                "logits of as many real images; came None."
            )
        return tf.reduce_mean(tf.nn.softplus(real_logits - fake_logits))


_BY_NAME = {
    "minimax": Minimax,
    "non_saturating": NonSaturating,
    "least_squares": LeastSquares,
    "hinge": Hinge,
    "wasserstein": Wasserstein,
    "relativistic": Relativistic,
}


def get(loss):
    """The loss itself, or a new one by its name.

    Args:
        loss: a `Loss`, or one of "minimax", "non_saturating", "least_squares", "hinge",
            "wasserstein", "relativistic".

    Raises:
        ValueError: an unknown name, or something that has no pair of losses.
    """
    if isinstance(loss, str) and loss in _BY_NAME:
        return _BY_NAME[loss]()
    is_type = isinstance(loss, type)
    if not is_type and all(
        callable(getattr(loss, f"{player}_loss", None)) for player in ("discriminator", "generator")
    ):
        return loss
    hint = f" An object, not its class: write {loss.__name__}()." if is_type else ""
    raise ValueError(
        f"loss must be one of {', '.join(map(repr, sorted(_BY_NAME)))} or an object with "
        "discriminator_loss and generator_loss (for example losses.NonSaturating()), "
        f"came {loss!r}.{hint}"
    )


# Penalties. Each looks at the discriminator's slope, the gradient of a logit for its image, at
# points of its own. The gradient of such a penalty is a gradient of a gradient.


class Penalty:
    """A cost for the discriminator's slope, added to its loss: `GAN.compile(penalty=...)`.

    Args:
        every: apply it in one step of so many, that much stronger ("lazy regularization", Karras
            et al. 2020, https://arxiv.org/abs/1912.04958). It saves time, and is as strong on
            average, but comes in blows; on small problems every step is better.

    Raises:
        ValueError: a number that makes no sense.
    """

    def __init__(self, every=1):
        checks.check_count("every", every)
        self.every = int(every)

    def points(self, real_images, fake_images, seed):
        """Where the slope counts: (batch, ...), as images."""
        raise NotImplementedError

    def cost(self, squared_norms):
        """A scalar from the squared norms (batch,) of the slopes."""
        raise NotImplementedError

    def __call__(self, discriminator, real_images, fake_images, seed=(0, 0)):
        """The penalty as it stands, whatever `every` is.

        Args:
            discriminator: images (batch, ...) -> logits (batch, 1).
            real_images, fake_images: (batch, ...), as many of the one as of the other.
            seed: two whole numbers, for penalties that draw their points.

        Returns:
            tf.Tensor: a scalar.
        """
        points = self.points(*map(tf.convert_to_tensor, (real_images, fake_images, seed)))
        with tf.GradientTape() as tape:
            tape.watch(points)
            logits = discriminator(points, training=True)
        slopes = tape.gradient(logits, points)
        return self.cost(tf.reduce_sum(tf.square(slopes), axis=range(1, slopes.shape.rank)))

    def get_config(self):
        return {"every": self.every}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(_PACKAGE)
class R1(Penalty):
    """gamma / 2 times the mean squared slope at real images.

    Mescheder et al. 2018, https://arxiv.org/abs/1801.04406: with it the game converges, at least
    from nearby, where without it the players circle.

    Args:
        gamma: its strength. How much is right depends on the size of images: 0.1 to 10 for 28 x 28.
        every: see `Penalty`.
    """

    def __init__(self, gamma=1.0, every=1):
        super().__init__(every)
        self.gamma = checks.check_number("gamma", gamma)

    def points(self, real_images, fake_images, seed):
        return real_images

    def cost(self, squared_norms):
        return self.gamma / 2 * tf.reduce_mean(squared_norms)

    def get_config(self):
        return {**super().get_config(), "gamma": self.gamma}


@keras.saving.register_keras_serializable(_PACKAGE)
class R2(R1):
    """gamma / 2 times the mean squared slope at generated images: see `R1`."""

    def points(self, real_images, fake_images, seed):
        return fake_images


@keras.saving.register_keras_serializable(_PACKAGE)
class GradientPenalty(Penalty):
    """weight times the mean of (slope's norm - target)^2, between real and generated images.

    Gulrajani et al. 2017 ("WGAN-GP"), https://arxiv.org/abs/1704.00028. Each point lies at a place
    of its own, uniform on the line from a real to a generated image.

    Args:
        weight: its strength.
        target: the norm that is wanted.
        every: see `Penalty`.
    """

    def __init__(self, weight=10.0, target=1.0, every=1):
        super().__init__(every)
        self.weight = checks.check_number("weight", weight)
        self.target = checks.check_number("target", target)

    def points(self, real_images, fake_images, seed):
        return real_images + _weights(real_images, seed) * (fake_images - real_images)

    def cost(self, squared_norms):
        norms = tf.sqrt(squared_norms + 1e-12)  # the root's slope at 0 would be infinite
        return self.weight * tf.reduce_mean(tf.square(norms - self.target))

    def get_config(self):
        return {**super().get_config(), "weight": self.weight, "target": self.target}


@keras.saving.register_keras_serializable(_PACKAGE)
class DRAGAN(GradientPenalty):
    """`GradientPenalty` around real images only: between each and a copy of it with noise.

    Kodali et al. 2017, https://arxiv.org/abs/1705.07215. The noise is uniform, up to half the
    batch's standard deviation.
    """

    def points(self, real_images, fake_images, seed):
        noise = tf.random.stateless_uniform(
            tf.shape(real_images), seed + 1, dtype=real_images.dtype
        )
        noisy = real_images + 0.5 * tf.math.reduce_std(real_images) * noise
        return super().points(real_images, noisy, seed)


def _weights(images, seed):
    """For each image one number, uniform in [0, 1), in a shape that multiplies images."""
    shape = tf.concat([tf.shape(images)[:1], tf.ones(images.shape.rank - 1, tf.int32)], axis=0)
    return tf.random.stateless_uniform(shape, seed, dtype=images.dtype)


@keras.saving.register_keras_serializable(_PACKAGE)
class ModeSeeking:
    """A cost for the generator if different latent vectors give samples that are much alike.

    weight / (distance of samples / distance of latent vectors + 1e-5), both mean absolute
    differences over the batch, whose first half is compared with its second one. Mao et al. 2019,
    https://arxiv.org/abs/1903.05628, make that ratio large; their code makes its inverse small, as
    here. For `GAN.compile(diversity=...)`.

    Args:
        weight: a number of at least 0.

    Raises:
        ValueError: another weight.
    """

    def __init__(self, weight=1.0):
        self.weight = checks.check_number("weight", weight)

    def __call__(self, latents, samples):
        """The cost, a scalar; of latents (batch, latent_dim) and samples (batch, ...).

        It is 0 for a batch of one, as the last one of an epoch may be: there is nothing to compare.
        """
        half = tf.shape(latents)[0] // 2

        def cost():
            apart = [
                tf.reduce_mean(tf.abs(each[:half] - each[half : 2 * half]))
                for each in (tf.cast(latents, tf.float32), tf.cast(samples, tf.float32))
            ]
            return self.weight / (apart[1] / apart[0] + 1e-5)

        return tf.cond(half > 0, cost, lambda: tf.constant(0.0))

    def get_config(self):
        return {"weight": self.weight}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def penalties(given):
    """A list of penalties from None, one, or several.

    Raises:
        ValueError: something that is not a `Penalty`.
    """
    given = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    for penalty in given:
        if not isinstance(penalty, Penalty):
            raise ValueError(
                "penalty must be a losses.Penalty or a list of them, for example "
                f"losses.R1(gamma=0.5); came {penalty!r}."
            )
    return given
