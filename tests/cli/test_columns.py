"""Which columns a terminal has room for, and how values are shortened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from volfs_cli.columns import COMFORT, GAP, LEAST, Column, choose_layout, find_widths, shorten

TEXTS = st.text(st.characters(exclude_categories=("C", "Z", "M")), max_size=60)
CUTS = st.sampled_from(("", "middle", "end"))


@given(TEXTS, st.integers(1, 40), st.sampled_from(("middle", "end")))
def test_a_shortened_text_fits_and_says_so(text: str, width: int, cut: str) -> None:
    shown = shorten(text, width, cut)
    assert cell_len(shown) <= width
    if shown != text:
        head, _, tail = shown.partition("…")
        assert cell_len(text) > width
        assert text.startswith(head)
        assert text.endswith(tail)
        assert cut == "middle" or not tail


@given(
    st.lists(st.tuples(TEXTS, st.integers(0, 4), CUTS), min_size=1, max_size=6),
    st.integers(10, 160),
)
def test_a_table_fits_or_is_none(cells: list[tuple[str, int, str]], width: int) -> None:
    columns = [Column(f"C{at}", str, rank, cut) for at, (_, rank, cut) in enumerate(cells)]  # type: ignore[arg-type]
    rows = [[text for text, *_ in cells]]
    natural = find_widths(columns, rows)
    layout = choose_layout(columns, rows, width)
    filled = {at for at, (text, *_) in enumerate(cells) if text not in ("", "-")}
    if layout is None:
        first = [at for at in filled or range(len(cells)) if columns[at].rank == 0]
        least = [min(natural[at], LEAST) if columns[at].cut else natural[at] for at in first]
        assert not first or sum(least) + GAP * (len(least) - 1) > width
        return
    chosen, widths = layout
    assert sum(widths) + GAP * (len(widths) - 1) <= width
    assert all(at in filled for at in chosen) or not filled
    left_out = [columns[at].rank for at in filled - set(chosen)]
    assert not left_out or min(left_out) >= max(columns[at].rank for at in chosen)
    for at, given_width in zip(chosen, widths, strict=True):
        assert given_width <= natural[at]
        assert given_width == natural[at] or columns[at].cut
        assert given_width >= min(natural[at], LEAST)
    if len(set(left_out)) and len(chosen) > 1:
        comfortable = [
            min(natural[at], COMFORT) if columns[at].cut else natural[at] for at in filled
        ]
        assert sum(comfortable) + GAP * (len(filled) - 1) > width
