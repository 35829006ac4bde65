"""The page over a folder of runs: what is in it, and that nothing of a run gets out of its place."""

import html
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from bench.report.formats import Reader, RunFolder
from bench.report.index import trends
from bench.report.index.entries import entries_in
from bench.report.index.page import render
from bench.report.index.trends import METRICS, histories
from tests.report.index.index_runs import put, put_everything

GOLDEN = Path(__file__).parent / "golden"
P95 = METRICS[1]


class Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.elements: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.addresses += [value for name, value in attrs if name == "href"]


def words_of(page: str) -> str:
    """What a reader sees of a page: a line for each row, heading and paragraph."""
    body = page[page.index("<main>") : page.index("</main>")]
    body = re.sub(r"<svg.*?</svg>", " ~ ", body, flags=re.DOTALL)
    body = re.sub(r"<(tr|h\d|p|caption|summary|label|output)[ >]", "\n\\g<0>", body)
    lines = html.unescape(re.sub(r"<[^>]*>", " ", body)).splitlines()
    return "\n".join(line for line in (" ".join(line.split()) for line in lines) if line) + "\n"


def test_the_page_is_as_it_was_approved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_everything(Path("results"))
    page = render(RunFolder("results", entries_in(Path("results"))), Reader(Path("results")))
    shown = words_of(page)
    file = GOLDEN / "index_page.txt"
    if os.environ.get("HOLDFAST_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(shown)
    assert shown == file.read_text()


def test_links_lead_from_the_page_to_files_that_are_there(tmp_path):
    out = tmp_path / "a b"
    put(out, 1)
    (out / "20260201t024000z-redis_latency-000001").rename(out / "x:y #1?")
    page = render(RunFolder("results", entries_in(out)), Reader(out))
    found = [address for address in Links(page).addresses if not address.startswith(("data:", "#"))]
    assert len(found) == 2
    for address in found:
        assert re.fullmatch(r"[A-Za-z0-9_./%~-]+", address)
        assert (out / unquote(address)).is_file()


def test_from_another_folder_the_links_lead_there_too(tmp_path):
    put(tmp_path / "results", 1)
    page = render(RunFolder("results", entries_in(tmp_path / "results")), Reader(tmp_path / "pages"))
    assert 'href="../results/20260201t024000z-redis_latency-000001/verdict.json"' in page


def test_names_from_outside_are_text(tmp_path):
    hostile = '"><script>alert(1)</script>&'
    put(tmp_path, 1, scenario={"name": hostile, "digest": hostile}, stack={"kind": hostile})
    put(tmp_path, 2)
    put(tmp_path, 3)
    page = render(RunFolder(hostile, entries_in(tmp_path)), Reader(tmp_path))
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 3
    assert Links(page).elements.count("script") == 1


def test_a_line_joins_only_runs_that_may_be_compared(tmp_path):
    put(tmp_path, 1)
    put(tmp_path, 2, p50_us=300)
    put(tmp_path, 3, environment={"key": {"cpu": "Another CPU", "cores": 8}, "facts": {}})
    put(tmp_path, 4, p50_us=250)
    put(tmp_path, 5, plan={"quick": True})
    (history,) = histories(entries_in(tmp_path))
    assert [form.differs for form in history.forms] == [(), ("length",), ("length", "machine")]
    assert [len(form.points("cache", P95)) for form in history.forms] == [1, 3, 1]
    assert [point.place for point in history.forms[1].points("cache", P95)] == [0, 1, 3]
    assert history.breaks == ((2, ("machine",)), (3, ("machine",)), (4, ("length",)))


def test_runs_that_say_nothing_about_the_system_are_on_no_line(tmp_path):
    put(tmp_path, 1)
    put(tmp_path, 2, generator={"saturated": True})
    (history,) = histories(entries_in(tmp_path))
    assert [point.place for point in history.forms[0].points("cache", P95)] == [0]


def test_of_a_great_many_runs_all_are_in_the_table_and_the_last_on_the_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(trends, "MOST_RUNS", 3)
    for day in range(1, 6):
        put(tmp_path, day)
    page = render(RunFolder("results", entries_in(tmp_path)), Reader(tmp_path))
    assert page.count('id="run-') == 5
    assert "P95 over 3 comparable runs" in page


def test_every_row_can_be_chosen_by_its_scenario_and_its_status(tmp_path):
    put_everything(tmp_path)
    page = render(RunFolder("results", entries_in(tmp_path)), Reader(tmp_path))
    values = set(re.findall(r'<option value="([so]\d+)"', page))
    rows = re.findall(r'<tr class="(s\d+) (o\d+)[^"]*" id="run-', page)
    assert rows
    assert {value for row in rows for value in row} == values


def test_a_change_of_level_is_marked_and_named(tmp_path):
    for number in range(1, 21):
        put(tmp_path, number, p50_us=(200 if number <= 12 else 300) + number % 3)
    page = render(RunFolder("results", entries_in(tmp_path)), Reader(tmp_path))
    assert 'class="step"' in page
    assert re.search(r"x1\.50 since 2026-02-13, candidate", page)
