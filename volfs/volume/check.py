"""The check of a store: every stored byte, and whether every version of every volume is whole.

Two passes. The first reads what is stored (``Care.iter_damage``). The second walks from the
versions down. It looks at each distinct tree once, however many versions have it, and keeps the
findings below the tree with it. At the end every affected volume, version and path can therefore
be named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from volfs.errors import DataError, MissingObjectError
from volfs.model.doubts import is_future
from volfs.model.entry import UNKNOWN, Entry, FileKind, Totals, add_totals
from volfs.model.links import group_name
from volfs.model.manifest import Manifest, decode_manifest
from volfs.model.names import Path, show_path
from volfs.model.objects import Kind, Oid
from volfs.model.progress import Progress, Report, report_nothing
from volfs.model.references import Reference, iter_tree_references
from volfs.model.tree import PageRef, Tree
from volfs.sessions.liveness import list_damaged_leases
from volfs.store.clock import now_ns
from volfs.store.contract.care import Damage
from volfs.store.contract.lease import Lease
from volfs.store.contract.objects import Objects
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.content_check import ContentCheck, Found
from volfs.volume.history import to_local
from volfs.volume.version_reader import Reader

PATHS_KEPT = 1000
"""The most defects that are kept of one tree. Beyond that only the number of problems is
useful."""


class Problem(NamedTuple):
    """One problem in versions of one volume."""

    volume: str
    versions: tuple[int, ...]
    path: str
    """The path of the file or directory; ``(hard links)`` for the link tree, ``(manifest)`` for
    the manifest, ``(mount …)`` for a need of a session's lease."""
    problem: str
    oid: Oid | None


class CheckNotice(NamedTuple):
    """Something odd about a version that is whole."""

    volume: str
    version: int
    notice: str


class Oddity(NamedTuple):
    """Something odd in a store that does no harm."""

    where: str
    what: str


@dataclass
class CheckReport:
    volumes: int = 0
    versions: int = 0
    trees: int = 0
    bytes: int = 0
    """The number of stored bytes that were read."""
    damage: list[Damage] = field(default_factory=list)
    """Damage of stored records, whether a version needs them or not."""
    problems: list[Problem] = field(default_factory=list)
    """Problems of versions, because of that damage or in themselves."""
    notices: list[CheckNotice] = field(default_factory=list)
    """What users should know although it is no damage, and nothing can be done about it."""
    oddities: list[Oddity] = field(default_factory=list)
    """The same of the store: objects that nothing needs, say."""

    @property
    def is_clean(self) -> bool:
        return not (self.damage or self.problems)


def check_store(
    store: Store,
    report: Report = report_nothing,
    *,
    read_data: bool = True,
    quick: bool = False,
) -> CheckReport:
    """Read and verify everything. Never raises for what it finds; StoreError if it cannot read.

    ``read_data``, ``quick``: see ``Care.iter_damage``.
    """
    result = CheckReport()

    def note(progress: Progress) -> None:
        result.bytes = progress.bytes_total
        report(progress)

    def tell(where: str, what: str) -> None:
        result.oddities.append(Oddity(where, what))

    result.damage += store.care.iter_damage(
        read_data=read_data, quick=quick, report=note, tell=tell
    )
    try:
        _check_versions(store, result)
    except DataError as error:
        result.damage.append(Damage(None, "index", f"not all versions were looked at: {error}"))
    return result


def _check_versions(store: Store, result: CheckReport) -> None:
    walk = TreeCheck(store, {item.oid for item in result.damage if item.oid is not None})
    found: VersionsOf = {}
    for volume in store.refs.list_volumes():
        result.volumes += 1
        walk.turn_to(volume.id)
        try:
            _check_volume(walk, store, volume, result, found)
        except DataError as error:
            where = f"volume {volume.full_name}"
            result.damage.append(Damage(None, where, f"its versions were not looked at: {error}"))
    result.trees = len(walk.done)
    for (name, path, problem, oid), versions in found.items():
        result.problems.append(Problem(name, tuple(reversed(versions)), path, problem, oid))
    result.problems += _check_leases(walk, store, result)


DamagePlace = tuple[str, str, Oid | None]
VersionsOf = dict[tuple[str, str, str, Oid | None], list[int]]
"""The versions that have a problem: volume, path, problem, object."""


def _check_volume(
    walk: TreeCheck, store: Store, volume: VolumeRecord, result: CheckReport, found: VersionsOf
) -> None:
    for head in store.refs.iter_versions(volume.id):
        result.versions += 1
        problems = list(_check_version(walk, volume, head, result.notices))
        # The objects of a version that was expired meanwhile may rightly be gone.
        if problems and store.refs.find_version(volume.id, head.version) == head.manifest:
            for path, problem, oid in problems:
                found.setdefault((volume.full_name, path, problem, oid), []).append(head.version)


def _check_version(
    walk: TreeCheck, volume: VolumeRecord, head: Head, notices: list[CheckNotice]
) -> Iterator[DamagePlace]:
    try:
        manifest = decode_manifest(walk.load(head.manifest))
    except DataError as error:
        yield "(manifest)", str(error), head.manifest
        return
    if (manifest.volume, manifest.version) != (volume.id, head.version):
        says = f"version {manifest.version} of {manifest.volume}"
        yield "(manifest)", f"it is of {says}", head.manifest
    notices += _find_future(volume, head, manifest.created_ns)
    tree = walk.check_root(manifest.root)
    links = walk.check_tree(Oid(manifest.links))
    for defect in tree.defects:
        yield show_path(defect.path), defect.problem, defect.oid
    for defect in links.defects:
        yield f"(hard links) {show_path(defect.path)}", defect.problem, defect.oid
    if not tree.defects and not links.defects:
        for problem in _check_links(walk, manifest, tree.groups):
            yield "(hard links)", problem, None


def _find_future(volume: VolumeRecord, head: Head, created_ns: int) -> Iterator[CheckNotice]:
    """A notice if a clock was ahead when the version was made, or is behind now."""
    if is_future(created_ns, now_ns()):
        date = f"{to_local(created_ns):%Y-%m-%d %H:%M:%S}"
        notice = f"its date, {date}, is in the future; rules by date do not count it"
        yield CheckNotice(volume.full_name, head.version, notice)


def _check_links(walk: TreeCheck, manifest: Manifest, names: Counter[int]) -> Iterator[str]:
    """Check that each group has a record with the right count of names, and that the manifest's
    sums fit."""
    totals = walk.sum_tree(Oid(manifest.links))
    data = manifest.link_data if manifest.links else 0
    stated = totals._replace(files=manifest.link_files, bytes=manifest.link_bytes, data=data)
    if not _fits(stated, totals):
        yield f"{totals.files} files with {totals.bytes} bytes, the manifest has other sums"
    records = {entry.name: entry for entry in walk.iter_entries(Oid(manifest.links))}
    for group, count in names.items():
        record = records.pop(group_name(group), None)
        if record is None:
            yield f"group {group:x} has {count} names and no record"
        elif record.links != count:
            yield f"group {group:x} has {count} names, its record says {record.links}"
    for name in records:
        yield f"group {show_path(name)} has a record and no names"


def _find_damaged_leases(store: Store, result: CheckReport) -> bool:
    """Add damaged leases to the result, by session. Whether there are any."""
    damaged = list_damaged_leases(store)
    for session in damaged:
        where = f"lease of {session or 'a session that nothing tells'}"
        problem = "it cannot be read, so gc and expire refuse to work; `volfs check --repair`"
        result.damage.append(Damage(None, where, problem))
    return bool(damaged)


def _check_leases(walk: TreeCheck, store: Store, result: CheckReport) -> Iterator[Problem]:
    """Check the needs of leases: what mounts show and overlays lie on may be in no version."""
    if result.damage and _find_damaged_leases(store, result):
        return
    for lease in store.leases.list_all():
        walk.turn_to(lease.volume_id)
        problems = list(_check_lease(walk, lease))
        # The needs of a lease that was given up meanwhile may rightly be gone.
        if problems and store.leases.find(lease.session) == lease:
            volume = store.refs.find_volume_by_id(lease.volume_id)
            name = volume.full_name if volume else lease.volume_id
            for path, problem, oid in problems:
                yield Problem(name, lease.versions, path, problem, oid)


def _check_lease(walk: TreeCheck, lease: Lease) -> Iterator[DamagePlace]:
    place = f"(mount {lease.session})"
    for need in lease.needs:
        if need.kind is Kind.TREE:
            for defect in walk.check_tree(need.oid).defects:
                yield f"{place} {show_path(defect.path)}", defect.problem, defect.oid
        else:
            for problem, oid in walk.check_content(need):
                yield place, problem, oid


# --- trees ------------------------------------------------------------------


class Defect(NamedTuple):
    """Something wrong below a tree, at a path relative to the tree."""

    path: Path
    problem: str
    oid: Oid | None


class TreeFindings(NamedTuple):
    """The findings about one tree and all below it."""

    defects: tuple[Defect, ...]
    groups: Counter[int]
    """The number of names below it that each link group has. Never changed."""


CLEAN = TreeFindings((), Counter())


class TreeCheck:
    """A walk over trees that looks at each distinct tree once. ``done`` has the findings on each
    tree object."""

    def __init__(self, store: Store, damaged: set[Oid]) -> None:
        self._store = store
        self._objects: Objects | None = None
        self._damaged = damaged
        self._reader = Reader(self.load)
        self._content = ContentCheck(self._reader.get_list, self.find_chunk_problem)
        self.done: dict[Oid, TreeFindings] = {}

    def turn_to(self, volume_id: str) -> None:
        """Take the next trees as trees of this volume."""
        self._objects = self._store.objects_of(volume_id)

    def load(self, oid: Oid) -> bytes:
        if oid in self._damaged:
            raise DataError("damaged")
        assert self._objects is not None, "no volume was turned to"
        if not self._objects.contains(oid):
            # The object may be readable for a while, but gc has removed it.
            raise MissingObjectError(f"object {oid.hex()} is not in the store")
        return self._objects.load_object(oid)

    def find_chunk_problem(self, oid: Oid) -> str | None:
        if oid in self._damaged:
            return "damaged chunk"
        assert self._objects is not None, "no volume was turned to"
        return None if self._objects.contains(oid) else "missing chunk"

    def check_content(self, need: Reference) -> Iterator[Found]:
        """Check a chunk, or a chunk list with all below it."""
        return self._content.check_below(need)

    def check_root(self, root: Entry) -> TreeFindings:
        """Check a version's root directory: its sums, and everything below."""
        findings = self.check_tree(root.tree)
        own = tuple(self._check_sums((), root))
        return TreeFindings(own + findings.defects, findings.groups) if own else findings

    def check_tree(self, root: Oid) -> TreeFindings:
        """The findings on a tree. Depth first and without recursion, because trees may be deep."""
        if not root:
            return CLEAN
        waiting = [root]
        begun: set[Oid] = set()
        while waiting:
            oid = waiting[-1]
            if oid in self.done:
                waiting.pop()
                continue
            below = [child for child in self._children(oid) if child not in self.done]
            if below and oid not in begun:
                begun.add(oid)
                waiting += below
                continue
            self.done[oid] = self._judge(oid)
        return self.done[root]

    def _children(self, oid: Oid) -> list[Oid]:
        try:
            tree = self._reader.get_tree(oid)
        except DataError:
            return []
        return [oid for kind, oid in iter_tree_references(tree) if kind is Kind.TREE]

    def _judge(self, oid: Oid) -> TreeFindings:
        """The findings on a tree whose children have theirs already."""
        try:
            tree = self._reader.get_tree(oid)
        except DataError as error:
            return TreeFindings((Defect((), f"directory: {error}", oid),), CLEAN.groups)
        defects: list[Defect] = []
        groups: Counter[int] = Counter()
        for page in tree.pages:
            defects += self._check_page(page)
            groups.update(self._known(Oid(page.oid)).groups)
        for entry in tree.entries.values():
            defects += self._check_entry(entry)
            if entry.group:
                groups[entry.group] += 1
            elif entry.root and entry.is_directory:
                groups.update(self._known(entry.tree).groups)
        return TreeFindings(tuple(defects[:PATHS_KEPT]), groups) if defects or groups else CLEAN

    def _known(self, oid: Oid) -> TreeFindings:
        cycle = Defect((), "directory: it contains itself", oid)
        return self.done.get(oid, TreeFindings((cycle,), CLEAN.groups))

    def _check_page(self, page: PageRef) -> Iterator[Defect]:
        findings = self._known(Oid(page.oid))
        yield from findings.defects
        tree = self._find_tree(Oid(page.oid))
        if tree is None:
            return
        if (
            tree.pages
            or next(iter(tree.entries)) != page.first
            or len(tree.entries) != page.count
            or not _fits(page.totals, _sum(tree))
        ):
            yield Defect((), "directory: a page is not as its index says", Oid(page.oid))

    def _check_entry(self, entry: Entry) -> Iterator[Defect]:
        path = (entry.name,)
        if entry.is_directory:
            if entry.root:
                for defect in self._known(entry.tree).defects:
                    yield Defect(path + defect.path, defect.problem, defect.oid)
            yield from self._check_sums(path, entry)
        elif entry.kind == FileKind.FILE and not entry.group:
            for problem, oid in self._content.check(entry):
                yield Defect(path, problem, oid)

    def _check_sums(self, path: Path, entry: Entry) -> Iterator[Defect]:
        is_there = not entry.root or self._find_tree(entry.tree) is not None
        if is_there and not _fits(_sums_of(entry), self.sum_tree(entry.tree)):
            yield Defect(path, "directory: its sums are not those of its entries", None)

    # --- reading trees ---------------------------------------------------

    def _find_tree(self, oid: Oid) -> Tree | None:
        try:
            return self._reader.get_tree(oid)
        except DataError:
            return None

    def sum_tree(self, oid: Oid) -> Totals:
        """The totals that a tree's own object states for all below it."""
        return _sum(self._reader.get_tree(oid))

    def iter_entries(self, oid: Oid) -> Iterator[Entry]:
        tree = self._reader.get_tree(oid)
        yield from tree.entries.values()
        for page in tree.pages:
            yield from self._reader.get_tree(Oid(page.oid)).entries.values()


def _sum(tree: Tree) -> Totals:
    pages = (page.totals for page in tree.pages)
    return add_totals(chain(pages, (entry.totals for entry in tree.entries.values())))


def _fits(stated: Totals, found: Totals) -> bool:
    """Whether stated sums are those that were found. Sums by a former volfs lack two of them."""
    data = found.data if stated.data == UNKNOWN else stated.data
    linked = found.linked if stated.linked == UNKNOWN else stated.linked
    return stated._replace(data=data, linked=linked) == found


def _sums_of(directory: Entry) -> Totals:
    """The totals that a directory's entry states for all below it."""
    own = directory.totals
    return own._replace(directories=directory.directories, subdirectories=directory.subdirectories)
