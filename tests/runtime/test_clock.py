"""Files from the future."""

import os

from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import SKEW, date_back, files_below


@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=8, unique=True), st.sampled_from([10, 100])
)
def test_files_from_the_future_are_from_now_in_their_order(tmp_path_factory, offsets, seconds):
    folder, now = tmp_path_factory.mktemp("results"), 1_000_000_000
    for number, offset in enumerate(offsets):
        place = folder / f"d{number % 2}"
        place.mkdir(exist_ok=True)
        (place / str(number)).touch()
        os.utime(place / str(number), (now + seconds * offset, now + seconds * offset))
    jumped = seconds * max(offsets) > 60
    assert date_back(files_below(folder), now, SKEW) == (
        sum(offset > 0 for offset in offsets) if jumped else 0
    )
    files = sorted(folder.rglob("[0-9]"), key=lambda path: path.stat().st_mtime_ns)
    found = [offsets[int(path.name)] for path in files]
    assert 0 in offsets or found == sorted(offsets)
    assert not jumped or files[-1].stat().st_mtime <= now
    assert date_back(files_below(folder), now, SKEW) == 0
