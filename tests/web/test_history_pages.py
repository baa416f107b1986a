"""Pages of a history: each begins where the one before ended, whatever has expired."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from volfs.volume.history import VersionRecord, fold_automatic
from volfs.web.shown_store import find_last

VERSIONS = st.dictionaries(st.integers(1, 99), st.booleans(), min_size=1)


@given(VERSIONS)
def test_what_is_below_the_last_folded_version_was_not_shown(is_auto: dict[int, bool]) -> None:
    newest_first = sorted(is_auto, reverse=True)
    versions = [VersionRecord(n, 0, "", "", 0, 0, 0, is_auto[n], b"") for n in newest_first]
    done = 0
    for folded in fold_automatic(versions):
        done += 1 + folded.hidden
        last = find_last(versions, folded)
        assert [info for info in versions if info.version < last] == versions[done:]
