"""The report in a real browser: what it asks for, what it draws, whether it can be read and reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.db import connect
from analysis.held import holding
from analysis.run import open_run
from tests.analysis.conftest import write_run
from tests.support.browser import BROWSER, Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"),
]
WIDTHS = (400, 1280)
FIRST_PAINT_MS = 2000  # of an idle core
DESIGNS = {"page_ref": 2**20, "reparent_atomic": 2**19, "reparent_percpu": 2**19 + 7, "objcg": 2**10}

TROUBLE = (Path(__file__).parents[1] / "support" / "trouble.js").read_text("utf-8")
BUSY = """(() => {
  const began = performance.now();
  let sum = 0;
  for (let n = 0; n < 3e7; n++) sum += n;
  return performance.now() - began;
})()"""
REACHABLE = "[...document.querySelectorAll('select, .legend button, svg.plot, summary')]"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of four designs over CPUs, batch and churn, three replicates."""
    points = [
        {"design": design, "cpus": cpus, "batch": batch, "churn_hz": churn, "scenario_id": f"s{churn}{n}",
         "replicate": n,
         "point_id": f"{design}{cpus}{batch}{churn}{n}", "life_id": f"{design}{cpus}{churn}{n}",
         "dead_bytes_end": int(held * cpus * (1 + churn) * (1 + n / 10)), "total_bytes_end": 2**30 + held * cpus,
         "memory_bytes_dead_memcg_stats": held * cpus, "memory_bytes_dead_slab_waste": held,
         "atomics_per_page_charge": 1 + 4 / batch + n / 50, "atomics_per_object": (1 + 4 / batch) / 30,
         "stocked_bytes_mean": 4096.0 * batch * cpus, "ns_per_object": 5.0 + cpus ** (1 + place / 10) + n,
         "ns_per_object_low": 3.0 + cpus, "ns_per_object_high": 9.0 + cpus, "host_prices": "milan", "host_grade": "A"}
        for place, (design, held) in enumerate(DESIGNS.items())
        for cpus in (1, 8, 64, 256)
        for batch in (1, 32, 64, 128)
        for churn in (0.001, 0.00316, 0.01, 0.0316, 0.1, 1.0, 10.0)
        for n in range(3)
    ]  # fmt: skip
    lives = {point["life_id"]: point for point in points}
    series = [
        {
            "design": point["design"],
            "cpus": point["cpus"],
            "life_id": life,
            "t_s": day * 86400.0,
            "dying_memcgs": day * 7,
        }
        for life, point in lives.items()
        for day in (1, 2, 3, 7)
    ]
    config = {"batch": 64, "cpus": 64, "churn_hz": 0.01}
    manifest = {"state": "complete", "experiment": "browser", "config": config}
    return write_run(tmp_path_factory.mktemp("browser") / "run", points, series, manifest)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Page]:
    """A browser with an empty profile."""
    page = Page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture(scope="module")
def report(run, tmp_path_factory) -> Path:
    """The report of the run."""
    from analysis.answers import answers
    from analysis.report import page

    found = open_run(str(run))
    to = tmp_path_factory.mktemp("report") / "report.html"
    to.write_text(page(found, answers(holding(found))), "utf-8")
    return to


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_can_be_read(browser, report, width, scheme):
    """No errors on the console, no request but for the file, and no text that is cut off or lies on another."""
    browser.open(report.as_uri(), width, 900, scheme)

    assert browser.ask("document.documentElement.dataset.drawn") == "8"
    assert browser.told("Runtime.exceptionThrown") == []
    assert [entry for entry in browser.told("Log.entryAdded") if entry["entry"]["level"] == "error"] == []
    assert browser.told("Runtime.consoleAPICalled") == []
    urls = {request["request"]["url"] for request in browser.told("Network.requestWillBeSent")}
    assert {url for url in urls if not url.startswith("data:")} == {report.as_uri()}
    assert browser.ask(TROUBLE) == []


def test_it_is_painted_soon(browser, report):
    """Words are there before any script has run: the first paint of an idle core takes less than two seconds."""
    browser.open(report.as_uri(), 1280, 900)
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    paint_ms = browser.until(paint)
    busy_ms = browser.ask(BUSY)

    assert paint_ms < FIRST_PAINT_MS * max(1.0, busy_ms / 40)  # 40 ms are what the loop takes where nothing else runs


def test_keys_reach_every_control(browser, report):
    """Tab goes through every menu, legend entry, chart and table, and arrows step through a chart."""
    browser.open(report.as_uri(), 1280, 900)
    wanted = browser.ask(f"{REACHABLE}.length")
    browser.ask("window.seen = new Set(); document.addEventListener('focusin', event => seen.add(event.target)); 0")
    for _ in range(wanted + 10):
        browser.press("Tab")

    assert browser.ask(f"{REACHABLE}.filter(node => !seen.has(node)).map(node => node.textContent)") == []
    browser.ask("document.querySelector('#memory-0 svg.plot').focus()")
    browser.press("ArrowRight")
    assert "page_ref: " in browser.ask("document.querySelector('#memory-0 .tip').textContent")


def test_every_chart_draws_its_mart(browser, report, run):
    """What a chart draws and its table lists are the rows of the mart at the configured point, value by value."""
    con = connect(open_run(str(run)))
    browser.open(report.as_uri(), 1280, 900)
    point = "cpus = 64 and batch = 64 and churn_hz = 0.01"
    expected = {
        "memory": ("dead_bytes_end", "cells where cpus = 64 and batch = 64"),
        "atomics": ("atomics_per_page_charge", "cells where cpus = 64 and churn_hz = 0.01"),
        "time": ("ns_per_object", "cells where batch = 64 and churn_hz = 0.01"),
        "batches": ("stocked_bytes_mean", "batch_choice where cpus = 64 and churn_hz = 0.01"),
        "best": ("best_value", "crossover where batch = 64 and measure = 'dead_bytes_end'"),
        "pareto": ("dead_bytes_end", f"pareto where {point}"),
    }
    for name, (column, rows) in expected.items():
        told = browser.ask(
            f"[...document.querySelectorAll('#{name}-0 td[data-column={column}]')].map(cell => +cell.dataset.value)"
        )
        mart = [value for (value,) in con.sql(f"select {column} from {rows}").fetchall()]

        assert sorted(told) == pytest.approx(sorted(mart), rel=1e-12), name
        assert browser.ask(f"document.querySelectorAll('#{name}-0 svg.plot .mark').length") == len(mart), name


def test_a_menu_draws_other_rows(browser, report, run):
    """Choosing another value of a menu draws the mart's rows of that value."""
    con = connect(open_run(str(run)))
    browser.open(report.as_uri(), 1280, 900)
    browser.ask(
        """(() => {
            const menus = [...document.querySelectorAll("#memory-0 select")];
            const cpus = menus.find(menu => menu.parentNode.textContent.startsWith("CPUs"));
            cpus.value = 0;
            cpus.dispatchEvent(new Event("change"));
        })()"""
    )
    told = browser.ask(
        "[...document.querySelectorAll('#memory-0 td[data-column=dead_bytes_end]')].map(cell => +cell.dataset.value)"
    )
    mart = con.sql("select dead_bytes_end from cells where cpus = 1 and batch = 64").fetchall()

    assert sorted(told) == pytest.approx(sorted(value for (value,) in mart))
