"""observe.py: one file for hosts where nothing can be installed."""

import ast
import csv
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.real import observe
from sweep.real.observe import Directories, Hierarchy, hierarchy, remarks, sample

SOURCE = Path(observe.__file__)
NOBODY = 65534
KERNFS = 4  # nodes of a directory with three files, in the fake below


def run(*arguments, python=sys.executable, **options):
    """Feed the file to an interpreter that knows nothing of the project, as ssh does."""
    line = [python, "-I", "-", *arguments]
    return subprocess.run(line, input=SOURCE.read_text(), capture_output=True, text=True, timeout=60, **options)


def system(root, mountinfo, **files):
    """Write the files of a host below `root`; a name's double underscores stand for slashes."""
    texts = {"proc__self__mountinfo": mountinfo} | files
    for name, text in texts.items():
        path = root.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_it_is_python_3_6_and_needs_the_standard_library_only():
    """The file parses as Python 3.6, and imports nothing that has to be installed."""
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 6))

    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= set(sys.stdlib_module_names) - {"__future__"}  # whose annotations came with 3.7


@pytest.mark.skipif(not shutil.which("python3.6"), reason="python3.6 is not installed")
def test_python_3_6_runs_it():
    """Where the oldest Python is installed, it prints the rows."""
    probe = subprocess.run(["python3.6", "-c", ""], capture_output=True)
    if probe.returncode:
        pytest.skip("python3.6 does not start")
    assert len(run("--seconds", "0", python="python3.6").stdout.splitlines()) == 2


def test_without_privileges_its_csv_reads_back():
    """As nobody (or as who runs the test): header first, a row at once and one a period, numbers where files are."""
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    done = run("--seconds", "0.4", "--every", "0.2", cwd="/", python=shutil.which("python3", path="/usr/bin"), **user)

    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.stdout.startswith("time,num_cgroups,nr_dying,directories,")
    assert len(rows) == 3
    assert rows[0]["kernel"] == os.uname().release
    assert 0.1 < float(rows[1]["time"]) - float(rows[0]["time"]) < 5
    assert int(rows[0]["cpus_possible"]) >= int(rows[0]["cpus_online"]) >= 1
    assert int(rows[0]["slab_bytes"]) == int(rows[0]["sreclaimable_bytes"]) + int(rows[0]["sunreclaim_bytes"])


def test_cgroup_v2_says_who_is_dying_by_controller(tmp_path):
    """cgroup.stat's numbers of dying cgroups become columns; online ones do not."""
    root = system(
        tmp_path,
        "30 1 0:26 / /sys/fs/cg\\0402 rw - cgroup2 cgroup2 rw\n",
        **{
            "sys__fs__cg 2__cgroup.controllers": "cpu memory pids\n",
            "sys__fs__cg 2__cgroup.stat": "nr_descendants 7\nnr_subsys_memory 6\nnr_dying_descendants 5\n"
            "nr_dying_subsys_memory 4\n",
        },
    )
    where = hierarchy(root)
    row = sample(root, where)

    assert where == Hierarchy(2, "/sys/fs/cg 2")
    assert (row["nr_dying"], row["nr_dying_memory"], row["cgroup_version"]) == (5, 4, 2)
    assert "nr_descendants" not in row


def test_on_a_hybrid_host_the_hierarchy_is_the_one_with_the_memory_controller(tmp_path):
    """A v2 mount without the memory controller does not hide the v1 mount that has it."""
    root = system(
        tmp_path,
        "30 1 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "31 1 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n",
        proc__cgroups="#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t68680\t1\n",
    )

    assert hierarchy(root) == Hierarchy(1, "/sys/fs/cgroup/memory")
    assert sample(root, hierarchy(root))["num_cgroups"] == "68680"


def test_where_nothing_can_be_read_fields_are_empty_and_it_is_said(tmp_path):
    """A container without /sys/fs/cgroup and with half a /proc still gives a row."""
    root = system(tmp_path, "", proc__meminfo="MemTotal:  1024 kB\nSlab:  16 kB\n")
    where = hierarchy(root)
    row = sample(root, where)

    assert where == Hierarchy(None, None)
    assert (row["memory_bytes"], row["slab_bytes"]) == (1 << 20, 1 << 14)
    assert [row[name] for name in ("num_cgroups", "percpu_bytes", "uptime_s", "cpus_possible", "mounts")] == [None] * 5
    assert "no cgroup file system" in "".join(remarks(root, where, row))


def test_possible_cpus_above_online_ones_and_a_containers_view_are_said(tmp_path):
    """Per-CPU memory is allocated for every possible CPU; a container's root has cgroup.events, the host's has not."""
    root = system(
        tmp_path,
        "30 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n",
        **{"cg__cgroup.controllers": "memory", "cg__cgroup.events": "populated 1\n"},
        sys__devices__system__cpu__possible="0-127\n",
        sys__devices__system__cpu__online="0-2,5\n",
    )
    possible, container = remarks(root, hierarchy(root), sample(root, hierarchy(root)))

    assert "possible CPUs (128) above online ones (4)" in possible
    assert "container" in container


@pytest.fixture
def kernfs(tmp_path, monkeypatch):
    """Return a function that makes a directory with a number, as kernfs numbers them, and three files."""
    numbers = {}

    class Entry:
        def __init__(self, entry):
            self.path, self._entry = entry.path, entry

        def is_dir(self, follow_symlinks):
            return self._entry.is_dir(follow_symlinks=follow_symlinks)

        def inode(self):
            return numbers[self.path]

    class Scan(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    real = os.scandir
    monkeypatch.setattr(observe.os, "scandir", lambda path: Scan(map(Entry, real(path))))

    def make(name, number):
        path = tmp_path / name
        path.mkdir()
        for file in range(KERNFS - 1):
            (path / str(file)).touch()
        numbers[str(path)] = number

    monkeypatch.setattr(observe.os, "stat", lambda _: os.stat_result((0, 1, *[0] * 8)))
    return make


def test_inode_numbers_tell_of_cgroups_that_nobody_saw(tmp_path, kernfs):
    """Between directories numbered 10 and 50, four nodes each, ten were made, the last of which is still there."""
    kernfs("a", 10)
    looks = Directories(str(tmp_path))
    kernfs("b", 50)
    looks.look()

    assert (looks.number, looks.made, looks.by) == (3, 10, "inode")


def test_numbers_that_are_used_again_count_only_what_was_seen(tmp_path, kernfs):
    """A new directory with a lower number than an old one: numbers tell nothing, new directories are counted."""
    kernfs("a", 1000)
    looks = Directories(str(tmp_path))
    kernfs("b", 50)
    kernfs("c", 54)
    looks.look()

    assert (looks.made, looks.by) == (2, "polling")


def test_a_closed_pipe_ends_it_quietly():
    """`observe | head -1` leaves no traceback."""
    line = f"{sys.executable} -I - --seconds 0.3 --every 0.1 < {SOURCE} | head -1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)

    assert done.stdout.startswith("time,")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("arguments", "says"), [(["--every", "0"], "at least 0.1 (got 0)"), (["--x"], "--x")])
def test_a_mistake_is_one_line(arguments, says):
    """It names the option, the rule and the value; exit 2, nothing on stdout."""
    done = run(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
