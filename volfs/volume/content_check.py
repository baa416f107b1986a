"""The check that a file's content is complete: its chunk lists are well built, its chunks are
there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from volfs.errors import DataError
from volfs.model.content import FANOUT, FANOUT_BITS, ChunkList, GetList, measure_list
from volfs.model.entry import UNKNOWN, Entry, Extents
from volfs.model.objects import Kind, Oid
from volfs.model.references import Reference, iter_list_references

Found = tuple[str, Oid | None]
"""A problem, and the object that has it, if it is in one."""


class ContentCheck:
    """Checks the content of files; each whole chunk list once."""

    def __init__(self, get_list: GetList, find_chunk_problem: Callable[[Oid], str | None]) -> None:
        self._get_list = get_list
        self._find_chunk_problem = find_chunk_problem
        self._clean: set[tuple[Oid, int]] = set()
        """The lists without problems, each with the length that it had to cover."""

    def check(self, entry: Entry) -> Iterator[Found]:
        yield from self._check_extents(entry.extents)
        if entry.root:
            yield from self._check_list(Oid(entry.root), entry.size, None)
            if not self._has_data(Oid(entry.root), entry.data_bytes):
                yield "its bytes of data are not those of its chunk list", None

    def check_below(self, reference: Reference) -> Iterator[Found]:
        """Check a chunk, or a chunk list whose length nobody knows."""
        waiting = [reference]
        while waiting:
            kind, oid = waiting.pop()
            if kind is Kind.CHUNK:
                problem = self._find_chunk_problem(oid)
                if problem:
                    yield problem, oid
                continue
            try:
                waiting += reversed(list(iter_list_references(self._get_list(oid))))
            except DataError as error:
                yield f"chunk list: {error}", oid

    def _check_extents(self, extents: Extents) -> Iterator[Found]:
        for extent in extents:
            problem = self._find_chunk_problem(Oid(extent.oid)) if extent.oid else None
            if problem:
                yield problem, Oid(extent.oid)

    def _check_list(self, oid: Oid, length: int, level: int | None) -> Iterator[Found]:
        """Check a list over ``length`` bytes. There are at most five levels, so recursion is
        safe."""
        if (oid, length) in self._clean:
            return
        problems = list(self._find_problems(oid, length, level))
        if problems:
            yield from problems
        else:
            self._clean.add((oid, length))

    def _find_problems(self, oid: Oid, length: int, level: int | None) -> Iterator[Found]:
        try:
            node = self._get_list(oid)
        except DataError as error:
            yield f"chunk list: {error}", oid
            return
        if level is not None and node.level != level:
            yield "chunk list: levels out of order", oid
        elif length > _span(node, node.level):
            yield "chunk list: ends before the file does", oid
        elif node.level:
            yield from self._check_children(node, length)
        else:
            if node.ends[-1] != length:
                yield f"chunk list: does not hold the {length} bytes it should", oid
            yield from self._check_extents(node.extents)
            yield from self._check_crowded(node, length)

    def _check_crowded(self, node: ChunkList, length: int) -> Iterator[Found]:
        for each in node.crowded:
            part = min(1 << node.chunk_bits, length - (each.window << node.chunk_bits))
            yield from self._check_list(Oid(each.oid), part, 0)
            if not self._has_data(Oid(each.oid), each.data):
                yield "chunk list: a sum that is not a crowded window's", Oid(each.oid)

    def _check_children(self, node: ChunkList, length: int) -> Iterator[Found]:
        below = _span(node, node.level - 1)
        for index, child in enumerate(node.children[:FANOUT]):
            part = min(below, length - index * below)
            if child and part > 0:
                yield from self._check_list(Oid(child), part, node.level - 1)
                if node.sums and not self._has_data(Oid(child), node.sums[index]):
                    yield "chunk list: a sum that is not its child's", Oid(child)
            elif child:
                yield "chunk list: more than the file has", Oid(child)

    def _has_data(self, oid: Oid, stated: int) -> bool:
        """Whether a list's stated number of bytes that are not holes is right. True if it cannot
        be read, because that is reported elsewhere."""
        try:
            return stated in (UNKNOWN, measure_list(self._get_list, oid))
        except DataError:
            return True


def _span(node: ChunkList, level: int) -> int:
    return 1 << (node.chunk_bits + FANOUT_BITS * (level + 1))
