"""Recording a workload: what the kernel's trace says becomes the charge block of a workload."""

import yaml

from sweep.real import record

TRACE = """\
 bash-1 [001] ..... 12.1: kmem_cache_alloc: call_site=a+0x1/0x2 ptr=01 name=dentry bytes_req=192 bytes_alloc=192 gfp_flags=GFP_KERNEL node=-1 accounted=true
 bash-1 [001] ..... 12.2: kmem_cache_alloc: call_site=a+0x1/0x2 ptr=02 name=filp bytes_req=256 bytes_alloc=256 gfp_flags=GFP_KERNEL node=-1 accounted=false
 bash-1 [000] ..... 12.3: kmem_cache_alloc: call_site=a+0x1/0x2 ptr=03 name=filp bytes_req=256 bytes_alloc=256 gfp_flags=GFP_KERNEL node=-1 accounted=true
 bash-1 [000] ..... 12.4: kmem_cache_free: call_site=a+0x1/0x2 ptr=03 name=filp
 bash-1 [000] ..... 12.5: kmem_cache_alloc: call_site=a+0x1/0x2 ptr=04 name=dentry bytes_req=192 bytes_alloc=192 gfp_flags=GFP_KERNEL node=-1 accounted=true
 bash-1 [000] ..... 12.6: kmem_cache_alloc: call_site=a+0x1/0x2 ptr=05 name=dentry bytes_req=192 bytes_alloc=192 gfp_flags=GFP_KERNEL node=-1 accounted=true
"""  # noqa: E501


def test_accounted_objects_are_counted_by_cache():
    """Three dentries and a file; what is unaccounted, and frees, are not counted."""
    assert record.counted(TRACE.splitlines()) == {"dentry": 3, "filp": 1}


def test_the_charge_block_is_yaml_with_rates_and_shares():
    """Four objects in two seconds on two CPUs: one a second and CPU; three quarters are dentries."""
    lines = record.charge_block(record.counted(TRACE.splitlines()), 2.0, 2)

    assert yaml.safe_load("\n".join(lines)) == {
        "charge": {"allocations_hz_per_cpu": 1, "caches": {"dentry": 0.75, "filp": 0.25}}
    }


def test_where_there_is_no_tracefs_it_is_one_line(monkeypatch, capsys):
    """Exit 2, nothing on stdout, and how to mount one."""
    monkeypatch.setattr(record, "TRACEFS", ("/nonexistent",))
    status = record.main(["--seconds", "0.1"])
    out, err = capsys.readouterr()

    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert "mount -t tracefs" in err
