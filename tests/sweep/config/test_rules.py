"""Every key of every group has a rule, and keeps it: below, at, above, no number, endless, null, text."""

from __future__ import annotations

import re

import hydra
import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from core.checks import keep_rules
from core.params import Point
from sweep.config import detect, hosts, kernels, schema
from sweep.errors import InputError, one_line
from sweep.plan.planner import plan
from tests.support import CONF
from tests.support.rules import every_ruled_key

LINES = (("workload=containers",), ("workload=tmpfs_churn", "+experiment=crossover"))  # between them they have all keys


@pytest.fixture(scope="module")
def configs():
    """Whole configs, as the command line has them."""
    for each in (schema, detect, hosts, kernels):
        each.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        yield [hydra.compose("config", list(line)) for line in LINES]


def answer(config, key, value):
    """What the command line says to a value of a key; None where it is taken. The config keeps the value."""
    try:
        OmegaConf.update(config, key, value)
        schema.keep_every_rule(config)
        plan(config, None)
    except (InputError, OmegaConfBaseException, HydraException) as error:
        return one_line(error, schema.every_key())
    return None


def test_all_numbers_have_rules(configs):
    """Whatever number a config holds, a rule stands beside its field; and most of what has a rule is a number."""
    ruled, numbers = set(), set()
    for config in configs:
        ruled |= {key for key, _, _ in every_ruled_key(config)}
        numbers |= {key for key, value in leaves(OmegaConf.to_container(config, resolve=True))}

    assert len(ruled) > 180
    assert numbers - ruled == set()


def leaves(tree, path=""):
    """Yield path and value of every number of a config, but for what lists and axes hold."""
    for name, value in tree.items():
        if isinstance(value, dict) and name not in schema.FREE_KEYS:
            yield from leaves(value, f"{path}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{path}{name}", value


def walk(configs):
    """Every ruled key once: a config that has it, the key and its rule."""
    seen = set()
    for config in configs:
        for key, rule, _ in every_ruled_key(config):
            if key not in seen:
                seen.add(key)
                yield config.copy(), key, rule


def test_what_is_below_or_above_is_refused(configs):
    """Each key by itself, of a config as plain values: one too small, one too large, no number, no such name."""
    for config in configs:
        plain = OmegaConf.to_container(config, resolve=True)
        for key, rule, value in every_ruled_key(config):
            for wrong in [float("nan"), *(["nonsense"] if rule.names else [rule.low - 1, rule.high * 2 + 1])]:
                put(plain, key, wrong)
                with pytest.raises(
                    ValueError, match=rf"^{re.escape(key)} must be .*\(got {re.escape(repr(wrong))}\); ."
                ):
                    for cls in (Point, schema.RunKeys):
                        keep_rules(cls, plain, "")
            put(plain, key, value)


def put(tree, key, value):
    """Set one value of nested ones, by its path."""
    *parents, last = key.split(".")
    for name in parents:
        tree = tree[name]
    tree[last] = value


@pytest.mark.long
def test_what_breaks_a_rule_is_refused_in_one_line(configs):
    """One that is too small or too large, no number or endless, no such name, text: key, rule, value and way out."""
    for config, key, rule in walk(configs):
        numbers = [] if rule.names else [rule.low - 1, rule.high * 2 + 1, float("inf")]
        for value in [*numbers, float("nan"), "text", [1]]:
            line = answer(config, key, value)
            assert line is not None, (key, value)
            assert "\n" not in line
            assert line.startswith(f"{key} must "), line
            assert "; " in line, line


@pytest.mark.long
def test_what_keeps_a_rule_is_taken(configs):
    """The least, the most and each name: taken, or refused by another rule than the key's own; null where it may be."""
    for config, key, rule in walk(configs):
        for value in rule.names or (rule.low, rule.high, None):
            line = answer(config, key, value)
            if line is None:
                continue
            assert "\n" not in line
            assert f"{key} must be {rule}" not in line, line
            assert value is not None or line.startswith(f"{key} must keep its type"), line
