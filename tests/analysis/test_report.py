"""The report is one page that needs no network: words first, then charts of the marts' rows."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

CHARTS = ["memory", "components", "dying", "atomics", "time", "batches", "best", "pareto"]


@pytest.fixture
def page(land, analysis, tmp_path) -> Path:
    """The report of a small run."""
    points = [
        {"design": design, "cpus": cpus, "batch": batch, "point_id": f"{design}{cpus}{batch}",
         "life_id": f"{design}{cpus}", "dead_bytes_end": held * cpus, "total_bytes_end": 2**30 + held * cpus,
         "memory_bytes_dead_memcg_stats": held * cpus, "ns_per_object": 5.0 + cpus,
         "ns_per_object_low": 3.0 + cpus, "ns_per_object_high": 9.0 + cpus, "atomics_per_page_charge": 1 + 1 / batch,
         "host_prices": "milan", "host_grade": "A"}
        for design, held in {"unaccounted": 0, "page_ref": 2**20, "objcg": 2**10}.items()
        for cpus in (1, 64)
        for batch in (1, 32)
    ]  # fmt: skip
    series = [
        {"design": point["design"], "cpus": point["cpus"], "life_id": point["life_id"], "t_s": day * 86400.0,
         "dying_memcgs": day}
        for point in points[::2]
        for day in (1, 2, 3)
    ]  # fmt: skip
    to = tmp_path / "report.html"
    said = analysis("report", land(points, series), "-o", to)
    assert (said.status, said.out) == (0, f"{to}\n")
    return to


def test_answers_come_first_and_are_computed(page):
    """The page opens with sentences about this run; scripts and data come after all that is read."""
    text = page.read_text("utf-8")
    words = unescape(text.split("<script", 1)[0])

    assert "At 1 CPU, batch 32 and 0.1 Hz page_ref holds 1 MiB for gone memcgs, objcg 1 KiB: 1,024 times." in words
    assert words.index("page_ref holds") < words.index("<figure")
    assert "</footer>" in words


def test_needs_no_network(page):
    """No script, style, font or image is fetched from anywhere, and nothing is sent."""
    text = page.read_text("utf-8")

    assert re.findall(r'<figure id="(\w+)-0">', text) == CHARTS
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", text)
    assert not re.search(r"url\(|fetch\(|XMLHttpRequest|sendBeacon|@import", text)


def test_charts_open_on_the_configured_point_and_have_every_value(page):
    """A chart's rows hold every value of the axes that its menus pick from, and start where the config says."""
    data = json.loads(page.read_text("utf-8").split('id="data">', 1)[1].split("</script>", 1)[0])
    memory = next(chart for chart in data["charts"] if chart["name"] == "atomics")
    axes = {name: {row[place] for row in memory["rows"]} for place, name in enumerate(memory["columns"])}

    assert (axes["cpus"], axes["batch"]) == ({1, 64}, {1, 32})
    assert {name: memory["start"][name] for name in ("batch", "churn_hz")} == {"batch": 32, "churn_hz": 0.1}


def test_pictures_need_no_browser(land, analysis, tmp_path):
    """--figures writes each chart as SVG, whose text is text, and PNG, of the same designs as the page."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    points = [
        {"design": design, "cpus": cpus, "dead_bytes_end": held * cpus, "memory_bytes_dead_kernfs": held * cpus,
         "atomics_per_object": 1.0, "ns_per_object": 2.0}
        for design, held in {"page_ref": 2**20, "objcg": 2**10}.items()
        for cpus in (1, 8, 64)
    ]  # fmt: skip
    said = analysis("report", land(points), "-o", tmp_path / "r.html", "--figures", tmp_path / "figures")
    names = {path.name for path in (tmp_path / "figures").iterdir()}

    assert said.status == 0, said.err
    assert {f"toy-{chart}.{kind}" for chart in ("memory", "time", "best", "pareto") for kind in ("svg", "png")} <= names
    assert {"toy.svg", "toy.png"} <= names
    assert "page_ref" in (tmp_path / "figures" / "toy-memory.svg").read_text("utf-8")
    assert (tmp_path / "figures" / "toy.png").read_bytes().startswith(b"\x89PNG")
