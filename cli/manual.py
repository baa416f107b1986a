"""The pages of the manual, made from the texts of the commands when volfs is built.

click-man is only there then: nothing else imports this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
from click_man.man import ManPage

from volfs_cli.helping import list_paragraphs, summarize
from volfs_cli.topics import ADMINISTRATION, COMMANDS, CONCEPTS, Topic

SKIPPED = "volume"
"""The group whose commands have pages already."""


def write_manual(root: click.Group, version: str, directory: Path) -> list[Path]:
    """Write a page for each command into the directory, and return their paths."""
    written = []
    for context in iter_contexts(root):
        name = context.command_path.replace(" ", "-")
        path = directory / f"{name}.{find_section(name)}"
        path.write_text(make_page(context, version), encoding="utf-8")
        written.append(path)
    return written


def iter_contexts(root: click.Group) -> Iterator[click.Context]:
    """Yield a context for each command that has a page, a group before what is in it."""
    waiting = [click.Context(root, info_name=root.name, **root.context_settings)]
    for context in waiting:
        yield context
        if isinstance(context.command, click.Group):
            waiting += [
                click.Context(command, info_name=name, parent=context)
                for name, command in context.command.commands.items()
                if name != SKIPPED and not command.hidden
            ]


def find_section(page: str) -> int:
    """The section of the manual that has the page of a command, such as ``volfs-mount``."""
    return 8 if page.removeprefix("volfs-") in ADMINISTRATION else 1


def make_page(context: click.Context, version: str) -> str:
    """The page of a command, in the language of man(7)."""
    command = context.command
    page = ManPage(context.command_path)
    page.version = version
    page.short_help = _escape(summarize(command))
    page.synopsis = " ".join(command.collect_usage_pieces(context))
    page.description = _describe(command.help or "")
    options = (it for it in command.get_params(context) if isinstance(it, click.Option))
    records = (option.get_help_record(context) for option in options)
    page.options = [(_escape(name), _escape(text)) for name, text in filter(None, records)]
    if context.parent is None:
        page.description += "".join(map(_make_section, (*COMMANDS, *CONCEPTS)))
    elif isinstance(command, click.Group):
        page.commands = [(name, _escape(summarize(it))) for name, it in command.commands.items()]
    return _set_sections(str(page))


def _set_sections(page: str) -> str:
    """The page with section 8 where click-man wrote 1."""
    for name in ADMINISTRATION:
        page = page.replace(f"volfs-{name}(1)", f"volfs-{name}(8)")
        page = page.replace(f'.TH "VOLFS {name.upper()}" "1"', f'.TH "VOLFS {name.upper()}" "8"')
    return page


def _describe(text: str) -> str:
    paragraphs = [" ".join(part.split()) for part in text.split("\f")[0].split("\n\n")]
    return "\n\n".join(map(_escape, paragraphs))


def _make_section(topic: Topic) -> str:
    """A part of the page of volfs itself: a topic, and the pages of its commands."""
    pages = [f"volfs\\-{name}" for name in topic.commands if name != SKIPPED]
    lines = [f"\\fB{page}\\fP({find_section(page.replace(chr(92), ''))})" for page in pages]
    listed = f"\n\nSee {', '.join(lines)}." if lines else ""
    text = "\n\n".join(map(_escape, list_paragraphs(topic)))
    return f"\n.SS {topic.title}\n{text}{listed}"


def _escape(text: str) -> str:
    """The text so that man shows it as it is: no backslash or first character has a meaning."""
    return re.sub(r"^(?=[.'])", r"\\&", text.replace("\\", r"\e"), flags=re.MULTILINE)
