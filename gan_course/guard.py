"""Numbers that go wrong while a GAN trains: they never reach the networks, and are told in words.

A step changes nothing where a loss or a gradient is NaN or infinite, and neither do the steps after
it in the same call. The check is a condition and not an assertion: XLA drops assertions.
"""

import contextlib

import keras
import tensorflow as tf
from keras import layers

from gan_course import checks

# What `Guard.state` says; the losses and gradients are those of the side, 0 for the generators'.
_UNSEEN, _FINE, _DATA, _RANGE, _LOSS, _GRADIENTS = -1, 0, 1, 2, 3, 5
_SIDES = ("generator", "discriminator")
_LEAST_SCALE = 2.0**-10  # a loss scale that has been halved 25 times and more


class Guard:
    """Says whether the numbers of a training are still right, and what was wrong first.

    Attributes:
        state: int64 scalar, 0 as long as all is well; before the first batch -1.
    """

    def __init__(self):
        self.state = tf.Variable(
            _UNSEEN,
            trainable=False,
            dtype=tf.int64,  # an int32 would not live on a GPU
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def reset(self):
        """Begin anew; the next batch is looked at as the first one."""
        self.state.assign(_UNSEEN)

    def look_at_first(self, batches):
        """In the first step, refuse images that are not finite or not in [-1, 1]."""
        found = tf.cond(self.state < 0, lambda: _wrong_data(batches), lambda: self._now())
        self.state.assign(_agreed(found))

    def blame_data(self, batches):
        """After a step that went wrong: was it because of its data?"""
        broken = tf.cond(self.state > 0, lambda: _wrong_data(batches) == _DATA, lambda: False)
        self.state.assign(tf.where(broken, tf.constant(_DATA, tf.int64), self._now()))

    def apply(self, optimizer, loss, gradients, weights, side, doubtful):
        """What `optimizer.apply` does, if all is well.

        Args:
            loss: a scalar.
            gradients: of the loss for the weights.
            side: 0 for the generators', 1 for the discriminators'.
            doubtful: those gradients that are looked at.
        """
        found = tf.where(_finite([loss]), _FINE, _LOSS + side)
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # It passes over infinite gradients itself and halves its scale, which may happen now
            # and then, but not for ever.
            vanished = optimizer.dynamic_scale < _LEAST_SCALE
        else:
            vanished = ~_finite(doubtful)
        found = tf.where((found == _FINE) & vanished, _GRADIENTS + side, found)
        now = self._now()
        found = _agreed(tf.where(now > 0, now, tf.cast(found, tf.int64)))
        self.state.assign(found)
        _apply_if(found == _FINE, optimizer, gradients, weights)

    def restore_if_wrong(self, variables, values):
        """Take back what a forward pass changed in a step that went wrong."""

        def restore():
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            return tf.constant(0)

        if variables and tf.distribute.get_strategy().num_replicas_in_sync == 1:
            tf.cond(self.state > 0, restore, lambda: tf.constant(0))

    def found(self):
        """What went wrong: None, or whether it is the data's fault, and the cause in words."""
        state = int(self.state.numpy())
        if state <= _FINE:
            return None
        if state == _DATA:
            return True, "The data hold NaN or infinity. Look for them with np.isfinite(images)."
        if state == _RANGE:
            return True, checks.OUTSIDE
        if state in (_LOSS, _LOSS + 1):
            return False, f"the {_SIDES[state - _LOSS]}'s loss is NaN or infinite"
        return False, f"gradients of the {_SIDES[state - _GRADIENTS]}'s loss are NaN or infinite"

    def _now(self):
        return tf.identity(self.state)


def _finite(tensors):
    """Whether all numbers are finite, and their squares, which optimizers use, too."""
    sums = []
    for each in tensors:
        each = each.values if isinstance(each, tf.IndexedSlices) else each
        sums.append(tf.reduce_sum(tf.square(tf.cast(each, tf.float32))))
    return tf.math.is_finite(tf.add_n(sums)) if sums else tf.constant(True)


def _wrong_data(batches):
    """_FINE, or what is wrong with these batches of images or points."""
    found = tf.constant(_FINE, tf.int64)
    for batch in batches:
        batch = tf.cast(batch, tf.float32)
        if batch.shape.rank == 4:
            inside = tf.reduce_max(tf.abs(batch)) <= 1 + checks.ROUNDING
            found = tf.where(inside, found, tf.constant(_RANGE, tf.int64))
        # NaN is in no range, and has to be told first
        finite = tf.reduce_all(tf.math.is_finite(batch))
        found = tf.where(finite, found, tf.constant(_DATA, tf.int64))
    return found


def _agreed(found):
    """Devices stop together: what went wrong on one of them went wrong."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return found
    votes = tf.one_hot(found, _GRADIENTS + 2)
    votes = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, votes)[1:]
    return tf.where(tf.reduce_any(votes > 0), 1 + tf.argmax(votes), _FINE)


def _apply_if(fine, optimizer, gradients, weights):
    def nothing():
        return tf.constant(0)

    def apply(gradients, weights):
        optimizer.apply(gradients, weights)
        return tf.constant(0)

    if tf.__internal__.distribute.strategy_supports_no_merge_call():
        tf.cond(fine, lambda: apply(gradients, weights), nothing)
        return

    # Devices that exchange gradients do so outside of conditions (as in Keras' LossScaleOptimizer).
    def together(strategy, fine, gradients, weights):
        def apply_everywhere():
            strategy.extended.call_for_each_replica(apply, args=(gradients, weights))
            return tf.constant(0)

        fine = strategy.experimental_local_results(fine)[0]
        tf.cond(fine, apply_everywhere, nothing)

    context = tf.distribute.get_replica_context()
    context.merge_call(together, args=(fine, gradients, weights))


def told_by_biases(networks):
    """The ids of kernels whose gradients need no look of their own, for it would cost time.

    A dense layer's kernel has the gradient inputs^T d, its bias the sum of d over the batch: NaN in
    d is in both, and inputs that are not finite make a loss that is not. That does not hold for a
    regularizer's gradient, and not for gradients of gradients.
    """
    return {
        id(layer.kernel)
        for network in networks
        for layer in network.layers
        if type(layer) is layers.Dense and layer.use_bias and layer.kernel.regularizer is None
    }


@contextlib.contextmanager
def memory_advice(setting):
    """Say what to lower where a device has no memory left."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        advice = f"The device has no memory left for this: lower {setting}."
        raise tf.errors.ResourceExhaustedError(
            error.node_def, error.op, f"{error.message}\n{advice}"
        ) from error
