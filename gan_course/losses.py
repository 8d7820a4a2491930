"""The games: what the discriminator minimizes and what the generator minimizes.

A loss is a pair of functions of logits, each returning one scalar, the mean over the batch.
A logit is what the discriminator gives before a sigmoid: D = sigmoid(logit) is the probability
it gives an image of being real.
"""

import keras
import tensorflow as tf

_PACKAGE = "gan_course"


def _check_label(name, value):
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(
            f"{name} must be a number in [0, 1], came {value!r}. It is the probability that the "
            "discriminator is asked to give; above 1 or below 0 no probability can reach it. "
            "Use for example real_label=0.9 for one-sided label smoothing."
        )
    return float(value)


def _cross_entropy(label, logits):
    """Mean of -label * log D - (1 - label) * log(1 - D), finite for any finite logit."""
    labels = tf.fill(tf.shape(logits), tf.cast(label, logits.dtype))
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


class Loss:
    """One game: `discriminator_loss` and `generator_loss`, both to be minimized.

    Args:
        real_label: the target for real images, in [0, 1]. Below 1: one-sided label smoothing
            (Salimans et al. 2016, https://arxiv.org/abs/1606.03498).
        fake_label: the target for generated images in the discriminator's loss, in [0, 1].

    Raises:
        ValueError: a label outside [0, 1].
    """

    def __init__(self, real_label=1.0, fake_label=0.0):
        self.real_label = _check_label("real_label", real_label)
        self.fake_label = _check_label("fake_label", fake_label)

    def discriminator_loss(self, real_logits, fake_logits):
        """Cross-entropy on real images plus cross-entropy on generated ones: 2 ln 2 at D = 0.5."""
        return _cross_entropy(self.real_label, real_logits) + _cross_entropy(
            self.fake_label, fake_logits
        )

    def generator_loss(self, fake_logits, real_logits=None):
        raise NotImplementedError

    def get_config(self):
        return {"real_label": self.real_label, "fake_label": self.fake_label}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(_PACKAGE)
class Minimax(Loss):
    """The two-player game as Goodfellow et al. (2014) first state it: G minimizes log(1 - D(G(z))).

    Its gradient vanishes where the discriminator is sure, |dL/dlogit| = D(G(z)): see
    `NonSaturating`. https://arxiv.org/abs/1406.2661, equation 1.
    """

    def generator_loss(self, fake_logits, real_logits=None):
        """Mean of log(1 - D(G(z))), that is -softplus(logit); -ln 2 at D = 0.5."""
        return -tf.reduce_mean(tf.nn.softplus(fake_logits))


@keras.saving.register_keras_serializable(_PACKAGE)
class NonSaturating(Loss):
    """The usual form of the original game: G minimizes -log D(G(z)).

    The same fixed point as `Minimax`, but |dL/dlogit| = 1 - D(G(z)): strong where the generator
    is bad. Goodfellow et al. (2014), section 3, https://arxiv.org/abs/1406.2661.
    """

    def generator_loss(self, fake_logits, real_logits=None):
        """Mean of -log D(G(z)), that is softplus(-logit); ln 2 at D = 0.5."""
        return tf.reduce_mean(tf.nn.softplus(-fake_logits))


_BY_NAME = {"minimax": Minimax, "non_saturating": NonSaturating}


def get(loss):
    """The loss itself, or a new one by its name.

    Args:
        loss: a `Loss`, or one of "minimax", "non_saturating".

    Raises:
        ValueError: an unknown name, or something that has no pair of losses.
    """
    if isinstance(loss, str) and loss in _BY_NAME:
        return _BY_NAME[loss]()
    if callable(getattr(loss, "discriminator_loss", None)) and callable(
        getattr(loss, "generator_loss", None)
    ):
        return loss
    raise ValueError(
        f"loss must be one of {', '.join(map(repr, sorted(_BY_NAME)))} or an object with "
        "discriminator_loss and generator_loss (for example losses.NonSaturating()), "
        f"came {loss!r}."
    )
