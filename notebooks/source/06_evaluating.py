# ---
# jupyter:
#   gan_course:
#     title: Evaluating
#     outcome: compute a Fréchet distance, an inception score and recall; find collapse, blur and copies by numbers; let a score choose when to stop
#     result: "Fréchet distance {{fid:.0f}} (real images {{floor:.1f}}); four generators told apart by numbers alone"
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
# - say what perfect samples would score, and how sure a score is,
# - find collapse, blur and copying by numbers alone,
# - let a score decide when training stops.
#
# **The stored run took {{minutes}} minutes** on two CPU cores. Its GAN came down to a Fréchet distance
# of {{fid:.0f}}, where real images score {{floor:.1f}} and smeared ones hundreds.
#
# ![Five rows of digits](attachment:rows.png)
#
# *Real digits, and what four generators make. By the end you will have told the four apart without
# seeing them.*

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
import time

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
COUNT = runtime.budget(full=5_000, fast=300)  # images a score is computed from
LATENT_DIM = 64  # numbers that the generator turns into an image
EPOCHS = runtime.budget(full=12, fast=2)  # epochs of 250 steps: a minute or two
STEPS = runtime.budget(full=250, fast=5)
FEW = 200  # training images, where there shall be too few
PATIENCE = runtime.budget(full=3, fast=1)  # epochs without progress before training stops

# %% [markdown]
# The images are split three ways. The GAN learns from `train`. Whatever is decided while it learns is
# decided on `held_out`. And `test` is looked at once, for the final number: a set that has chosen the
# best epoch is no fair judge of it.

# %%
digits = data.load(DATASET, fallback="digits")
test = data.load(digits.name, split="test")
held_out_count = min(COUNT, len(digits) // 3)
train, held_out = digits[:-held_out_count], digits[-held_out_count:]
print(f"{digits.name}: train {len(train):,}, held out {len(held_out):,}, test {len(test):,}")

# %% [markdown]
# ## 1. A distance, in one dimension
#
# Begin with one number an image: its *ink*, the mean of its pixels, from 0 (all black) to 1 (all
# white). Here are the ink of the held-out digits, of other real digits, and of the same digits
# drawn with a thicker pen.

# %%
def ink(images):
    return (images.mean(axis=(1, 2, 3)) + 1) / 2


def thicker(images):
    return np.maximum(images, 0.8 * gaussian_filter(images, (0, 1, 1, 0)) * 2 + 0.6).clip(-1, 1)


others = train.images[:COUNT]
plots.image_grid(
    np.concatenate([others[:20], thicker(others[:20])]), "above: digits; below: thicker", 20
);

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
axes.set_xlabel("mean of the pixels, black 0, white 1")
axes.legend();

# %% [markdown]
# *Three histograms with one hump each. Two lie on each other, the third is shifted to the right and wider.*
#
# How far apart are two such curves? Describe each by its mean $m$ and standard deviation $\sigma$, as
# if it were a bell curve. The squared **Fréchet distance** between two bell curves is the least
# effort, in squared distance, to move one onto the other (Dowson and Landau 1982). For any number of
# dimensions, with $C$ the covariance, it is
#
# $$d^2 = |m_1 - m_2|^2 + \mathrm{tr}\big(C_1 + C_2 - 2\,(C_1 C_2)^{1/2}\big)$$
#
# ### Exercise 6.1: one dimension
#
# In one dimension $C = \sigma^2$, and the trace tr is no more than the number itself. **Write the
# squared distance** as a function of both means and both standard deviations. It becomes very short.

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
# ## 2. Many numbers at once
#
# Ink alone is easily fooled: noise with the right mean has the right ink. The **Fréchet inception
# distance** (FID, Heusel et al. 2017) uses many numbers an image, called *features*, and the formula
# above with their means and covariances.
#
# ### Exercise 6.2: many dimensions
#
# **Write it for vectors of means and matrices of covariances.** The root is that of a matrix:
# $(C_1 C_2)^{1/2}$ multiplied by itself gives $C_1 C_2$. `sqrtm` from `scipy.linalg` computes it;
# rounding may leave tiny imaginary parts, so take its `.real`. `np.trace` and `@` help.

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
# The nearest at hand are the 784 pixels. Try them on two made-up generators. One takes real digits and
# blurs them a little. The other knows nothing of digits: it draws random pixels with the mean and
# covariance of the real ones, from one bell curve in 784 dimensions.

# %%
blurred = gaussian_filter(others, (0, 1, 1, 0))
mush = gaussian_images(train.images[: 4 * COUNT], COUNT)
plots.image_grid(
    np.concatenate([blurred[:20], mush[:20]]), "above: slightly blurred; below: one bell curve", 20
);

# %% [markdown]
# *Two rows. The upper digits are soft but easy to read; below are gray clouds in the middle of each
# picture, and no digit.*
#
# Which has the smaller distance of pixels?

# %%
def moments(features):
    tiny = 1e-6 * np.eye(features.shape[1])  # corner pixels never vary: their matrix has no root
    return features.mean(axis=0), np.cov(features, rowvar=False) + tiny


def distance(images, features):
    return frechet(*moments(features(held_out.images)), *moments(features(images)))


candidates = {"other real digits": others, "slightly blurred": blurred, "one bell curve": mush}
by_pixels = {name: distance(images, metrics.pixels) for name, images in candidates.items()}
for name, value in by_pixels.items():
    print(f"{name:18} {value:7.1f}")

# %% [markdown]
# The clouds win, of course: a Fréchet distance compares means and covariances, and those are all they
# have. Pixels are the wrong features. What matters in an image is not how bright a pixel is, but the
# strokes and how they join.
#
# So let a classifier look, and take what it sees before it decides. The original FID uses a large
# network for color photographs (Inception v3). The course has a small one of its own, trained on MNIST
# ({{accuracy:.2%}} of the test set right). Its last convolution has 96 channels; their means over the
# image are the features.

# %%
see = metrics.get_features(digits.name)
features = see(held_out.images)
print(f"{features.shape[0]:,} images, {features.shape[1]} features each")
by_features = {name: distance(images, see) for name, images in candidates.items()}
for name, value in by_features.items():
    print(f"{name:18} pixels {by_pixels[name]:7.1f}   features {value:7.1f}")

# %% [markdown]
# Now the clouds are far behind. The package does the same in one call, in a way that cannot end in
# complex numbers, and adds how sure the number is:

# %%
fid = metrics.FrechetDistance(held_out.images, digits.name)
print(f"yours    {by_features['slightly blurred']:.4f}")
print(f"package  {float(fid(blurred)):.4f}, with its error: {fid(blurred)}")

# %% [markdown]
# Distances from different features have nothing to do with each other. A FID from a paper can be
# compared with yours only if network, preprocessing and number of images are the same.
#
# ## 3. How many images?
#
# **Prediction 6.a.** Take two sets of *real* digits, so the true distance is 0. Compute the distance
# between two sets of 300 images, and between two sets of several thousand. It will be
#
# - a: 0 both times, up to noise around 0
# - b: above 0 both times, and larger for the small sets
# - c: above 0 both times, and larger for the large sets

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("6.a", prediction)

# %%
real_features = see(digits.images[: 4 * COUNT])
counts = [n for n in (150, 300, 600, 1_200, 2_500, 5_000, 10_000) if 2 * n <= len(real_features)]
rng = np.random.default_rng(0)


def real_against_real(count):
    shuffled = rng.permutation(real_features)
    return frechet(*moments(shuffled[:count]), *moments(shuffled[count : 2 * count]))


floors = {n: np.mean([real_against_real(n) for _ in range(5)]) for n in counts}

# %%
_, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
axes.loglog(counts, floors.values(), "o-", color=plots.COLORS["real"], label="real against real")
first = counts[0]
axes.loglog(counts, [floors[first] * first / n for n in counts], ":", color=plots.COLORS["theory"],
            label="proportional to 1/N")
axes.set_title("Identical distributions: the distance falls as 1/N, and never reaches 0")
axes.set_xlabel("images in each set, N")
axes.legend()
print({n: round(float(value), 2) for n, value in floors.items()})

# %% [markdown]
# *A straight falling line in a diagram with logarithmic axes, on the dotted one.*
#
# Every estimated mean and covariance is a little off, and each error adds to the distance. For $N$
# samples of $d$ independent features with variance 1, theory says $2d/N + d(d+1)/2N$ on average. Two
# rules follow:
#
# - Compare scores only at the **same number of images**. Fewer images make a score worse, not just
#   noisier.
# - Print the **floor** beside every score: what perfect samples would get. `fid.floor(count)`
#   estimates it from random halves of the reference.

# %%
print(f"floor for {COUNT:,} images: {fid.floor(COUNT)}")
print(f"other real digits: {fid(others)}")

# %% [markdown]
# A relative without this bias is the **kernel distance** (KID, Bińkowski et al. 2018): for identical
# distributions its estimates scatter around 0, whatever the number of images.

# %%
kid = metrics.KernelDistance(held_out.images, digits.name)
for name, images in candidates.items():
    print(f"{name:18} {kid(images)}")

# %% [markdown]
# ## 4. A GAN to judge
#
# Now a generator of our own. Both networks are small and convolutional (a DCGAN, Radford et al. 2015);
# how they are built does not matter here. One callback is new: `FrechetScore` draws 2,000 images after
# each epoch and writes their distance to the held-out digits into Keras' logs, as `val_fid`. The
# picture changes while you wait.

# %%
def build_gan():
    runtime.set_seed(0)
    gan = training.GAN(
        models.dcgan_generator(LATENT_DIM), models.dcgan_discriminator(), latent_dim=LATENT_DIM
    )
    gan.compile(
        generator_optimizer=keras.optimizers.Adam(
            1e-3, beta_1=0.5, use_ema=True, ema_momentum=0.99
        ),
        discriminator_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
        steps_per_execution=STEPS,
    )
    return gan

# %%
gan = build_gan()
scores = callbacks.FrechetScore(held_out.images, min(2_000, COUNT), features=digits.name)
begin = time.perf_counter()
history = gan.fit(
    train.batches(64).repeat(),
    epochs=EPOCHS,
    steps_per_epoch=STEPS,
    callbacks=[scores, callbacks.SampleGrid(every=2)],
    verbose=0,
)
print(f"{EPOCHS * STEPS:,} steps in {time.perf_counter() - begin:.0f} s")

# %%
_, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.semilogy(range(1, EPOCHS + 1), history.history["val_fid"], color=plots.COLORS["fake"])
axes.set_title("The Fréchet distance to held-out digits falls while the GAN trains")
axes.set_xlabel("epoch")
axes.set_ylabel("val_fid");

# %% [markdown]
# *A falling curve.*
#
# This is the curve that the losses of lesson 01 could not give: it says how good the images are. For
# the final number take the test set, as many images as you can afford, and both the error and the
# floor:

# %%
judged = test.images[: 2 * COUNT]
final = metrics.FrechetDistance(judged, digits.name)
final_fid, floor = final(gan.generate(len(judged), seed=1)), final.floor()
print(f"Fréchet distance {final_fid}, floor {floor}, {len(judged):,} images")
print(f"training images: {final(train.images[:len(judged)])}")

# %% [markdown]
# The training images themselves score somewhat more than the floor: in MNIST other people wrote the
# test set, and the classifier has learned from the training set. A generator that is trained on these
# images cannot be expected to do better.
#
# ## 5. What a distance does not say
#
# The distance tells how far off a generator is, not in which way. Do its images look wrong, or are
# some kinds of images missing? Three other numbers try to say more.
#
# ### The inception score
#
# Salimans et al. (2016) ask a classifier. For each image it gives probabilities $p$ of the classes.
# They should be clear, one near 1, and their mean over all images, $\bar p$, should be even. Both
# together make the divergence between $p$ and $\bar p$ large:
#
# $$\mathrm{IS} = \exp\Big(\frac{1}{N} \sum_{i=1}^{N} \sum_c p_{ic} \log \frac{p_{ic}}{\bar p_c}\Big)$$
#
# ### Exercise 6.3: the inception score
#
# **Write it** for an array of probabilities with one row an image and one column a class.

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
# It has no reference but the classifier's opinion: nothing in it knows what real images look like.
#
# ### Precision and recall
#
# Kynkäänniemi et al. (2019) draw a ball around each image in feature space, just large enough to reach
# its $k$-th nearest neighbor. All balls around the real images together are a stand-in for the region
# of real images.
#
# - **Precision**: the share of generated images inside a real image's ball. Low if images look wrong.
# - **Recall**: the share of real images inside a generated image's ball. Low if kinds are missing.
#
# In two dimensions, with a generator that has collapsed onto one side:

# %%
rng = np.random.default_rng(1)
real_points, fake_points = rng.normal(size=(60, 2)), rng.normal(size=(30, 2)) * 0.35 + (0.9, 0)
_, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True, sharey=True, layout="constrained")
for ax, centers, color in ((axes[0], real_points, "real"), (axes[1], fake_points, "fake")):
    radii = np.sort(np.linalg.norm(centers[:, None] - centers, axis=2), axis=1)[:, 3]
    for center, radius in zip(centers, radii, strict=True):
        ax.add_patch(plt.Circle(center, radius, color=plots.COLORS[color], alpha=0.12, linewidth=0))
    ax.scatter(*real_points.T, s=12, marker="o", color=plots.COLORS["real"], label="real")
    ax.scatter(*fake_points.T, s=16, marker="x", color=plots.COLORS["fake"], label="generated")
    ax.set_aspect("equal")
axes[0].set_title("balls of real points: all fakes are inside")
axes[1].set_title("balls of fakes: most real points are outside")
axes[0].legend();

# %% [markdown]
# *Left, large blue discs cover the whole cloud, and every cross lies in one: precision 1. Right, small
# orange discs on one side leave most of the dots uncovered: low recall.*
#
# ### Exercise 6.4: recall
#
# `distances[i, j]` is the distance between real image `i` and generated image `j`; `real_radii` and
# `fake_radii` are the radii of the two kinds of balls. **Write recall.** A point on the edge of a
# ball counts as inside.

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
# ### Copies
#
# One more failure is the worst for an application, and the hardest to see. Suppose that a generator
# simply hands out its training images.
#
# **Prediction 6.b.** Which number finds that out?
#
# - a: the Fréchet distance
# - b: the inception score
# - c: precision and recall
# - d: none of these

# %%
# BEGIN SOLUTION
prediction = "d"
# STUB
# prediction = ...  # "a", "b", "c" or "d"
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("6.b", prediction)

# %% [markdown]
# What finds it is the nearest training image. Real images that the generator has never seen have a
# nearest training image too, at some distance. A generated image should not be closer than those. The
# **copying score** (after Meehan et al. 2020) is the probability that it is: ½ for new real images,
# 1 for copies.
#
# ### Four generators, by their numbers
#
# Four generators, in random order. Each is seen by its numbers alone:
#
# - `"gan"`: the one trained above;
# - `"collapsed"`: draws real digits of one class only, moved by a pixel;
# - `"blurry"`: digits as soft as if out of focus;
# - `"copies"`: hands out training images.

# %%
def scoreboard(images):
    found = metrics.precision_recall(held_out.images, images, features=digits.name)
    some = images[: COUNT // 5]
    return {
        "Fréchet": fid(images),
        "inception": metrics.InceptionScore(digits.name)(images),
        "precision": found.precision,
        "recall": found.recall,
        "copying": metrics.copying_score(some, train.images, held_out.images[: len(some)]),
    }

# %%
hidden = hidden_generators(train, gan, COUNT)
board = {"real": scoreboard(test.images[:COUNT])}
board |= {letter: scoreboard(images) for letter, images in hidden.items()}
print(f"{'':6}" + "".join(f"{name:>16}" for name in board["real"]))
for name, row in board.items():
    print(f"{name:6}" + "".join(f"{value:9.2f} ± {value.error:4.2f}" for value in row.values()))

# %% [markdown]
# ### Exercise 6.5: which is which?

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
# *Five rows of twenty: real digits, blurred digits, real-looking digits (the copies), the GAN's digits,
# and twenty fours.*
#
# The copies, each with its nearest training image below, and the same for the GAN:

# %%
pairs = []
for letter in ("B", "C"):
    images = hidden[letter][:20]
    nearest, _ = metrics.nearest_neighbors(images, train.images)
    pairs += [images, train.images[nearest[:, 0]]]
plots.image_grid(np.concatenate(pairs), "copies and nearest, the GAN and nearest", columns=20);

# %% [markdown]
# *Rows one and two are the same. Rows three and four show the same kind of digit, but different strokes.*
#
# ## 6. When to stop
#
# A classifier that trains for too long comes to know its training set by heart. What happens to a GAN?
# Give it very little to learn: {{few}} images instead of 55,000.
#
# **Prediction 6.c.** While it trains, the distance to *held-out* digits will
#
# - a: fall just as it did above
# - b: fall, and then stay at a higher level
# - c: fall, and then rise to more than twice its lowest value

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %% [markdown]
# Here is such a run, with Keras' own `EarlyStopping`: it reads `val_fid`, waits for some epochs without
# a new best, then stops and puts the best weights back, the averaged ones too. `FrechetScore` has to
# write the score before anybody can read it, so it comes first in the list.

# %%
few = train[:FEW]
small = build_gan()
stop = keras.callbacks.EarlyStopping(
    "val_fid", mode="min", patience=PATIENCE, restore_best_weights=True
)
stopped = small.fit(
    few.batches(64).repeat(),
    epochs=EPOCHS,
    steps_per_epoch=STEPS,
    callbacks=[scores, stop],
    verbose=0,
).history
curve = stopped["val_fid"]
print(f"{len(curve)} epochs; best {min(curve):.1f}, epoch {np.argmin(curve) + 1}; last {curve[-1]:.1f}")
print(f"put back: {fid(small.generate(min(2_000, COUNT)))}")
print(f"discriminator's accuracy {stopped['d_accuracy'][-1]:.2f}, "
      f"with all images {history.history['d_accuracy'][-1]:.2f}")

# %% tags=["nbval-check-output"]
exercises.check("6.c", prediction)

# %% [markdown]
# One run proves little. The curves below were made beforehand (`benchmarks/early_stopping.py`): five
# seeds each with {{few}} and with 55,000 training images, 20 epochs, and no stopping.

# %%
study = data.stored_results("early_stopping")
_, axes = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained")
for row in study:
    color = plots.COLORS["real" if row["size"] == 55_000 else "fake"]
    epochs = range(1, len(row["val_fid"]) + 1)
    label = f"{row['size']:,} training images" if row["seed"] == 0 else None
    axes[0].semilogy(epochs, row["val_fid"], color=color, linewidth=1, label=label)
    axes[1].plot(epochs, row["d_accuracy"], color=color, linewidth=1)
axes[0].set_title("Fréchet distance to held-out digits, five seeds each")
axes[1].set_title("accuracy of the discriminator")
axes[0].legend()
for ax in axes:
    ax.set_xlabel("epoch")

# %%
print("training images   best epochs            best, on the test set   last epoch")
for size in sorted({row["size"] for row in study}):
    rows = [row for row in study if row["size"] == size]
    best, last = ([row[f"test_fid_{when}"] for row in rows] for when in ("best", "last"))
    print(f"{size:15,}   {sorted(row['best_epoch'] for row in rows)!s:20}   "
          f"{np.mean(best):5.1f} ± {np.std(best, ddof=1):.1f}              "
          f"{np.mean(last):5.1f} ± {np.std(last, ddof=1):.1f}")

# %% [markdown]
# ## 7. Fool a number
#
# Whoever is rewarded for a number will find its blind spot. Be that person once.
#
# ### Exercise 6.6: a generator that deserves nothing
#
# **Write a generator that scores a higher inception score than real digits, and is useless**: with a
# coverage below 10%. (Coverage is a sturdier relative of recall: the share of real images that have a
# generated one in their ball.) Your function gets real images with their labels and returns `count`
# images. The check uses the embedded digits.

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
# | number | asks | does not see |
# |---|---|---|
# | Fréchet distance | are mean and covariance of features right? | copies; why it is large; whatever the features do not show |
# | kernel distance | the same, without the bias of few images | the same |
# | inception score | is each image of a clear class, and does each class come equally often? | missing kinds within a class, soft or wrong strokes, copies |
# | precision | do generated images look like real ones? | missing kinds, copies |
# | recall | are all kinds there? | bad images beside the good ones, copies |
# | copying score | closer to training images than new real ones are? | everything else |
#
# So report a distance with its floor and its error, precision and recall beside it, and look at the
# nearest neighbors before you publish.
#
# ## What you should have seen

# %%
card = models.pretrained_card("mnist_classifier")
exercises.compare_results(
    {
        "accuracy": (card["accuracy"]["mnist test"],),
        "few": (FEW,),
        "discriminator's accuracy, few images": (stopped["d_accuracy"][-1], 0.85, 1.0),
        "pixels: bell curve before blurred": (by_pixels["slightly blurred"]
                                              / by_pixels["one bell curve"], 1.2, 10.0),
        "features: bell curve behind blurred": (by_features["one bell curve"]
                                                / by_features["slightly blurred"], 1.5, 20.0),
        "floor for 150 images, times that for the most": (floors[150] / floors[counts[-1]], 15, 80),
        "fid": (final_fid, 2.0, 20.0),
        "floor": (floor, 0.1, 1.5),
        "inception score, slightly blurred": (board["A"]["inception"], 9.0, 10.0),
        "precision, slightly blurred": (board["A"]["precision"], 0.0, 0.6),
        "copying score, copies": (board["B"]["copying"], 0.99, 1.0),
        "copying score, GAN": (board["C"]["copying"], 0.2, 0.6),
        "precision, collapsed": (board["D"]["precision"], 0.6, 1.0),
        "recall, collapsed": (board["D"]["recall"], 0.0, 0.3),
    },
    comparable=digits.name == "mnist",
)
