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
_LARGE = 4096  # numbers in a gradient
_DONE = 0  # the branches of a condition return the same


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

    def is_fine(self):
        """Whether nothing has gone wrong so far; a bool tensor."""
        return self.state <= _FINE  # a train_step called by hand has looked at no batch

    def look_at_first(self, batches):
        """In the first step, refuse images that are not finite or not in [-1, 1]."""

        def look():
            self.state.assign(_wrong_data(batches))
            return _DONE

        tf.cond(self.state < 0, look, _nothing)
        if _devices() > 1:
            self.state.assign(_agreed(self.state))

    def apply(self, optimizer, loss, gradients, weights, side, doubtful):
        """What `optimizer.apply` does, if all is well; else keep what is wrong.

        Args:
            loss: a scalar.
            gradients: of the loss for the weights.
            side: 0 for the generators', 1 for the discriminators'.
            doubtful: those gradients that are looked at.
        """
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # It passes over infinite gradients itself and halves its scale, which may happen now
            # and then, but not for ever.
            fine = _finite([loss]) & (optimizer.dynamic_scale >= _LEAST_SCALE)
        else:
            fine = _finite([loss, *doubtful])
        fine &= self.is_fine()

        def found():
            new = tf.where(_finite([loss]), _GRADIENTS + side, _LOSS + side)
            new = tf.where(self.state > 0, self.state, tf.cast(new, tf.int64))
            return tf.where(fine, tf.constant(_FINE, tf.int64), new)

        def blame():
            self.state.assign(found())
            return _DONE

        if _devices() > 1:  # they stop together
            self.state.assign(_agreed(found()))
            fine, blame = tf.equal(self.state, _FINE), _nothing
        _apply_if(fine, optimizer, gradients, weights, blame)

    def clean_up(self, batches, variables, values):
        """After a step that went wrong: was it because of its data? And take back the rest of it.

        Args:
            batches: what was learned from.
            variables, values: what a forward pass changes, and what it was before.
        """
        alone = _devices() == 1

        def clean():
            wrong = _wrong_data(batches) == _DATA
            self.state.assign(tf.where(wrong, tf.constant(_DATA, tf.int64), self.state))
            for variable, value in zip(variables, values, strict=True) if alone else ():
                variable.assign(value)
            return _DONE

        tf.cond(self.state > 0, clean, _nothing)
        if not alone:
            self.state.assign(_agreed(self.state))

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


def _nothing():
    return _DONE


def _devices():
    return tf.distribute.get_strategy().num_replicas_in_sync


def _finite(tensors):
    """Whether all numbers are finite, and the sum of their squares, which optimizers use."""
    values = [each.values if isinstance(each, tf.IndexedSlices) else each for each in tensors]
    values = [tf.reshape(tf.cast(each, tf.float32), [-1]) for each in values]
    small = [each for each in values if (each.shape[0] or _LARGE) < _LARGE]  # faster together
    large = [each for each in values if (each.shape[0] or _LARGE) >= _LARGE]
    sums = [tf.nn.l2_loss(each) for each in [tf.concat(small, 0), *large]]
    return tf.math.is_finite(tf.add_n(sums))


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
    """What went wrong on one device went wrong; the same on all of them."""
    votes = tf.one_hot(found, _GRADIENTS + 2)
    votes = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, votes)[1:]
    return tf.where(tf.reduce_any(votes > 0), 1 + tf.argmax(votes), _FINE)


def _apply_if(fine, optimizer, gradients, weights, otherwise):
    def apply(gradients, weights):
        optimizer.apply(gradients, weights)
        return _DONE

    if tf.__internal__.distribute.strategy_supports_no_merge_call():
        tf.cond(fine, lambda: apply(gradients, weights), otherwise)
        return

    # Devices that exchange gradients do so outside of conditions (as in Keras' LossScaleOptimizer).
    def together(strategy, fine, gradients, weights):
        def apply_everywhere():
            strategy.extended.call_for_each_replica(apply, args=(gradients, weights))
            return _DONE

        fine = strategy.experimental_local_results(fine)[0]
        tf.cond(fine, apply_everywhere, _nothing)

    context = tf.distribute.get_replica_context()
    context.merge_call(together, args=(fine, gradients, weights))
    tf.cond(fine, _nothing, otherwise)


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
