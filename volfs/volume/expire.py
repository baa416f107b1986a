"""Expiry: the only operation that removes versions from a history, by rules that say what
stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from volfs.errors import InvalidError
from volfs.model.doubts import choose_doubted
from volfs.model.retention import Dated, KeepRules, choose_kept
from volfs.sessions.liveness import drop_stale_leases, list_fresh_leases
from volfs.store.clock import now_ns
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.history import VersionRecord, iter_history, to_local

THINNED = KeepRules(last=100, hourly=24, daily=30)
"""The versions that stay of those that a network file system makes by itself."""
THINNED_DOUBTS = 1000
"""The number of versions with a date in doubt that stay, the newest ones. A clock that never knows
the time must not keep all versions."""
IN_DOUBT = "date in doubt"


class KeepDecision(NamedTuple):
    """One version, and why it stays: rules, ``head``, ``tag NAME``, ``mounted``, ``being read``.

    ``date in doubt`` means that its date or another version's is wrong, and that with the true
    dates a rule may keep it.
    """

    info: VersionRecord
    reasons: tuple[str, ...]

    @property
    def is_kept(self) -> bool:
        return bool(self.reasons)


def judge_versions(store: Store, volume: VolumeRecord, rules: KeepRules) -> list[KeepDecision]:
    """The versions, newest first, each with what keeps it: rules, tags, mounts. Removes nothing.

    The empty version 0 is not among them, because it stays. Hours, days and weeks are those of
    this machine's time zone. InvalidError if there is no rule.
    """
    if rules.is_empty:
        raise InvalidError("no rule says what to keep; name one, such as --keep-last 10")
    versions = list(iter_history(store, volume))
    dated = [Dated(info.version, info.created_ns) for info in versions]
    now = now_ns()
    kept = choose_kept(dated, rules, to_local, now)
    for version in choose_doubted(dated, rules, to_local, now):
        kept.setdefault(version, [IN_DOUBT])
    for version, reason in _iter_used(store, volume, versions):
        kept.setdefault(version, []).append(reason)
    return [KeepDecision(info, tuple(kept.get(info.version, ()))) for info in versions]


def expire_versions(
    store: Store, volume: VolumeRecord, rules: KeepRules
) -> tuple[list[KeepDecision], list[int]]:
    """Remove the versions that nothing keeps. Returns the decisions, and the versions that were
    removed.

    Objects stay until gc. A version that was tagged, mounted, read or published since the decision
    stays, too.
    """
    drop_stale_leases(store)
    decisions = judge_versions(store, volume, rules)
    unkept = [decision.info.version for decision in decisions if not decision.is_kept]
    return decisions, store.refs.remove_versions(volume.id, unkept)


def thin_history(store: Store, volume: VolumeRecord) -> list[int]:
    """Remove the versions that closing files made, except for those that ``THINNED`` keeps.

    Only automatic versions are removed, but the rules count all versions. Tags and mounts keep
    versions as in every expiry.
    """
    drop_stale_leases(store)
    decisions = [
        decision for decision in judge_versions(store, volume, THINNED) if decision.info.auto
    ]
    doubted = [decision for decision in decisions if decision.reasons == (IN_DOUBT,)]
    unkept = [decision for decision in decisions if not decision.is_kept]
    gone = [decision.info.version for decision in (*unkept, *doubted[THINNED_DOUBTS:])]
    return store.refs.remove_versions(volume.id, gone)


def _iter_used(
    store: Store, volume: VolumeRecord, versions: list[VersionRecord]
) -> Iterable[tuple[int, str]]:
    yield store.refs.get_head(volume.id).version, "head"
    for tag, version in store.refs.list_tags(volume.id):
        yield version, f"tag {tag}"
    leases = [lease for lease in list_fresh_leases(store) if lease.volume_id == volume.id]
    for info in versions:
        if any(lease.has(info.version) for lease in leases):
            yield info.version, "mounted"
    for version in store.leases.list_held(volume.id):
        yield version, "being read"
