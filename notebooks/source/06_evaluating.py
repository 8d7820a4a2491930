# ---
# jupyter:
#   gan_course:
#     title: Evaluating
#     outcome: compute a Fréchet distance, an inception score and recall; find collapse, blur and copies by numbers; let a score choose when to stop
#     result: "Fréchet distance {{fid:.1f}} (real digits {{others:.1f}}, blurred ones {{blurred:.0f}}); four generators told apart by numbers alone"
# ---

# %% [markdown]
# # 06 Evaluating
#
# "The pictures look better now." Better by how much? And would you notice if half the digits were
# missing, or if every picture were a copy of a training image? This lesson puts numbers on it, and
# shows for each number what it cannot see.
#
# After this lesson you can
#
# - compute a Fréchet distance, an inception score and recall with a few lines of NumPy,
# - say what perfect samples would score, and how certain a score is,
# - find collapse, blur and copying by numbers alone,
# - let a score decide when training stops, and say what that is worth.
#
# **The stored run took {{minutes}} minutes** on two CPU cores. Its GAN reached a Fréchet distance of
# {{fid:.1f}}, with 10,000 images. Lower is better: other real digits score {{others:.1f}}, and slightly
# blurred ones {{blurred:.0f}}, with 3,000.
#
# ![Sixty generated digits](attachment:outcome.png)
#
# *Sixty digits of the GAN that this notebook trains and judges.*

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
import keras
import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter

from gan_course import callbacks, data, exercises, metrics, models, plots, training
from gan_course.exercises.lesson06 import gaussian_images, hidden_generators

plots.use_style()
print(runtime.describe())

# %%
DATASET = "mnist"  # or "fashion_mnist", or "digits", the embedded ones: no network needed
COUNT = runtime.budget(full=3_000, fast=300)  # images that a score is computed from
LATENT_DIM = 64  # numbers that the generator turns into an image
EPOCHS = runtime.budget(full=8, fast=2)  # epochs of 250 steps: about a minute
STEPS = runtime.budget(full=250, fast=5)
FEW = 256  # training images in section 6, too few on purpose
PATIENCE = runtime.budget(full=2, fast=1)  # epochs without progress before training stops

# %% [markdown]
# The GAN learns from `train`. `held_out` is for whatever is decided meanwhile. `test` decides nothing,
# it gives the final numbers: a set that has chosen the best epoch would flatter it.

# %%
digits = data.load(DATASET, fallback="digits")
test = data.load(digits.name, split="test")
COUNT = min(COUNT, len(test) // 2, len(digits) // 3)  # the embedded digits are few
train, held_out = digits[:-COUNT], digits[-COUNT:]
print(f"{digits.name}: train {len(train):,}, held out {len(held_out):,}, test {len(test):,}")

# %% [markdown]
# ## The end, first
#
# Here are six rows of twelve images. Three rows are real, from MNIST's test set. Three were drawn by a generator that
# comes with the course, lesson 02's after 3,000 steps. **Which are real?** Look at them for a minute, and note three
# numbers. Then let the first slider put the real rows first. The second one goes back to 100 and 500 steps of that
# training.

# %%
stages = {steps: models.pretrained("dcgan_mnist", steps) for steps in (100, 500, 3_000)}
written = data.load("mnist", "test", fallback="digits").images[:36]
latents = np.random.default_rng(0).normal(size=(36, 64))
mixed = np.random.default_rng(0).permutation(6)


def draw_rows(rows, steps):
    made = stages[steps](latents, training=False)
    six = np.split(np.concatenate([written, made]), 6)
    order = mixed if rows == "mixed" else range(6)
    return plots.tile(np.concatenate([six[i] for i in order]), columns=12)


plots.Panel(draw_rows, scale=2, start={"steps": 3_000},
            rows=("mixed", "real ones first"), steps=list(stages))

# %% [markdown]
# *Six rows of digits. Most can be read, some cannot, and here and there is a gray speck near an edge.* (Sliders
# need a running kernel; without one, read on below the next output. Without MNIST you see the embedded digits, whose
# coarseness gives them away.)

# %%
for steps, stage in models.pretrained_card("dcgan_mnist")["stages"].items():
    print(f"{steps:>5} steps: Fréchet distance {stage['frechet_distance']:6.1f}")

# %% [markdown]
# (Real were the second, the fifth and the sixth row.) After 100 and 500 steps nobody needs a number. After 3,000
# the eye gets tired, and that is where the numbers of this lesson begin.
#
# ## 1. A distance, in one dimension
#
# Begin with one number per image: its *ink*, the mean of its pixels, from 0 (all black) to 1 (all
# white). Here is the ink of the held-out digits, of other real digits, and of the same digits drawn
# with a thicker pen.

# %%
def ink(images):
    return (images.mean(axis=(1, 2, 3)) + 1) / 2


def thicker(images):
    return (1.6 * gaussian_filter(images, (0, 1, 1, 0)) + 0.6).clip(-1, 1)  # smear, then saturate


others = train.images[:COUNT]
plots.image_grid(
    np.concatenate([others[:20], thicker(others[:20])]), "above: digits; below: thicker", 20
);

# %% [markdown]
# *Twenty digits, and below each of them the same one with broader, softer strokes.*

# %%
_, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
for images, name, color in [
    (held_out.images, "held out", "theory"),
    (others, "other real digits", "real"),
    (thicker(others), "thicker", "fake"),
]:
    axes.hist(ink(images), bins=60, range=(0, 0.5), density=True, histtype="step",
              label=name, color=plots.COLORS[color])
axes.set_title("Ink: two sets of real digits agree, the thicker pen is far off")
axes.set_xlabel("ink of an image")
axes.set_ylabel("density")
axes.legend();

# %% [markdown]
# *Three histograms with one hump each. Two lie on each other, the third is shifted to the right and
# wider.*
#
# How far apart are two such curves? Think of two heaps of sand. Moving a grain costs the square of its
# way, and the average cost of the cheapest plan to shape one heap into the other is a squared
# distance. Between two bell curves (normal distributions) it is called the squared **Fréchet
# distance**, and depends on nothing but their means $m$ and covariances $C$ (Dowson and Landau 1982):
#
# $$d^2 = |m_1 - m_2|^2 + \mathrm{tr}\big(C_1 + C_2 - 2\,(C_1 C_2)^{1/2}\big)$$
#
# The formula holds in any number of dimensions. Section 2 explains the symbols for vectors. In one
# dimension they are plain numbers: $C$ is the variance $\sigma^2$, and tr changes nothing.
#
# ### Exercise 6.1: one dimension
#
# **Write the squared distance** as a function of both means and both standard deviations $\sigma$. It
# becomes very short.

# %% exercise="6.1"
def my_frechet_1d(mean_1, std_1, mean_2, std_2):
    # BEGIN SOLUTION
    return (mean_1 - mean_2) ** 2 + (std_1 - std_2) ** 2
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
frechet_1d = exercises.answer("6.1", my_frechet_1d)

# %%
def ink_distance(images):
    one, other = ink(held_out.images), ink(images)
    return frechet_1d(one.mean(), one.std(), other.mean(), other.std())


print(f"other real digits {ink_distance(others):.6f}")
print(f"thicker           {ink_distance(thicker(others)):.6f}")

# %% [markdown]
# The root of the second number is about the shift between the two curves. From here on "distance"
# means the squared one, as in the papers. 0 is perfect.
#
# ## 2. Many numbers at once
#
# Ink alone is easily fooled: noise with the right mean has the right ink. The **Fréchet inception
# distance** (FID, Heusel et al. 2017) describes each image by many numbers, called *features*, and
# takes the formula above with their means and covariances:
#
# - $m$ is a vector, the mean of each feature; $|m_1 - m_2|^2$ is the sum of the squared differences.
# - $C$ is the covariance matrix: on its diagonal the variance of each feature, elsewhere how much two
#   features vary together.
# - tr, the trace, is the sum of a matrix' diagonal.
# - $(C_1 C_2)^{1/2}$ is the matrix that, multiplied by itself, gives the matrix product $C_1 C_2$.
#
# ### Exercise 6.2: many dimensions
#
# **Write the distance for vectors of means and matrices of covariances.** `sqrtm` from `scipy.linalg`
# computes the root of a matrix; rounding may leave tiny imaginary parts, so take its `.real`.
# `np.trace` and `@`, the matrix product, help.

# %% exercise="6.2"
def my_frechet(mean_1, covariance_1, mean_2, covariance_2):
    # BEGIN SOLUTION
    root = sqrtm(covariance_1 @ covariance_2).real
    shift = np.sum((mean_1 - mean_2) ** 2)
    return shift + np.trace(covariance_1 + covariance_2 - 2 * root)
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
frechet = exercises.answer("6.2", my_frechet)

# %% [markdown]
# ### Which features?
#
# The simplest choice is the 784 pixels. Try them on two made-up generators. One takes real digits and
# blurs them a little. The other knows nothing of strokes: it draws *random pixels*, from a bell curve
# in 784 dimensions with the mean and covariance of real digits.

# %%
blurred = gaussian_filter(others, (0, 1, 1, 0))
random_pixels = gaussian_images(train.images[:10_000], COUNT)
plots.image_grid(
    np.concatenate([blurred[:20], random_pixels[:20]]),
    "above: slightly blurred; below: random pixels", columns=20,
);

# %% [markdown]
# *Two rows. The upper digits are soft but easy to read; below are white patches and specks, with hardly a
# digit among them.*
#
# Which of the two has the smaller distance of pixels? Guess before you run the next cell.

# %%
def moments(features):
    tiny = 1e-6 * np.eye(features.shape[1])  # corner pixels never vary, which sqrtm cannot handle
    return features.mean(axis=0), np.cov(features, rowvar=False) + tiny


def distance(images, features):
    return frechet(*moments(features(held_out.images)), *moments(features(images)))


candidates = {
    "other real digits": others, "slightly blurred": blurred, "random pixels": random_pixels
}
by_pixels = {name: distance(images, metrics.pixels)
             for name, images in runtime.progress(candidates.items(), "distances")}
for name, value in by_pixels.items():
    print(f"{name:18} {value:7.1f}")

# %% [markdown]
# Random pixels beat the readable digits. They were drawn with the right means and covariances (only
# cut off at black and white), and the distance compares nothing else. Blurring takes light from the
# strokes, and that it does notice. So pixels are the wrong features: what matters in an image is the
# strokes and how they join.
#
# Let a classifier look, and take what it sees before it decides. The original FID uses a large network
# for photographs (Inception v3). The course has a small one of its own, trained on MNIST
# ({{accuracy:.2%}} of the test set right). Its last layer of convolutions makes 96 small maps, each of
# which lights up where there is a certain piece of stroke. The mean of a map says how much of that
# piece the image has. These 96 means are the features.

# %%
see = metrics.get_features(digits.name)
print("features of the held-out images:", see(held_out.images).shape)
by_features = {name: distance(images, see)
               for name, images in runtime.progress(candidates.items(), "distances")}
for name, value in by_features.items():
    print(f"{name:18} pixels {by_pixels[name]:7.1f}   features {value:7.1f}")

# %% [markdown]
# Now the random pixels are far behind. The package does the same in one call:

# %%
fid = metrics.FrechetDistance(held_out.images, digits.name)
print(f"your formula {by_features['slightly blurred']:.3f}")
print(f"package      {float(fid(blurred)):.3f}, with its error: {fid(blurred)}")

# %% [markdown]
# The number behind ± is the standard error. The package leaves out one tenth of the images at a time
# and looks how much the score moves. It says how much the number would move with other images of the
# same generator. Another training moves it more, and only other trainings can tell how much.
#
# Distances computed from different features cannot be compared. With a FID from a paper yours can be
# compared only if network, preprocessing and number of images are the same.
#
# ## 3. How many images?
#
# "Other real digits" did not score 0, though they are as good as it gets.
#
# **Prediction 6.a.** Compute the distance between two sets of real digits once more, with ten times as
# many images in each. It becomes
#
# - a: the same, up to noise
# - b: about a third (one over the root of ten, as a standard error)
# - c: about a tenth

# %%
# BEGIN SOLUTION
prediction = "c"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %% [markdown]
# Measure it, for sets of different sizes, each time with five random pairs of sets. On the right is
# another distance, about which more below.

# %%
real_features = see(digits.images[: 4 * COUNT])
counts = [n for n in (150, 300, 600, 1_200, 2_500, 5_000, 10_000) if 2 * n <= len(real_features)]
rng = np.random.default_rng(0)
floors, kernel_distances = {n: [] for n in counts}, {n: [] for n in counts}
for n in runtime.progress(5 * counts, "distances"):
    shuffled = rng.permutation(real_features)
    one, other = shuffled[:n], shuffled[n : 2 * n]
    floors[n].append(frechet(*moments(one), *moments(other)))
    kid = metrics.KernelDistance(one, features=lambda already: already, subsets=10)
    kernel_distances[n].append(float(kid(other)))

# %%
_, (left, right) = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
left.loglog(counts, [np.mean(floors[n]) for n in counts], "o-", color=plots.COLORS["real"])
first = np.mean(floors[counts[0]])
left.loglog(counts, [first * counts[0] / n for n in counts], ":", color=plots.COLORS["theory"],
            label="proportional to 1/N")
left.set_title("Fréchet distance, real against real: falls as 1/N")
left.legend()
for n in counts:
    right.semilogx([n] * 5, kernel_distances[n], "o", color=plots.COLORS["real"], markersize=4)
right.axhline(0, color=plots.COLORS["theory"], linewidth=0.8)
right.set_title("kernel distance, real against real: scatters around 0")
for ax in (left, right):
    ax.set_xticks(counts, [f"{n:,}" for n in counts])
    ax.minorticks_off()
    ax.set_xlabel("images in each set, N")
print({n: round(float(np.mean(values)), 2) for n, values in floors.items()})

# %% [markdown]
# *Left, a line that falls along the dotted one on logarithmic axes. Right, dots around 0: far from it with
# few images, on it with 5,000.*

# %% tags=["nbval-check-output"]
exercises.check("6.a", prediction)

# %% [markdown]
# Every estimated mean and covariance is a little off, and the squares of these errors add to the
# distance. So it is too large, by an amount that falls as $1/N$. Two rules follow:
#
# - Compare scores only at the **same number of images**. With fewer images a score is worse, not just
#   noisier.
# - Know the **floor**: what perfect samples would score. `fid.floor(count)` estimates it from random
#   parts of the reference, scaled to `count` by the $1/N$ law. (The excess of other generators may be
#   larger or smaller than that of a perfect one: Chong and Forsyth 2020.)

# %%
print(f"floor for {COUNT:,} images: {fid.floor(COUNT)}")
print(f"other real digits: {fid(others)}")

# %% [markdown]
# The **kernel distance** (KID, Bińkowski et al. 2018; its *kernel* is a function of two feature vectors, not one of a
# convolution) on the right compares the first three moments of
# the features (mean, covariance, and how lopsided they are), and has no such bias: for identical
# distributions it is 0 on average, whatever the number of images, so single values may be negative. It
# is the better choice for few images. The Fréchet distance is the one that most papers report.

# %%
kid = metrics.KernelDistance(held_out.images, digits.name)
for name, images in runtime.progress(candidates.items(), "kernel distances"):
    print(f"{name:18} {kid(images)}")

# %% [markdown]
# ## 4. A GAN to judge
#
# Now a generator of our own. Both networks are small and convolutional (a DCGAN; lesson 02 builds better
# ones, but faults are what this lesson wants to see). One callback is new: `FrechetScore` draws 2,000 images after
# each epoch and writes their distance to the held-out digits into Keras' logs, as `val_fid`. The
# picture changes while you wait.

# %%
def build_gan():
    runtime.set_seed(0)
    gan = training.GAN(
        models.dcgan_generator(LATENT_DIM, variant="small"),
        models.dcgan_discriminator(variant="small"),
        latent_dim=LATENT_DIM,
    )
    gan.compile(
        generator_optimizer=keras.optimizers.Adam(
            1e-3, beta_1=0.5, use_ema=True, ema_momentum=0.99
        ),
        discriminator_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
        steps_per_execution=STEPS,  # all steps of an epoch in one call
    )
    return gan

# %%
gan = build_gan()
scores = callbacks.FrechetScore(held_out.images, min(2_000, COUNT), features=digits.name)
resume = callbacks.Resume(runtime.checkpoints("06"), strict=False)
history = gan.fit(
    train.batches(64).repeat(),
    epochs=EPOCHS,
    steps_per_epoch=STEPS,
    callbacks=[scores, callbacks.SampleGrid(), resume],
    verbose=0,
)
print(f"{EPOCHS * STEPS:,} steps in {resume.train_seconds:.0f} s")

# %% [markdown]
# *Fifty generated images after the last epoch: some are digits, others look like parts of two, or like none.*

# %%
_, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.semilogy(range(1, EPOCHS + 1), history.history["val_fid"], color=plots.COLORS["fake"])
axes.axhline(fid.floor(2_000), color=plots.COLORS["real"], linestyle=":", label="floor")
axes.set_title("The distance to held-out digits falls, quickly and then slowly")
axes.set_xlabel("epoch")
axes.set_ylabel("val_fid")
axes.legend();

# %% [markdown]
# *A curve that falls steeply at first and flattens, far above the dotted line of the floor.*
#
# This is the curve that the losses of lesson 01 could not give: it says how good the images are. Here
# are some of them, and the final number: against the test set, with as many images as there are. (It
# cannot be compared with the curve, which used 2,000.)

# %% tags=["picture-outcome"]
plots.image_grid(gan.generate(60, seed=1), "digits of the GAN", columns=20);

# %% [markdown]
# *Sixty images in white strokes on black: some are clear digits, others are knots of strokes.*

# %%
fid_test = metrics.FrechetDistance(test.images, digits.name)
final, floor = fid_test(gan.generate(len(test), seed=1)), fid_test.floor()
print(f"Fréchet distance {final}, floor {floor}, {len(test):,} images")
print(f"training images in the place of generated ones: {fid_test(train.images[:len(test)])}")

# %% [markdown]
# The training images themselves score almost twice the floor: in MNIST other people wrote the
# test set, and the classifier has learned from the training set. A generator that is trained on these
# images cannot be expected to do better.
#
# ## 5. What a distance does not say
#
# The distance tells how far off a generator is, but not how. Do its images look wrong? Or has it
# *collapsed*, and makes only few kinds of images, whatever the latent vector? Other numbers try to say
# more.
#
# ### The inception score
#
# Salimans et al. (2016) ask a classifier. It gives image $i$ the probability $p_{ic}$ of class $c$.
# Good images are clear: one probability is near 1. A good set of images is varied: the mean over all
# images, $\bar p_c$, is about the same for each class. Both wishes fit into one formula:
#
# $$\mathrm{IS} = \exp\Big(\frac{1}{N} \sum_{i=1}^{N} \sum_c p_{ic} \log \frac{p_{ic}}{\bar p_c}\Big)$$
#
# The inner sum is the *Kullback-Leibler divergence* of image $i$ from the mean: 0 where the image's
# probabilities are those of the mean, and large where they are sure of one class and the mean is not.
# The score lies between 1 and the number of classes, and higher is better.
#
# ### Exercise 6.3: the inception score
#
# **Write it** for an array of probabilities with one row per image and one column per class.

# %% exercise="6.3"
def my_inception_score(probabilities):
    # BEGIN SOLUTION
    overall = probabilities.mean(axis=0)
    divergence = np.sum(probabilities * np.log(probabilities / overall), axis=1)
    return np.exp(divergence.mean())
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
inception_score = exercises.answer("6.3", my_inception_score)

# %%
for name, images in {**candidates, "the GAN": gan.generate(COUNT, seed=1)}.items():
    print(f"{name:18} {inception_score(see.probabilities(images)):6.2f}")

# %% [markdown]
# Blurred digits score nearly as well as real ones: the classifier can read them. Nothing in this score
# knows what real images look like.
#
# ### Precision and recall
#
# Kynkäänniemi et al. (2019) draw a ball around each image in feature space, just large enough to reach
# its $k$-th nearest neighbor. All balls around the real images together are a stand-in for the region
# of real images.
#
# - **Precision**: the share of generated images inside a real image's ball. Low if images look wrong.
# - **Recall**: the share of real images inside a generated image's ball. Low if kinds of images are
#   missing, or if *all* generated images lie beside the real ones. So read precision first.
#
# In two dimensions, with $k = 3$ and a generator that has collapsed onto one side:

# %%
rng = np.random.default_rng(1)
real_points, fake_points = rng.normal(size=(60, 2)), rng.normal(size=(30, 2)) * 0.35 + (0.9, 0)


def radii_of(points):
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    return np.sort(distances, axis=1)[:, 3]  # column 0 is the point itself


_, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True, sharey=True, layout="constrained")
for ax, centers, color in ((axes[0], real_points, "real"), (axes[1], fake_points, "fake")):
    for center, radius in zip(centers, radii_of(centers), strict=True):
        ax.add_patch(plt.Circle(center, radius, color=plots.COLORS[color], alpha=0.12, linewidth=0))
    ax.scatter(*real_points.T, s=12, marker="o", color=plots.COLORS["real"], label="real")
    ax.scatter(*fake_points.T, s=16, marker="x", color=plots.COLORS["fake"], label="generated")
    ax.set_aspect("equal")
axes[0].set_title("balls of real points, for precision")
axes[1].set_title("balls of generated points, for recall")
axes[0].legend();

# %% [markdown]
# *Left, blue discs cover the whole cloud, and every cross lies in one. Right, small orange discs on one
# side leave most of the dots uncovered. Lonely points get large discs, which is a weakness of
# precision.*
#
# ### Exercise 6.4: recall
#
# `distances[i, j]` is the distance between real image `i` and generated image `j`; `real_radii` and
# `fake_radii` are the radii of the two kinds of balls. **Write recall.** You need two of the three
# arguments. A point on the edge of a ball counts as inside.

# %% exercise="6.4"
def my_recall(distances, real_radii, fake_radii):
    # BEGIN SOLUTION
    inside = distances <= fake_radii[None, :]
    return inside.any(axis=1).mean()
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
recall = exercises.answer("6.4", my_recall)

# %% [markdown]
# Precision is the same with the roles exchanged, so your function computes both for the picture above:

# %%
distances = np.linalg.norm(real_points[:, None] - fake_points, axis=2)
real_radii, fake_radii = radii_of(real_points), radii_of(fake_points)
print(f"precision {recall(distances.T, fake_radii, real_radii):.2f}, "
      f"recall {recall(distances, real_radii, fake_radii):.2f}")

# %% [markdown]
# ### Copies
#
# One failure is the worst for an application, since nothing new is made and private images may leak.
# Suppose that a generator simply hands out its training images.
#
# **Prediction 6.b.** Held against the *held-out* digits, and compared with new real images from the test set, these
# copies get
#
# - a: a clearly larger Fréchet distance, since nothing new is made
# - b: a clearly lower precision
# - c: a clearly lower recall
# - d: nothing of the kind: they score as well or better

# %%
# BEGIN SOLUTION
prediction = "d"
# STUB
# prediction = ...  # "a", "b", "c" or "d"
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("6.b", prediction)

# %% [markdown]
# What finds copies is a look at the nearest training image. An unseen real image has one too, at some
# distance; copies lie closer. The **copying score** (after Meehan et al. 2020) takes a generated image
# and an unseen real one and asks which is closer, pixel by pixel, to its nearest training image. The
# score is how often that is the generated one: ½ for new real images, 1 for exact copies, near 0 if
# images are far from every real one. Copies that were moved by one pixel escape it:

# %%
copies = train.images[: COUNT // 5]
unseen_real = held_out.images[: COUNT // 5]
for name, images in {"copies": copies, "moved copies": np.roll(copies, 1, axis=2)}.items():
    print(f"{name:12} {metrics.copying_score(images, train.images, unseen_real)}")

# %% [markdown]
# ### Four generators, by their numbers
#
# Here are four generators, known by their numbers alone:
#
# - `"gan"`: the one trained above;
# - `"collapsed"`: draws real digits, moved by up to a pixel, of one class only;
# - `"blurry"`: draws digits as good as real ones, slightly blurred;
# - `"copies"`: hands out training images.

# %%
def scoreboard(images):
    found = metrics.precision_recall(held_out.images, images, features=digits.name)
    return {
        "Fréchet": fid(images),
        "inception": metrics.InceptionScore(digits.name)(images),
        "precision": found.precision,
        "recall": found.recall,
        "copying": metrics.copying_score(images[: COUNT // 5], train.images, unseen_real),
    }

# %%
hidden = hidden_generators(train, test[COUNT:], gan, COUNT)
board = {"real": scoreboard(test.images[:COUNT])}
board |= {letter: scoreboard(images)
          for letter, images in runtime.progress(hidden.items(), "scores")}
print(f"{'':6}" + "".join(f"{name:>16}" for name in board["real"]))
for name, row in board.items():
    print(f"{name:6}" + "".join(f"{value:9.2f} ± {value.error:4.2f}" for value in row.values()))

# %% [markdown]
# (The first row are test images: as near to the floor as the errors can tell. The inception scores are a little
# below those of your formula, and cannot be compared with them: the package takes the mean of ten parts of the
# images, and of fewer images this score is lower.)
#
# ### Exercise 6.5: which is which?
#
# **Write for each letter one of the four names above.** Begin with the numbers that only one of them
# can have.

# %% exercise="6.5"
# BEGIN SOLUTION
diagnoses = {"A": "blurry", "B": "copies", "C": "gan", "D": "collapsed"}
# STUB
# diagnoses = {"A": ..., "B": ..., "C": ..., "D": ...}
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("6.5", diagnoses)

# %% [markdown]
# Only now, look at them:

# %% tags=["picture-rows"]
rows = [test.images[:20], *(images[:20] for images in hidden.values())]
plots.image_grid(np.concatenate(rows), "from the top: real, A, B, C, D", columns=20);

# %% [markdown]
# *Five rows of twenty: real digits, blurred digits, real digits again (the copies), the GAN's digits,
# and digits of one class.*
#
# The copies score no worse than real images, in every number but the last. Blurred images come out a little above ½
# without being copies: with little contrast an image is closer to all others. And the GAN's images lie farther from
# the training images than real ones do, as moved digits do, too. Here are the copies, each with its nearest
# training image below, and the same for the GAN:

# %%
pairs = []
for letter in ("B", "C"):
    images = hidden[letter][:20]
    nearest, _ = metrics.nearest_neighbors(images, train.images)
    pairs += [images, train.images[nearest[:, 0]]]
plots.image_grid(np.concatenate(pairs), "copies and nearest, the GAN and nearest", columns=20);

# %% [markdown]
# *Rows one and two are the same. In rows three and four strokes differ, and now and then the kind of digit, too; some
# of row three are no digits.*
#
# ## 6. When to stop
#
# A classifier that trains for too long memorizes its training set, and early stopping is a cure. Is it
# the same with a GAN? Take very little to learn from: {{few}} images instead of 57,000.
#
# **Prediction 6.c.** In a stored run of {{steps:,}} steps, the distance to *held-out* digits will
#
# - a: fall as low as with all images
# - b: fall ever more slowly, and end well above the curve of all images
# - c: fall, and then rise to more than twice its own lowest value

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %% [markdown]
# Here is such a run, with Keras' own `EarlyStopping`. It reads `val_fid`, waits for some epochs that
# gain less than 1, then stops, and restores the weights of the best epoch, and with them the averaged
# weights that `generate` uses. `FrechetScore` has to write the score before anybody can read it, so it
# comes first in the list. (In the stored run the 8 epochs ended before it had to stop anything.)

# %%
small = build_gan()
stop = keras.callbacks.EarlyStopping(
    "val_fid", mode="min", patience=PATIENCE, min_delta=1, restore_best_weights=True
)
stopped = small.fit(
    train[:FEW].batches(64).repeat(),
    epochs=EPOCHS,
    steps_per_epoch=STEPS,
    callbacks=[scores, stop, callbacks.Progress("few images")],
    verbose=0,
).history
curve = stopped["val_fid"]
print(f"{len(curve)} epochs; best {min(curve):.1f}, epoch {np.argmin(curve) + 1}; last {curve[-1]:.1f}")
print(f"with the best weights: {fid(small.generate(min(2_000, COUNT)))}")

# %% [markdown]
# One run proves little, and this one was short. The curves below were made beforehand
# (`benchmarks/early_stopping.py`): several seeds each with {{few}} and with 55,000 training images,
# and no stopping.

# %%
study = data.stored_results("early_stopping")
sizes = sorted({row["size"] for row in study})
_, axes = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained")
for row in study:
    color = plots.COLORS["fake" if row["size"] == sizes[0] else "real"]
    epochs = range(1, len(row["val_fid"]) + 1)
    label = f"{row['size']:,} training images" if row["seed"] == 0 else None
    axes[0].semilogy(epochs, row["val_fid"], color=color, linewidth=1, label=label)
    axes[1].plot(epochs, row["d_accuracy"], color=color, linewidth=1)
axes[0].set_title(f"distance to held-out digits, {len(study) // 2} seeds each")
axes[1].set_title("accuracy of the discriminator")
axes[0].legend()
for ax in axes:
    ax.set_xlabel(f"epoch of {study[0]['steps']} steps")
    ax.set_xticks(range(0, study[0]["epochs"] + 1, 5))

# %% [markdown]
# *Left, the blue curves, of 55,000 images, fall to the end; the orange ones, of {{few}}, flatten early, higher up.
# Right, the orange discriminators soon are right nearly always; the accuracy of the blue ones stays near 0.75.*

# %%
def over_seeds(size, name):
    values = [row[name] for row in study if row["size"] == size]
    return np.mean(values), np.std(values, ddof=1)


gaps = {}
print("Fréchet distance to the test set, mean ± standard deviation over seeds")
for size in sizes:
    (best, best_spread), (last, last_spread) = (
        over_seeds(size, name) for name in ("test_fid_best", "test_fid_last")
    )
    print(f"{size:7,} training images: best epoch {best:5.2f} ± {best_spread:.2f}, "
          f"last epoch {last:5.2f} ± {last_spread:.2f}")
    seen, unseen = (
        np.mean([row["called_real"][part] for row in study if row["size"] == size])
        for part in ("train", "held_out")
    )
    gaps[size] = seen - unseen
    print(f"{'':24} called real at the end: {seen:.0%} of training images, "
          f"{unseen:.0%} of held-out ones")

# %% tags=["nbval-check-output"]
exercises.check("6.c", prediction)

# %% [markdown]
# The discriminators of few images recognize their own, and take nearly all other real digits for fakes: they have
# memorized (Karras et al. 2020 show the same for large GANs). With all images there is no such gap. What counts is
# the gap. Where both shares lie differs from seed to seed: with all images the three discriminators call 82%, 100%
# and 3% of the held-out digits real, which depends on BatchNorm's moving averages, too.
#
# And yet early stopping is worth little here. With all images the distance is still falling, and the
# best epoch is one of the last. With few images it falls but slowly, the best epoch is one of the last, too, and
# choosing it gains less than two seeds differ. What the score does tell is that going on brings little, and that more
# images would bring more. On longer runs and with other networks it may get worse, as in lesson 01, where a run on
# the embedded digits lost classes: measure, do not assume.
#
# ## 7. Fool a number
#
# Whoever is rewarded for a number will find its blind spot. Be that person once.
#
# ### Exercise 6.6: a generator that deserves nothing
#
# **Write a generator that reaches the inception score of real digits, and is useless**: with a coverage
# below 10%. (Coverage is a sturdier relative of recall: the share of real images whose own ball contains
# a generated image.) Your function gets real images with their labels and returns `count` images.
# The check uses the embedded digits: `metrics.get_features("digits").probabilities(images)` is what its classifier
# thinks, one row per image.

# %% exercise="6.6"
def my_generator(images, labels, count):
    # BEGIN SOLUTION
    sure = metrics.get_features("digits").probabilities(images)
    best = images[sure.argmax(axis=0)]  # for each class the image that is most clearly of it
    return best[np.arange(count) % 10]
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("6.6", my_generator)

# %% [markdown]
# What to take home:
#
# | number | asks | good is | does not see |
# |---|---|---|---|
# | Fréchet distance | are mean and covariance of the features right? | low, near its floor | anything beyond mean and covariance; what the features do not show; copies |
# | kernel distance | are the first three moments of the features right? | near 0 | the same, beyond three moments |
# | inception score | is each image of a clear class, do all classes come equally often? | high, as for real images | anything about real images: soft or wrong strokes, missing kinds within a class, copies |
# | precision | do generated images look like real ones? | high, as for real images | missing kinds; copies. One outlier with a large ball can raise it |
# | recall | are all kinds there? | high, as for real images | copies. One outlier can raise it, too |
# | copying score | are they closer to training images than new real ones are? | about ½ (far below: unlike real images) | copies that were moved, or mixed with bad images; quality |
#
# And how to read them together:
#
# 1. The copying score, and the nearest training images beside the generated ones: is anything new?
# 2. Precision: do the images look right?
# 3. Recall: if they do, is anything missing?
# 4. The distance, with its floor and its error, to compare with other generators. Say which features,
#    how many images, and which real ones.
#
# ## What you should have seen

# %%
distances = {
    "distance by pixels: blurred, times random": (
        by_pixels["slightly blurred"] / by_pixels["random pixels"], 1.2, 10.0),
    "distance by features: random, times blurred": (
        by_features["random pixels"] / by_features["slightly blurred"], 1.5, 20.0),
    "distance of 150 images, times that of the most": (
        np.mean(floors[150]) / np.mean(floors[counts[-1]]), 20, 60),
    "others": (by_features["other real digits"], 0.1, 1.0),
    "blurred": (by_features["slightly blurred"], 20, 60),
    "fid": (final, 5.0, 15.0),
    "floor": (floor, 0.05, 0.5),
}
four_generators = {
    "inception score, blurred": (board["A"]["inception"], 9.0, 10.0),
    "precision, blurred": (board["A"]["precision"], 0.0, 0.6),
    "copying score, copies": (board["B"]["copying"], 0.99, 1.0),
    "copying score, GAN": (board["C"]["copying"], 0.05, 0.5),
    "precision, collapsed": (board["D"]["precision"], 0.6, 1.0),
    "recall, collapsed": (board["D"]["recall"], 0.0, 0.3),
}

# %%
card = models.pretrained_card("mnist_classifier")
stored = {
    "accuracy": (card["accuracy"]["mnist test"],),
    "few": (FEW,),
    "steps": (study[0]["steps"] * study[0]["epochs"],),
    "called real, few images: training less held-out": (gaps[sizes[0]], 0.5, 1.0),
    "called real, all images: training less held-out": (gaps[sizes[1]], -0.1, 0.1),
    "few images, best: times all images": (
        over_seeds(sizes[0], "test_fid_best")[0] / over_seeds(sizes[1], "test_fid_best")[0],
        1.3, 2.5),
}
exercises.compare_results(
    {**distances, **four_generators, **stored}, comparable=digits.name == "mnist")

# %% [markdown]
# ## Going further
#
# - Blur real digits more and more (`gaussian_filter` with 0.3, 0.6, 1, 2) and draw all five numbers
#   against the blur. Which notices first?
# - Judge lesson 01's GAN of fully connected layers, trained for the same minutes.
# - Print `metrics.precision_recall(...)` as a whole: its density and coverage (Naeem et al. 2020) are
#   made for the weakness that the large discs above show.
# - For $d$ independent features with variance 1, theory gives a floor of $2d/N + d(d+1)/(2N)$. Check it
#   with `rng.normal` and `frechet`. Why do real features, which are correlated, score less?
#
# ## Sources
#
# - D. Dowson, B. Landau, *The Fréchet distance between multivariate normal distributions*, 1982: the
#   formula.
# - M. Heusel et al., *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*,
#   2017, [arXiv:1706.08500](https://arxiv.org/abs/1706.08500): the Fréchet inception distance.
# - M. Bińkowski et al., *Demystifying MMD GANs*, 2018,
#   [arXiv:1801.01401](https://arxiv.org/abs/1801.01401): the kernel distance, and the bias of FID.
# - T. Salimans et al., *Improved Techniques for Training GANs*, 2016,
#   [arXiv:1606.03498](https://arxiv.org/abs/1606.03498): the inception score.
# - T. Kynkäänniemi et al., *Improved Precision and Recall Metric for Assessing Generative Models*, 2019,
#   [arXiv:1904.06991](https://arxiv.org/abs/1904.06991).
# - M. Naeem et al., *Reliable Fidelity and Diversity Metrics for Generative Models*, 2020,
#   [arXiv:2002.09797](https://arxiv.org/abs/2002.09797): density and coverage.
# - C. Meehan et al., *A Non-Parametric Test to Detect Data-Copying in Generative Models*, 2020,
#   [arXiv:2004.05675](https://arxiv.org/abs/2004.05675): the copying score.
# - M. Chong, D. Forsyth, *Effectively Unbiased FID and Inception Score and Where to Find Them*, 2020,
#   [arXiv:1911.07023](https://arxiv.org/abs/1911.07023).
# - T. Karras et al., *Training Generative Adversarial Networks with Limited Data*, 2020,
#   [arXiv:2006.06676](https://arxiv.org/abs/2006.06676): what few images do to a discriminator.
# - A. Radford et al., 2015, [arXiv:1511.06434](https://arxiv.org/abs/1511.06434): the DCGAN.

# %%
exercises.progress(6)
