"""The command ``volfs``: its groups. Every error becomes one line and an exit status here."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click
from click.shell_completion import get_completion_class, shell_complete

from volfs.model.text import describe_error
from volfs_cli.helping import InOrder, InSections
from volfs_cli.on_demand import OnDemand
from volfs_cli.stores import store_option
from volfs_cli.terminal import OUTPUT, answer, say, say_lines, speak_utf8

PROGRAM = "volfs"
COMPLETE = "_VOLFS_COMPLETE"
INTERRUPTED, BROKEN_PIPE = 130, 141
VOLUME_COMMANDS = {
    "create": "volumes:create",
    "list": "volumes:list_",
    "delete": "volumes:delete",
    "rename": "volumes:rename",
    "info": "volumes:info",
    "ls": "files:ls",
    "get": "files:get",
    "put": "putting:put",
    "cp": "files:cp",
    "mv": "files:mv",
    "rm": "files:rm",
    "mount": "mounts:mount",
    "umount": "mounts:umount",
    "commit": "mounts:commit",
    "reload": "mounts:reload",
    "status": "status:status",
    "overlays": "overlays:overlays",
    "log": "history:log",
    "diff": "comparing:diff",
    "tag": "versions:tag",
    "restore": "versions:restore",
    "fork": "versions:fork",
    "merge": "merging:merge",
    "expire": "expire:expire",
    "push": "replicas:push",
    "pull": "replicas:pull",
    "export": "replicas:export",
    "import": "replicas:import_",
    "doctor": "doctor:doctor",
    "check": "care:check",
    "gc": "care:gc",
    "upgrade": "care:upgrade",
    "rebuild-index": "care:rebuild_index",
}
OTHER_COMMANDS = {
    "run": "running:run",
    "serve": "serving:serve",
    "ui": "page:ui",
    "top": "watching:top",
    "metrics": "metrics:group",
    "docker": "docker:group",
    "store": "bucket_stores:group",
    "bucket": "buckets:group",
    "dict": "dicts:group",
    "queue": "queues:group",
    "secret": "secrets:group",
    "nfs": "nfs:group",
    "cache": "caches:group",
    "environment": "environments:group",
    "config": "environments:config",
    "install-helpers": "installing:install_helpers",
    "help": "helping:help_",
}


_commands = OnDemand()


@click.group(
    PROGRAM,
    cls=InSections,
    commands=_commands,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@store_option
@click.version_option(package_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """Volumes: trees of files with history, mounted where you like, committed when you say."""


@cli.group("volume", cls=InOrder, commands=OnDemand(VOLUME_COMMANDS))
@store_option
def volume() -> None:
    """The same commands, under the names of `modal volume`."""


@cli.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the shell's completion script, to be sourced."""
    kind = get_completion_class(shell)
    assert kind is not None, "click completes these shells"
    for line in kind(cli, {}, PROGRAM, COMPLETE).source().split("\n"):
        answer(line)


_commands.add(VOLUME_COMMANDS | OTHER_COMMANDS)


def main() -> NoReturn:
    """Run the command line. This never returns."""
    speak_utf8()
    instruction = os.environ.get(COMPLETE)
    if instruction:
        sys.exit(_complete(instruction))
    settle_in()
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = _be_quiet()
    except OSError as error:
        _be_quiet()
        status = status or _fail("", f"{OUTPUT}: {error.strerror}", 1)
    sys.exit(status)


def _complete(instruction: str) -> int:
    """Answer a shell's request for completions. The shell's script sets the variable, or a user
    has set it by mistake."""
    status = shell_complete(cli, {}, PROGRAM, COMPLETE, instruction)
    if status:
        wrong = f"{COMPLETE}={instruction}: only the script of `volfs completion` sets this"
        return _fail("", wrong, 2)
    return 0


def settle_in() -> None:
    """Repair what the process that started us may have left broken: see
    ``volfs.daemon.surroundings``."""
    import signal

    from volfs.daemon.surroundings import open_standard_files

    open_standard_files()
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:  # the stream was closed
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
    # While SIGCHLD is ignored, no command has an exit status.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.umask(os.umask(0) & ~0o700)  # we must be able to use what we make


def run(args: list[str]) -> int:
    """Run a command and return its exit status. Each error is printed in one line."""
    from volfs.errors.fault_points import check_environment

    try:
        check_environment()
        with cli.make_context(PROGRAM, list(args)) as context:
            cli.invoke(context)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        say("Aborted!", err=True)
        return 1
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        return _fail(_verb(args), _join(_usage(error)), 2)
    except click.ClickException as error:
        return _fail(_verb(args), _join(error.format_message()), error.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _be_quiet()
    except Exception as error:  # noqa: BLE001 - the last line of defence
        return _report(_verb(args), error)
    return 0


def _report(verb: str, error: Exception) -> int:
    from volfs.errors import VolfsError

    if os.environ.get("VOLFS_TRACEBACK"):
        import traceback

        say_lines("".join(traceback.format_exception(error)).rstrip("\n"), err=True)
    said = describe_error(error).replace("\n\n", " ")  # Modal's messages have several paragraphs
    if isinstance(error, VolfsError):
        return _fail(verb, said, error.exit_status)
    if isinstance(error, OSError) and error.strerror:
        return _fail(verb, _explain(error), 1)
    why = f"{type(error).__name__}: {said}"
    return _fail(verb, f"unexpected: {why}; run it with VOLFS_TRACEBACK=1 to see where", 1)


def _explain(error: OSError) -> str:
    """An error of the system in one line. An error without a file comes mostly from a limit, or
    from the working directory."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the working directory was removed: change to another one, or use absolute paths"
    if isinstance(error.filename, str | bytes):
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return f"the system refused: {error.strerror}"


def _fail(verb: str, why: str, status: int) -> int:
    say(f"{PROGRAM}: {verb}{why}", err=True)
    return status


def _join(text: str) -> str:
    """A message of click in one line."""
    return " ".join(text.split())


def _verb(args: list[str]) -> str:
    """The command's name for messages, with that of its group; empty if no command was
    recognised."""
    words, said = iter(args), list[str]()
    group: click.Group = cli
    for word in words:
        if word == "--store":
            next(words, None)
        elif word in group.commands:
            said += [word] if word != volume.name else []
            found = group.commands[word]
            if not isinstance(found, click.Group):
                break
            group = found
    return f"{' '.join(said)}: " if said else ""


def _usage(error: click.UsageError) -> str:
    """The usage error, and a hint where to read on."""
    command = error.ctx.command_path if error.ctx else PROGRAM
    return f"{error.format_message().rstrip('.')}; see {command} --help"


def _be_quiet() -> int:
    """Send all later output to nowhere, because the reader of our output has gone. Even Python's
    flush at exit must not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


if __name__ == "__main__":
    main()
