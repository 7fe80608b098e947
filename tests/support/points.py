"""A point made of the project's own defaults, without Hydra."""

from sweep.config.defaults import point as default_point
from sweep.config.options import CONF

__all__ = ["CONF", "default_point"]
