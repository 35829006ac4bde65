"""The drawing of faults and what followed them: every sign is there, beside the others, in the picture."""

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from bench.report.faults.detection import SIGNS, TimeLine
from bench.report.html.faults import SIGN_ROOM, WIDTH, chart


@given(st.dictionaries(st.sampled_from(sorted(SIGNS)), st.integers(0, 10**9), min_size=2))
def test_no_sign_is_cut_and_none_lies_on_another(marks: dict[str, int]) -> None:
    drawing = str(chart([TimeLine("0 kill redis", marks, 0, max(marks.values()))]))
    places = [float(x) for x in re.findall(r'<text x="([0-9.]+)" y="[0-9.]+" class="sign', drawing)]
    if max(marks.values()) <= 1:
        assert drawing == ""
        return
    assert len(places) == len(marks)
    assert all(0 <= x <= WIDTH - 7 for x in places)
    assert all(later - sooner >= SIGN_ROOM - 0.11 for sooner, later in itertools.pairwise(places))
