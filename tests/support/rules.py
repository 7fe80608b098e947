"""Every key of a config that has a rule beside its field."""

from omegaconf import OmegaConf

from core.checks import ruled_fields
from core.params import Point
from sweep.config import schema


def walked(cls, values, path=""):
    """Yield path, rule and present value of every key of a config that has a rule."""
    for name, field in ruled_fields(cls).items():
        found = values.get(name)
        for key, value in found.items() if field.many and found else [("", found)]:
            where = f"{path}{name}.{key}".rstrip(".")
            if field.inner and value is not None:
                yield from walked(field.inner, value, f"{where}.")
            elif field.rule and name in values:
                yield where, field.rule, value


def every_ruled_key(config, classes=(Point, schema.RunKeys)):
    """Every key with a rule, of a point and of a run."""
    plain = OmegaConf.to_container(config, resolve=True)
    return [found for cls in classes for found in walked(cls, plain)]
