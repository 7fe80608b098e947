"""What no kernel is: every key of a profile has a rule, and what breaks it is refused with key, rule and value."""

import dataclasses
import typing

import pytest

from core.profile import KernelProfile

TEXT = {"name", "version", "source", "image"}  # said, not computed with
NONSENSE = {int: (-5, 10**12), str: ("foo",)}
FIELDS = {field.name: typing.get_type_hints(KernelProfile)[field.name] for field in dataclasses.fields(KernelProfile)}


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, hint in FIELDS.items() if key not in TEXT for value in NONSENSE.get(hint, ())],
)
def test_nonsense_in_a_profile_is_refused(profile_of, key, value):
    """Every number has a bound on either side, every word a list."""
    with pytest.raises(ValueError, match=rf"kernel.{key} must be .*{value}"):
        dataclasses.replace(profile_of("linux-6.1"), **{key: value})


def test_an_empty_struct_and_a_cache_of_giants_are_refused(profile_of):
    """Hand-worked: a mem_cgroup of 0 bytes, dentries of 100 MB and of 7 bytes."""
    profile = profile_of("linux-6.1")
    with pytest.raises(ValueError, match=r"kernel\.structs\.mem_cgroup must be from 1 to"):
        dataclasses.replace(profile, structs=dataclasses.replace(profile.structs, mem_cgroup=0))
    for size in (100_000_000, 7):
        with pytest.raises(ValueError, match=r"kernel\.caches\.dentry must be from 8 to"):
            dataclasses.replace(profile, caches={**profile.caches, "dentry": size})
