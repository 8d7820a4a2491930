"""DCGANs as others train them, for comparison: each with its own networks and settings.

Written for this course from the published descriptions named in each class, in one shape: `step`
learns from a batch of real images, `sample` draws images. Images are float32 (N, 28, 28, 1) in
[-1, 1]. What was changed to fit 28 x 28 gray images is said in `adapted`.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks import pytorch
from gan_course import models, runtime, training


def course_optimizers(**changes):
    """The two optimizers of lesson 02, as `compile` wants them."""
    adam = {"learning_rate": 1e-3, "beta_1": 0.5, "beta_2": 0.99, **changes}
    return {
        "generator_optimizer": keras.optimizers.Adam(**adam, use_ema=True, ema_momentum=0.99),
        "discriminator_optimizer": keras.optimizers.Adam(**adam),
    }


class Course:
    """The course's own, as in lesson 02."""

    source = "gan_course, lesson 02"
    adapted = ""
    batch_size = 32
    precision = "float32"

    def __init__(self, seed):
        runtime.set_seed(seed)
        runtime.use_precision(self.precision)
        networks = models.dcgan_generator(64), models.dcgan_discriminator()
        runtime.use_precision("float32")  # for whatever else is built in this process
        self.gan = training.SimultaneousGAN(*networks, latent_dim=64, seed=seed)
        self.gan.compile(**course_optimizers())

    def step(self, images):
        self.gan.step(images)

    def sample(self, count):
        return self.gan.generate(count, seed=1)


class CourseBfloat16(Course):
    """The same in half precision, to see that it does no harm."""

    precision = "mixed_bfloat16"


class _TwoNetworks:
    """What the others have in common: two networks, two optimizers, and sampling."""

    latent_dim = 100

    def __init__(self, seed):
        runtime.set_seed(seed)
        self.generator, self.discriminator = self.build_generator(), self.build_discriminator()
        self.g_optimizer, self.d_optimizer = self.optimizer(), self.optimizer()
        for optimizer, network in (
            (self.g_optimizer, self.generator),
            (self.d_optimizer, self.discriminator),
        ):
            optimizer.build(network.trainable_variables)
        batch = tf.TensorSpec((None, 28, 28, 1), tf.float32)
        self.step = tf.function(self.train, input_signature=[batch])

    def sample(self, count):
        latents = tf.random.stateless_normal((count, self.latent_dim), [1, 0])
        return self.generator.predict(latents, batch_size=500, verbose=0)

    def noise(self, images):
        return tf.random.normal((tf.shape(images)[0], self.latent_dim))

    def apply(self, optimizer, tape, loss, network):
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    def train_together(self, images, d_loss_of, g_loss_of):
        """Both networks learn from the same generated batch, at the same time."""
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            made = self.generator(self.noise(images), training=True)
            on_real = self.discriminator(images, training=True)
            on_fake = self.discriminator(made, training=True)
            d_loss, g_loss = d_loss_of(on_real, on_fake), g_loss_of(on_fake)
        self.apply(self.g_optimizer, g_tape, g_loss, self.generator)
        self.apply(self.d_optimizer, d_tape, d_loss, self.discriminator)


class TensorFlowTutorial(_TwoNetworks):
    """Dense layer, three 5x5 transposed convolutions, BatchNorm; no BatchNorm in D, dropout."""

    source = "https://www.tensorflow.org/tutorials/generative/dcgan"
    adapted = ""
    batch_size = 256

    def optimizer(self):
        return keras.optimizers.Adam(1e-4)

    def build_generator(self):
        return models.dcgan_generator(100, variant="tensorflow")

    def build_discriminator(self):
        return models.dcgan_discriminator(variant="tensorflow")

    def train(self, images):
        entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.train_together(
            images,
            lambda real, fake: (
                entropy(tf.ones_like(real), real) + entropy(tf.zeros_like(fake), fake)
            ),
            lambda fake: entropy(tf.ones_like(fake), fake),
        )


class KerasExample(_TwoNetworks):
    """No normalization; labels with noise, of both kinds of images in one batch."""

    source = "https://keras.io/guides/custom_train_step_in_tensorflow/"
    adapted = (
        "images in [-1, 1] become [0, 1] inside; trained without the test images, which the guide "
        "trains on, too"
    )
    batch_size = 64
    latent_dim = 128

    def optimizer(self):
        return keras.optimizers.Adam(3e-4)

    def build_generator(self):
        model = keras.Sequential([keras.Input((128,)), layers.Dense(7 * 7 * 128)])
        model.add(layers.LeakyReLU(0.2))
        model.add(layers.Reshape((7, 7, 128)))
        for _ in range(2):
            model.add(layers.Conv2DTranspose(128, 4, 2, padding="same"))
            model.add(layers.LeakyReLU(0.2))
        model.add(layers.Conv2D(1, 7, padding="same", activation="sigmoid"))
        return model

    def build_discriminator(self):
        model = keras.Sequential([keras.Input((28, 28, 1))])
        for filters in (64, 128):
            model.add(layers.Conv2D(filters, 3, 2, padding="same"))
            model.add(layers.LeakyReLU(0.2))
        model.add(layers.GlobalMaxPooling2D())
        model.add(layers.Dense(1))
        return model

    def train(self, images):
        entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        made = self.generator(self.noise(images), training=True)
        both = tf.concat([made, (images + 1) / 2], axis=0)
        zeros = tf.zeros((tf.shape(images)[0], 1))
        labels = tf.concat([zeros + 1, zeros], axis=0)  # in this recipe 1 means generated
        labels += 0.05 * tf.random.uniform(tf.shape(labels))
        with tf.GradientTape() as tape:
            d_loss = entropy(labels, self.discriminator(both, training=True))
        self.apply(self.d_optimizer, tape, d_loss, self.discriminator)
        with tf.GradientTape() as tape:
            made = self.generator(self.noise(images), training=True)
            g_loss = entropy(zeros, self.discriminator(made, training=True))
        self.apply(self.g_optimizer, tape, g_loss, self.generator)

    def sample(self, count):
        return 2 * super().sample(count) - 1


class GenerativeDeepLearning(_TwoNetworks):
    """BatchNorm and LeakyReLU in both, dropout in D, noisy labels."""

    source = "D. Foster, Generative Deep Learning, 2nd edition, 2023, chapter 4"
    adapted = (
        "28 x 28 instead of 64 x 64: two doublings from 7 x 7 instead of four from 4 x 4, with the "
        "widths 256 and 128 of its middle layers (64 and 128 in the discriminator)"
    )
    batch_size = 128

    def optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    def build_generator(self):
        model = keras.Sequential([keras.Input((100,)), layers.Reshape((1, 1, 100))])
        for filters, kernel, strides, padding in ((256, 7, 1, "valid"), (128, 4, 2, "same")):
            model.add(layers.Conv2DTranspose(filters, kernel, strides, padding, use_bias=False))
            model.add(layers.BatchNormalization(momentum=0.9))
            model.add(layers.LeakyReLU(0.2))
        last = layers.Conv2DTranspose(1, 4, 2, "same", use_bias=False, activation="tanh")
        model.add(last)
        return model

    def build_discriminator(self):
        model = keras.Sequential([keras.Input((28, 28, 1))])
        for filters in (64, 128):
            model.add(layers.Conv2D(filters, 4, 2, padding="same", use_bias=False))
            if filters > 64:
                model.add(layers.BatchNormalization(momentum=0.9))
            model.add(layers.LeakyReLU(0.2))
            model.add(layers.Dropout(0.3))
        model.add(layers.Conv2D(1, 7, use_bias=False, activation="sigmoid"))
        model.add(layers.Flatten())
        return model

    def train(self, images):
        entropy = keras.losses.BinaryCrossentropy()

        def d_loss(real, fake):
            ones = tf.ones_like(real) + 0.1 * tf.random.uniform(tf.shape(real))
            zeros = tf.zeros_like(fake) - 0.1 * tf.random.uniform(tf.shape(fake))
            return (entropy(ones, real) + entropy(zeros, fake)) / 2

        self.train_together(images, d_loss, lambda fake: entropy(tf.ones_like(fake), fake))


class ClassicKeras:
    """`train_on_batch` with a discriminator that is frozen inside a combined model."""

    source = "https://github.com/eriklindernoren/Keras-GAN, dcgan"
    adapted = (
        "Keras 3 needs the flag `trainable` set around each call (without, the discriminator is "
        "not trained at all), and in the combined model BatchNorm then runs on its averages; a "
        "step takes 32 latent vectors and 16 real images"
    )
    batch_size = 32

    def __init__(self, seed):
        runtime.set_seed(seed)
        self.random = np.random.default_rng(seed)
        self.generator, self.discriminator = self.build_generator(), self.build_discriminator()
        self.discriminator.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), "binary_crossentropy")
        self.discriminator.trainable = False
        self.combined = keras.Sequential([self.generator, self.discriminator])
        self.combined.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), "binary_crossentropy")

    def build_generator(self):
        model = keras.Sequential([keras.Input((100,)), layers.Dense(7 * 7 * 128, "relu")])
        model.add(layers.Reshape((7, 7, 128)))
        model.add(layers.BatchNormalization(momentum=0.8))
        for filters in (128, 64):
            model.add(layers.UpSampling2D())
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.Conv2D(1, 3, padding="same", activation="tanh"))
        return model

    def build_discriminator(self):
        model = keras.Sequential([keras.Input((28, 28, 1))])
        for filters, strides in ((32, 2), (64, 2), (128, 2), (256, 1)):
            model.add(layers.Conv2D(filters, 3, strides, padding="same"))
            if filters == 64:
                model.add(layers.ZeroPadding2D(((0, 1), (0, 1))))
            model.add(layers.LeakyReLU(0.2))
            model.add(layers.Dropout(0.25))
            if filters in (64, 128):
                model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.Flatten())
        model.add(layers.Dense(1, "sigmoid"))
        return model

    def noise(self, count):
        return self.random.normal(size=(count, 100)).astype("float32")

    def step(self, images):
        images = np.asarray(images)[: self.batch_size // 2]  # half a batch of each kind for D
        ones, zeros = np.ones((len(images), 1)), np.zeros((len(images), 1))
        made = self.generator.predict_on_batch(self.noise(len(images)))
        self.discriminator.trainable = True
        self.discriminator.train_on_batch(images, ones)
        self.discriminator.train_on_batch(made, zeros)
        self.discriminator.trainable = False
        self.combined.train_on_batch(self.noise(self.batch_size), np.ones((self.batch_size, 1)))

    def sample(self, count):
        return self.generator.predict(
            np.random.default_rng(1).normal(size=(count, 100)), batch_size=500, verbose=0
        )


RECIPES = (
    Course,
    CourseBfloat16,
    TensorFlowTutorial,
    ClassicKeras,
    KerasExample,
    GenerativeDeepLearning,
)
if pytorch.is_installed():
    PyTorchTutorial = pytorch.PyTorchTutorial
    RECIPES += (PyTorchTutorial,)
