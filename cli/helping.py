"""help: the texts of commands and of topics; and the lists of commands in them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from inspect import cleandoc

import click

from volfs_cli.terminal import answer
from volfs_cli.topics import COMMANDS, CONCEPTS, TOPICS, Topic, list_sections

_ALL = 500
"""More characters than any summary has."""
FILLED = 80
"""The widest line."""


class InOrder(click.Group):
    """A group that lists commands in the order in which they were added, each with its whole
    summary."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_commands(self, formatter, "Commands", list(self.commands))


class InSections(InOrder):
    """The group of all commands, which are listed by topic."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in list_sections():
            write_commands(self, formatter, title, names)
        formatter.write_paragraph()
        formatter.write_text(
            "More: volfs help COMMAND; volfs help TOPIC, which is one of the headings, or "
            + ", ".join(topic.name for topic in CONCEPTS[:-1])
            + f" or {CONCEPTS[-1].name}."
        )


def write_commands(
    group: click.Group, formatter: click.HelpFormatter, title: str, names: Sequence[str]
) -> None:
    """Write a heading, and a line with the summary of each command below it."""
    commands = [(name, group.commands[name]) for name in names]
    rows = [(name, summarize(command)) for name, command in commands if not command.hidden]
    formatter.width = FILLED
    with formatter.section(title):
        formatter.write_dl(rows)


def summarize(command: click.Command) -> str:
    """The first sentence of a command's text, without its full stop."""
    return command.get_short_help_str(_ALL).removesuffix(".")


@click.command("help")
@click.argument("words", metavar="[COMMAND|TOPIC]", nargs=-1)
@click.pass_context
def help_(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the text of a command or of a topic."""
    root = context.find_root()
    topic = TOPICS.get(words[0].lower()) if len(words) == 1 else None
    text = describe_topic(root, topic) if topic else _find(root, words).get_help()
    for line in text.split("\n"):
        answer(line)


def _find(root: click.Context, words: Sequence[str]) -> click.Context:
    """The context of a command. UsageError for a word that names none."""
    context = root
    for word in words:
        group = context.command
        if not isinstance(group, click.Group) or word not in group.commands:
            raise click.UsageError(f"no command or topic '{word}'" + _suggest(context, word), root)
        context = click.Context(group.commands[word], info_name=word, parent=context)
    return context


def _suggest(context: click.Context, word: str) -> str:
    group = context.command
    known = list(group.commands) if isinstance(group, click.Group) else []
    known += TOPICS if context.parent is None else ()
    near = get_close_matches(word, known)
    return f"; is it {' or '.join(near)}?" if near else ""


def describe_topic(root: click.Context, topic: Topic) -> str:
    """The text of a topic, and its commands with their summaries."""
    formatter = click.HelpFormatter(width=FILLED)
    formatter.write(f"{topic.title}\n")
    for paragraph in list_paragraphs(topic):
        formatter.write_paragraph()
        formatter.write_text(paragraph)
    group = root.command
    if topic in COMMANDS and isinstance(group, click.Group):
        write_commands(group, formatter, "Commands", topic.commands)
    return formatter.getvalue().rstrip("\n")


def list_paragraphs(topic: Topic) -> list[str]:
    """The paragraphs of a topic's text, each on one line."""
    return [" ".join(part.split()) for part in cleandoc(topic.text).split("\n\n")]
