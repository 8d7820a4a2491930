"""Training: a GAN is a `keras.Model` whose `train_step` is the algorithm of the paper."""

import contextlib
import functools
import inspect
import numbers
import re
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from gan_course import checkpoints, checks, guard, losses


def _shape_of(model, name, side):
    """The shape of a network's one input or output, without the batch."""
    shape = getattr(model, f"{side}_shape", None)
    if not isinstance(shape, tuple):
        raise ValueError(
            f"{name} must be a Keras model with one known {side} shape, came {model!r}. "
            "Begin it with keras.Input(shape), or call it once on a batch before."
        )
    return shape[1:]


def _check_spec(name, batch, expected):
    """Refuse a batch, or what is known of it, that the networks cannot take."""
    if not hasattr(batch, "shape"):
        came = type(batch).__name__
        raise ValueError(f"{name} must be an array or a tensor, came {came}. np.asarray makes one.")
    if getattr(batch.shape, "rank", 0) is not None:
        checks.check_batch(name, batch.shape, batch.dtype.name, expected)


def _as_float32(numbers):
    """A tensor; whole numbers, such as labels, stay what they are, and so does None."""
    if numbers is None:
        return None
    numbers = tf.convert_to_tensor(numbers)
    return tf.cast(numbers, tf.float32) if numbers.dtype.is_floating else numbers


def _weights_of(networks):
    return [weight for network in networks for weight in network.trainable_variables]


def _check_unweighted(**weights):
    for name, given in weights.items():
        if given is not None:
            raise ValueError(
                f"{name} must be None, came {type(given).__name__}: the losses of a GAN "
                "count all samples alike. Show some of them more often instead."
            )


def _unscaled(optimizer):
    """The optimizer that knows the weights, also where a `LossScaleOptimizer` is around it."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _check_optimizer(name, optimizer, networks):
    """An optimizer keeps averages for each weight, so it stays with the networks it began with."""
    optimizer = _unscaled(optimizer)
    if not optimizer.built:
        return
    known = {id(variable) for variable in optimizer._trainable_variables}
    if known != {id(variable) for variable in _weights_of(networks)}:
        raise ValueError(
            f"{name} already belongs to another network. Make a new one for each GAN, "
            "for example keras.optimizers.Adam(1e-3, beta_1=0.5)."
        )


def _optimizer(given):
    """The Keras optimizer that is meant, or that of Radford et al. 2015 where none is given."""
    return keras.optimizers.get(given or keras.optimizers.Adam(2e-4, beta_1=0.5))


def _scaled(optimizer):
    """The optimizer, with its loss scaled up so that float16 does not round gradients to 0."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def _check_settings(discriminator_steps, label_noise, clip_weights, diversity):
    checks.check_count("discriminator_steps", discriminator_steps)
    if not isinstance(label_noise, numbers.Real) or not 0 <= label_noise < 0.5:
        raise ValueError(
            f"label_noise must be a share in [0, 0.5), came {label_noise!r}. At 0.5 labels would "
            "say nothing. Example: label_noise=0.05."
        )
    number = isinstance(clip_weights, numbers.Real)
    if clip_weights is not None and not (number and clip_weights > 0):
        raise ValueError(
            f"clip_weights must be None or a number above 0, came {clip_weights!r}. "
            "Example: clip_weights=0.01."
        )
    if diversity is not None and (isinstance(diversity, type) or not callable(diversity)):
        raise ValueError(
            "diversity must be None or a function of latent vectors and samples, for example "
            f"losses.ModeSeeking(); came {diversity!r}."
        )


def _check_counted(networks):
    """Refuse what layers ask a network to pay for, and the losses here would leave out."""
    for layer in (each for network in networks for each in network._flatten_layers()):
        if getattr(layer, "activity_regularizer", None) is not None:
            raise ValueError(
                f"layer {layer.name} has an activity_regularizer, which the losses of a GAN do not "
                "count. Regularize weights, as with kernel_regularizer='l2', or give compile a "
                "penalty."
            )


def _check_slopes(discriminator, cause):
    """Some layers have wrong second derivatives; `cause` needs those of the discriminator."""
    for layer in discriminator._flatten_layers():
        if getattr(layer, "interpolation", "nearest") != "nearest":
            raise ValueError(
                f"discriminator must not hold {layer.name} with interpolation="
                f"{layer.interpolation!r} when there is a {cause}: TensorFlow has no second "
                f"derivative of it, and the {cause}'s gradient would be wrong without a word. Use "
                "interpolation='nearest' or pooling."
            )
    averaging = (layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization)
    found = [each.name for each in discriminator._flatten_layers() if isinstance(each, averaging)]
    if found:
        warnings.warn(
            f"The discriminator normalizes by means and variances ({', '.join(found)}), and the "
            f"{cause}'s gradient will be off by some percent: TensorFlow leaves out a part of "
            "their second derivative. With BatchNorm an image's slope depends on the other images "
            "of its batch, too. Better take a discriminator without, as papers on penalties do.",
            stacklevel=3,
        )


def packed(samples, count):
    """Samples in groups of `count`, put together along the last axis.

    With `n = batch // count` groups, group i holds the samples i, i + n, i + 2 n and so on; what
    remains is left out. A batch of fewer than `count` samples fills one group by repeating some.

    Args:
        samples: (batch, ..., channels).
        count: samples in a group; with 1 they are returned as they are.

    Returns:
        tf.Tensor: (n, ..., count * channels).
    """
    if count == 1:
        return samples
    batch = tf.shape(samples)[0]
    groups = tf.maximum(batch // count, 1)
    samples = tf.gather(samples, tf.range(groups * count) % batch)
    return tf.concat(tf.split(samples, count), axis=-1)


def _logits(discriminator, given):
    """What it says while training, in float32 even if its last layer computes in less."""
    said = discriminator(given, training=True)
    return tf.nest.map_structure(lambda each: tf.cast(each, tf.float32), said)


def _made(generator, given):
    """What it makes while training, in float32 even if its last layer computes in less."""
    return tf.cast(generator(given, training=True), tf.float32)


def _sampler(generator, signature):
    """What the generator makes, as one `tf.function`."""
    return tf.function(
        lambda given: tf.cast(generator(given, training=False), tf.float32),
        input_signature=[signature],
    )


def _parts(samples, size=500):
    """Samples in pieces that fit into memory."""
    return [samples[i : i + size] for i in range(0, len(samples), size)]


def _check_plain(generator, discriminator, latent_dim, pack):
    if _shape_of(generator, "generator", "input") != (latent_dim,):
        raise ValueError(
            f"generator must take latent vectors of shape ({latent_dim},), because "
            f"latent_dim={latent_dim!r}; it takes {_shape_of(generator, 'generator', 'input')}."
        )
    _check_judge(
        discriminator,
        _shape_of(generator, "generator", "output"),
        _shape_of(discriminator, "discriminator", "input"),
        _shape_of(discriminator, "discriminator", "output"),
        pack,
    )


def _check_judge(discriminator, made, judged, answers, pack=1):
    """Whether it takes what is made, of these shapes without the batch, and gives one logit."""
    if (*made[:-1], pack * made[-1]) != judged:
        raise ValueError(
            f"discriminator must take what generator makes: the generator makes {made}, "
            f"the discriminator takes {judged}. "
            + (
                "Give both the same image shape."
                if pack == 1
                else f"With pack={pack} it judges so many samples at once, put together along the "
                f"last axis: it should take {(*made[:-1], pack * made[-1])}."
            )
        )
    if answers != (1,):
        raise ValueError(
            f"discriminator must give one logit a sample, shape (1,); it gives {answers}. End it "
            "with Dense(1)."
        )
    _check_no_sigmoid(discriminator)


def _check_no_sigmoid(discriminator, name="discriminator"):
    """Refuse a network whose last layers, one for each output, make probabilities of logits."""
    outputs = getattr(discriminator, "outputs", None)  # a subclass of keras.Model has none
    for last in map(_made_by, outputs) if outputs else [_innermost(discriminator)]:
        activation = getattr(last, "activation", None)
        found = getattr(activation, "__name__", type(last).__name__).lower()
        if found in ("sigmoid", "softmax"):
            raise ValueError(
                f"{name} must end in logits, a last layer has a {found}. Losses take logits here "
                f"and apply the {found} themselves, which is exact where a probability would round "
                f"to 0 or 1. Take the {found} away."
            )


def _made_by(output):
    """The layer that made an output, past those that only give it another shape."""
    operation, node, _ = output._keras_history
    if isinstance(operation, (layers.Flatten, layers.Reshape)):
        return _made_by(operation._inbound_nodes[node].input_tensors[0])
    return _innermost(operation)


def _innermost(layer):
    """The last layer of a model, or the one in a wrapper."""
    while inner := getattr(layer, "layers", None) or getattr(layer, "layer", None):
        layer = inner[-1] if isinstance(inner, list) else inner
    return layer


def _shapes_of(model, side):
    """The shapes of a network's inputs or outputs, without the batch, or None where unknown."""
    found = getattr(model, f"{side}_shape", None)
    several = isinstance(found, list)
    return [shape[1:] for shape in (found if several else [found])] if found else None


_LABELS_OUTSIDE = "labels must be from 0 to {}, because classes={}."
_TOO_FEW = (
    "Every batch must hold at least {0} images, one for each of {0} devices; came one that holds "
    "fewer, perhaps the last one of an epoch. Leave some images out, so that all batches are full."
)
_POOL_TOO_SMALL = "pool_size must be at least a batch of images; it is {}."
_FROM_GRAPHS = re.compile(
    r"(labels must be from 0|Every batch must hold|pool_size must be at least a batch)[^\]\n]*"
)


@contextlib.contextmanager
def _plain_errors():
    """An assertion in a graph fails with pages of text; keep the sentences that count."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _FROM_GRAPHS.search(str(error))
        if found is None:
            raise
        raise ValueError(found.group()) from None


def _enough_for(devices, batches):
    """The `tf.data.Dataset`, with an error where a device would get no image: its mean is NaN."""

    def checked(*batch):
        for part in tf.nest.flatten(batch):
            tf.debugging.assert_greater_equal(tf.shape(part)[0], devices, _TOO_FEW.format(devices))
        return batch[0] if len(batch) == 1 else batch

    return batches.map(checked)


def _several_workers():
    """Whether other processes train the same networks, too, each on its own devices."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return False
    return strategy.num_replicas_in_sync > len(strategy.extended.worker_devices)


def _takes_no_label(discriminator):
    """Whether it is one with an auxiliary classifier: two outputs, and one input."""
    inputs, outputs = (_shapes_of(discriminator, side) for side in ("input", "output"))
    return bool(inputs and outputs) and (len(inputs), len(outputs)) == (1, 2)


def _check_conditional(generator, discriminator, latent_dim, classes):
    if _shapes_of(generator, "input") != [(latent_dim,), ()]:
        raise ValueError(
            f"generator must take latent vectors of shape ({latent_dim},) and labels of shape (), "
            f"because latent_dim={latent_dim!r}; it takes {_shapes_of(generator, 'input')}. "
            "Example: models.conditional_generator(latent_dim)."
        )
    judged, answers = (_shapes_of(discriminator, side) for side in ("input", "output"))
    if _takes_no_label(discriminator):
        if answers[1] != (classes,):
            raise ValueError(
                f"discriminator's second output must have one logit for each of the {classes} "
                f"classes, shape ({classes},); it gives {answers[1]}."
            )
    elif not judged or judged[1:] != [()] or len(answers) != 1:
        raise ValueError(
            "discriminator must take samples and labels of shape (), or have a second output that "
            f"tells the class; it takes {judged} and gives {answers}. "
            "Example: models.conditional_discriminator()."
        )
    made = _shape_of(generator, "generator", "output")
    _check_judge(discriminator, made, judged[0], answers[0])


def _check_whole(labels):
    """Whether this is a tensor of whole numbers, one for each image."""
    if labels is None or labels.shape.rank != 1 or not labels.dtype.is_integer:
        came = "images alone"
        if labels is not None:
            came = f"labels of the type {labels.dtype.name} and the shape {labels.shape}"
        raise ValueError(
            "Each batch must be images and their labels, whole numbers of the shape (batch,), "
            f"came {came}. Without labels a conditional GAN cannot learn what to draw: train "
            "training.GAN on images that have none. Example: gan.fit(digits.batches(32))."
        )


class _Game(keras.Model):
    """What games of any shape share: draws that a seed decides, steps of one side, saving.

    It has a `seed` and, compiled, a `loss`, a `generator_optimizer` and a
    `discriminator_optimizer`.

    Attributes:
        diverged: None, or in words why the last training, by `fit` or by `step`, was stopped.
    """

    _NETWORKS = ()  # the names of its networks, and of what `compile` gets besides these three
    _SETTINGS = ()
    diverged = None

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        *,
        shuffle=None,
        **kwargs,
    ):
        """As `keras.Model.fit`; a `tf.data.Dataset` is left to its own shuffling.

        With `callbacks.Resume` among the callbacks it goes on where it was interrupted.

        Where a loss or a gradient becomes NaN or infinite, the training stops at once with a
        warning, which `diverged` keeps. Nothing of what went wrong has been learned: the networks
        and optimizers are as before, except that players who had their turn earlier in that step
        keep what they learned. (On several devices BatchNorm's statistics are not taken back.)

        Raises:
            ValueError: data that cannot be trained on: of another shape or type, empty, NaN or
                infinite, or images outside of [-1, 1]. Of arrays all values are looked at, of
                other data those of the first batch; NaN is told wherever it comes.
                On several devices, a `tf.data.Dataset` or arrays with a batch of fewer images.
                Also data without an end and no `steps_per_epoch`; weights of samples or classes,
                which no loss here takes; and `validation_data`, to which there is no answer.
        """
        devices = self.distribute_strategy.num_replicas_in_sync
        is_dataset = isinstance(x, tf.data.Dataset)
        if devices > 1:
            self._take_steps_one_by_one()
            x = _enough_for(devices, x) if is_dataset else x
        if shuffle is None:
            shuffle = not is_dataset
        _check_unweighted(
            sample_weight=kwargs.get("sample_weight"), class_weight=kwargs.get("class_weight")
        )
        for name in ("validation_data", "validation_split"):
            given = kwargs.get(name)
            if given is not None and not (isinstance(given, numbers.Real) and given == 0):
                raise ValueError(
                    f"{name} must be left out: losses of a GAN on held-out data tell little. Let "
                    "fit have callbacks.FrechetScore(held_out.images)."
                )
        self._before_training(x, y, batch_size, kwargs.get("steps_per_epoch"))
        options = {"epochs": epochs, "verbose": verbose, "shuffle": shuffle, **kwargs}
        with _plain_errors(), checkpoints.resumed(self, x, callbacks, options) as (x, callbacks):
            return super().fit(x, y, batch_size, callbacks=callbacks, **options)

    def _take_steps_one_by_one(self):
        """Keras 3.15 cannot do otherwise on several devices, "must feed a value for placeholder".

        On a TPU, where it may, several steps at once are left to Keras.
        """
        is_tpu = isinstance(self.distribute_strategy, tf.distribute.TPUStrategy)
        if self.steps_per_execution > 1 and not is_tpu:
            warnings.warn(
                f"steps_per_execution={self.steps_per_execution} becomes 1: on several devices "
                "Keras fails with more. The results are the same.",
                stacklevel=3,
            )
            self.steps_per_execution = 1

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: all is built in `compile`.

        Keras' own takes a batch of the data set to do it, whose order then is another one than on
        one device; and with several workers it cannot take pairs such as (images, labels).
        """

    def _before_training(self, x, y, batch_size, steps_per_epoch):
        """Refuse data that cannot be trained on, as far as can be seen without taking a batch."""
        if hasattr(x, "batches"):  # data.Images, or data.Mixture
            raise ValueError(
                f"x must be batches, came {type(x).__name__}. Example: gan.fit(digits.batches(32))."
            )
        if batch_size is not None:
            checks.check_count("batch_size", batch_size)
        if not self.compiled:
            return  # Keras says so
        self._guard.reset()
        self.diverged = None
        if isinstance(x, tf.data.Dataset):
            if int(x.cardinality()) == 0:
                raise ValueError(
                    "The tf.data.Dataset holds no batch. Does it drop the last one, "
                    "drop_remainder=True, and is the batch larger than the data?"
                )
            if steps_per_epoch is None and x.cardinality() == tf.data.INFINITE_CARDINALITY:
                raise ValueError(
                    "steps_per_epoch must be given, because the data has no end. Example: "
                    "steps_per_epoch=500."
                )
            for name, spec, expected in self._batches_of(x.element_spec):
                _check_spec(name, spec, expected)
        elif isinstance(x, (np.ndarray, tf.Tensor)):
            for name, samples, expected in self._batches_of((x, y)):
                checks.check_samples(name, samples, expected, batch_size)
                devices = self.distribute_strategy.num_replicas_in_sync
                if 0 < len(samples) % (batch_size or 32) < devices:
                    raise ValueError(_TOO_FEW.format(devices))

    def make_train_function(self, force=False):
        """As Keras'; what it makes stops the training when numbers go wrong."""
        if self.train_function is not None and not force:
            return
        function = self._make_function(self._guarded_step)

        def watched(iterator):
            with guard.memory_advice("batch_size"):
                logs = function(iterator)
            message = self._what_went_wrong()
            if message:
                self.diverged, self.stop_training = message, True
                warnings.warn(message, stacklevel=2)
            return logs

        self.train_function = watched

    def _guarded_step(self, data):
        """`train_step`, of which nothing stays where a number goes wrong."""
        _check_unweighted(sample_weight=keras.utils.unpack_x_y_sample_weight(data)[2])
        batches = []
        for name, batch, expected in self._batches_of(data):
            _check_spec(name, batch, expected)  # once, when the graph is made
            batches.append(batch)
        data = tf.nest.map_structure(_as_float32, data)
        states = self._states()
        before = [tf.convert_to_tensor(state) for state in states]
        self._guard.look_at_first(batches)
        logs = self.train_step(data)
        self._guard.clean_up(batches, states, before)
        return logs

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """As `keras.Model.train_on_batch`; weights of samples are refused as by `fit`."""
        _check_unweighted(sample_weight=sample_weight, class_weight=class_weight)
        self._begin_again()
        return super().train_on_batch(x, y, return_dict=return_dict)

    def _begin_again(self):
        """Forget how the last training ended, if it had to be stopped."""
        if self.diverged is not None:
            self._forget_numbers()
            self.diverged = None

    def _forget_numbers(self):
        """What went wrong, or all means would stay NaN."""
        self._guard.reset()
        self.reset_metrics()

    def _run_step(self, data):
        """The guarded step as a `tf.function`, with errors in words."""
        self._begin_again()
        for name, batch, expected in self._batches_of(data):
            _check_spec(name, batch, expected)
        data = tf.nest.map_structure(_as_float32, data)
        with guard.memory_advice("batch_size"):
            logs = self._compiled_step(data)
        message = self._what_went_wrong()
        if message:
            self._forget_numbers()
            self.diverged = message
            raise FloatingPointError(message)
        return logs

    def _what_went_wrong(self):
        """None, or why the game cannot go on; an error if it is because of the data."""
        found = self._guard.found()
        if found is None:
            return None
        step = self._steps_made() + 1
        is_data, cause = found
        if is_data:
            self._forget_numbers()
            raise ValueError(f"{cause} (It was found in step {step}, which changed nothing.)")
        broken = [
            name
            for name in self._NETWORKS
            if not all(np.isfinite(each).all() for each in getattr(self, name).get_weights())
        ]
        if broken:
            advice = f"Weights of {', '.join(broken)} are NaN or infinite already. Begin anew."
        else:
            advice = (
                "What went wrong has changed no weight. Lower the learning rates; or add a penalty "
                "such as losses.R1()."
            )
        return f"Training diverged and was stopped in step {step}: {cause}. {advice}"

    def _steps_made(self):
        """How many steps are complete: those of the player who comes last."""
        return int(self.generator_optimizer.iterations.numpy())

    def _states(self):
        """What a forward pass changes in the networks besides weights: statistics and seeds."""
        networks = (getattr(self, name) for name in self._NETWORKS)
        found = [each for network in networks for each in network.non_trainable_variables]
        return list({id(each): each for each in [*found, *self._seed_states()]}.values())

    def _sides(self):
        """The networks that make samples, and those that judge them."""
        return [self.generator], [self.discriminator]

    def _check_apart(self):
        """Refuse networks with layers in common, which would learn from both sides of the game."""
        owner = {}
        for name in self._NETWORKS:
            for weight in getattr(self, name).weights:
                other = owner.setdefault(id(weight), name)
                if other != name:
                    raise ValueError(
                        f"{name} must have no layer in common with {other}, came one with the "
                        f"weight {weight.path!r} of both. Build each network anew."
                    )

    def _compile(self, jit_compile="auto", **kwargs):
        """What `keras.Model.compile` does with what is the same for all models."""
        if "optimizer" in kwargs:
            raise ValueError(
                "optimizer must be left out: give generator_optimizer and discriminator_optimizer, "
                "two separate ones."
            )
        for name in ("metrics", "weighted_metrics"):
            if kwargs.get(name):
                raise ValueError(
                    f"{name} must be left out: there is nothing to compare what is made with. "
                    "Let fit have callbacks.FrechetScore(held_out.images)."
                )
        super().compile(optimizer=None, jit_compile=jit_compile, **kwargs)
        self._asked_for_xla = jit_compile  # "auto" may be another answer on another machine

    @property
    def metrics(self):
        """The means in the logs; those of an earlier `compile` do not count."""
        own = {name: each for name, each in vars(self).items() if not name.startswith("_")}
        own |= own.get("trackers", {})
        return [each for each in own.values() if isinstance(each, keras.metrics.Metric)]

    def _checked_optimizers(self, *given):
        """The two optimizers that are meant, or the usual ones; whether they fit the networks."""
        if tf.distribute.get_strategy() is not self.distribute_strategy:
            raise ValueError(
                "compile must be called where the GAN was made: with several devices, both under "
                "strategy.scope()."
            )
        names = ("generator_optimizer", "discriminator_optimizer")
        optimizers = [_optimizer(each) for each in given]
        if optimizers[0] is optimizers[1]:
            raise ValueError(
                "generator_optimizer and discriminator_optimizer must be two optimizers, came the "
                "same object twice. Each keeps the averages of its own network: make one for each."
            )
        for name, optimizer, networks in zip(names, optimizers, self._sides(), strict=True):
            _check_counted(networks)
            _check_optimizer(name, optimizer, networks)
        return list(map(_scaled, optimizers)) if self._computes_in_float16() else optimizers

    def _take_optimizers(self, optimizers):
        self.generator_optimizer, self.discriminator_optimizer = optimizers
        for optimizer, networks in zip(optimizers, self._sides(), strict=True):
            optimizer.build(_weights_of(networks))
        self._guard, self.train_function = guard.Guard(), None
        # A graph for the first batch size, which is faster, and another for all other sizes.
        self._compiled_step = tf.function(self._guarded_step, reduce_retracing=True)

    def _seed_of(self, stream, *purpose):
        """A seed of its own for everything that is drawn in a step."""
        step = tf.cast(self.generator_optimizer.iterations, tf.int64)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.stack([tf.constant(self.seed, tf.int64), step])
        for number in (stream, replica, *purpose):
            seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(number, tf.int64))
        return seed

    def _fooling_loss(self, judge, real, fake):
        """The generator's loss in the game; some losses ask what is said of real samples, too."""
        needs_real = getattr(self.loss, "needs_real_logits", False)
        return self.loss.generator_loss(judge(fake), judge(real) if needs_real else None)

    def _regularization(self, network):
        """What a network pays for its weights, where layers have a `kernel_regularizer` or such."""
        weights = network.trainable_variables
        return sum(each.regularizer(each) for each in weights if each.regularizer is not None)

    def _apply(self, optimizer, tape, loss, *networks):
        """Change these networks only: the others' weights are not in the list.

        On several devices gradients are added up, so each device counts for its share.
        """
        weights = _weights_of(networks)
        share = tf.constant(1 / tf.distribute.get_strategy().num_replicas_in_sync)
        gradients = tape.gradient(loss, weights, output_gradients=optimizer.scale_loss(share))
        self._apply_if_finite(optimizer, loss, gradients, weights, networks)

    def _apply_if_finite(self, optimizer, loss, gradients, weights, networks):
        """Change nothing where the loss or a gradient is NaN or infinite, or was before."""
        passed_over = set() if self._takes_slopes_of_slopes() else guard.told_by_biases(networks)
        pairs = zip(gradients, weights, strict=True)
        doubtful = [g for g, w in pairs if g is not None and id(w) not in passed_over]
        side = 0 if optimizer is self.generator_optimizer else 1
        self._guard.apply(optimizer, loss, gradients, weights, side, doubtful)

    def _takes_slopes_of_slopes(self):
        """Whether a loss holds gradients, so that its own are gradients of gradients."""
        return bool(getattr(self, "penalty", None))

    def _means(self, *trackers):
        """Logs for `fit`: the means that are tracked.

        With several workers Keras takes the mean of logs over workers and over their first axis,
        so there they need one.
        """
        shape = (1,) if _several_workers() else ()
        return {tracker.name: tf.reshape(tracker.result(), shape) for tracker in trackers}

    def _computes_in_float16(self):
        return any(layer.compute_dtype == "float16" for layer in self._flatten_layers())

    @contextlib.contextmanager
    def averaged_weights(self):
        """Put the generators' averaged weights in place, and the raw ones back at the end.

        `generate` does it by itself; this is for those who call the generator.

        Example:
            with gan.averaged_weights():
                images = gan.generator(latent_vectors, training=False)
        """
        averages = [average.numpy() for average in self._averages()]
        if not any(average.any() for average in averages):  # all zero before the first step
            yield
            return
        # those that it began with: a layer may be frozen by now
        variables = _unscaled(self.generator_optimizer)._trainable_variables
        raw = [variable.numpy() for variable in variables]
        try:
            for variable, value in zip(variables, averages, strict=True):
                variable.assign(value)
            yield
        finally:
            for variable, value in zip(variables, raw, strict=True):
                variable.assign(value)

    # EarlyStopping(restore_best_weights=True) keeps what `get_weights` returns. The score that
    # chose these weights was that of the averaged ones, so they belong to it.

    def get_weights(self):
        """The weights of all networks, then the generators' averaged weights if they are kept."""
        return super().get_weights() + [average.numpy() for average in self._averages()]

    def set_weights(self, weights):
        """Put back what `get_weights` returned; the optimizers' own averages stay as they are.

        Raises:
            ValueError: weights of other networks, or with averages where none are kept.
        """
        averages, own = self._averages(), len(self.weights)
        if len(weights) != own + len(averages):
            raise ValueError(
                f"weights must hold {own} arrays of the networks and {len(averages)} averages "
                f"of the generator's weights, came {len(weights)} arrays. Does the optimizer of "
                "one generator have use_ema=True, and that of the other not?"
            )
        super().set_weights(weights[:own])
        for variable, value in zip(averages, weights[own:], strict=True):
            variable.assign(value)

    def _averages(self):
        """The averages of the generator's weights that its optimizer keeps, if it keeps any."""
        optimizer = _unscaled(getattr(self, "generator_optimizer", None))
        keeps = getattr(optimizer, "use_ema", False)
        return optimizer._model_variables_moving_average if keeps else []

    # Saving: everything that is needed to go on training as if nothing had happened.

    def get_config(self):
        networks = {name: getattr(self, name) for name in self._NETWORKS}
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {name: serialize(each) for name, each in networks.items()}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in cls._NETWORKS:
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)

    def get_compile_config(self):
        if not self.compiled:
            return None
        names = ("loss", "generator_optimizer", "discriminator_optimizer", *self._SETTINGS)
        names += ("steps_per_execution", "run_eagerly")
        found = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in names}
        return found | {"jit_compile": self._asked_for_xla}

    def compile_from_config(self, config):
        self.compile(
            **{name: keras.saving.deserialize_keras_object(part) for name, part in config.items()}
        )

    def _seed_states(self):
        """The random states of layers such as Dropout, which Keras leaves out of saved weights."""
        found = list(self._flatten_layers())
        generators = [getattr(layer, "seed_generator", None) for layer in found]
        # those of RandomFlip and such; last, so that files of before keep their order
        generators += [each for layer in found for each in layer._seed_generators]
        states = [generator.state for generator in generators if generator is not None]
        return list({id(state): state for state in states}.values())

    def save_own_variables(self, store):
        super().save_own_variables(store)
        for i, state in enumerate(self._seed_states()):
            store[f"seed_state_{i}"] = state.numpy()

    def load_own_variables(self, store):
        stored = list(store.keys())
        for i, state in enumerate(self._seed_states()):
            if f"seed_state_{i}" in stored:  # files of before have fewer
                state.assign(store[f"seed_state_{i}"])
        names = [name for name in stored if not name.startswith("seed_state_")]
        super().load_own_variables({name: store[name] for name in names})


@keras.saving.register_keras_serializable("gan_course")
class GAN(_Game):
    """Two networks and the game they play.

    Follows Goodfellow et al. (2014), algorithm 1 with one discriminator step and the losses chosen
    in `compile`, https://arxiv.org/abs/1406.2661.

    Args:
        generator: keras.Model, latent vectors (batch, latent_dim) -> samples (batch, ...).
        discriminator: keras.Model, samples (batch, ...) -> logits (batch, 1); with packs
            (batch // pack, ..., pack * channels) -> (batch // pack, 1).
        latent_dim: numbers in a latent vector.
        seed: whole number from which all latent vectors of the training are drawn.
        pack: samples that the discriminator judges at once, all real or all generated, put together
            along the last axis (PacGAN, Lin et al. 2018, https://arxiv.org/abs/1712.04086). A
            generator without variety gives itself away so. Accuracy, label noise and penalties
            are then those of packs; for as many of them a step, take `pack` times as large batches.

    Raises:
        ValueError: the two networks do not fit together, the discriminator ends in a sigmoid, or
            the seed is no whole number of at least 0.

    Example:
        gan = GAN(models.mlp_generator(100), models.mlp_discriminator(), latent_dim=100)
        gan.compile(loss="non_saturating")
        history = gan.fit(digits.batches(128), epochs=5)
        images = gan.generate(16)
    """

    _NETWORKS = ("generator", "discriminator")
    _SETTINGS = ("penalty", "discriminator_steps", "label_noise", "clip_weights", "diversity")

    def __init__(self, generator, discriminator, latent_dim, seed=0, pack=1, name="gan", **kwargs):
        super().__init__(name=name, **kwargs)
        checks.check_count("pack", pack)
        self._check_networks(generator, discriminator, latent_dim, pack)
        self.generator = generator
        self.discriminator = discriminator
        self._check_apart()
        self.latent_dim = latent_dim
        self.seed = checks.check_seed(seed)
        self.pack = int(pack)
        self.built = True  # both networks are, and a GAN has no `call` that Keras could build
        self._sample = _sampler(self.generator, self._generator_signature())

    # What differs in a GAN whose networks take a label, too.

    _check_networks = staticmethod(_check_plain)

    def _generator_signature(self):
        return tf.TensorSpec((None, self.latent_dim), tf.float32)

    def compile(
        self,
        loss="non_saturating",
        generator_optimizer=None,
        discriminator_optimizer=None,
        penalty=None,
        discriminator_steps=1,
        label_noise=0.0,
        clip_weights=None,
        diversity=None,
        **kwargs,
    ):
        """Choose the game and the two optimizers.

        Args:
            loss: a `losses.Loss` or its name, see `losses.get`.
            generator_optimizer, discriminator_optimizer: two separate Keras optimizers; Adam with
                learning rate 2e-4 and beta_1 0.5 (Radford et al. 2015) where none is given. Where
                a network computes in float16, each is put into a `LossScaleOptimizer`, so that
                small gradients do not become 0.
            penalty: a `losses.Penalty` or a list of them, added to the discriminator's loss. The
                logs then hold their sum, "penalty"; "d_loss" stays the loss of the game.
            discriminator_steps: how often the discriminator learns before the generator does, each
                time from its own share of the batch: for 5 steps on 64 real images each, train on
                batches of 5 * 64.
            label_noise: share of labels, in [0, 0.5), that are flipped at random in the
                discriminator's loss. Not the same as label smoothing: see lesson 03.
            clip_weights: after each step, clip the discriminator's weights to [-c, c] (Arjovsky et
                al. 2017, https://arxiv.org/abs/1701.07875, take 0.01).
            diversity: a function of the generator's latent vectors and samples whose value is added
                to its loss, such as `losses.ModeSeeking()`. The logs then hold it as "diversity";
                "g_loss" stays the loss of the game.
            **kwargs: `steps_per_execution`, `jit_compile`, `run_eagerly`, as for any Keras model;
                with a penalty that has `every` above 1, `jit_compile` becomes False.

        Raises:
            ValueError: an unknown loss, one optimizer given for both networks, a setting out of its
                range, a penalty on a discriminator whose second derivatives are wrong, or a layer
                with an `activity_regularizer`, which no loss here counts.
        """
        loss, penalties = losses.get(loss), losses.penalties(penalty)
        _check_settings(discriminator_steps, label_noise, clip_weights, diversity)
        if penalties:
            _check_slopes(self.discriminator, "penalty")
        optimizers = self._checked_optimizers(generator_optimizer, discriminator_optimizer)
        self._compile(**kwargs)
        self.loss, self.penalty = loss, penalties
        if self.jit_compile and any(each.every > 1 for each in penalties):
            if self._asked_for_xla != "auto":
                warnings.warn(
                    "jit_compile becomes False: XLA fails on a penalty that comes in some steps "
                    "only, every > 1, where the last batch of an epoch is smaller. It can do "
                    "every=1.",
                    stacklevel=2,
                )
            self.jit_compile = self._asked_for_xla = False
        self.discriminator_steps = int(discriminator_steps)
        self.label_noise, self.clip_weights = label_noise, clip_weights
        self.diversity = diversity
        self._take_optimizers(optimizers)
        self.d_loss_tracker = keras.metrics.Mean("d_loss")
        self.g_loss_tracker = keras.metrics.Mean("g_loss")
        self.d_accuracy_tracker = keras.metrics.Mean("d_accuracy")
        self.penalty_tracker = keras.metrics.Mean("penalty") if penalties else None
        self.diversity_tracker = None if diversity is None else keras.metrics.Mean("diversity")

    def _batches_of(self, data):
        """The parts of a batch that are looked at: name, batch, and the shape of a sample."""
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return [("images", images, self.generator.output_shape[1:])]

    def noise(self, count, stream=0):
        """Draw the latent vectors of the current training step.

        The same seed, step, stream and replica always give the same vectors, so a loop written
        by hand, `step`, `fit` and a resumed training see the same noise. Steps are counted by the
        generator's optimizer. (XLA draws other vectors from the same seed.)

        Args:
            count: how many.
            stream: 0 for the discriminator's first step, 1 for its second and so on; then comes
                the generator's.

        Returns:
            tf.Tensor: float32 (count, latent_dim), standard normal.
        """
        return tf.random.stateless_normal((count, self.latent_dim), self._seed_of(stream))

    def train_step(self, data):
        """One step: the discriminator learns from a real and a generated batch, then the generator.

        Args:
            data: real images (batch, ...) or a tuple that begins with them.

        Returns:
            dict: means since the start of the epoch of "d_loss", "g_loss" and "d_accuracy", the
            share of real and generated images that the discriminator classifies correctly; where
            there are such costs, also of "penalty" and "diversity".
        """
        for i, real_images in enumerate(self._shares(data)):
            batch_size = tf.shape(real_images)[0]
            fake_images = self.generator(self.noise(batch_size, stream=i), training=True)
            with tf.GradientTape() as tape:
                real_logits, fake_logits = self.judge(real_images), self.judge(fake_images)
                d_loss = self._discriminator_loss(real_logits, fake_logits, i)
                penalty = self._penalty(real_images, fake_images, i)
                d_cost = d_loss + penalty + self._regularization(self.discriminator)
            self._apply(self.discriminator_optimizer, tape, d_cost, self.discriminator)
            self._clip()

        latents = self.noise(batch_size, stream=self.discriminator_steps)
        with tf.GradientTape() as tape:
            fake_images = self.generator(latents, training=True)
            g_loss = self._generator_loss(real_images, fake_images)
            diversity = self._diversity(latents, fake_images)
            g_cost = g_loss + diversity + self._regularization(self.generator)
        self._apply(self.generator_optimizer, tape, g_cost, self.generator)

        return self._log(d_loss, g_loss, real_logits, fake_logits, penalty, diversity)

    def _shares(self, data):
        """The real images, in as many batches of one size as the discriminator makes steps.

        Of a batch that is smaller than that, some come again.
        """
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        count = self.discriminator_steps
        if count == 1:
            return [images]
        batch = tf.shape(images)[0]
        share = tf.maximum(batch // count, 1)
        return [tf.gather(images, (i * share + tf.range(share)) % batch) for i in range(count)]

    def judge(self, images):
        """The discriminator's logits while training, (batch // pack, 1)."""
        return _logits(self.discriminator, packed(images, self.pack))

    def _generator_loss(self, real_images, fake_images):
        """The game's, against the discriminator as it is now."""
        return self._fooling_loss(self.judge, real_images, fake_images)

    def _diversity(self, latents, fake_images):
        """What the generator pays if its samples are too much alike."""
        return 0.0 if self.diversity is None else self.diversity(latents, fake_images)

    def _discriminator_loss(self, real_logits, fake_logits, stream):
        """The game's, where label noise lets some real and fake logits change places."""
        if self.label_noise:
            draws = tf.random.stateless_uniform(tf.shape(real_logits), self._seed_of(stream, 1))
            flipped = draws < self.label_noise
            real_logits, fake_logits = (
                tf.where(flipped, fake_logits, real_logits),
                tf.where(flipped, real_logits, fake_logits),
            )
        return self.loss.discriminator_loss(real_logits, fake_logits)

    def _penalty(self, real_images, fake_images, stream, discriminator=None):
        """The sum of all penalties, each in the steps that are its own."""
        discriminator = discriminator or self.discriminator
        fake_images = tf.cast(fake_images, real_images.dtype)  # made in half precision, perhaps
        real_images, fake_images = (packed(each, self.pack) for each in (real_images, fake_images))
        total = tf.constant(0.0)
        for number, penalty in enumerate(self.penalty):
            seed = self._seed_of(stream, 2, number)
            cost = functools.partial(penalty, discriminator, real_images, fake_images, seed)
            total += cost() if penalty.every == 1 else self._now_and_then(cost, penalty.every)
        if self.penalty:
            self.penalty_tracker.update_state(total)  # of each step of the discriminator
        return total

    def _now_and_then(self, cost, every):
        """A cost in one step of so many, and that many times as strong."""
        due = self.discriminator_optimizer.iterations % every == 0
        return tf.cond(due, lambda: every * cost(), lambda: 0.0)

    def _clip(self):
        if self.clip_weights is not None:
            fine = self._guard.is_fine()
            for weight in self.discriminator.trainable_variables:
                clipped = tf.clip_by_value(weight, -self.clip_weights, self.clip_weights)
                weight.assign(tf.where(fine, clipped, weight))

    def _log(self, d_loss, g_loss, real_logits, fake_logits, penalty, diversity):
        """Means for `fit`; that of the penalty is kept by `_penalty`."""
        boundary = getattr(self.loss, "boundary", 0.0)
        if boundary is None:
            correct = real_logits > fake_logits
        else:
            correct = tf.concat([real_logits > boundary, fake_logits < boundary], axis=0)
        self.d_loss_tracker.update_state(d_loss)
        self.g_loss_tracker.update_state(g_loss)
        self.d_accuracy_tracker.update_state(tf.cast(correct, tf.float32))
        trackers = [self.d_loss_tracker, self.g_loss_tracker, self.d_accuracy_tracker]
        if self.penalty:
            trackers.append(self.penalty_tracker)
        if self.diversity is not None:
            self.diversity_tracker.update_state(diversity)
            trackers.append(self.diversity_tracker)
        return self._means(*trackers)

    def step(self, images):
        """`train_step` as one `tf.function`, for loops written by hand on one device.

        Args:
            images: real images, float32 (batch, ...), or a tuple that begins with them.

        Returns:
            dict: as `train_step`.

        Raises:
            ValueError: images as `fit` refuses them.
            FloatingPointError: a loss or a gradient is NaN or infinite. As in `fit`, nothing of it
                has been learned.
        """
        images, _, _ = keras.utils.unpack_x_y_sample_weight(images)
        return self._run_step(images)

    def generate(self, count=None, seed=0, latents=None):
        """Make samples, with the averaged weights if the generator's optimizer keeps them.

        Only trained weights are averaged; BatchNorm's running statistics are averages already.

        Args:
            count: how many samples; leave it out when `latents` are given.
            seed: whole number of at least 0; the same seed gives the same latent vectors.
            latents: (n, latent_dim), to choose the latent vectors yourself.

        Returns:
            np.ndarray: float32 (n, ...), images in [-1, 1].

        Raises:
            ValueError: neither or both of count and latents, a count below 1, another seed, or
                latents of another shape.
        """
        return self._draw(_parts(self._latents(count, seed, latents)))

    def _draw(self, parts):
        """Samples, with averaged weights, from what the generator takes, piece by piece."""
        with self.averaged_weights(), guard.memory_advice("count"):
            return np.concatenate([self._sample(part).numpy() for part in parts])

    def generate_evenly(self, count, seed=0):
        """What callbacks look at: as `generate`, of all labels alike where there are any."""
        return self.generate(count, seed)

    def _latents(self, count, seed, latents):
        """The latent vectors that `generate` is asked for."""
        if (count is None) == (latents is None):
            raise ValueError(
                "generate needs either count, how many samples, or latents, the vectors to make "
                f"them from; came count={count!r} and latents={'given' if count else None}."
            )
        if latents is None:
            checks.check_count("count", count)
            seeds = [checks.check_seed(seed), 0]
            latents = tf.random.stateless_normal((count, self.latent_dim), seeds)
        latents = tf.cast(latents, tf.float32)
        if latents.shape.rank != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(
                f"latents must have the shape (n, {self.latent_dim}), came {tuple(latents.shape)}."
            )
        if len(latents) == 0:
            raise ValueError("latents must hold at least one vector, came none.")
        return latents

    def get_config(self):
        own = {"latent_dim": self.latent_dim, "seed": self.seed, "pack": self.pack}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("gan_course")
class SimultaneousGAN(GAN):
    """A GAN whose networks learn at the same time, from one generated batch.

    A step of `GAN` generates a batch for the discriminator and then, against the discriminator as
    it has become, another one for the generator. Here both learn from the same batch, each against
    the other as it was: one pass through the generator and one through the discriminator less, and
    the same losses. (Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, compare simultaneous
    and alternating gradient descent.) Arguments are those of `GAN`.
    """

    def compile(self, *args, **kwargs):
        """As `GAN.compile`; `discriminator_steps` must be 1.

        Raises:
            ValueError: as `GAN.compile`, or another number of steps.
        """
        given = inspect.signature(GAN.compile).bind(self, *args, **kwargs).arguments
        steps = given.get("discriminator_steps", 1)
        if steps != 1:
            raise ValueError(
                f"discriminator_steps must be 1 where both learn at once, came "
                f"{steps!r}. Use training.GAN, or give the discriminator a higher "
                "learning rate."
            )
        super().compile(*args, **kwargs)

    def train_step(self, data):
        """One step: both networks learn from one real and one generated batch.

        Args and returns as in `GAN.train_step`.
        """
        real_images, _, _ = keras.utils.unpack_x_y_sample_weight(data)

        latents = self.noise(tf.shape(real_images)[0])
        with tf.GradientTape() as g_tape:
            fake_images = self.generator(latents, training=True)
            with tf.GradientTape() as d_tape:
                real_logits, fake_logits = self.judge(real_images), self.judge(fake_images)
                d_loss = self._discriminator_loss(real_logits, fake_logits, 0)
                penalty = self._penalty(real_images, fake_images, 0)
                d_cost = d_loss + penalty + self._regularization(self.discriminator)
            g_loss = self.loss.generator_loss(fake_logits, real_logits)
            diversity = self._diversity(latents, fake_images)
            g_cost = g_loss + diversity + self._regularization(self.generator)
        self._apply(self.discriminator_optimizer, d_tape, d_cost, self.discriminator)
        self._clip()
        self._apply(self.generator_optimizer, g_tape, g_cost, self.generator)

        return self._log(d_loss, g_loss, real_logits, fake_logits, penalty, diversity)


@keras.saving.register_keras_serializable("gan_course")
class ConditionalGAN(SimultaneousGAN):
    """A GAN that is told a label: it learns from images with labels, and draws what is asked for.

    Both networks take the label as a second input (Mirza and Osindero 2014,
    https://arxiv.org/abs/1411.1784). A step is that of `SimultaneousGAN`; generated images get the
    labels of the real ones in the batch. The discriminator judges whether image and label belong
    together, so a generator that ignores its label is found out.

    If the discriminator takes images alone and has a second output, that is an auxiliary classifier
    (Odena et al. 2017, https://arxiv.org/abs/1610.09585): its cross-entropy is added to the
    discriminator's loss for real and generated images, and to the generator's for its own.

    Args:
        generator: keras.Model, [latent vectors (batch, latent_dim), labels (batch,)] -> samples
            (batch, ...).
        discriminator: keras.Model, [samples (batch, ...), labels (batch,)] -> logits (batch, 1); or
            samples (batch, ...) -> [logits (batch, 1), logits (batch, classes)].
        latent_dim: numbers in a latent vector.
        classes: how many labels there are, from 0 on.
        seed: as in `GAN`.

    Raises:
        ValueError: the two networks do not fit together, the discriminator ends in a sigmoid, or
            the seed is no whole number of at least 0.

    Example:
        networks = models.conditional_generator(64), models.conditional_discriminator()
        gan = ConditionalGAN(*networks, latent_dim=64, classes=10)
        gan.compile()
        gan.fit(digits.batches(32), epochs=5)
        threes = gan.generate(16, labels=3)
    """

    _SETTINGS = (*GAN._SETTINGS, "classifier_weight")

    def __init__(self, generator, discriminator, latent_dim, classes, seed=0, name="gan", **kwargs):
        checks.check_count("classes", classes, least=2)
        self._has_classifier = _takes_no_label(discriminator)
        self.classes = int(classes)
        super().__init__(generator, discriminator, latent_dim, seed, name=name, **kwargs)

    def compile(self, *args, classifier_weight=1.0, **kwargs):
        """As `SimultaneousGAN.compile`.

        Args:
            classifier_weight: of the auxiliary classifier's cross-entropy; the logs then hold its
                value for generated images, "class_loss".

        Raises:
            ValueError: as `SimultaneousGAN.compile`, or `losses.ModeSeeking` as diversity.
        """
        classifier_weight = checks.check_number("classifier_weight", classifier_weight)
        if any(isinstance(each, losses.ModeSeeking) for each in (*args, *kwargs.values())):
            raise ValueError(
                "diversity must not be losses.ModeSeeking() where the generator is told a label: "
                "it would compare samples of different labels, which differ anyway. Take None, or "
                "a function of your own."
            )
        super().compile(*args, **kwargs)
        self.classifier_weight = classifier_weight
        self.class_loss_tracker = keras.metrics.Mean("class_loss")

    def train_step(self, data):
        """One step: both networks learn from real images, their labels, and images made for these.

        Args:
            data: (images, labels), with whole numbers (batch,) as labels.

        Returns:
            dict: as `GAN.train_step`, with an auxiliary classifier also of "class_loss".

        Raises:
            ValueError: labels that are missing or no whole numbers; in `fit` and `step` also those
                that are out of range (but in a `tf.data.Dataset` not with XLA, which drops the
                check; arrays are looked at before).
        """
        real_images, labels = self._images_and_labels(data)
        latents = self.noise(tf.shape(real_images)[0])
        with tf.GradientTape() as g_tape:
            fake_images = self.generator([latents, labels], training=True)
            with tf.GradientTape() as d_tape:
                real_logits, real_class_loss = self.judge_labeled(real_images, labels)
                fake_logits, fake_class_loss = self.judge_labeled(fake_images, labels)
                d_loss = self._discriminator_loss(real_logits, fake_logits, 0)
                penalty = self._penalty(real_images, fake_images, 0, self._judge_of(labels))
                d_cost = d_loss + penalty + self._regularization(self.discriminator)
                d_cost += real_class_loss + fake_class_loss
            g_loss = self.loss.generator_loss(fake_logits, real_logits)
            diversity = self._diversity(latents, fake_images)
            g_cost = g_loss + diversity + self._regularization(self.generator) + fake_class_loss
        self._apply(self.discriminator_optimizer, d_tape, d_cost, self.discriminator)
        self._clip()
        self._apply(self.generator_optimizer, g_tape, g_cost, self.generator)

        logs = self._log(d_loss, g_loss, real_logits, fake_logits, penalty, diversity)
        if self._has_classifier:
            self.class_loss_tracker.update_state(fake_class_loss)
            logs |= self._means(self.class_loss_tracker)
        return logs

    def _images_and_labels(self, data):
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        _check_whole(labels)
        labels = tf.cast(labels, tf.int64)  # in a small type `classes` itself may have no place
        outside = _LABELS_OUTSIDE.format(self.classes - 1, self.classes)
        with tf.control_dependencies(
            [
                tf.debugging.assert_non_negative(labels, outside),
                tf.debugging.assert_less(labels, tf.constant(self.classes, tf.int64), outside),
            ]
        ):
            return images, tf.identity(tf.cast(labels, tf.int32))  # int32 has no cast to wait

    def _before_training(self, x, y, batch_size, steps_per_epoch):
        super()._before_training(x, y, batch_size, steps_per_epoch)
        if isinstance(y, (np.ndarray, tf.Tensor)):  # XLA would drop the assertions
            labels = tf.convert_to_tensor(y)
            _check_whole(labels)
            self._check_range(labels.numpy())

    def _check_range(self, labels):
        if labels.size and not 0 <= labels.min() <= labels.max() < self.classes:
            raise ValueError(
                _LABELS_OUTSIDE.format(self.classes - 1, self.classes)
                + f" Came {labels.min()} to {labels.max()}."
            )

    def judge_labeled(self, images, labels):
        """What the discriminator says while training.

        Returns:
            Logits (batch, 1), and the auxiliary classifier's weighted cross-entropy, a scalar, 0 if
            there is none.
        """
        if not self._has_classifier:
            return _logits(self.discriminator, [images, labels]), 0.0
        logits, class_logits = _logits(self.discriminator, images)
        entropy = keras.losses.sparse_categorical_crossentropy(labels, class_logits, True)
        return logits, self.classifier_weight * tf.reduce_mean(entropy)

    def _judge_of(self, labels):
        """A discriminator of images alone, which knows their labels."""
        return lambda images, training=True: self.judge_labeled(images, labels)[0]

    def step(self, images, labels):
        """`train_step` as one `tf.function`, for loops written by hand on one device.

        Args:
            images: real images, float32 (batch, ...).
            labels: whole numbers (batch,).

        Returns:
            dict: as `train_step`.

        Raises:
            ValueError, FloatingPointError: as `GAN.step`, or labels out of range.
        """
        labels = None if labels is None else tf.convert_to_tensor(labels)
        _check_whole(labels)
        with _plain_errors():
            return self._run_step((images, tf.cast(labels, tf.int64)))

    def generate(self, count=None, seed=0, latents=None, labels=None):
        """Make samples of the labels that are asked for, with averaged weights as in `GAN`.

        Args:
            count, seed, latents: as in `GAN.generate`. Without count and latents there are as many
                samples as labels.
            labels: whole numbers (n,), or one for all samples.

        Returns:
            np.ndarray: float32 (n, ...), images in [-1, 1].

        Raises:
            ValueError: as `GAN.generate`, or labels that are out of range, no whole numbers, or not
                as many as samples.
        """
        if labels is None:
            raise ValueError(
                f"labels must say what to draw, from 0 to {self.classes - 1}: one for all samples, "
                "or one for each. Example: gan.generate(16, labels=3)."
            )
        labels = np.asarray(labels)
        if count is None and latents is None and labels.ndim == 1:
            count = len(labels)
        latents = self._latents(count, seed, latents)
        if labels.ndim == 0:
            labels = np.repeat(labels, len(latents))
        if labels.shape != (len(latents),) or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"labels must be one whole number, or {len(latents)} of them, as many as samples; "
                f"came {labels.dtype} of the shape {labels.shape}. Example: labels=3."
            )
        self._check_range(labels)
        labels = tf.cast(labels, tf.int32)
        return self._draw(zip(_parts(latents), _parts(labels), strict=True))

    def generate_evenly(self, count, seed=0):
        """Samples of each label in turn: 0, 1, and so on, and again from 0."""
        return self.generate(count, seed, labels=np.arange(count) % self.classes)

    def _check_networks(self, generator, discriminator, latent_dim, pack):
        if pack != 1:
            raise ValueError(
                f"pack must be 1 where the discriminator is told a label, came {pack!r}: samples "
                "of one pack would have several labels."
            )
        _check_conditional(generator, discriminator, latent_dim, self.classes)

    def _generator_signature(self):
        return (super()._generator_signature(), tf.TensorSpec((None,), tf.int32))

    def get_config(self):
        config = {**super().get_config(), "classes": self.classes}
        del config["pack"]
        return config


@keras.saving.register_keras_serializable("gan_course")
class UnrolledGAN(GAN):
    """A GAN whose generator learns against what the discriminator is about to become.

    In the generator's half of each step the discriminator takes some steps ahead, in thought only,
    and the generator's gradient flows through all of them: it learns how the discriminator will
    answer. Follows Metz et al. 2017, https://arxiv.org/abs/1611.02163, where the game is a
    zero-sum one: the generator makes the discriminator's loss large, that for real images, too,
    since they are judged by a discriminator that the generator has moved. The steps ahead are those
    of Adam, on the same batch (the paper begins them one step earlier). Each costs about as much as
    a step of the discriminator, and backwards once more. Arguments are those of `GAN`.
    """

    _SETTINGS = (*GAN._SETTINGS, "unrolled_steps")

    def compile(
        self,
        loss="non_saturating",
        generator_optimizer=None,
        discriminator_optimizer=None,
        unrolled_steps=5,
        **kwargs,
    ):
        """As `GAN.compile`.

        Args:
            loss: its discriminator's half is played for, by both.
            discriminator_optimizer: `keras.optimizers.Adam`, without amsgrad, clipping, weight
                decay or accumulation; its learning rate counts as it is now.
            unrolled_steps: how far the generator looks ahead. Penalties, label noise and clipping
                of weights play no part there; on several devices each looks at its own images.

        Raises:
            ValueError: as `GAN.compile`; another optimizer, or networks that compute in float16.
        """
        checks.check_count("unrolled_steps", unrolled_steps)
        discriminator_optimizer = _optimizer(discriminator_optimizer)
        _check_adam(discriminator_optimizer)
        if self._computes_in_float16():
            raise ValueError(
                "generator and discriminator must not compute in float16 where steps are unrolled: "
                "gradients of gradients get lost in it. Use float32 or mixed_bfloat16."
            )
        _check_slopes(self.discriminator, "step ahead")
        self.unrolled_steps = int(unrolled_steps)
        super().compile(loss, generator_optimizer, discriminator_optimizer, **kwargs)

    def _takes_slopes_of_slopes(self):
        return True

    def _generator_loss(self, real_images, fake_images):
        judge = self._discriminator_ahead(real_images, fake_images)
        return -self.loss.discriminator_loss(judge(real_images), judge(fake_images))

    def _discriminator_ahead(self, real_images, fake_images):
        """The discriminator after its next steps, a function from images to logits."""
        network, adam = self.discriminator, self.discriminator_optimizer
        weights, states, moments, squares = (
            [tf.convert_to_tensor(each) for each in variables]
            for variables in (
                network.trainable_variables,
                network.non_trainable_variables,
                adam._momentums,
                adam._velocities,
            )
        )

        def judge(images):
            nonlocal states
            images = packed(images, self.pack)
            logits, states = network.stateless_call(weights, states, images, training=True)
            return tf.cast(logits, tf.float32)

        for step in range(1, self.unrolled_steps + 1):
            with tf.GradientTape() as tape:
                tape.watch(weights)
                d_loss = self.loss.discriminator_loss(judge(real_images), judge(fake_images))
            gradients = tape.gradient(d_loss, weights)
            weights, moments, squares = _adam(adam, step, weights, gradients, moments, squares)
        return judge


def _check_adam(optimizer):
    options = ("amsgrad", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
    options += ("gradient_accumulation_steps",)
    given = [name for name in options if getattr(optimizer, name, None)]
    if type(optimizer) is not keras.optimizers.Adam or given:
        came = f"{type(optimizer).__name__} with {', '.join(given) or 'its defaults'}"
        raise ValueError(
            "discriminator_optimizer must be a plain keras.optimizers.Adam, whose steps the "
            f"generator can foresee; came {came}."
        )


def _adam(optimizer, ahead, weights, gradients, moments, squares):
    """What a step of Adam makes of lists of tensors, so many steps ahead; differentiable."""
    beta_1, beta_2 = optimizer.beta_1, optimizer.beta_2
    count = tf.cast(optimizer.iterations + ahead, tf.float32)
    rate = optimizer.learning_rate * tf.sqrt(1 - beta_2**count) / (1 - beta_1**count)
    moved, new_moments, new_squares = [], [], []
    for w, g, m, v in zip(weights, gradients, moments, squares, strict=True):
        m, v = m + (g - m) * (1 - beta_1), v + (g * g - v) * (1 - beta_2)
        # the slope of the root of 0 would be infinite; 1e-30 leaves its value as it is
        moved.append(w - rate * m / (tf.sqrt(v + 1e-30) + optimizer.epsilon))
        new_moments.append(m)
        new_squares.append(v)
    return moved, new_moments, new_squares


@keras.saving.register_keras_serializable("gan_course")
class CycleGAN(_Game):
    """Two generators that translate between two kinds of images, learned without pairs.

    Zhu et al. 2017, https://arxiv.org/abs/1703.10593: each generator's images shall look like those
    of the other kind, to a discriminator, and translated there and back an image shall be as it
    was. Both halves of that cycle count for both generators.

    Args:
        a_to_b, b_to_a: keras.Model, images of one kind -> images of the other.
        discriminator_a, discriminator_b: keras.Model, images of that kind -> logits
            (batch, ..., 1), one for an image or for each of its patches.
        pool_size: how many generated images of each kind are kept. Discriminators also learn from
            older ones, in place of half of the new (Shrivastava et al. 2017,
            https://arxiv.org/abs/1612.07828). At least as many as a batch holds; 0 for none.
        seed: whole number from which the draws of the pools are made.

    Raises:
        ValueError: networks that do not fit together, or a discriminator that ends in a sigmoid.

    Example:
        cycle = CycleGAN(*generators, *discriminators)
        cycle.compile()
        cycle.fit(tf.data.Dataset.zip(batches_of_a, batches_of_b), epochs=10)
        like_b = cycle.translate(images_a, "a_to_b")
    """

    _NETWORKS = ("a_to_b", "b_to_a", "discriminator_a", "discriminator_b")
    _SETTINGS = ("cycle_weight", "identity_weight")

    def __init__(
        self,
        a_to_b,
        b_to_a,
        discriminator_a,
        discriminator_b,
        pool_size=50,
        seed=0,
        name="cycle_gan",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        checks.check_count("pool_size", pool_size, least=0)
        _check_cycle(a_to_b, b_to_a, discriminator_a, discriminator_b)
        self.a_to_b, self.b_to_a = a_to_b, b_to_a
        self.discriminator_a, self.discriminator_b = discriminator_a, discriminator_b
        self._check_apart()
        self.pool_size, self.seed = int(pool_size), checks.check_seed(seed)
        self.pool_a = ImagePool(pool_size, b_to_a.output_shape[1:])
        self.pool_b = ImagePool(pool_size, a_to_b.output_shape[1:])
        self.built = True
        self._translate = {
            name: _sampler(network, tf.TensorSpec((None, *network.input_shape[1:]), tf.float32))
            for name, network in (("a_to_b", a_to_b), ("b_to_a", b_to_a))
        }

    def compile(
        self,
        loss="least_squares",
        generator_optimizer=None,
        discriminator_optimizer=None,
        cycle_weight=10.0,
        identity_weight=0.5,
        **kwargs,
    ):
        """Choose the game, the two optimizers, and what else the generators pay for.

        Args:
            loss: a `losses.Loss` or its name; with "relativistic", which compares images one by
                one, both batches must be of the same size. (The generator's least squares are
                halved here, and not in the paper: its weight of 10 is 5 here.)
            generator_optimizer, discriminator_optimizer: two Keras optimizers, each for both
                networks of its side; as in `GAN.compile` where none is given.
            cycle_weight: of the mean absolute difference of an image and itself there and back.
            identity_weight: times `cycle_weight`, of the mean absolute difference of an image and
                what the generator makes of it that should make such images. Both kinds must have
                the same shape, unless it is 0.
            **kwargs: `steps_per_execution`, `jit_compile`, `run_eagerly`, as for any Keras model.

        Raises:
            ValueError: an unknown loss, one optimizer given for both sides, a weight below 0, or an
                identity weight where the two kinds have other shapes.
        """
        loss = losses.get(loss)
        cycle_weight = checks.check_number("cycle_weight", cycle_weight)
        identity_weight = checks.check_number("identity_weight", identity_weight)
        shapes = self.a_to_b.input_shape[1:], self.b_to_a.input_shape[1:]
        if identity_weight and shapes[0] != shapes[1]:
            raise ValueError(
                f"identity_weight must be 0 where the two kinds of images have different shapes, "
                f"here {shapes[0]} and {shapes[1]}; came {identity_weight!r}."
            )
        optimizers = self._checked_optimizers(generator_optimizer, discriminator_optimizer)
        self._compile(**kwargs)
        self.loss, self.cycle_weight, self.identity_weight = loss, cycle_weight, identity_weight
        self._take_optimizers(optimizers)
        names = ("d_loss", "g_loss", "cycle_loss", "identity_loss")
        self.trackers = {name: keras.metrics.Mean(name) for name in names}

    def train_step(self, data):
        """One step: both generators learn, then both discriminators.

        Args:
            data: (images_a, images_b), two batches that need not be of the same size.

        Returns:
            dict: means since the start of the epoch of "d_loss" and "g_loss", each the sum of two
            games, and of "cycle_loss" and "identity_loss", sums of two mean absolute differences.
        """
        real_a, real_b, _ = keras.utils.unpack_x_y_sample_weight(data)
        judge_a, judge_b = (
            functools.partial(_logits, network)
            for network in (self.discriminator_a, self.discriminator_b)
        )
        with tf.GradientTape() as tape:
            fake_b, same_b = self._fake_and_same(self.a_to_b, real_a, real_b)
            fake_a, same_a = self._fake_and_same(self.b_to_a, real_b, real_a)
            g_loss = self._fooling_loss(judge_a, real_a, fake_a)
            g_loss += self._fooling_loss(judge_b, real_b, fake_b)
            cycle_loss = self.cycle_loss(real_a, real_b, fake_a, fake_b)
            identity_loss = _difference(real_a, same_a) + _difference(real_b, same_b)
            g_cost = g_loss + self.cycle_weight * (
                cycle_loss + self.identity_weight * identity_loss
            )
            g_cost += self._regularization(self.a_to_b) + self._regularization(self.b_to_a)
        self._apply(self.generator_optimizer, tape, g_cost, self.a_to_b, self.b_to_a)

        fine = self._guard.is_fine()
        old_a = self.pool_a(fake_a, seed=self._seed_of(0), keep=fine)
        old_b = self.pool_b(fake_b, seed=self._seed_of(1), keep=fine)
        with tf.GradientTape() as tape:
            d_loss = self.loss.discriminator_loss(judge_a(real_a), judge_a(old_a))
            d_loss += self.loss.discriminator_loss(judge_b(real_b), judge_b(old_b))
            d_cost = d_loss + self._regularization(self.discriminator_a)
            d_cost += self._regularization(self.discriminator_b)
        discriminators = self.discriminator_a, self.discriminator_b
        self._apply(self.discriminator_optimizer, tape, d_cost, *discriminators)

        for name, value in zip(
            self.trackers, (d_loss, g_loss, cycle_loss, identity_loss), strict=True
        ):
            self.trackers[name].update_state(value)
        return self._means(*self.trackers.values())

    def cycle_loss(self, real_a, real_b, fake_a, fake_b):
        """How far images are from themselves there and back; both halves, for both generators.

        Args:
            real_a, real_b: (batch, height, width, channels), of either kind.
            fake_a, fake_b: what `b_to_a` made of `real_b`, and `a_to_b` of `real_a`.

        Returns:
            tf.Tensor: (), the sum of two mean absolute differences.
        """
        back_a, back_b = _made(self.b_to_a, fake_b), _made(self.a_to_b, fake_a)
        return _difference(real_a, back_a) + _difference(real_b, back_b)

    def _fake_and_same(self, generator, images, others):
        """What a generator makes of images, and of those that are of its kind already.

        Both in one pass, which is faster than two. Without an identity loss the second ones are
        themselves.
        """
        if not self.identity_weight:
            return _made(generator, images), others
        made, count = _made(generator, tf.concat([images, others], 0)), tf.shape(images)[0]
        return made[:count], made[count:]

    def step(self, images_a, images_b):
        """`train_step` as one `tf.function`, for loops written by hand on one device.

        Args:
            images_a, images_b: float32 (batch, height, width, channels).

        Returns:
            dict: as `train_step`.

        Raises:
            ValueError, FloatingPointError: as `GAN.step`.
        """
        self._check_pool(*np.shape(images_a)[:1], *np.shape(images_b)[:1])
        return self._run_step((images_a, images_b))

    def _check_pool(self, *sizes):
        if 0 < self.pool_size < max(sizes, default=0):
            raise ValueError(_POOL_TOO_SMALL.format(self.pool_size))

    def _guarded_step(self, data):
        images_a, images_b, _ = keras.utils.unpack_x_y_sample_weight(data)
        self._check_pool(images_a.shape[0] or 0, images_b.shape[0] or 0)  # 0: not known yet
        return super()._guarded_step(data)

    def translate(self, images, direction):
        """Images of the other kind, with averaged weights if the optimizer keeps them.

        Args:
            images: float32 (n, height, width, channels) in [-1, 1].
            direction: "a_to_b" or "b_to_a".

        Returns:
            np.ndarray: float32 (n, height, width, channels) in [-1, 1].

        Raises:
            ValueError: another direction, or images of another shape.
        """
        if direction not in self._translate:
            raise ValueError(f"direction must be 'a_to_b' or 'b_to_a', came {direction!r}.")
        shape, images = getattr(self, direction).input_shape[1:], checks.as_array("images", images)
        if images.ndim != 4 or images.shape[1:] != shape or len(images) == 0:
            raise ValueError(f"images must have the shape (n, *{shape}), came {images.shape}.")
        checks.check_batch("images", images.shape, images.dtype.name, shape)
        with self.averaged_weights(), guard.memory_advice("the number of images"):
            return np.concatenate(
                [self._translate[direction](part).numpy() for part in _parts(images, 50)]
            )

    def _sides(self):
        return [self.a_to_b, self.b_to_a], [self.discriminator_a, self.discriminator_b]

    def _batches_of(self, data):
        images_a, images_b, _ = keras.utils.unpack_x_y_sample_weight(data)
        if images_b is None:
            raise ValueError(
                "Each batch must be images of both kinds, (images_a, images_b), came one kind "
                "alone. Example: cycle.fit(data.batches_of_two(a, b, batch_size=4))."
            )
        shapes = self.a_to_b.input_shape[1:], self.b_to_a.input_shape[1:]
        return list(zip(("images_a", "images_b"), (images_a, images_b), shapes, strict=True))

    def _steps_made(self):
        return int(self.discriminator_optimizer.iterations.numpy())

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size, "seed": self.seed}


def _difference(images, others):
    """The mean absolute difference."""
    return tf.reduce_mean(tf.abs(images - others))


def _check_cycle(a_to_b, b_to_a, discriminator_a, discriminator_b):
    shape_a, shape_b = _shape_of(a_to_b, "a_to_b", "input"), _shape_of(b_to_a, "b_to_a", "input")
    for name, shape in (("a_to_b", shape_a), ("b_to_a", shape_b)):
        if None in shape:
            raise ValueError(
                f"{name} must take images of one size, which the pools of images need; it takes "
                f"{shape}. Example: keras.Input((28, 28, 1))."
            )
    for network, name, expected in ((a_to_b, "a_to_b", shape_b), (b_to_a, "b_to_a", shape_a)):
        if (made := _shape_of(network, name, "output")) != expected:
            other = "b_to_a" if name == "a_to_b" else "a_to_b"
            raise ValueError(f"{name} must make what {other} takes, {expected}; it makes {made}.")
    for network, name, expected in (
        (discriminator_a, "discriminator_a", shape_a),
        (discriminator_b, "discriminator_b", shape_b),
    ):
        taken, answers = _shape_of(network, name, "input"), _shape_of(network, name, "output")
        if taken != expected or answers[-1:] != (1,):
            raise ValueError(
                f"{name} must take images {expected} and give logits (..., 1), one for the image "
                f"or for each patch; it takes {taken} and gives {answers}."
            )
        _check_no_sigmoid(network, name)


@keras.saving.register_keras_serializable("gan_course")
class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that stays as it is at first, and then falls in a straight line to 0.

    Zhu et al. 2017, https://arxiv.org/abs/1703.10593, train a CycleGAN like this, for 100 epochs
    and 100 more.

    Args:
        learning_rate: at first; a number above 0.
        steps: of the whole training, after which it is 0; a whole number of at least 1.
        constant: the share of the steps before it begins to fall, in [0, 1).

    Raises:
        ValueError: if an argument is none of these.

    Example:
        keras.optimizers.Adam(ConstantThenLinear(2e-4, steps=10_000), beta_1=0.5)
    """

    def __init__(self, learning_rate, steps, constant=0.5):
        checks.check_count("steps", steps, least=1)
        checks.check_positive("learning_rate", learning_rate)
        if not isinstance(constant, numbers.Real) or not 0 <= constant < 1:
            raise ValueError(f"constant must be a share in [0, 1), came {constant!r}.")
        self.learning_rate, self.steps, self.constant = learning_rate, steps, constant

    def __call__(self, step):
        """The rate at a step, counted from 0."""
        left = 1 - tf.cast(step, tf.float32) / self.steps  # 1 at the beginning, 0 at the end
        return self.learning_rate * tf.clip_by_value(left / (1 - self.constant), 0.0, 1.0)

    def get_config(self):
        names = ("learning_rate", "steps", "constant")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("gan_course")
class ImagePool(layers.Layer):
    """Generated images of the past, to mix with new ones.

    Until the pool is full, images go in and come out as they are. From then on each comes out as it
    is with a probability of one half, and else takes the place of one in the pool that comes out
    instead. On several devices each has its own; the first one's is saved.

    Args:
        size: how many images are kept, at least a batch of them; with 0 all come out as they are.
        shape: (height, width, channels).
    """

    def __init__(self, size, shape, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.size, self.shape = size, tuple(shape)
        per_device = {"synchronization": "on_read", "aggregation": "only_first_replica"}
        options = {"trainable": False, "initializer": "zeros", "autocast": False, **per_device}
        self.images = keras.Variable(shape=(size, *self.shape), name="images", **options)
        self.filled = keras.Variable(shape=(), dtype="int32", name="filled", **options)
        self.built = True

    def call(self, images, seed, keep=True):
        """Put images in, take as many out.

        Args:
            images: (batch, *shape).
            seed: two whole numbers, for the draws.
            keep: whether the pool changes; a bool or a scalar tensor of one.
        """
        if not self.size:
            return images
        images = tf.stop_gradient(images)
        count, filled = tf.shape(images)[0], self.filled.value
        tf.debugging.assert_less_equal(count, self.size, _POOL_TOO_SMALL.format(self.size))
        has_room = filled + count <= self.size
        draws = tf.random.stateless_uniform((2, self.size), seed)
        order = tf.argsort(tf.where(tf.range(self.size) < filled, draws[0], 2.0))
        places = tf.where(has_room, filled + tf.range(count), order[:count])
        new = has_room | (tf.range(count) >= filled)  # as many as have a place that is free
        swapped = ~new & (draws[1, :count] < 0.5)
        stored, new, swapped = tf.gather(self.images, places), _column(new), _column(swapped)
        kept = tf.where(keep & (new | swapped), images, stored)
        # Changed in place: `assign` would copy the whole pool for one image.
        tf.raw_ops.ResourceScatterUpdate(
            resource=self.images.value.handle, indices=places, updates=kept
        )
        full = tf.where(has_room, filled + count, tf.maximum(filled, count))
        self.filled.assign(tf.where(keep, full, filled))
        return tf.where(swapped, stored, images)

    def get_config(self):
        return {**super().get_config(), "size": self.size, "shape": self.shape}


def _column(values):
    """One value for each image, of a shape that images of any size take."""
    return tf.reshape(values, (-1, 1, 1, 1))
