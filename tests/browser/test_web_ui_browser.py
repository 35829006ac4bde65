"""The web UI in a real browser: choose, start, watch, stop, open the report. Screenshots are kept beside."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.ui_process import UiProcess, is_measuring, label_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright", reason="playwright is not installed (pip install '.[browser]')")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(400),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--disable-gpu"]
SLOW_MS = 120_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *alone])
        yield found
        found.close()


@pytest.fixture
def page(ui: UiProcess, browser: Browser) -> Iterator[Page]:
    """The start form, whatever ran before; the page must have had no error in the end."""
    found = browser.new_page(viewport={"width": 1280, "height": 900})
    found.set_default_timeout(SLOW_MS)
    failures: list[str] = []
    found.on("pageerror", lambda failure: failures.append(str(failure)))
    found.goto(ui.url)
    if (again := found.get_by_role("button", name="New")).count():
        again.click()
    found.locator('select[name="scenario"]').wait_for(state="visible")
    yield found
    found.close()
    assert failures == []


def choose(page: Page, name: str, **fields: str) -> None:
    page.locator('select[name="scenario"]').select_option(label_of(name))
    for field, value in fields.items():
        page.locator(f'input[name="{field}"]').fill(value)


def row(page: Page, name: str) -> dict[str, str]:
    """A row of Locust's table, by the titles of its columns."""
    titles = page.locator("thead th").all_inner_texts()
    cells = page.locator("tbody tr", has=page.get_by_role("cell", name=name, exact=True)).locator("td")
    return dict(zip((title.replace("\n", " ") for title in titles), cells.all_inner_texts(), strict=True))


def until(page: Page, script: str, argument: Any = None) -> None:
    page.wait_for_function(script, arg=argument, timeout=SLOW_MS)


HAS_REQUESTS = """() => [...document.querySelectorAll("tbody tr")].some(
    (row) => row.innerText.includes("Aggregated") && Number(row.cells[2].innerText) > 100)"""


def test_fields_are_checked_like_scenario_files(page: Page, tmp_path: Path) -> None:
    tops = "all => all.filter(one => one.name && one.offsetParent).sort((a, b) =>"
    tops += " a.getBoundingClientRect().top - b.getBoundingClientRect().top).map(one => one.name)"
    seen = page.locator("form input, form select").evaluate_all(tops)
    assert seen == ["scenario", "rate", "duration", "lanes", "quick", "target", "stack", "seed"]
    choose(page, "redis_latency", rate="fast")
    page.get_by_role("button", name="Start", exact=True).click()
    alert = page.locator(".MuiAlert-message")
    alert.wait_for()
    assert alert.inner_text() == (
        'rate: workloads[0].rate: expected a rate such as "1000/s", found "fast"; '
        "use one of the units /s, /min, /h"
    )
    page.screenshot(path=tmp_path / "refused.png", full_page=True)


def test_a_run_is_started_watched_and_judged(
    page: Page, ui: UiProcess, browser: Browser, tmp_path: Path
) -> None:
    from bench.core import histogram
    from bench.results.reader import Run

    choose(page, "redis_latency")
    page.locator('input[name="quick"]').check()
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("tab", name="Statistics").wait_for()
    ui.until(lambda: ui.state()["status"] == "running", "the run has begun")
    until(page, HAS_REQUESTS)
    assert 0 < float(row(page, "Aggregated")["95%ile (ms)"]) < 60_000
    assert "redis_latency: " in page.locator("#holdfast-strip").inner_text()
    page.screenshot(path=tmp_path / "running.png")
    page.get_by_role("tab", name="Holdfast").click()
    panel = page.frame_locator("#holdfast-frame")
    panel.locator("[data-workload=cache]").wait_for()
    page.screenshot(path=tmp_path / "panel-in-tab.png")
    until(page, "() => document.body.innerText.includes('STOPPED')")
    panel.get_by_role("heading", name="Verdict").wait_for()

    state = ui.state()
    folder = ui.out / state["run"]
    verdict = json.loads((folder / "verdict.json").read_text())
    panel.locator(".verdict", has_text=verdict["status"]).wait_for()
    assert panel.locator(".rules tbody tr").count() == len(verdict["checks"])
    page.screenshot(path=tmp_path / "judged.png", full_page=True)
    page.get_by_role("tab", name="Statistics").click()
    run = Run.load(folder)
    for name, operation in (("cache/get", "get"), ("cache/set", "set"), ("Aggregated", None)):
        shown, counts = row(page, name), run.histogram("response", "cache", operation)
        assert int(shown["# Requests"]) == counts.sum()
        for title, percent in (("50%ile (ms)", 50), ("95%ile (ms)", 95), ("99%ile (ms)", 99)):
            exact_ms = histogram.percentile_ns(counts, percent) / 1e6
            assert float(shown[title]) == pytest.approx(exact_ms, rel=1 / 1024), (name, title)
    page.get_by_role("tab", name="Charts").click()
    page.locator("canvas").first.wait_for()
    page.screenshot(path=tmp_path / "charts.png", full_page=True)
    for name, width, scheme in (("wide", 1280, "light"), ("dark", 1280, "dark"), ("phone", 390, "dark")):
        looks_at_the_panel(browser, ui, tmp_path / f"panel-{name}.png", width, scheme)


def looks_at_the_panel(browser: Browser, ui: UiProcess, shot: Path, width: int, scheme: Any) -> None:
    """The panel as a page of its own: nothing is wider than the window."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    panel = context.new_page()
    panel.goto(f"{ui.url}/holdfast", timeout=SLOW_MS)
    panel.get_by_role("heading", name="Verdict").wait_for(timeout=SLOW_MS)
    assert panel.evaluate("document.documentElement.scrollWidth") <= width
    panel.screenshot(path=shot, full_page=True)
    context.close()


def test_the_report_of_a_run_opens_and_runs_by_itself(
    ui: UiProcess, browser: Browser, tmp_path: Path
) -> None:
    if not ui.state()["run"]:
        assert ui.start(scenario="redis_latency", quick="true").json["success"]
        ui.until_over()
    assert (ui.out / ui.state()["run"] / "report.html").is_file()
    page = browser.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda failure: failures.append(str(failure)))
    page.on("console", lambda line: failures.append(line.text) if line.type == "error" else None)
    page.goto(f"{ui.url}/holdfast", timeout=SLOW_MS)
    with page.expect_popup() as opened:
        page.get_by_role("link", name="report.html").first.click(timeout=SLOW_MS)
    report = opened.value
    report.wait_for_load_state()
    assert "redis_latency" in report.content()
    report.screenshot(path=tmp_path / "report.png", full_page=True)
    assert failures == []
    page.close()


def test_a_run_is_stopped_early_and_says_so(page: Page, ui: UiProcess, tmp_path: Path) -> None:
    choose(page, "redis_latency", duration="300s", rate="500/s")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("tab", name="Statistics").wait_for()
    ui.until(lambda: is_measuring(ui), "a run is measured")
    until(page, HAS_REQUESTS)
    assert "500/s" in ui.state()["workloads"][0]["plan"]
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="New", exact=True).wait_for()
    until(page, "() => /interrupted/.test(document.getElementById('holdfast-strip').innerText)")
    page.screenshot(path=tmp_path / "stopped.png")
    state = ui.state()
    assert json.loads((ui.out / state["run"] / "run.json").read_text())["status"] == "interrupted"


def test_the_form_begins_without_faults_and_another_scenario_empties_what_was_for_the_one_before(
    page: Page, ui: UiProcess
) -> None:
    def values() -> dict[str, str]:
        fields = ("scenario", "rate", "duration", "lanes")
        return {name: page.locator(f'[name="{name}"]').input_value() for name in fields}

    first = page.locator('select[name="scenario"] option').first.inner_text()
    assert not first.startswith(("api_error_storm", "api_kill"))
    choose(page, "redis_latency", duration="300s", rate="400/s")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("tab", name="Statistics").wait_for()
    ui.until(lambda: is_measuring(ui), "a run is measured")
    page.get_by_role("button", name="Stop", exact=True).click()
    ui.until_over()
    for way in ("the button", "a new page"):
        if way == "a new page":
            page.goto(ui.url)
        page.get_by_role("button", name="New").click()
        page.locator('select[name="scenario"]').wait_for(state="visible")
        kept = {"scenario": label_of("redis_latency"), "rate": "400/s", "duration": "300s", "lanes": ""}
        assert values() == kept, way
    choose(page, "api_load")
    assert values() == {"scenario": label_of("api_load"), "rate": "", "duration": "", "lanes": ""}
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("tab", name="Statistics").wait_for()
    ui.until(lambda: ui.state()["scenario"] == "api_load" and is_measuring(ui), "a run is measured")
    record = ui.state()
    page.get_by_role("button", name="Stop", exact=True).click()
    ui.until_over()
    assert "400/s" not in json.dumps(record)
