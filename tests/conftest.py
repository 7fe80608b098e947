"""What tests of more than one part share."""

# ruff: noqa: E402 (where compiled code is kept must be said before anything imports Numba)
from sweep.engine.warm import keep_compiled

keep_compiled()

import signal
from functools import cache

import hydra
import pytest
from hypothesis import settings
from omegaconf import OmegaConf

from core.profile import KernelProfile
from sweep.config import detect, hosts, kernels, schema
from sweep.config.records import build
from tests.support import CONF

settings.register_profile("patient", deadline=None)  # the first example of many compiles; machines are shared
settings.register_profile("fast", deadline=None, max_examples=10)  # while one works: --hypothesis-profile=fast
settings.load_profile("patient")
LIMIT_S = {"long": 900, "bench": 3600, "slow": 7200}  # of a test, by its mark
QUICK_S = 180  # of one without: many times what it takes on an idle core


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """End a test that hangs, by name."""
    limit_s = max([LIMIT_S[mark.name] for mark in item.iter_markers() if mark.name in LIMIT_S], default=QUICK_S)

    def ended(_number, _frame):
        pytest.fail(f"it took more than {limit_s} s; mark it slow or long, or mend it")

    before = signal.signal(signal.SIGALRM, ended)
    signal.alarm(limit_s)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def profile_of():
    """Return the profile of a name in conf/kernel/, composed as the command line does it."""
    schema.register()
    detect.register()
    hosts.register()
    kernels.register()

    @cache
    def compose(name):
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            config = hydra.compose("config", [f"kernel={name}"])
        return build(KernelProfile, OmegaConf.to_container(config.kernel, resolve=True), "kernel.")

    return compose
