"""Files that appear whole, whatever stands at their name; addresses that lead nowhere."""

import os
import socket
import stat
import subprocess
import sys
import threading

import pytest

from sweep import folder
from sweep.folder import InputError, written_aside
from tests.support.commands import python


def put(target, content=b"new"):
    """Write a file as results are written."""
    with written_aside(target) as file:
        file.write(content)


def test_a_link_stays_a_link(tmp_path):
    """What is written to a symbolic link arrives where the link leads."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    put(tmp_path / "link")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_device_is_never_replaced():
    """As root, too, /dev/null is written to and stays a device."""
    put(folder.Path("/dev/null"))

    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_pipe_is_written_to(tmp_path):
    """A named pipe passes on what is written."""
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    put(pipe)
    reader.join()

    assert got == [b"new"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", [".", "x" * 300, "nowhere/file"])
def test_what_cannot_be_written_leaves_nothing(name, tmp_path):
    """A folder, a name too long, a folder that is not there: an error of the system, and no file."""
    with pytest.raises((IsADirectoryError, FileNotFoundError, OSError), match=r"\w"):
        put(tmp_path / name)

    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_what_was_there(tmp_path):
    """The user's own file, whatever its name, is as it was when writing fails."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "a.part").write_text("mine")
    with pytest.raises(RuntimeError), written_aside(tmp_path / "a") as file:
        file.write(b"half")
        raise RuntimeError

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old", "a.part": "mine"}


@pytest.mark.parametrize("where", ["", "s3://", "s3:/", "gs://", "foo://bucket/x", "ftp://host/run"])
def test_an_address_that_is_none(where):
    """No bucket, as when a variable is not set, or a scheme that nobody knows: one line."""
    with pytest.raises(InputError, match=r"out must .*\(got ") as refused:
        folder.within_reach(where)

    assert "\n" not in str(refused.value)


SILENT_STORE = """
from sweep import folder
folder.ANSWER_S = 1
try:
    folder.within_reach("s3://bucket/x")
except folder.InputError as error:
    print(error)
    folder.end_process(2)
"""


def test_a_store_that_does_not_answer_is_told_in_time():
    """A server that takes a connection and says nothing is out of reach, and the process that asked it ends."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        account = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "anyone",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        line = [sys.executable, "-c", SILENT_STORE]  # a process of its own: what asks cannot be ended within one
        done = subprocess.run(line, capture_output=True, text=True, env=os.environ | account, timeout=30)

    assert "no answer in 1 s" in done.stdout
    assert (done.returncode, done.stderr) == (2, "")


def test_a_bare_ending_does_what_is_registered_and_says_what_was_said():
    """Only what Python does after that is left out."""
    code = (
        "import atexit, sys; from sweep.folder import end_process\n"
        "class Late:\n"
        "    def __del__(self, write=sys.stderr.write): write('taken apart')\n"
        "sys.late = Late(); atexit.register(print, 'registered'); print('said'); end_process(3, bare=True)"
    )

    assert python(code) == (3, "said\nregistered\n", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("line", ["analysis runs {out}", "sweep plan=only cluster=inline duration_s=60 cpus=2"])
def test_a_full_stdout_is_one_line(line, tmp_path):
    """Where stdout takes nothing more, that is said in one line, and with a status that is not 0."""
    (tmp_path / "a").mkdir()
    words = line.format(out=tmp_path).split()
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", *words], stdout=full, stderr=subprocess.PIPE, text=True)

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
