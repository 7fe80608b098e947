"""Which kernel is meant, and where Debian's come from."""

import pytest

from sweep.errors import InputError
from sweep.real import debian
from sweep.real.cache import once_per_node
from sweep.real.kernels import is_series, resolve

DEB822 = """Types: deb
# http://snapshot.example/archive
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
"""
ONE_LINE = "# deb http://old.example/debian buster main\ndeb [signed-by=/k] http://one.example/debian trixie main\n"


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Let a folder of ours be the machine's apt sources."""
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    monkeypatch.setattr(debian, "APT_SOURCES", (tmp_path / "sources.list", folder))
    debian._own_archives.cache_clear()
    yield tmp_path
    debian._own_archives.cache_clear()


def image(path, release, fill=b""):
    """Write what the start of a bzImage looks like (Documentation/arch/x86/boot.rst)."""
    head = bytearray(0x400)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x100).to_bytes(2, "little")
    text = f"{release} (builder) #1".encode() + b"\0"
    head[0x300 : 0x300 + len(text)] = text
    path.write_bytes(bytes(head) + fill)
    return str(path)


def test_a_series_is_text_of_two_numbers():
    """6.10 is a series of its own; a path never is one."""
    assert is_series("6.1")
    assert is_series("6.10")
    assert not is_series("6.1.5")
    assert not is_series("./6.1")


def test_an_image_says_its_release(tmp_path):
    """A bzImage is named by the release in its setup header and known by its digest."""
    (found,) = resolve([image(tmp_path / "bzImage", "6.12.0-mine")], None)

    assert (found.name, found.release, found.package) == ("6.12.0-mine", "6.12.0-mine", "")
    assert found.image() == tmp_path / "bzImage"


def test_two_builds_of_one_release_are_told_apart(tmp_path):
    """Before and after a patch both may say 6.12.0-mine: then the digest belongs to the name."""
    paths = [image(tmp_path / name, "6.12.0-mine", name.encode()) for name in ("before", "after")]

    names = [kernel.name for kernel in resolve(paths, None)]

    assert len(set(names)) == 2
    assert all(name.startswith("6.12.0-mine@") for name in names)


def test_an_image_that_changed_is_refused(tmp_path):
    """A run is of the image that it started with."""
    (found,) = resolve([image(tmp_path / "bzImage", "6.12.0-mine")], None)
    image(tmp_path / "bzImage", "6.12.0-mine", b"rebuilt")

    with pytest.raises(InputError, match=r"vm\.kernel must be one image on every node"):
        found.image()


@pytest.mark.parametrize("content", [None, b"\x7fELF" + bytes(0x400)])
def test_what_is_no_bzimage_is_one_line(tmp_path, content):
    """A missing file and a vmlinux are refused with the key and the way out."""
    path = tmp_path / "vmlinux"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=r"^vm\.kernel must be .*;|no such file") as error:
        resolve([str(path)], None)
    assert "\n" not in str(error.value)


def test_archives_are_those_of_the_machine(sources):
    """Both forms of apt's sources are read; other releases, other types and comments are not."""
    (sources / "sources.list").write_text(ONE_LINE)
    (sources / "sources.list.d" / "debian.sources").write_text(DEB822)

    assert debian._own_archives() == (
        ("http://one.example/debian", ("trixie",)),
        ("http://mirror.example/debian", ("bookworm", "bookworm-updates")),
        ("http://security.example/debian-security", ("bookworm-security",)),
    )


def test_security_suites_have_an_archive_of_their_own(sources):
    """With two archives each suite goes to its own; a mirror has both side by side."""
    (sources / "sources.list.d" / "debian.sources").write_text(DEB822)

    assert debian._archive(None, "trixie") == "http://mirror.example/debian"
    assert debian._archive(None, "trixie-security") == "http://security.example/debian-security"
    assert debian._archive("http://m.example/debian/", "trixie-security") == "http://m.example/debian-security"


@pytest.mark.usefixtures("sources")
def test_a_machine_without_debian_sources_names_the_way_out():
    """Where apt's sources name no Debian archive, a mirror has to."""
    with pytest.raises(InputError, match=r"give vm\.mirror=URL"):
        debian._archive(None, "trixie")


def test_what_is_made_once_is_there_whole(tmp_path):
    """A file appears when it is complete; a failed attempt leaves none, and the next one makes it."""
    path, made = tmp_path / "thing", []

    def fails(half):
        half.write_text("half")
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 (raised by the test itself)
        once_per_node(path, fails)
    assert not path.exists()
    for _ in range(2):
        once_per_node(path, lambda half: (made.append(1), half.write_text("whole")))
    assert path.read_text() == "whole"
    assert made == [1]
