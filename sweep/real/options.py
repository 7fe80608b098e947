"""What the configuration offers by name: kernel profiles, and the program that real kernels run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from core.params import Point
from core.profile import KernelProfile
from core.workload import TmpfsProgram
from sweep.config import detect, kernels
from sweep.config.options import composed, option
from sweep.config.records import build
from sweep.config.schema import PLANNED
from sweep.errors import InputError, first_line, not_one_of, remark
from sweep.real.kernels import HERE, Kernel


def profile_of(kernel: Kernel, name: str | None) -> KernelProfile:
    """Return the profile that `vm.profile` names; null: what the BTF in the image, or of the node's own kernel, says.

    An image without BTF has the profile that its release stands for; that is said, and `vm.profile` chooses another.
    """
    if name is not None:
        return named_profile("vm.profile", name)
    if kernel.asked == HERE:
        return build(KernelProfile, detect.detected_profile(Path("/"), kernel.release), "kernel.")
    try:
        return build(KernelProfile, detect.of_image(kernel.image()), "kernel.")
    except InputError as error:
        remark(f"vm.profile=null: what {kernel.release} stands for, as its image says nothing ({first_line(error)})")
        return named_profile("vm.profile", kernel.release)


def named_profile(key: str, name: str) -> KernelProfile:
    """Return the kernel that a name means; raise InputError, in the name of `key`, if there is none."""
    try:
        return build(KernelProfile, kernels.profile(name), "kernel.")
    except InputError:
        raise InputError(not_one_of(key, name, kernels.profiles())) from None


def usual_point(overrides: Iterable[str] = ()) -> Point:
    """Return the point of the default config with some overrides; what is null is its kernel's own."""
    fields = {field.name for field in dataclasses.fields(Point)}
    return build(Point, {key: value for key, value in composed(overrides).items() if key in fields} | {PLANNED: 0})


def usual_program() -> TmpfsProgram:
    """Return the program as `conf/workload/tmpfs_churn.yaml` has it, whatever the command line says."""
    return build(TmpfsProgram, option("workload", "tmpfs_churn")["tmpfs"], "workload.tmpfs.")
