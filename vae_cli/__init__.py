"""Train variational autoencoders, and use what they learned."""

__version__ = "0.1.0"
