"""What tests of more than one part share."""

# ruff: noqa: E402 (where compiled code is kept must be said before anything imports Numba)
from sweep.engine.warm import keep_compiled

keep_compiled()

from functools import cache

import hydra
import pytest
from hypothesis import settings
from omegaconf import OmegaConf

from core.profile import KernelProfile
from sweep.config import detect, hosts, kernels, schema
from sweep.config.schema import build
from tests.support import CONF

settings.register_profile("patient", deadline=None)  # the first example of many compiles; machines are shared
settings.load_profile("patient")


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
