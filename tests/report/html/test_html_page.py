"""The building blocks of every page: nothing that came from outside can become markup or a script."""

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.judge.verdict import Status
from bench.report.html.page import Html, badge, data_block, element, escape, page, section, table
from tests.report.html.page_reader import Reader

TEXTS = st.text(st.characters(), max_size=60) | st.sampled_from(
    ["</script>", "<!--", "\u2028\u2029", "'\"><svg onload=x>", "\ud800", "\u202e", "&amp;", "]]>"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(TEXTS)
def test_a_text_stays_a_text_between_tags_and_in_an_attribute(text: str) -> None:
    found = Reader(element("p", text, title=text))
    assert [tag for tag, _ in found.tags] == ["p"]
    assert list(found.tags[0][1]) == ["title"]
    element("p", text).encode()  # a lone surrogate would have no UTF-8
    if text.isprintable():
        assert found.text == found.tags[0][1]["title"] == text


def test_what_cannot_be_shown_or_turns_a_line_around_is_marked() -> None:
    assert escape("a\x00b\ud800c\u202ed") == "a\ufffdb\ufffdc\ufffdd"


def test_html_is_not_escaped_twice_and_nothing_is_left_out() -> None:
    assert element("b", Html("<i>x</i>"), None, 3, ["<", Html("&lt;")]) == "<b><i>x</i>3&lt;&lt;</b>"
    assert (
        element("a", aria_label="x", hidden=True, title=None, open=False) == '<a aria-label="x" hidden></a>'
    )


@given(VALUES)
def test_data_in_a_page_is_read_as_it_was_and_never_ends_its_element(value: Any) -> None:
    block = data_block("plots", value)
    inner = re.fullmatch(r'<script type="application/json" id="plots">(.*)</script>', block, re.DOTALL)
    assert inner
    assert not re.search(r"[<>&\u2028\u2029]", inner[1])
    assert json.loads(inner[1]) == json.loads(json.dumps(value))


def test_numbers_that_json_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        data_block("plots", [float("nan")])


def test_each_status_has_its_word_and_a_shape_of_its_own() -> None:
    shapes = {Reader(badge(status)).text.split()[0] for status in Status}
    assert len(shapes) == len(Status)
    for status in Status:
        assert Reader(badge(status)).text.split()[1] == status.name


def test_a_table_names_its_columns_and_its_rows_for_those_who_hear_it() -> None:
    columns = "what | #how many"
    found = Reader(table(columns, [["<a>", 3], ["b", None]], "All <of> them", narrow="cards"))
    heads = [attributes.get("scope") for tag, attributes in found.tags if tag == "th"]
    assert heads == ["col", "col", "row", "row"]
    assert found.text == "All <of> themwhathow many<a>3b-"
    region = found.tags[0][1]
    assert (region["role"], region["tabindex"], region["aria-label"]) == ("region", "0", "All <of> them")
    cells = [attributes for tag, attributes in found.tags if tag == "td"]
    assert cells == [
        {"class": "number", "data-title": "how many"},
        {"class": "number", "data-title": "how many", "data-empty": None},
    ]


def test_a_row_with_too_few_cells_is_a_bug_of_ours() -> None:
    with pytest.raises(ValueError, match="shorter"):
        table("a | b", [["x"]], "c")


def test_a_section_without_content_is_left_out() -> None:
    assert section("Faults", None, []) == ""
    assert 'aria-labelledby="faults-and-more"' in section("Faults and more", "x")


def test_the_policy_of_a_page_allows_its_own_scripts_and_no_network() -> None:
    script = "document.title = 1 < 2 ? 'a' : 'b';"
    made = page("A <title>", element("p", "hi"), [script])
    policy = next(
        attributes["content"]
        for tag, attributes in Reader(made).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert "unsafe" not in policy
    assert f"<script>{script}</script>" in made
    assert "<title>A &lt;title&gt;</title>" in made


@pytest.mark.parametrize("source", ["a </script> b", "a <!-- b", "a\r\nb"])
def test_a_script_that_would_not_run_as_it_stands_is_a_bug_of_ours(source: str) -> None:
    with pytest.raises(ValueError, match="own element"):
        page("x", "", [source])
