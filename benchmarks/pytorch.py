"""GANs in PyTorch: the same networks as ours, for speed, and PyTorch's own, for quality.

PyTorch is optional (`pip install torch`). It is imported where it is used, so that this module can
be imported without it, and processes that use TensorFlow do not carry both.
"""

import importlib.util
import itertools

import numpy as np


def is_installed():
    return importlib.util.find_spec("torch") is not None


def tensorflow_generator():
    """`models.dcgan_generator(100, variant="tensorflow")`: (batch, 100) -> (batch, 1, 28, 28)."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(100, 7 * 7 * 256, bias=False),
        nn.BatchNorm1d(7 * 7 * 256),
        nn.LeakyReLU(0.3),
        nn.Unflatten(1, (256, 7, 7)),
        nn.ConvTranspose2d(256, 128, 5, padding=2, bias=False),
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(128, 64, 5, stride=2, padding=2, output_padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(64, 1, 5, stride=2, padding=2, output_padding=1, bias=False),
        nn.Tanh(),
    )


def tensorflow_discriminator():
    """`models.dcgan_discriminator(variant="tensorflow")`: (batch, 1, 28, 28) -> (batch, 1)."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 64, 5, stride=2, padding=2),
        nn.LeakyReLU(0.3),
        nn.Dropout(0.3),
        nn.Conv2d(64, 128, 5, stride=2, padding=2),
        nn.LeakyReLU(0.3),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1),
    )


def mlp(inputs, hidden, outputs):
    """`models.mlp_generator` or `models.mlp_discriminator` for points: (batch, inputs) in."""
    from torch import nn

    sizes = [inputs, *hidden]
    parts = []
    for before, after in itertools.pairwise(sizes):
        parts += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*parts, nn.Linear(sizes[-1], outputs))


class SimultaneousGAN:
    """The step of `training.SimultaneousGAN`, on the same networks, in PyTorch.

    Gradients are asked for each network's own weights, so neither loss works its way through
    weights that it does not change. Adam is the fused one, PyTorch's fastest.

    Args:
        generator, discriminator: modules; None for those of TensorFlow's tutorial.
        latent_dim: numbers that the generator takes.
        precision: "float32", or "bfloat16" with autocast.
        channels_last: keep images in memory as TensorFlow does; often faster on a CPU.
        compiled: compute losses and gradients in one graph by `torch.compile`.
    """

    def __init__(
        self,
        generator=None,
        discriminator=None,
        latent_dim=100,
        precision="float32",
        channels_last=False,
        compiled=False,
    ):
        import torch

        torch.manual_seed(0)
        self.latent_dim = latent_dim
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
        self.memory = torch.channels_last if channels_last else torch.contiguous_format
        self.generator = generator or tensorflow_generator()
        self.discriminator = discriminator or tensorflow_discriminator()
        self.networks = (self.generator, self.discriminator)
        for network in self.networks:
            network.to(memory_format=self.memory)
        self.optimizers = [
            torch.optim.Adam(network.parameters(), lr=1e-4, fused=True) for network in self.networks
        ]
        if compiled:
            torch.compiler.config.force_disable_caches = True  # start-up is measured: compile anew
            self.gradients = torch.compile(self.gradients)

    def gradients(self, images):
        """Of each network's loss for its weights; both come from the same generated batch."""
        import torch
        from torch.nn.functional import softplus

        with self.autocast:
            made = self.generator(torch.randn(len(images), self.latent_dim))
            on_real, on_fake = self.discriminator(images), self.discriminator(made)
        on_real, on_fake = on_real.float(), on_fake.float()
        g_loss = softplus(-on_fake).mean()
        d_loss = softplus(-on_real).mean() + softplus(on_fake).mean()
        return (
            torch.autograd.grad(g_loss, tuple(self.generator.parameters()), retain_graph=True),
            torch.autograd.grad(d_loss, tuple(self.discriminator.parameters())),
        )

    def step(self, images):
        """Learn from real images, a float32 tensor (batch, 1, 28, 28), or whatever is judged."""
        if images.ndim == 4:
            images = images.to(memory_format=self.memory)
        found = self.gradients(images)
        for network, optimizer, gradients in zip(
            self.networks, self.optimizers, found, strict=True
        ):
            for weight, gradient in zip(network.parameters(), gradients, strict=True):
                weight.grad = gradient
            optimizer.step()


class PyTorchTutorial:
    """All-convolutional networks with kernels of 4x4, weights from N(0, 0.02), BatchNorm in both.

    A recipe as those of `benchmarks.recipes`. As in the tutorial, samples are normalized by their
    own batch's statistics.
    """

    needs = "torch"
    source = "https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html"
    adapted = (
        "32 x 32 instead of 64 x 64, the common form for small images: three doublings from 4 x 4 "
        "instead of four, without the widest layer; digits are padded from 28 x 28 with black, and "
        "samples are cropped"
    )
    batch_size = 128

    def __init__(self, seed):
        import torch

        torch.manual_seed(seed)
        self.generator, self.discriminator = self.build_generator(), self.build_discriminator()
        for network in (self.generator, self.discriminator):
            network.apply(self.draw_weights)
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for network in (self.generator, self.discriminator)
        )
        self.entropy = torch.nn.BCELoss()

    def build_generator(self):
        from torch import nn

        parts = []
        for inputs, outputs, stride, padding in (
            (100, 256, 1, 0),
            (256, 128, 2, 1),
            (128, 64, 2, 1),
        ):
            parts += [
                nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        return nn.Sequential(*parts, nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False), nn.Tanh())

    def build_discriminator(self):
        from torch import nn

        parts = [nn.Conv2d(1, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for inputs, outputs in ((64, 128), (128, 256)):
            parts += [
                nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.2),
            ]
        return nn.Sequential(*parts, nn.Conv2d(256, 1, 4, bias=False), nn.Sigmoid(), nn.Flatten())

    @staticmethod
    def draw_weights(layer):
        from torch import nn

        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)

    def step(self, images):
        import torch

        images = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1)
        images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        ones, zeros = torch.ones(len(images), 1), torch.zeros(len(images), 1)
        made = self.generator(torch.randn(len(images), 100, 1, 1))

        self.discriminator.zero_grad()
        self.entropy(self.discriminator(images), ones).backward()
        self.entropy(self.discriminator(made.detach()), zeros).backward()
        self.d_optimizer.step()

        self.generator.zero_grad()
        self.entropy(self.discriminator(made), ones).backward()
        self.g_optimizer.step()

    def sample(self, count):
        import torch

        latents = torch.randn(count, 100, 1, 1, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            images = torch.cat([self.generator(each) for each in latents.split(500)])
        return images[:, :, 2:-2, 2:-2].permute(0, 2, 3, 1).numpy()
