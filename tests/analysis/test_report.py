"""The report is one page that needs no network, and a browser draws it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
CHARTS = 5
DRAW_MS = 20_000  # of the browser's own clock, which runs ahead while the page waits


@pytest.fixture
def page(land, analysis, tmp_path) -> Path:
    """The report of a small run."""
    points = [
        {"design": design, "cpus": cpus, "batch": batch, "point_id": f"{design}{cpus}{batch}",
         "life_id": f"{design}{cpus}",
         "lost_bytes_end": lost * cpus, "memory_bytes_dead_memcg_stats": lost * cpus, "ns_per_object": 5.0 + cpus,
         "ns_per_object_low": 3.0 + cpus, "ns_per_object_high": 9.0 + cpus, "atomics_per_page_charge": 1 + 1 / batch,
         "host_prices": "milan", "host_grade": "A"}
        for design, lost in {"unaccounted": 0, "page_ref": 2**20, "objcg": 2**10}.items()
        for cpus in (1, 64)
        for batch in (1, 32)
    ]  # fmt: skip
    series = [
        {
            "design": point["design"],
            "cpus": point["cpus"],
            "life_id": point["life_id"],
            "t_s": day * 86400.0,
            "dying_memcgs": day,
        }
        for point in points[::2]
        for day in (1, 2, 3)
    ]
    to = tmp_path / "report.html"
    said = analysis("report", land(points, series), "-o", to)
    assert (said.status, said.out) == (0, f"{to}\n")
    return to


def draw(page: Path, profile: Path, *flags: str) -> str:
    """What a headless browser prints of a page, without a network to ask."""
    command = [
        str(BROWSER),
        *FLAGS,
        f"--user-data-dir={profile}",
        f"--virtual-time-budget={DRAW_MS}",
        *flags,
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_answers_come_first_and_are_computed(page):
    """The page opens with sentences about this run."""
    words = page.read_text("utf-8").split("</script>", 1)[1].split("<figure>", 1)[0]

    assert "At 64 CPUs and 0.1 Hz page_ref loses 64 MiB, objcg 64 KiB: 1,024 times." in words


def test_needs_no_network(page):
    """No script, style, font or image is fetched from anywhere."""
    text = page.read_text("utf-8")
    without_library = re.sub(r"<script>.*?</script>", "", text, count=1, flags=re.DOTALL)

    assert text.count("<figure>") == CHARTS
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", without_library)
    assert "url(" not in without_library


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian: apt-get install chromium)")
def test_a_browser_draws_every_chart(page, tmp_path):
    """In a real browser every chart has its axes and marks, and text takes the colour of the page's scheme."""
    drawn = draw(page, tmp_path / "profile", "--dump-dom")

    assert drawn.count('class="main-svg"') >= CHARTS
    for mark in ("barlayer", "scatterlayer", "heatmaplayer", "updatemenu-button"):
        assert mark in drawn
    assert "rgb(28, 32, 36)" in drawn  # the ink of the light scheme
