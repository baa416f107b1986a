"""The rules of the protocol, each taken out of the code by a context manager.

The names are those of ``protocol_model.RULES``. A rule that is taken out replaces one small
function. ``test_rules.py`` has a schedule for each that loses something then, and nothing with the
rule.

Rules of gc are taken out of the gc that the simulation has (``store_gc``), which is written step by
step as the protocol is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from tests.sim.store_gc import Collection, Seen
from volfs.model.logs.gc_log import GcState, PacksDoomed
from volfs.model.logs.volume_log import check_version
from volfs.store.contract.refs import VolumeRecord
from volfs.store.distributed.data.bucket_upload import BucketUpload
from volfs.store.distributed.leases.bucket_leases import BucketLeases
from volfs.store.distributed.log.follower import KnownLog
from volfs.store.distributed.refs import bucket_refs
from volfs.store.distributed.refs.bucket_refs import BucketRefs
from volfs.store.distributed.refs.volume_publisher import VolumePublisher
from volfs.store.distributed.refs.volume_view import VolumeView


class Rule(NamedTuple):
    """A rule that can be taken out."""

    says: str
    without: Callable[[], AbstractContextManager[None]]


@contextmanager
def replaced(owner: object, name: str, function: Callable[..., Any]) -> Iterator[None]:
    former = getattr(owner, name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        setattr(owner, name, former)


def nothing(*_: object, **__: object) -> None:
    """In the place of a function that only acts."""


# --- of those who publish ----------------------------------------------------------------


def without_own_packs() -> AbstractContextManager[None]:
    return replaced(BucketUpload, "replace", nothing)


def without_reverify() -> AbstractContextManager[None]:
    return replaced(VolumePublisher, "_check_lease", nothing)


def without_bound() -> AbstractContextManager[None]:
    """Who has read a new era meanwhile counts as who has made the checks that it asks for."""
    publish = VolumePublisher.publish

    def forgetful(self: VolumePublisher, upload: BucketUpload, *details: Any) -> None:
        upload.era = self._book.follower.known.era
        publish(self, upload, *details)

    return replaced(VolumePublisher, "publish", forgetful)


# --- of leases and forks -------------------------------------------------------------------


def without_verify_lease() -> AbstractContextManager[None]:
    """A lease counts as soon as it is written."""
    return replaced(BucketLeases, "_check_versions", nothing)


def without_fork_entry() -> AbstractContextManager[None]:
    """A fork does not tell its source."""
    return replaced(BucketRefs, "fork_volume", fork_secretly)


def fork_secretly(
    self: BucketRefs,
    record: VolumeRecord,
    manifests: tuple[bytes, bytes],
    source: str,
    version: int,
) -> None:
    self._check_free(record)
    state = self.logs.get(source)
    check_version(state, version)
    created = bucket_refs._make_fork(record, manifests, VolumeView(source, state))
    self._begin(record, created, manifests, state.era)


# --- of gc -----------------------------------------------------------------------------------


def without_fence() -> AbstractContextManager[None]:
    return replaced(Collection, "fence", nothing)


def without_close_all() -> AbstractContextManager[None]:
    """A fence closes only what its own run has condemned."""

    def choose(self: Collection, state: GcState, after: int) -> frozenset[str]:
        return state.list_closing(max(after, state.number - 1))

    return replaced(Collection, "choose_closing", choose)


def without_second_pass() -> AbstractContextManager[None]:
    """The logs are read only after the leases."""

    def read(self: Collection) -> dict[str, Seen]:
        return {}

    return replaced(Collection, "read_first", read)


def without_roots_again() -> AbstractContextManager[None]:
    def look(self: Collection) -> set[str]:
        return set()

    return replaced(Collection, "look_again", look)


def without_cancel() -> AbstractContextManager[None]:
    def cancel(self: Collection, era: int) -> bool:
        return False

    return replaced(Collection, "cancel_forks", cancel)


def without_doom_cas() -> AbstractContextManager[None]:
    """What is doomed is written after whatever came meanwhile."""

    def choose(self: Collection, known: KnownLog[GcState | None]) -> KnownLog[GcState | None]:
        return self.gc.refresh()

    return replaced(Collection, "choose_number", choose)


def without_return_first() -> AbstractContextManager[None]:
    """Packs are opened again before gc's log says so."""

    def doom(
        self: Collection,
        known: KnownLog[GcState | None],
        doomed: frozenset[str],
        returned: frozenset[str],
    ) -> None:
        self.adopt(returned, known.number)
        change = PacksDoomed(tuple(sorted(doomed)), tuple(sorted(returned)))
        if self.propose(self.choose_number(known), change):
            self.delete(doomed)

    return replaced(Collection, "doom", doom)


def without_adopt_checked() -> AbstractContextManager[None]:
    def find(self: Collection, packs: frozenset[str], after: int, upto: int) -> frozenset[str]:
        return frozenset()

    return replaced(Collection, "find_late", find)


RULES = {
    "fence": Rule("condemned packs are closed in every log", without_fence),
    "second_pass": Rule("logs are read before and after leases", without_second_pass),
    "reverify": Rule("P6c: a lost base asks for the lease", without_reverify),
    "fork_entry": Rule("a fork tells its source first", without_fork_entry),
    "cancel": Rule("the place of a pending fork is taken", without_cancel),
    "own_packs": Rule("P6b: own condemned packs are put again", without_own_packs),
    "verify_lease": Rule("L3: the version is seen after the lease", without_verify_lease),
    "roots_again": Rule("G7: what is needed is looked at again", without_roots_again),
    "doom_cas": Rule("G8 has the number after the fence's", without_doom_cas),
    "bound": Rule("the checks of P6 belong to the upload", without_bound),
    "close_all": Rule("a fence closes what all runs condemned", without_close_all),
    "return_first": Rule("returned before adopted", without_return_first),
    "adopt_checked": Rule("adopting looks for later eras", without_adopt_checked),
}
NOT_IN_THE_CODE = {
    "foreign_after": "no upload relies on a pack of another volume, so there is no order to keep",
}
