"""GAN Course: the pieces its notebooks are built from.

One convention everywhere: images are float32 in [-1, 1], a real image has the label 1 and a
generated one the label 0, and losses take logits (the discriminator ends without a sigmoid).
"""

__version__ = "0.1.0"
