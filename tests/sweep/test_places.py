"""Folders of a user's own, and of nobody else: proved by a second user."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sweep import places
from sweep.engine import warm
from sweep.errors import InputError

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a second user")


def as_nobody(do):
    """Run a function as another user; return whether it could."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            do()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def shared(monkeypatch):
    """A temporary folder that everybody may write to, as /tmp is."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.fixture
def homeless(monkeypatch):
    """A user without HOME, and without an entry in /etc/passwd."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)

    def home():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", home)


@AS_ROOT
def test_a_run_folder_is_ours_alone(shared):
    """A second user can neither look into the folder of a running driver nor read its token nor write there."""
    made = places.RunFolder(80)
    (made.path / "token").write_text("secret")
    try:
        assert made.path.parent == shared
        assert not as_nobody(lambda: os.listdir(made.path))
        assert not as_nobody((made.path / "token").read_text)
        assert not as_nobody((made.path / "mine").touch)
    finally:
        made.close()
    assert not made.path.exists()


@AS_ROOT
@pytest.mark.usefixtures("homeless")
def test_a_cache_that_somebody_else_made_is_not_taken(shared):
    """What another user put in the way, under the very name that we would take, is never used."""
    mine = shared / f"memcg-sweep.{os.geteuid()}"
    assert as_nobody(lambda: (mine / "numba").mkdir(parents=True))

    with pytest.raises(InputError, match="NUMBA_CACHE_DIR must be a folder that only you can write to"):
        places.cache_folder("numba", "NUMBA_CACHE_DIR")


@AS_ROOT
def test_a_named_cache_of_somebody_else_is_refused(shared, monkeypatch):
    """NUMBA_CACHE_DIR of another user, or that everybody writes to, is refused: what lies there is executed."""
    for name, make in (("theirs", lambda path: as_nobody(path.mkdir)), ("open", lambda path: path.mkdir())):
        make(shared / name)
        if name == "open":
            (shared / name).chmod(0o777)
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(shared / name))
        with pytest.raises(InputError, match="executed"):
            warm.keep_compiled()


@pytest.mark.usefixtures("homeless")
def test_no_home_is_no_fault(shared):
    """Without a home, caches and measurements have a place of mode 0700 below the temporary folder."""
    folder = places.cache_folder("numba")

    assert folder.is_relative_to(shared)
    assert (shared / f"memcg-sweep.{os.geteuid()}").stat().st_mode & 0o777 == 0o700
    assert places.data_folder().is_relative_to(shared)


def test_a_long_temporary_folder_is_passed_by(tmp_path, monkeypatch):
    """Where TMPDIR is too long for a socket's path, as on Slurm's scratch, another place is taken."""
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    made = places.RunFolder(45)
    made.close()

    assert len(str(made.path)) <= 45


def test_what_dead_drivers_left_is_removed(shared):
    """The folder of a driver that was killed goes when the next one starts; that of one that runs stays."""
    code = f"import os; from sweep import places, engine; import tempfile; tempfile.tempdir = {str(shared)!r}; " \
        "print(places.RunFolder(80).path, flush=True); os.kill(os.getpid(), 9)"  # fmt: skip
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    first = places.RunFolder(80)
    second = places.RunFolder(80)

    assert not left.exists()
    assert first.path.exists()
    first.close()
    second.close()
