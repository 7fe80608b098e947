"""backend=live on a host that has cgroup v2 alone: in a virtual machine, with an interpreter in its initramfs."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from sweep.real import place, qemu
from sweep.real.guest import cpio_member

ROOT = Path(__file__).parents[2]
OURS = (
    "sweep/__init__.py",
    "sweep/real/__init__.py",
    *(f"sweep/real/{name}.py" for name in ("place", "observe", "churn")),
)
NO_HYDRA = b"class InputError(ValueError):\n    pass\n"  # all that these need of sweep.errors
LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo", "__pycache__"}
HEAVY = ("_ssl", "_tkinter", "_sqlite3", "_curses", "_test", "_codecs_", "readline", "_dbm", "_gdbm", "nis")
DEVICES = {"console": (5, 1), "null": (1, 3), "urandom": (1, 9)}


def libraries(path):
    """Return the shared libraries that a program or a module loads."""
    said = subprocess.run(["ldd", str(path)], capture_output=True, text=True).stdout
    return {Path(found) for found in re.findall(r"(/\S+) \(0x", said)}


def archive():
    """Return an initramfs with this interpreter, its standard library and what is tested, at the paths of this host."""
    stdlib, python = Path(sysconfig.get_path("stdlib")), Path(sys.executable).resolve()
    modules = [path for path in stdlib.rglob("*.py") if not LEFT_OUT & set(path.relative_to(stdlib).parts)]
    modules += [path for path in stdlib.glob("lib-dynload/*.so") if not path.name.startswith(HEAVY)]
    loaded = set().union(*(libraries(path) for path in (python, *modules) if path.suffix != ".py"))
    files = {str(path).lstrip("/"): path.read_bytes() for path in (*modules, *loaded)}
    files |= {f"app/{name}": (ROOT / name).read_bytes() for name in OURS} | {"app/sweep/errors.py": NO_HYDRA}
    files |= {"python": python.read_bytes(), "guest.py": Path(__file__).with_name("v2_guest.py").read_bytes()}
    files["init"] = b"#!/python -I\nimport runpy\nrunpy.run_path('/guest.py', run_name='__main__')\n"
    folders = sorted({str(each) for name in files for each in Path(name).parents if str(each) != "."} | {"dev"})
    members = [cpio_member(name, 0o40755) for name in folders]
    members += [cpio_member(f"dev/{name}", 0o20666, device=device) for name, device in DEVICES.items()]
    members += [cpio_member(name, 0o100755, content) for name, content in files.items()]
    return b"".join([*members, cpio_member("TRAILER!!!", 0)])


@pytest.fixture(scope="module")
def seen(kernel_to_boot, tmp_path_factory):
    """Boot once; return what the guest saw, by name."""
    initrd = tmp_path_factory.mktemp("v2") / "initrd"
    initrd.write_bytes(archive())
    command = [qemu.qemu(), "-M", "q35", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    command += ["-accel", "tcg", "-m", "1G", "-kernel", str(kernel_to_boot), "-initrd", str(initrd)]
    command += ["-append", qemu.COMMAND_LINE]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith("@"):
            said = json.loads(line[1:])
            found[said.pop("what")] = said
    assert "done" in found, done.stdout[-2000:]
    assert "failed" not in found, found["failed"]["where"]
    return found


@pytest.mark.slow
def test_root_measures_below_the_root_of_v2(seen):
    """Churn and costs, beside the root's own, and all is as it was found."""
    where = seen["root"]["where"]

    assert (where["version"], where["parent"], where["depth"]) == (2, "/sys/fs/cgroup", 3)
    assert seen["root"]["churned"]["us_per_object"] > 0
    assert all(set(least) == {"accounted", "unaccounted"} for least in seen["root after"]["costs"].values())
    assert (seen["root after"]["left"], seen["root after"]["control"]) == ([], [])


@pytest.mark.slow
def test_a_user_measures_in_a_delegated_cgroup(seen):
    """The processes of the cgroup move to a leaf and back; costs have nothing to be compared with."""
    where = seen["user"]["where"]

    assert (where["parent"], where["root"], where["depth"]) == ("/sys/fs/cgroup/user", None, 4)
    assert seen["user"]["churned"]["in_flight"] >= 0
    assert all(set(least) == {"accounted"} for least in seen["user after"]["costs"].values())
    assert (seen["user after"]["left"], seen["user after"]["control"]) == ([], [])


@pytest.mark.slow
def test_what_a_killed_run_left_on_v2_is_swept_up(seen):
    """SIGKILL at work in a delegated cgroup: the next start removes its cgroup and the process in it."""
    name = os.path.basename(seen["at work"]["base"])

    assert seen["next start"] == {"before": [name], "swept": [name], "left": False}


@pytest.mark.slow
def test_nobody_gets_one_line_on_v2(seen):
    """Whoever may not write any cgroup is told how to get one."""
    assert "\n" not in seen["nobody"]["line"]
    assert place.WAY_OUT in seen["nobody"]["line"]
