"""Whether the catalog says what the logs of volumes say.

The catalog is the authority for names. But a living volume that has a name, and is not in the
catalog, cannot be reached. So it is with a volume whose creator died; gc ends that one after a day.
"""

from __future__ import annotations

from collections.abc import Iterator

from volfs.model.logs.volume_log import VolumeState
from volfs.model.names import join_name
from volfs.store.contract.care import Damage, Tell
from volfs.store.distributed.mending.log_survey import StoreSurvey

BEGINNING_NS = 3600 * 10**9
"""How long a volume may take to get its name, by the store's clock."""


def iter_name_damage(survey: StoreSurvey, tell: Tell) -> Iterator[Damage]:
    named = survey.catalog.known.state.volumes
    for volume, state in survey.iter_living():
        if volume in named or not is_named(state):
            continue
        assert state.facts is not None
        name = join_name(state.facts.environment, state.facts.name)
        if is_beginning(survey, volume):
            tell(f"volume {volume}", f"{name} is being made, or its maker died; gc ends it then")
        else:
            yield Damage(None, f"volume {volume}", f"the catalog does not have its name, {name}")
    for volume, facts in named.items():
        name = join_name(facts.environment, facts.name)
        found = survey.volumes.get(volume)
        if found is None or found.known.state is None or not survey.has_versions(volume):
            problem = f"the log of {name} is gone; `volfs rebuild-index` recovers what is left"
            yield Damage(None, f"volume {volume}", problem)
        elif found.known.state.is_deleted:
            tell(f"volume {volume}", f"the name {name} of a deleted volume is free")
        elif found.known.state.facts is None:
            yield Damage(None, f"volume {volume}", f"nothing tells what {name} is")


def is_named(state: VolumeState) -> bool:
    """Whether a volume is one that the catalog should have."""
    return state.facts is not None and state.facts.name != state.facts.id


def is_beginning(survey: StoreSurvey, volume: str) -> bool:
    """Whether a volume without a name may get one yet."""
    log = survey.objects.volumes[volume].log
    first = log.lines.get(0)
    return (
        log.end == 0
        and first is not None
        and (first.mtime_ns + BEGINNING_NS > survey.objects.newest_ns)
    )
