"""Who compiles on a node, and who waits."""

import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sweep.engine import warm
from sweep.engine.ahead import Ahead
from sweep.engine.warm import compile_once
from sweep.version import simulation_digest
from tests.support import ROOT
from tests.support.toys import Squares

REPLAY = """
from sweep.engine.warm import keep_compiled
keep_compiled()
import numpy as np
from core.blocks import packed
from core.events import EVENT
from core.slabs.allocator import OWN, run_slabs
from core.slabs.heap import CACHE
from core.slabs.slub import PARTIAL_OFF
events, caches = np.zeros(2, EVENT), np.array([(21, 1, 5, 0)], CACHE)
events["kind"], events["memcg"] = [2, 0], 1
print(run_slabs(packed(events), caches, cpus=1, nodes=1, slabs_of=OWN, rule=PARTIAL_OFF).pages["pages"].tolist())
"""


def test_what_is_kept_is_loaded_without_what_compiles(tmp_path):
    """A process that finds the machine code sets up nothing of Numba's compiler, and computes the same."""
    line = [sys.executable, "-c", REPLAY + "import sys; print('numba.np.linalg' in sys.modules)"]
    told = [
        subprocess.run(line, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True)
        for _ in range(2)
    ]

    assert [(each.stdout.split("\n")[1], each.stderr) for each in told] == [("True", ""), ("False", "")]
    assert told[0].stdout.split("\n")[0] == told[1].stdout.split("\n")[0] == "[0, 1]"


def test_one_of_many_compiles(tmp_path):
    """Of workers that come to a cold node at once, one compiles, and the others go on after it has."""
    ended = []

    def compiles():
        time.sleep(0.2)
        ended.append(time.monotonic())

    def worker(_):
        compile_once(tmp_path / "cache", [compiles])
        return time.monotonic()

    with ThreadPoolExecutor(8) as pool:
        went_on = list(pool.map(worker, range(8)))

    assert len(ended) == 1
    assert min(went_on) >= ended[0]
    compile_once(tmp_path / "other cache", [compiles])
    assert len(ended) == 2


def test_workers_share_what_is_to_be_compiled(tmp_path):
    """Two workers compile a part each, at once; both go on when both are done."""
    both = threading.Barrier(2, timeout=60)
    ended = []

    def compiles(part):
        both.wait()  # broken, if one worker did both
        ended.append(part)

    def worker(_):
        compile_once(tmp_path, [lambda: compiles(0), lambda: compiles(1)])
        return len(ended)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(worker, range(2))) == [2, 2]


def test_what_fails_is_tried_again(tmp_path):
    """A point that cannot be computed, or a folder that cannot be written to, is no reason to stop."""
    tries = []
    compile_once(tmp_path, [lambda: 1 / 0, lambda: tries.append(0)])
    compile_once(tmp_path, [lambda: tries.append(1), lambda: tries.append(2)])
    (tmp_path / "file").write_text("")
    compile_once(tmp_path / "file" / "cache", [lambda: tries.append(3)])

    assert tries == [0, 1]


@pytest.fixture
def keep(monkeypatch, tmp_path):
    """Keep compiled code of some version in a cache of the test's own; return the folder."""

    def keep(code, named=tmp_path / "cache"):
        monkeypatch.setattr(warm, "simulation_digest", lambda: code)
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(named))
        folder = warm.keep_compiled()
        assert os.environ["NUMBA_CACHE_DIR"] == str(folder)
        return folder

    return keep


def test_the_driver_compiles_ahead(keep, monkeypatch):
    """While Ray starts, a process does what a worker would do first; a node that has it all needs none."""
    monkeypatch.chdir(ROOT)
    folder = keep(simulation_digest())
    ahead = Ahead(Squares(10))
    until = time.monotonic() + 60
    while not (folder / "compiled-0").exists() and time.monotonic() < until:
        time.sleep(0.05)
    ahead.close()

    assert (folder / "compiled-0").exists()


def test_what_compiles_ahead_ends_with_its_driver(tmp_path):
    """Also where the driver was killed, and could not end it."""
    driver = "from sweep.engine.ahead import Ahead\nfrom tests.support.toys import Squares\nimport time\n"
    driver += "print(Ahead(Squares(10, seconds=600))._process.pid, flush=True); time.sleep(600)"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", driver], cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        compiling = int(process.stdout.readline())
        while not list(tmp_path.glob("*/compiling-0")):
            time.sleep(0.05)
        process.kill()
        until = time.monotonic() + 20
        while Path(f"/proc/{compiling}").exists() and time.monotonic() < until:
            time.sleep(0.05)

    assert not Path(f"/proc/{compiling}").exists()


def test_compiled_code_is_kept_by_the_code_it_is_of(keep):
    """Each version of core has a folder, also inside a NUMBA_CACHE_DIR of the user's; a child finds its parent's."""
    one, other = keep("one"), keep("other")

    assert (one.name, other.name) == ("core-one", "core-other")
    assert keep("one", named=one) == one
    assert keep("other", named=one) == other


def test_folders_not_used_for_long_go(keep):
    """Those used last stay, the one in use among them."""
    folders = [keep(str(version)) for version in range(warm.VERSIONS_KEPT)]
    for age, folder in enumerate(folders):
        os.utime(folder, (0, 1e9 - age))
    new = keep("new")

    assert {folder for folder in (*folders, new) if folder.exists()} == {new, *folders[:-1]}


@pytest.mark.slow
def test_an_edit_in_a_function_that_is_called_is_seen(tmp_path):
    """Numba looks at the file of the function that Python calls; here another one changes, under a warm cache."""
    for package in ("core", "sweep"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}

    def replay():
        ended = subprocess.run(
            [sys.executable, "-c", REPLAY], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return ended.stdout.strip()

    before = [replay(), replay()]
    heap = Path(tmp_path, "core/slabs/heap.py")
    edited = heap.read_text().replace("event.pages = pages\n", "event.pages = pages + 1\n")
    assert edited != heap.read_text()
    heap.write_text(edited)

    assert before == ["[0, 1]", "[0, 1]"]
    assert replay() == "[1, 2]"
