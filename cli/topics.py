"""What ``volfs --help``, ``volfs help TOPIC`` and the manual say beside the texts of commands."""

from __future__ import annotations

from typing import NamedTuple

EVERY_DAY = ("mount", "commit", "status")
"""The commands that ``volfs --help`` lists first."""
ADMINISTRATION = {"mount", "umount"}
"""The commands whose pages are in section 8 of the manual, as those of mount(8) and umount(8)."""


class Topic(NamedTuple):
    """A heading, and what ``volfs help`` says below it."""

    name: str
    title: str
    text: str
    """Paragraphs with an empty line between two. Every line is filled again where it is shown."""
    commands: tuple[str, ...] = ()


COMMANDS = (
    Topic(
        "volumes",
        "Volumes",
        """A volume is a named tree of files with its history: versions 1, 2, 3 and so on, none of
        which ever changes. A fork is a volume that begins with a version of another; a copy is the
        same volume in another store.""",
        (
            "create",
            "list",
            "info",
            "rename",
            "delete",
            "push",
            "pull",
            "export",
            "import",
            "volume",
        ),
    ),
    Topic(
        "files",
        "Files",
        """These commands read and change the newest version without a mount. Each change makes one
        version, whole or not at all; mounts see it after `volfs reload`.""",
        ("ls", "get", "put", "cp", "mv", "rm"),
    ),
    Topic(
        "mounts",
        "Mounts",
        """A mount shows the newest version of its volume as it was when it was mounted. What is
        written goes to the mount's own overlay. `volfs commit` makes it the next version, and
        `volfs reload` shows what others have committed meanwhile. `volfs umount` commits what is
        left. What a mount that died had fsynced is listed by `volfs overlays`.

        MOUNTPOINT|VOLUME is a mount point, or the name of a volume that is mounted once. A word
        with a slash is a path: write ./m for the mount point m.""",
        ("mount", "umount", "commit", "reload", "status", "overlays", "bucket"),
    ),
    Topic(
        "history",
        "History",
        """Every commit makes a version, and none goes away unless `volfs expire` removes it.
        Versions are named by number, by tag, or as head: see `volfs help versions`.""",
        ("log", "diff", "tag", "restore", "fork", "merge", "expire"),
    ),
    Topic(
        "care",
        "Care",
        """What a store needs now and then. `volfs gc` frees the space of deleted volumes and
        expired versions; `volfs check` says whether every stored byte can be read.""",
        (
            *("doctor", "ui", "top", "metrics", "check", "gc", "upgrade", "rebuild-index", "store"),
            *("install-helpers", "cache", "environment", "config", "completion", "help"),
        ),
    ),
    Topic(
        "containers",
        "Containers",
        """`volfs run` gives a command volumes at the paths that you choose, each with an overlay of
        its own, and commits in the background and at the end. With --fork the changes go to forks
        of the volumes. `volfs docker serve` is a volume plugin of Docker and podman.""",
        ("run", "serve", "docker"),
    ),
    Topic(
        "services",
        "Services",
        """Maps, queues and secrets that all processes which use a store share, and network file
        systems, whose mounts share their files at once.""",
        ("dict", "queue", "secret", "nfs"),
    ),
)
CONCEPTS = (
    Topic(
        "versions",
        "Versions",
        """A version is named by its number (7), by a tag (release-1), or as head, the newest. ~N
        behind one of these is the Nth version before it (head~2), of those that exist; ~N alone
        counts from the newest, and ~ is ~1. `volfs diff` also takes VOLUME@VERSION.""",
    ),
    Topic(
        "stores",
        "Stores",
        """The store is the one of --store, else of VOLFS_STORE, else /var/lib/volfs for root and
        $XDG_DATA_HOME/volfs (~/.local/share/volfs) for others. It is a directory, or the address
        of a folder in a bucket: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or
        az://ACCOUNT/CONTAINER/PREFIX. `volfs create` makes the store if there is none.""",
    ),
    Topic(
        "environments",
        "Environments",
        """A name belongs to an environment: that of -e, else of VOLFS_ENVIRONMENT or
        MODAL_ENVIRONMENT, else the one that `volfs config set-environment` has set, else main.
        ENV/NAME means the volume NAME of the environment ENV.""",
    ),
    Topic(
        "output",
        "Output",
        """On a terminal a listing has the columns that there is room for; --wide shows all, and -o
        COLUMNS chooses. Elsewhere a listing has one line for each row, with tabs between all
        columns. --json prints the same for scripts. Errors are one line on stderr: volfs: VERB:
        what: why.

        The exit status is 0 if all was done, 1 after a failure, 2 for a wrong use, 16 for a reload
        while files are open, 130 after Ctrl-C.""",
    ),
)
TOPICS = {topic.name: topic for topic in (*COMMANDS, *CONCEPTS)}


def list_sections() -> list[tuple[str, tuple[str, ...]]]:
    """The headings of ``volfs --help``, and the commands below each."""
    rest = [
        (topic.title, tuple(name for name in topic.commands if name not in EVERY_DAY))
        for topic in COMMANDS
    ]
    return [("Every day", EVERY_DAY), *rest]
