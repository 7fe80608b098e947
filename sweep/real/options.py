"""What the configuration offers by name: kernel profiles, and the program that real kernels run."""

from __future__ import annotations

from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from core.profile import KernelProfile
from core.workload import TmpfsProgram
from sweep.config.schema import build
from sweep.errors import InputError, one_of
from sweep.real.kernels import Kernel


def profile_of(kernel: Kernel, name: str | None) -> KernelProfile:
    """Return the profile that `vm.profile` names; null: the one that the image itself says, by its BTF."""
    chosen = name or {"6.1": "cloud-6.1"}.get(kernel.name, "linux-6.19")
    return named_profile("vm.profile", chosen)


def named_profile(key: str, name: str) -> KernelProfile:
    """Return an option of the group kernel/; raise InputError, in the name of `key`, if there is none of that name."""
    known = GlobalHydra.instance().config_loader().get_group_options("kernel")
    if name not in known:
        raise InputError(one_of(key, name, (option for option in known if option[0] != "_")))
    composed: Any = OmegaConf.to_container(hydra.compose("config", [f"kernel={name}"])["kernel"], resolve=True)
    return build(KernelProfile, composed, "kernel.")


def usual_program() -> TmpfsProgram:
    """Return the program as `conf/workload/tmpfs_churn.yaml` has it, whatever the command line says."""
    composed: Any = OmegaConf.to_container(hydra.compose("config", ["workload=tmpfs_churn"])["workload"], resolve=True)
    return build(TmpfsProgram, composed["tmpfs"], "workload.tmpfs.")
