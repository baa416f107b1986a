"""The files of AWS's tools, ``~/.aws/config`` and ``~/.aws/credentials``, and programs that they
name."""

from __future__ import annotations

import configparser
import json
import shlex
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from volfs.buckets.credentials import Keys
from volfs.errors import InvalidError, StoreDeniedError

DEFAULT = "default"
PROCESS_SECONDS = 60.0
Settings = dict[str, str]


def load_profile(environ: Mapping[str, str], name: str | None) -> Settings | None:
    """The settings of a profile, from both files. None if no profile was named and there is no
    default one.

    InvalidError for a profile that was named and is not there, or for a file that cannot be read.
    """
    wanted = name or environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or DEFAULT
    home = Path(environ.get("HOME") or "/nonexistent")
    config = Path(environ.get("AWS_CONFIG_FILE") or home / ".aws" / "config").expanduser()
    shared = environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials"
    section = wanted if wanted == DEFAULT else f"profile {wanted}"
    found = _read(config, section)
    secret = _read(Path(shared).expanduser(), wanted)
    if found is None and secret is None:
        if wanted == DEFAULT:
            return None
        raise InvalidError(f"profile {wanted}: neither {config} nor {shared} has it")
    return {**(found or {}), **(secret or {})}


def _read(path: Path, section: str) -> Settings | None:
    parser = configparser.RawConfigParser(default_section="\0", strict=False)
    try:
        text = path.read_text("utf-8")
        parser.read_string(text)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"{path}: {type(error).__name__}: the file cannot be read") from None
    except configparser.Error:
        # The parser's own message has the line in it, which may be a secret.
        raise InvalidError(f"{path}: this is no file of sections and settings") from None
    return dict(parser.items(section)) if parser.has_section(section) else None


def run_credential_process(command: str) -> Keys:
    """The keys that a program prints. StoreDeniedError, without anything that the program
    printed."""
    try:
        words = shlex.split(command)
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROCESS_SECONDS,
            check=False,
        )
    except (OSError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise StoreDeniedError(f"credential_process: cannot be run: {reason}") from None
    except subprocess.TimeoutExpired:
        raise StoreDeniedError(
            f"credential_process: no answer within {PROCESS_SECONDS:.0f} seconds"
        ) from None
    if done.returncode != 0:
        raise StoreDeniedError(f"credential_process: it ended with status {done.returncode}")
    return parse_process_output(done.stdout)


def parse_process_output(output: bytes) -> Keys:
    """The keys in a program's output. StoreDeniedError if it is not what AWS requires of such a
    program."""
    try:
        told: Any = json.loads(output)
        if told["Version"] != 1:
            raise StoreDeniedError("credential_process: only Version 1 of its output is known")
        return read_keys(told, "SessionToken")
    except (ValueError, KeyError, TypeError):
        raise StoreDeniedError(
            "credential_process: its output has no Version, AccessKeyId and SecretAccessKey"
        ) from None


def read_keys(told: Mapping[str, Any], token: str) -> Keys:
    """Keys as AWS writes them in JSON. KeyError, ValueError."""
    expiration = told.get("Expiration")
    expires = datetime.fromisoformat(expiration).timestamp() if expiration else None
    return Keys(
        str(told["AccessKeyId"]), str(told["SecretAccessKey"]), str(told.get(token) or ""), expires
    )
