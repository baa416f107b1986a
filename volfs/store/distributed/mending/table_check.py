"""The check of the log of the small tables: Secrets, environments, ephemeral volumes."""

from __future__ import annotations

from collections.abc import Iterator

from volfs.errors import DataError
from volfs.store.contract.care import Damage
from volfs.store.distributed.log.follower import Follower
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.mending.log_survey import StoreSurvey
from volfs.store.distributed.place.object_keys import secrets_log
from volfs.store.distributed.tables.bucket_tables import TABLE_RULES


def iter_table_damage(survey: StoreSurvey) -> Iterator[Damage]:
    """Yield what is wrong with the log. Nothing else has what its lines say, so no repair can
    bring it back. StoreError."""
    place = secrets_log()
    newest = max(survey.objects.secrets.lines, default=NO_NUMBER)
    try:
        known = Follower(Log(survey.bucket, place), TABLE_RULES).refresh()
    except DataError as error:
        yield Damage(None, place.lines, f"Secrets and environments cannot be read: {error}")
        return
    if known.number < newest:
        yield Damage(
            None, place.line(known.number + 1), "the line is gone, and a later one is there"
        )
