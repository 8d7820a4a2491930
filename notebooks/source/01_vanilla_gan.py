# ---
# jupyter:
#   gan_course:
#     title: The vanilla GAN
#     outcome: derive the game, write both losses and a training step, read the curves
#     result: "{{confident:.0%}} of generated digits read with confidence, all {{classes}} classes"
# ---

# %% [markdown]
# # 01 The vanilla GAN
#
# Two networks play a game. The *generator* turns random numbers into images; the *discriminator*
# is shown real and generated images and says which are which. Each gets better because the other
# does, and in the end the generator draws digits that nobody wrote.
#
# After this lesson you can
#
# - say what the best discriminator answers, and what the game measures,
# - write both losses and a training step, and train a GAN with Keras' `fit`,
# - read the curves of a run and tell what went wrong in it.
#
# **The stored run took {{minutes}} minutes** on two CPU cores. At its end a classifier read
# {{confident:.0%}} of the generated digits with confidence, and found all {{classes}} classes.
#
# ![Fifty generated digits](attachment:outcome.png)
#
# *Fifty digits drawn by the generator that this notebook trains.*

# %% [markdown]
# ## Set-up

# %% tags=["setup"]
import sys
from pathlib import Path

folders = [Path.cwd(), *Path.cwd().parents]
course = next((f for f in folders if (f / "gan_course" / "__init__.py").is_file()), None)
assert course, "Open this notebook inside the folder of the course, which holds gan_course."
sys.path.insert(0, str(course))

from gan_course import runtime

runtime.quiet_logs()

# %%
import inspect
import time
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy.integrate import trapezoid
from scipy.special import rel_entr
from scipy.stats import norm

from gan_course import callbacks, data, exercises, losses, models, plots, training

plots.use_style()
print(runtime.describe())

# %% [markdown]
# All settings of the lesson, with a reason for each. `budget` takes the second value only when
# the course tests itself. With the embedded digits, change 36 to 16: section 4 says why.

# %%
DATASET = "mnist"  # or "digits", the embedded ones: no network needed
LATENT_DIM = 64  # numbers that the generator turns into an image
BATCH_SIZE = 64  # small batches: more steps in the same minutes
LEARNING_RATE = 1e-3  # for both players; 2e-4, which is often seen, is slower here
BETA_1 = 0.5  # less momentum than Adam's 0.9, since the opponent keeps changing
EPOCHS = runtime.budget(full=36, fast=2)  # epochs of 500 steps: until digits can be read
STEPS = runtime.budget(full=500, fast=10)  # steps in such an epoch
POINTS = runtime.budget(full=100_000, fast=2_000)  # samples in the 1-D game

# %% [markdown]
# ## The end, first
#
# Three generators come with the course. They were trained as in this lesson, and are one network after
# 2,000, 6,000 and 18,000 steps, from top to bottom. All three get the same twelve lists of random
# numbers, which lead on a straight line from one list to another. Move the slider for other lines. What
# did the generator learn first? And is there always a digit *between* two digits?

# %%
stages = {steps: models.pretrained("vanilla_mnist", steps) for steps in (2_000, 6_000, 18_000)}
path_ends = np.random.default_rng(0).normal(size=(20, 2, 64))


def draw_path(path):
    latents = plots.interpolation(*path_ends[path], steps=12)
    rows = [generator(latents, training=False) for generator in stages.values()]
    return plots.tile(np.concatenate(rows), columns=12)


plots.Panel(draw_path, scale=2, path=range(20))

# %% [markdown]
# *Soft shadows of a five and a one; the same, bolder; and a six that gets narrower until it is a one.* (The
# slider needs a running kernel; without one you see a single line.) Where the ink goes comes first, firm
# strokes come later. The other question is taken up in section 6.
#
# ## The game in one formula
#
# - The **latent vector** $z$ is a list of random numbers from a normal distribution with mean 0 and
#   standard deviation 1, new ones each time.
# - The **generator** $G$ turns it into a sample $G(z)$: an image, or in the next section a number.
# - The **discriminator** $D$ gives a sample $x$ the probability $D(x)$ of being real.
#
# $D$ wants to be near 1 on real samples and near 0 on generated ones, also called *fake*. $G$ wants
# the opposite on its own. Goodfellow et al. (2014, equation 1) write both wishes as one value that
# $D$ makes large and $G$ makes small:
#
# $$\min_G \max_D V = \mathbb{E}_{x\,\text{real}}\,[\log D(x)] + \mathbb{E}_z\,[\log (1 - D(G(z)))]$$
#
# $\mathbb{E}$ is the mean over all such samples, and $\log$ the natural logarithm everywhere.
#
# ## 1. The discriminator's half, on a line
#
# Images are hard to draw in a diagram, so begin with single numbers, and with a generator that
# stands still. Real numbers come from two bumps, with the density $p(x)$; fake ones come from one
# wide bump, $q(x)$.

# %%
def real_density(x):
    return 0.5 * norm.pdf(x, -2.0, 0.6) + 0.5 * norm.pdf(x, 1.0, 0.6)


def fake_density(x):
    return norm.pdf(x, 0.0, 1.5)


# %% [markdown]
# Samples to go with the two densities:

# %%
rng = np.random.default_rng(0)
real = rng.normal(rng.choice([-2.0, 1.0], POINTS), 0.6)
fake = rng.normal(0.0, 1.5, POINTS)

# %% [markdown]
# ### Exercise 1.1: the best answer
#
# Written with the densities, the value is
#
# $$V = \int \big[\, p(x) \log D(x) + q(x) \log (1 - D(x)) \,\big]\, dx$$
#
# At each $x$ the discriminator may answer as it likes, so the best one makes the bracket as large as
# possible at every single $x$. **Which $D$ does that?** Write it as a function of $p$ and $q$.

# %% exercise="1.1"
def my_optimal_discriminator(p, q):
    # BEGIN SOLUTION
    return p / (p + q)
    # STUB
    # return ...
    # END SOLUTION

# %% [markdown]
# If your function is right, `answer` returns it; otherwise it returns the course's version, so that
# the lesson can go on. `check`, further down, only checks.

# %% tags=["nbval-check-output"]
optimal_discriminator = exercises.answer("1.1", my_optimal_discriminator)

# %% [markdown]
# ### A discriminator is a classifier
#
# Real is 1, fake is 0: the discriminator's half of the game is the binary classification you know.
# The binary cross-entropy that Keras minimizes here is $-V/2$, half because it averages over real
# and fake samples together. The one difference from a first Keras classifier is that the network
# ends **without a sigmoid**. Its output is a *logit* $a$, any real number, and $D = \sigma(a)$ with
# $\sigma(a) = 1/(1 + e^{-a})$. The losses of the game are computed from logits everywhere in this
# course; exercise 1.2 shows why.

# %%
def train_discriminator(real, fake):
    discriminator = models.mlp_discriminator(input_shape=(1,), hidden=(64, 64))
    epochs = runtime.budget(full=8, fast=1)
    steps = epochs * 2 * len(real) // 500
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)  # ends near 0, to settle
    discriminator.compile(
        keras.optimizers.Adam(rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        steps_per_execution=50,
    )
    samples = np.concatenate([real, fake])[:, None]
    labels = np.concatenate([np.ones(len(real)), np.zeros(len(fake))])
    discriminator.fit(
        samples, labels, batch_size=500, epochs=epochs, verbose=0, callbacks=[callbacks.Progress()])
    return discriminator


# %% [markdown]
# Train it on the two bumps, and draw it over the formula.

# %%
runtime.set_seed(0)
discriminator = train_discriminator(real, fake)
x = np.linspace(-5, 5, 400)
logits = discriminator.predict(x[:, None], verbose=0)[:, 0]
found = 1 / (1 + np.exp(-logits))
best = optimal_discriminator(real_density(x), fake_density(x))

# %%
_, (top, bottom) = plt.subplots(2, 1, figsize=(7, 5), sharex=True, layout="constrained")
top.plot(x, real_density(x), color=plots.COLORS["real"], label="real, p")
top.plot(x, fake_density(x), "--", color=plots.COLORS["fake"], label="fake, q")
top.set_title("Two densities on a line")
top.legend()
bottom.plot(x, best, color=plots.COLORS["theory"], linewidth=4, alpha=0.25, label="p / (p + q)")
bottom.plot(x, found, color=plots.COLORS["other"], label="trained network")
bottom.set_title("The trained discriminator lies on the formula where there are samples")
bottom.set_ylim(-0.05, 1.05)
bottom.legend();

# %% [markdown]
# *Above: two bumps of real samples and one wide bump of fake ones. Below: the network's answer is
# high on the bumps, low between and beside them, and lies on the curve $p/(p+q)$; they part only on
# the far left, where hardly any samples are. The right peak is lower because there are more fakes
# among its real samples.*

# %%
weight = real_density(x) + fake_density(x)  # where samples are rare, no answer was learned
gap = np.average(np.abs(found - best), weights=weight)
print(f"mean distance from p / (p + q), where the samples are: {gap:.4f}")

# %% [markdown]
# ### What the game measures
#
# Put the best answer $D^*$ back into $V$ and out comes (theorem 1 of the paper)
#
# $$V(D^*) = -\log 4 + 2\,\mathrm{JSD}(p, q)$$
#
# JSD is the *Jensen-Shannon divergence*, a measure of how far apart two distributions are. It compares
# both with their average $m = (p + q)/2$:
#
# $$\mathrm{JSD}(p, q) = \frac12 \int p \log\frac{p}{m}\,dx + \frac12 \int q \log\frac{q}{m}\,dx$$
#
# It is 0 if the two are the same and $\log 2$ if they do not overlap. So a discriminator *trained to
# its best* is a measuring device. Try it on pairs whose divergence can be integrated: real numbers
# from $N(0, 1)$ and fake ones from $N(d, 1)$. `rel_entr(p, m)` is $p \log (p/m)$.

# %%
def jensen_shannon(d):
    x = np.linspace(-12, 12 + d, 20_000)
    p, q = norm.pdf(x), norm.pdf(x, d)
    middle = (p + q) / 2
    return trapezoid(rel_entr(p, middle) + rel_entr(q, middle), x) / 2


# %% [markdown]
# The measurement trains a discriminator and computes $V$ on fresh samples, as one would for any
# classifier. `log_sigmoid(a)` is $\log D$, and `log_sigmoid(-a)` is $\log(1 - D)$.

# %%
def measured_divergence(d):
    real, fake = rng.normal(0, 1, POINTS), rng.normal(d, 1, POINTS)
    discriminator = train_discriminator(real, fake)
    fresh = rng.normal(0, 1, (POINTS, 1)), rng.normal(d, 1, (POINTS, 1))
    on_real, on_fake = (discriminator.predict(f, batch_size=5000, verbose=0) for f in fresh)
    value = np.mean(tf.math.log_sigmoid(on_real)) + np.mean(tf.math.log_sigmoid(-on_fake))
    return value, (value + np.log(4)) / 2, tf.sigmoid(on_real).numpy()


# %% [markdown]
# **Prediction 1.a.** At $d = 0$ real and fake come from the *same* distribution. What does the
# discriminator answer?
#
# - a: 0, since everything might be fake
# - b: ½
# - c: it depends on how dense the samples are at that $x$

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("1.a", prediction)

# %%
print("  d   V measured   JSD measured   JSD in theory")
measured, answers = {}, {}
for d in (0, 1, 2, 4):
    value, measured[d], answers[d] = measured_divergence(d)
    print(f"{d:3}   {value:9.4f}   {measured[d]:11.4f}   {jensen_shannon(d):12.4f}")
print(f"-log 4 = {-np.log(4):.4f}   log 2 = {np.log(2):.4f}")
low, high = np.percentile(answers[0], [1, 99])
print(f"98% of the answers at d = 0 lie between {low:.3f} and {high:.3f}")

# %% [markdown]
# In the first row real and fake are the same: $V$ is $-\log 4 = -1.386$ and the divergence 0. That is where a perfect
# generator would take the game: to its *equilibrium*, where neither network gains by changing alone. (From row to row
# the last digits are sampling noise.) In the last row the two hardly overlap, and the divergence comes near its
# ceiling $\log 2 = 0.693$, where it says *different* but no longer *how far*.
#
# ## 2. Two losses
#
# A network is trained by making a loss small, so the discriminator minimizes $-V$. What a network pays in the game
# against the other one is called its *adversarial loss*. With $\mathrm{softplus}(a) = \log(1 + e^a)$, both logarithms
# become functions of the logit:
#
# $$-\log \sigma(a) = \mathrm{softplus}(-a)$$
#
# $$-\log(1 - \sigma(a)) = \mathrm{softplus}(a)$$
#
# `tf.nn.softplus` computes the right-hand sides safely for any logit. The left-hand sides, computed
# as they are written, break: in float32 $\sigma(-200)$ is 0, and its logarithm $-\infty$.
#
# ### Exercise 1.2: the discriminator's loss
#
# **Write $-V$ for two batches of logits**, one number: the mean over the real batch plus the mean
# over the fake one. It must stay finite at logits of ±1,000. `tf.nn.softplus` and `tf.reduce_mean`
# help.

# %% exercise="1.2"
def my_discriminator_loss(real_logits, fake_logits):
    # BEGIN SOLUTION
    on_real = tf.reduce_mean(tf.nn.softplus(-real_logits))
    on_fake = tf.reduce_mean(tf.nn.softplus(fake_logits))
    return on_real + on_fake
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
discriminator_loss = exercises.answer("1.2", my_discriminator_loss)

# %% [markdown]
# If the discriminator cannot tell, every logit is 0 and $D = ½$. Its loss is then $2 \ln 2$:

# %% tags=["nbval-check-output"]
undecided = tf.zeros((8, 1))
print(f"{discriminator_loss(undecided, undecided):.4f} = 2 ln 2")

# %% [markdown]
# ### Two losses for the generator
#
# The generator makes $V$ small, and only its second half depends on $G$. So it could minimize
# $\log(1 - D(G(z)))$: the *minimax* loss, also called *saturating*. Or it could minimize
# $-\log D(G(z))$, the *non-saturating* loss. Both want $D(G(z))$ near 1.
#
# **Prediction 1.b.** Suppose that a fake is obvious: its logit is −3, so $D =
# 0.047$. Which loss is steeper there, as a function of the logit?
#
# - a: the non-saturating one, $-\log D$
# - b: the saturating one, $\log(1 - D)$
# - c: the same, they want the same thing

# %%
# BEGIN SOLUTION
prediction = "a"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("1.b", prediction)

# %% tags=["nbval-check-output"]
logit = tf.constant([[-3.0]])
for loss in (losses.Minimax(), losses.NonSaturating()):
    with tf.GradientTape() as tape:
        tape.watch(logit)
        value = loss.generator_loss(logit)
    slope = float(tape.gradient(value, logit)[0, 0])
    print(f"{type(loss).__name__:14} loss {float(value):8.5f}   slope {slope:8.5f}")

# %% [markdown]
# Both slopes are negative: both losses say "raise the logit", one of them twenty times louder.
# Differentiating the two losses gives the size of the slope for every logit: $D$ for the saturating
# one, $1 - D$ for the other.

# %%
a = np.linspace(-6, 6, 200)
d = 1 / (1 + np.exp(-a))
_, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
axes.plot(a, 1 - d, color=plots.COLORS["real"], label="non-saturating: 1 − D")
axes.plot(a, d, "--", color=plots.COLORS["fake"], label="saturating: D")
axes.axvline(-3, color=plots.COLORS["muted"], linewidth=0.8)
axes.set_title("How hard each loss pushes a fake: the saturating one gives up on bad fakes")
axes.set_xlabel("logit of a fake (left: obviously fake, right: fools the discriminator)")
axes.legend();

# %% [markdown]
# *Two S-shaped curves that mirror each other. Left, where fakes are bad, the non-saturating loss
# pushes with full force and the saturating one hardly at all.*
#
# ### Exercise 1.3: the generator's loss
#
# **Write the non-saturating loss** for a batch of logits on fakes.

# %% exercise="1.3"
def my_generator_loss(fake_logits):
    # BEGIN SOLUTION
    return tf.reduce_mean(tf.nn.softplus(-fake_logits))
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
generator_loss = exercises.answer("1.3", my_generator_loss)

# %% [markdown]
# ## 3. The training step
#
# Now images. First the data:

# %%
digits = data.load(DATASET, fallback="digits")
print(f"{digits.name}: {len(digits):,} images of shape {digits.images.shape[1:]} in [-1, 1]")
plots.image_grid(digits.images[:50], "real digits", columns=10);

# %% [markdown]
# *Fifty handwritten digits in five rows.*
#
# Both networks consist of fully connected layers. The generator takes 64 random numbers, the *latent
# vector* $z$, to $28 \times 28$ pixels; the discriminator takes pixels to one logit.

# %%
def build_gan(jit_compile=False, **averaging):
    runtime.set_seed(0)  # the same start each time
    gan = training.GAN(
        models.mlp_generator(LATENT_DIM, hidden=(256, 512)),
        models.mlp_discriminator(hidden=(512, 256)),
        latent_dim=LATENT_DIM,
    )
    gan.compile(
        loss="non_saturating",
        generator_optimizer=keras.optimizers.Adam(LEARNING_RATE, beta_1=BETA_1, **averaging),
        discriminator_optimizer=keras.optimizers.Adam(LEARNING_RATE, beta_1=BETA_1),
        steps_per_execution=STEPS,  # used by fit alone: this many steps in one call
        jit_compile=jit_compile,
    )
    return gan


# %% tags=["nbval-check-output"]
for network in (build_gan().generator, build_gan().discriminator):
    print(f"{network.name} ({network.count_params():,} weights): {network.input_shape[1:]}")
    for layer in network.layers:
        print(f"   -> {type(layer).__name__:10} {tuple(layer.output.shape[1:])}")

# %% [markdown]
# A step has two halves (algorithm 1 of the paper). In the first the discriminator learns from a
# real batch and a fake one. Read it closely; you will write the other half:

# %%
def discriminator_step(generator, discriminator, optimizer, real_images, latents):
    fake_images = generator(latents, training=True)
    with tf.GradientTape() as tape:
        real_logits = discriminator(real_images, training=True)
        fake_logits = discriminator(fake_images, training=True)
        loss = discriminator_loss(real_logits, fake_logits)
    gradients = tape.gradient(loss, discriminator.trainable_variables)
    optimizer.apply(gradients, discriminator.trainable_variables)
    return loss


# %% [markdown]
# The gradients are taken for the discriminator's variables and applied to them. That is all it takes
# to keep the other network still; nothing is ever frozen.
#
# ### Exercise 1.4: the generator's half
#
# **Write it**: make images from the latent vectors, let the discriminator judge them, and change
# the generator so that `generator_loss` gets smaller. The gradient must find its way back through
# the discriminator *and* the generator, so both calls belong inside the tape, with `training=True` as
# above. Return the loss.

# %% exercise="1.4"
def my_generator_step(generator, discriminator, optimizer, latents):
    # BEGIN SOLUTION
    with tf.GradientTape() as tape:
        fake_images = generator(latents, training=True)
        loss = generator_loss(discriminator(fake_images, training=True))
    gradients = tape.gradient(loss, generator.trainable_variables)
    optimizer.apply(gradients, generator.trainable_variables)
    return loss
    # STUB
    # with tf.GradientTape() as tape:
    #     loss = ...
    # # compute the gradients and apply them here
    # return loss
    # END SOLUTION

# %% tags=["nbval-check-output"]
generator_step = exercises.answer("1.4", my_generator_step)

# %% [markdown]
# Both halves make a step. `gan.noise(count, stream)` draws latent vectors from a random generator
# that is seeded with the GAN's seed, the number of the step, which the generator's optimizer counts,
# and the stream: 0 for the first half, 1 for the second. So the vectors are new each time, yet the
# same in a second run.

# %%
def hand_written_step(gan, images):
    count = tf.shape(images)[0]
    d_loss = discriminator_step(
        gan.generator, gan.discriminator, gan.discriminator_optimizer, images, gan.noise(count, 0)
    )
    g_loss = generator_step(
        gan.generator, gan.discriminator, gan.generator_optimizer, gan.noise(count, 1)
    )
    return d_loss, g_loss


# %% [markdown]
# ### Three ways to run it
#
# 1. **Eager**: Python runs the step, operation by operation.
# 2. **`tf.function`**: TensorFlow records the step once as a graph and runs that.
# 3. **`fit`**: the same step is the `train_step` of `training.GAN`, a `keras.Model`. `fit` brings
#    progress bars, callbacks and several steps per call.
#
# **Prediction 1.c.** All three begin with the same weights and see the same batches. After five
# steps their weights
#
# - a: differ, since the noise is random
# - b: differ, since compiled code takes shortcuts in the algorithm
# - c: are the same, but for rounding in the last digits

# %%
# BEGIN SOLUTION
prediction = "c"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("1.c", prediction)

# %%
five = digits.batches(BATCH_SIZE, seed=1).take(5).cache()  # the same five batches each time
by_hand, compiled, with_fit = build_gan(), build_gan(), build_gan()
graph_step = tf.function(hand_written_step)
for images, _ in five:
    hand_written_step(by_hand, images)
    graph_step(compiled, images)
_ = with_fit.fit(five, verbose=0)

# %%
def distance(one, other):
    pairs = zip(one.trainable_weights, other.trainable_weights, strict=True)
    differences = tf.concat([tf.reshape(a - b, [-1]) for a, b in pairs], axis=0)
    return float(tf.sqrt(tf.reduce_mean(differences**2)))


moved = distance(by_hand, build_gan())
by_graph, by_fit = distance(by_hand, compiled) / moved, distance(by_hand, with_fit) / moved
print(f"root mean square distance that a weight moved: {moved:.4f}")
print(f"difference, as a share of it: tf.function {by_graph:.1e}, fit {by_fit:.1e}")

# %% [markdown]
# The same, but for rounding. (Rounding grows: in a long run the weights drift apart, and neither run is
# the better one for it.) What differs at once is the speed. Below are steps per second,
# after some steps to warm up; the last row is `fit` with *XLA*, a compiler that merges many small
# operations into few, if it works on this machine.

# %%
def steps_per_second(run, steps):
    batches = digits.batches(BATCH_SIZE).repeat()
    run(batches.take(STEPS))
    begin = time.perf_counter()
    run(batches.take(steps))
    return steps / (time.perf_counter() - begin)


def eagerly(batches):
    for images, _ in batches.take(20):
        hand_written_step(by_hand, images)


def with_graph(batches):
    for images, _ in batches:
        graph_step(compiled, images)

# %%
with_xla = build_gan(jit_compile=runtime.xla_works())
speeds = {
    name: steps_per_second(way, steps)
    for name, (way, steps) in runtime.progress({
        "eager": (eagerly, 20),
        "tf.function": (with_graph, STEPS),
        "fit": (lambda batches: with_fit.fit(batches, verbose=0), STEPS),
        "fit and XLA": (lambda batches: with_xla.fit(batches, verbose=0), STEPS),
    }.items(), "four ways")
}
for name, speed in speeds.items():
    print(f"{name:12} {speed:7.1f} steps/s   {speed / speeds['eager']:5.1f} times eager")

# %% [markdown]
# `fit` costs nothing on top of a `tf.function`, XLA makes it faster still, and progress bars and callbacks come with
# it. So this is the step to use. Compare it with yours; `_apply` holds the two lines after the tape, and leaves
# everything as it is if a gradient is NaN or infinite (`share` and `scale_loss` matter only on several devices or in
# half precision), and `_log` keeps the means for the progress bar. What else you see there comes into play in lesson
# 05 and does nothing here: `_shares` gives the whole batch, once; `_discriminator_loss` is the loss that you wrote;
# the penalty is 0; `_clip` lets all weights be. And in lesson 04: until then, `judge` only calls the discriminator,
# `_generator_loss` the generator's half of the loss, and `_diversity` is 0. So is `_regularization`, until lesson 07.

# %%
print(inspect.getsource(training.GAN.train_step))
print(inspect.getsource(training.GAN._apply))

# %% [markdown]
# ## 4. Digits that nobody wrote
#
# Now train until digits can be read. Two things are added. `SampleGrid` draws fifty images from
# latent vectors that stay the same for the whole run, so that pictures can be compared. And the
# generator's optimizer keeps an *average* of its weights over the last thousand steps or so
# (`use_ema`), which takes out the jitter of single steps; `generate` draws with the average.
# Averaging, pictures and checkpoints cost some speed.
#
# **Prediction 1.d.** When the digits look good, the discriminator's loss will be
#
# - a: near 0
# - b: below 2 ln 2 = 1.386, but nearer to it than to 0
# - c: 2 ln 2 or more

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %%
gan = build_gan(jit_compile=runtime.xla_works(), use_ema=True, ema_momentum=0.999)
grid = callbacks.SampleGrid(count=50, columns=10, every=2)
resume = callbacks.Resume(runtime.checkpoints("01"), strict=False)

# %% [markdown]
# With `repeat()` the batches never end, so an "epoch" is what `steps_per_epoch` says: here 500
# steps, whatever the size of the data set. `SampleGrid` changes the picture below while you wait.
# `Resume` writes all that the training needs into a file every half minute: if the kernel dies, run
# the cells again, and training goes on where it was.

# %% tags=["picture-outcome"]
history = gan.fit(
    digits.batches(BATCH_SIZE).repeat(), epochs=EPOCHS, steps_per_epoch=STEPS,
    callbacks=[grid, resume], verbose=0,
)

# %%
steps, seconds = EPOCHS * STEPS, resume.train_seconds
print(f"{steps:,} steps in {seconds:.0f} s: {steps / seconds:.0f} steps/s")

# %% [markdown]
# *Fifty digits from fifty latent vectors.* And the prediction?

# %% tags=["nbval-check-output"]
exercises.check("1.d", prediction)

# %%
last = {name: values[-1] for name, values in history.history.items()}
print(f"the discriminator at the end: loss {last['d_loss']:.2f}, accuracy {last['d_accuracy']:.2f}")

# %% [markdown]
# The same latent vectors from before the first step to the end:

# %% tags=["picture-film"]
grid.film()

# %% [markdown]
# *A film: gray noise, then soft shadows, then digits with ever firmer strokes; some turn into another one on the
# way.* Or hold it in your hand, two epochs at a time:

# %%
grid.scrub()

# %% [markdown]
# *Fifty digits in five rows, the film's last picture: most can be read, some are blots or broken.*
#
# ### What averaging does
#
# The same latent vectors through the weights of the very last step, and through the average:

# %%
latents = np.random.default_rng(1).normal(size=(20, LATENT_DIM)).astype("float32")
last_step = gan.generator(latents, training=False).numpy()
averaged = gan.generate(latents=latents)
plots.image_grid(
    np.concatenate([last_step, averaged]),
    "above: weights of the last step; below: averaged weights",
    columns=20,
);

# %% [markdown]
# *Two rows of twenty digits. The upper ones have more stray dots, the lower ones smoother strokes;
# here and there the average has become another digit.*
#
# ### How good are they?
#
# Looking is not measuring. A classifier can be asked instead: train one on the real digits and let it
# read the generated ones.

# %%
runtime.set_seed(0)
classifier = keras.Sequential([
    keras.Input(digits.images.shape[1:]),
    keras.layers.Flatten(),
    keras.layers.Dense(256, activation="relu"),
    keras.layers.Dropout(0.3),
    keras.layers.Dense(10, activation="softmax"),
])
classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
passes = runtime.budget(full=max(5, 60_000 // len(digits)), fast=1)
_ = classifier.fit(
    digits.images, digits.labels, batch_size=128, epochs=passes, verbose=0,
    callbacks=[callbacks.Progress()])

# %%
test = data.load(digits.name, split="test")
accuracy = classifier.evaluate(test.images, test.labels, verbose=0)[1]
print(f"it classifies {accuracy:.1%} of unseen real digits correctly")

# %%
def read(images):
    probabilities = classifier.predict(images, batch_size=500, verbose=0)
    shares = np.bincount(probabilities.argmax(axis=1), minlength=10) / len(images)
    return shares, float(np.mean(probabilities.max(axis=1) > 0.9))


fake_shares, confident = read(gan.generate(5_000, seed=1))
real_shares, confident_real = read(test.images)
jitter = gan.generator(tf.random.stateless_normal((5_000, LATENT_DIM), [1, 1]), training=False)
_, confident_last = read(jitter.numpy())
_, confident_untrained = read(build_gan().generate(5_000))
print(f"read with more than 90% confidence: {confident:.1%} of generated digits, "
      f"{confident_last:.1%} without averaging, {confident_real:.1%} of real ones, "
      f"{confident_untrained:.1%} of an untrained generator's")

# %% [markdown]
# The gap to the real digits is what this generator still lacks: some of its pictures are between two
# digits, or none. A classifier has to answer even then, which is why its confidence is counted. It is
# not the same as quality: one perfect digit, drawn again and again, would score 100%, and stray dots
# that you see at once disturb it little: averaging, which removes them, raises it by a few points here. Count
# the classes as well.

# %%
_, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.bar(np.arange(10) - 0.2, real_shares, 0.4, color=plots.COLORS["real"], label="real")
axes.bar(np.arange(10) + 0.2, fake_shares, 0.4, color=plots.COLORS["fake"], label="generated")
axes.set_xticks(range(10), digits.class_names)
axes.set_ylabel("share of images")
axes.set_title("What the classifier reads: every class is there")
axes.legend(ncols=2);

# %% [markdown]
# *Ten pairs of bars. The real ones are all near one tenth; the generated ones are less even, but
# none is missing.*
#
# A digit counts as found here if more than 2% of the images are read as such:

# %%
classes = int(np.sum(fake_shares > 0.02))
print(f"classes found: {classes} of 10; the rarest is {fake_shares.argmin()}, "
      f"{fake_shares.min():.1%} of the generated digits, {real_shares[fake_shares.argmin()]:.1%} "
      "of the real ones")

# %% [markdown]
# On the embedded digits the same run goes on for too long: there are only 1,500 of them, and the discriminator seems
# to learn them by heart. In one such run, which is not stored here: after 8,000 steps all ten classes were there and
# the discriminator's accuracy was 0.82; after 18,000 steps it was 0.93, and only seven classes were left.
#
# ## 5. Reading the curves

# %%
plots.loss_curves(history, "A small lead: the discriminator below 2 ln 2, the generator above ln 2");

# %% [markdown]
# *Two curves over the epochs: the discriminator's loss stays below its dotted line at 2 ln 2, the
# generator's above its own at ln 2.*
#
# The losses of a GAN do not fall like a classifier's, since each player is measured against the
# other, and both change. In section 1 the loss measured a distance because the discriminator was
# trained to its best against a generator that stood still. Here it never is. What the curves do tell
# is who is ahead:
#
# | what you see | what it means |
# |---|---|
# | d_loss = 2 ln 2 = 1.386, g_loss = ln 2 = 0.693, accuracy ½ | undecided: the fakes are perfect, **or** the discriminator has learned nothing |
# | d_loss somewhat lower, g_loss higher, accuracy 0.6 to 0.8 | healthy: a small lead that both can live with |
# | d_loss near 0, accuracy 1, g_loss high | the discriminator wins, and its answers no longer help the generator |
# | g_loss near 0, d_loss high, accuracy ½ or less | the generator exploits a discriminator that does not keep up: it calls the fakes real, whatever they look like |
# | losses in the tens or hundreds, jumping | the steps are too long: logits run away |
#
# (The accuracy is the share of real and fake images that the discriminator classifies correctly.) None of
# this says how good the images are. Only the images do, or numbers made from them.
#
# ### Exercise 1.5: four runs
#
# Here are four short games with the same networks, on the embedded digits. Only the two learning
# rates differ. They are hidden in the package; looking there would spoil the fun.

# %%
def play(generator_rate=1e-3, discriminator_rate=1e-3, discriminator_units=128, epochs=12):
    runtime.set_seed(0)
    game = training.GAN(
        models.mlp_generator(LATENT_DIM, hidden=(128,)),
        models.mlp_discriminator(hidden=(discriminator_units,)),
        latent_dim=LATENT_DIM,
    )
    game.compile(
        generator_optimizer=keras.optimizers.Adam(generator_rate, beta_1=0.5),
        discriminator_optimizer=keras.optimizers.Adam(discriminator_rate, beta_1=0.5),
        steps_per_execution=50,
    )
    batches = data.load("digits").batches(64).repeat()
    return game.fit(
        batches, epochs=epochs, steps_per_epoch=50, verbose=0, callbacks=[callbacks.Progress()])

# %%
runs = {name: play(**rates)
        for name, rates in runtime.progress(exercises.lesson01.HIDDEN_RATES.items(), "four runs")}
_, axes = plt.subplots(2, 4, figsize=(12, 4.4), sharex=True, layout="constrained")
for column, (name, run) in zip(axes.T, runs.items(), strict=True):
    plots.loss_curves(run, name, column[0], legend=name == "B")
    column[1].plot(range(1, 13), run.history["d_accuracy"], color=plots.COLORS["other"])
    column[1].set_ylim(-0.05, 1.05)
axes[1, 0].set_ylabel("accuracy of D");

# %% [markdown]
# *Four pairs of diagrams, A to D: both losses above, the discriminator's accuracy below.*
#
# **Which is which?** Choose from `"healthy"`, `"wins"` (the discriminator wins), `"behind"` (the
# discriminator hardly learns) and `"too_high"` (both learning rates are too high).

# %% exercise="1.5"
# BEGIN SOLUTION
diagnoses = {"A": "behind", "B": "healthy", "C": "too_high", "D": "wins"}
# STUB
# diagnoses = {"A": ..., "B": ..., "C": ..., "D": ...}
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("1.5", diagnoses)

# %% [markdown]
# ### Exercise 1.6: fix a game
#
# In this game the discriminator's learning rate is ten times the generator's, and it wins:

# %%
broken = play(generator_rate=1e-4, discriminator_rate=1e-3)
print({name: round(values[-1], 2) for name, values in broken.history.items()})

# %% [markdown]
# **Change a setting so that both can play.** Call `play` with another `generator_rate`, another
# `discriminator_rate` or other `discriminator_units` (a discriminator with few hidden units can tell
# less). The check uses the mean of the last four epochs and wants an accuracy between 0.55 and 0.9,
# with the discriminator's loss between 0.5 and 2 ln 2. Each try takes a few seconds. Go too far once,
# on purpose: an accuracy of ½ can mean two different things.

# %% exercise="1.6"
# BEGIN SOLUTION
mended = play(generator_rate=1e-4, discriminator_rate=1e-4)
# STUB
# mended = ...  # play(generator_rate=1e-4, discriminator_rate=1e-3) with a setting changed
# END SOLUTION

# %%
exercises.check("1.6", mended)

# %% [markdown]
# ## 6. Between two digits
#
# What lies between two latent vectors? Take ten points on the straight line from one to the other,
# and draw each.

# %%
corners = np.random.default_rng(3).normal(size=(4, 2, LATENT_DIM))
walks = np.concatenate([plots.interpolation(start, end, steps=10) for start, end in corners])
plots.image_grid(gan.generate(latents=walks), "four walks from left to right", columns=10);

# %% [markdown]
# *Four rows. In each, the picture on the left turns gradually into the picture on the right.*
#
# Any network would change gradually along the way. What training has added is that most pictures on
# it can be read as a digit, though not all: the generator has learned more than single examples.

# %% [markdown]
# ## 7. A recipe to know, and to leave alone
#
# Older books and repositories train GANs differently: the discriminator is *frozen* inside a combined
# model, and `train_on_batch` is called on one and the other in turn. You will meet it, so try it:

# %%
def build_classic():
    runtime.set_seed(0)
    generator = models.mlp_generator(LATENT_DIM, hidden=(256, 512))
    discriminator = models.mlp_discriminator(hidden=(512, 256))
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    discriminator.compile(keras.optimizers.Adam(LEARNING_RATE, BETA_1), loss=cross_entropy)
    discriminator.trainable = False  # in Keras 3 this also freezes `discriminator` itself
    combined = keras.Sequential([generator, discriminator])
    combined.compile(keras.optimizers.Adam(LEARNING_RATE, BETA_1), loss=cross_entropy)
    return generator, discriminator, combined

# %%
def classic_step(generator, discriminator, combined, images, thaw=False):
    ones, zeros = np.ones((len(images), 1)), np.zeros((len(images), 1))
    latents = rng.normal(size=(len(images), LATENT_DIM)).astype("float32")
    fake_images = generator.predict_on_batch(latents)
    discriminator.trainable = thaw
    discriminator.train_on_batch(images, ones)
    discriminator.train_on_batch(fake_images, zeros)
    discriminator.trainable = False
    return combined.train_on_batch(latents, ones)

# %%
def largest_change(network, before):
    pairs = zip(network.weights, before, strict=True)
    return max(float(np.abs(weight.numpy() - old).max()) for weight, old in pairs)


classic = build_classic()
before = [weight.numpy() for weight in classic[1].weights]
with warnings.catch_warnings(record=True) as caught:
    classic_g_losses = [
        classic_step(*classic, images.numpy())
        for images, _ in digits.batches(BATCH_SIZE).take(runtime.budget(full=30, fast=3))
    ]
classic_moved = largest_change(classic[1], before)
print(f"generator's loss: first {classic_g_losses[0]:.4f}, last {classic_g_losses[-1]:.4f}")
print(f"largest change of a weight in the discriminator: {classic_moved}")
print("what Keras says:", {str(warning.message) for warning in caught})

# %% [markdown]
# The generator's loss falls to nearly 0, which looks like success. It looks like run A of exercise 1.5: the
# discriminator **never learned anything**, and a judge with random weights is easily fooled. Before
# Keras 3, `compile` remembered which weights could be trained; now the flag counts when a step is
# built, also for the discriminator alone. The warning above is all that Keras says. The recipe works
# again if the flag is set and cleared around every call. Then its speed is as follows. (Its step
# updates the discriminator twice, once with real and once with fake images, instead of once with both.)

# %%
classic = build_classic()


def classically(batches):
    for images, _ in batches.take(60):
        classic_step(*classic, images.numpy(), thaw=True)


speeds["classic"] = steps_per_second(classically, 60)
print(f"largest change of a weight in the discriminator: {largest_change(classic[1], before):.3f}")
print(f"classic {speeds['classic']:.1f} steps/s, fit {speeds['fit']:.1f} steps/s")

# %% [markdown]
# ## What you should have seen

# %%
exercises.compare_results(
    {
        "mean distance from p / (p + q)": (gap, 0.0, 0.02),
        "JSD at d = 0": (measured[0], -0.005, 0.005),
        "JSD at d = 1 (theory 0.1114)": (measured[1], 0.10, 0.12),
        "JSD at d = 4 (theory 0.6327)": (measured[4], 0.61, 0.65),
        "difference of weights, share of their change": (max(by_graph, by_fit), 0.0, 0.01),
        "fit, times eager": (speeds["fit"] / speeds["eager"], 2.0, 100.0),
        "width of the answers at d = 0": (high - low, 0.0, 0.05),
        "fit and XLA, times classic": (speeds["fit and XLA"] / speeds["classic"], 1.5, 100.0),
        "classic recipe: discriminator moved by": (classic_moved, 0.0, 0.0),
        "classes": (classes, 10, 10),
        "confident": (confident, 0.6, 1.0),
        "confident, untrained generator": (confident_untrained, 0.0, 0.3),
        "discriminator's loss at the end": (history.history["d_loss"][-1], 0.5, 1.35),
        "generator's loss at the end": (history.history["g_loss"][-1], 0.7, 3.0),
    },
    comparable=digits.name == "mnist",
)

# %% [markdown]
# ## Going further
#
# - Set `DATASET = "fashion_mnist"` at the top and run all cells. Nothing else changes. Which of the
#   ten kinds of clothing are rare?
# - Set `LATENT_DIM = 2`. What is lost? Draw the whole latent plane with `gan.generate(latents=...)`.
# - Take `loss="minimax"` in `build_gan`. Does training fail as the slopes suggest? Adam divides
#   gradients by their usual size, so a weak slope alone need not slow it down. And how sure is the
#   discriminator, really?
#
# ## Sources
#
# - I. Goodfellow et al., *Generative Adversarial Nets*, 2014, [arXiv:1406.2661](https://arxiv.org/abs/1406.2661):
#   the game, theorem 1, algorithm 1, the non-saturating loss.
# - A. Radford et al., *Unsupervised Representation Learning with Deep Convolutional GANs*, 2015,
#   [arXiv:1511.06434](https://arxiv.org/abs/1511.06434): Adam with beta_1 = 0.5.
# - Y. Yazıcı et al., *The Unusual Effectiveness of Averaging in GAN Training*, 2018,
#   [arXiv:1806.04498](https://arxiv.org/abs/1806.04498): the averaged weights.

# %%
exercises.progress(1)
