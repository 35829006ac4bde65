"""report.html in a real browser: no errors, nothing fetched; by eye, by keyboard, on a phone, on paper."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.judge.judge import judge
from bench.report import html
from tests.helpers.fault_run import detection, fault, recovery
from tests.helpers.windowed_run import WindowedRun

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright", reason="playwright is not installed (pip install '.[browser]')")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
ARGUMENTS = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-gpu"]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]
PATIENCE_MS = 60_000
INK = """canvas => {
  const { width, height } = canvas;
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, width, height).data.buffer);
  return new Set(pixels).size;
}"""
"""How many colours a picture has: one that is blank has one."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *alone])
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six workloads with a fault: two are behind a line that opens them."""
    names = tuple(f"load{number}" for number in range(6))
    record = {
        "faults": [fault(0, 4)],
        "recoveries": [recovery(0, 4, 0.3, 0.5, 2, workload="load0")],
        "detections": [detection(0, "probe", 4.2)],
        "false_alarms": [],
    }
    rules = ["load0.response.p95 < 10ms warn 8ms", "recovery.stable < 10s"]
    failed = {12: {"refused": 90, "timeout": 20}, 13: {"refused": 40}}
    run = WindowedRun(names, sla=rules, failed=failed, record=record).load(tmp_path_factory.mktemp("report"))
    path = html.save(run, judge(run))
    assert path
    return path


def opened(browser: Browser, path: Path, **context: Any) -> Page:
    """The page when all its plots are drawn; errors and requests are gathered in `page.trouble`."""
    page = browser.new_context(**context).new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on(
        "request", lambda request: trouble.append(request.url) if "report.html" not in request.url else None
    )
    page.set_default_timeout(PATIENCE_MS)
    page.goto(path.as_uri())
    if context.get("java_script_enabled", True):
        page.wait_for_selector("html[data-drawn]")
        assert page.locator("#without-script").count() == 0
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    assert [one for one in trouble if not one.startswith("data:")] == []
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_open_plot_is_drawn_and_nothing_is_fetched(
    chromium: Browser, report: Path, scheme: Any
) -> None:
    page = opened(chromium, report, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    canvases = page.locator("[data-plot] .u-wrap canvas")
    assert canvases.count() >= 12
    for number in range(canvases.count()):
        assert canvases.nth(number).evaluate(INK) > 5, number
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 28)")
    page.context.close()


def test_plots_behind_a_line_are_drawn_when_it_is_opened(chromium: Browser, report: Path) -> None:
    page = opened(chromium, report, viewport={"width": 1280, "height": 900})
    hidden = page.locator('[data-plot="latency-5"]')
    assert hidden.locator(".u-wrap canvas").count() == 0
    page.locator("details", has=hidden).locator("summary").first.click()
    hidden.locator(".u-wrap canvas").wait_for()
    assert hidden.locator(".u-wrap canvas").evaluate(INK) > 5
    page.context.close()


def test_values_can_be_read_by_keyboard_and_lines_hidden(chromium: Browser, report: Path) -> None:
    page = opened(chromium, report, viewport={"width": 1280, "height": 900})
    plot = page.locator('[data-plot="latency-0"]')
    plot.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    said = plot.locator("output").inner_text()
    assert re.fullmatch(r"10\.\d+ s: P50 1\.00 ms, P95 1\.00 ms, P99 1\.00 ms", said)
    name = plot.locator(".u-legend th[role=button]").first
    name.focus()
    page.keyboard.press("Enter")
    assert name.get_attribute("aria-pressed") == "false"
    page.context.close()


def test_a_phone_shows_all_of_it_without_scrolling_sideways(chromium: Browser, report: Path) -> None:
    page = opened(chromium, report, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for box in page.locator("[data-plot]:visible").all():
        found = box.bounding_box()
        assert found
        assert found["width"] <= 390
    first = page.locator(".cards-when-narrow tbody tr").first
    assert "observed:" in first.evaluate(
        "row => getComputedStyle(row.querySelector('td:nth-of-type(2)'), '::before').content"
    )
    page.context.close()


def test_without_javascript_every_table_is_there_and_it_says_what_is_missing(
    chromium: Browser, report: Path
) -> None:
    page = opened(chromium, report, java_script_enabled=False, viewport={"width": 1280, "height": 900})
    assert page.get_by_text("The plots of this page need its script").is_visible()
    figure = page.locator("figure", has=page.locator('[data-plot="latency-0"]'))
    figure.locator("summary").click()
    assert figure.locator("tbody tr").first.is_visible()
    page.context.close()


def test_on_paper_everything_is_open_and_as_wide_as_the_paper(chromium: Browser, report: Path) -> None:
    page = opened(chromium, report, color_scheme="dark", viewport={"width": 1280, "height": 900})
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    places = page.locator("[data-plot]")
    assert page.locator("[data-plot] .u-wrap canvas").count() == places.count()
    assert page.locator("details:not([open])").count() == 0
    widths = [one.evaluate("place => place.clientWidth") for one in places.all()]
    assert max(widths) <= 700
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    page.context.close()
