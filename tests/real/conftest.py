"""What tests on real kernels share."""

import shutil
import subprocess

import pytest

from sweep.errors import InputError
from sweep.real import guest, qemu
from sweep.real.kernels import resolve


@pytest.fixture(scope="session")
def kernel_to_boot():
    """Return Debian's 6.1, fetched into the user's cache the first time; skip, with the reason, where there is none."""
    for tool in (qemu.QEMU, guest.COMPILE[0]):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")
    try:
        return resolve(["6.1"], None)[0].image()
    except (InputError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"no kernel to boot: {error}")
