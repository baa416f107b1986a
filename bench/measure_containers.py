"""How long it takes from `volfs run` to the first line of a program in the container."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import Figure, FigureTarget, median_figure
from bench.workplace import VOLFS, Workplace
from volfs.containers.container import Container, ContainerSpec, VolumeMount

TARGET = FigureTarget(0.5)
PROGRAM = [sys.executable, "-I", "-c", "print('here', flush=True)"]
PATH = "/volfs-bench/data"
WARM_CALLS = {
    "a call in a warm container": FigureTarget(0.005),
    "a call in a warm container, without volumes": None,
    "a call in a warm container that writes a file": None,
}
CALLS = f"""
import sys, time
import volfs
app = volfs.App("bench")
volume = volfs.Volume.from_name(sys.argv[1]).hydrate()

def now(number):
    return time.time()

def note(number):
    with open("{PATH}/note", "w") as file:
        file.write(str(number))

with_volume = {{"{PATH}": volume}}
first, another, plain = (
    app.function(name=name, volumes=volumes)(now)
    for name, volumes in (("first", with_volume), ("another", with_volume), ("plain", {{}}))
)
writing = app.function(volumes=with_volume)(note)
with app.run():
    for function in (first, another, plain):
        started = time.time()
        print(function.remote(0) - started)
    writing.remote(0)
    for function in (first, plain, writing):
        for number in range(100):
            started = time.perf_counter()
            function.remote(number)
            print(time.perf_counter() - started)
"""


def measure_containers(place: Workplace) -> Iterator[Figure]:
    """The whole command, and its parts from Python; a program without a container beside it."""
    volume = place.make_volume(place.new_name("contained"))
    samples: dict[str, list[float]] = {}
    with _environment(place.environment()):
        for number in range(2 * place.sizes.runs + 2):
            for name, seconds in _measure_once(place, volume).items():
                if number > 0:  # the first ones compile the modules
                    samples.setdefault(name, []).append(seconds)
    for name, seconds in samples.items():
        cold = name.startswith("volfs run")
        yield median_figure(name, seconds, "s", TARGET if cold else None)
    with _environment(place.environment()):
        yield from _measure_functions(place, volume)


def _measure_functions(place: Workplace, volume: str) -> Iterator[Figure]:
    """Calls of an App's functions: to the first line of the first one, and warm ones."""
    cold: dict[str, list[float]] = {}
    warm: dict[str, list[float]] = {name: [] for name in WARM_CALLS}
    for _ in range(2 * place.sizes.runs + 1):
        said = subprocess.run(
            [sys.executable, "-c", CALLS, volume], stdout=subprocess.PIPE, text=True, check=True
        )
        first, again, plain, *calls = map(float, said.stdout.split())
        cold.setdefault("a function's first line, the first container", []).append(first)
        cold.setdefault("a function's first line, another container", []).append(again)
        cold.setdefault("a function's first line, without volumes", []).append(plain)
        for at, name in enumerate(WARM_CALLS):
            warm[name] += calls[100 * at : 100 * (at + 1)]
    for name, seconds in cold.items():
        yield median_figure(name, seconds, "s", TARGET)
    for name, seconds in warm.items():
        yield median_figure(name, seconds, "s", WARM_CALLS[name])


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    """What processes that are started meanwhile have."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(wanted)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _measure_once(place: Workplace, volume: str) -> dict[str, float]:
    command = [str(VOLFS), "run", "--volume", f"{volume}:{PATH}", "--", *PROGRAM]
    found = {
        "volfs run, to the program's first line": _time_first_line(command),
        "the program alone": _time_first_line(PROGRAM),
    }
    started = time.perf_counter()
    spec = ContainerSpec((VolumeMount(volume, PATH),))
    container = Container(spec, str(place.store))
    found["a container: its volume mounted"] = time.perf_counter() - started
    try:
        started = time.perf_counter()
        process = container.start(PROGRAM, stdout=subprocess.PIPE)
        found["a command in it: to its first line"] = _read_line(process) - started
    finally:
        started = time.perf_counter()
        container.close()
    found["a container: ended"] = time.perf_counter() - started
    return found


def _time_first_line(command: list[str]) -> float:
    started = time.perf_counter()
    return _read_line(subprocess.Popen(command, stdout=subprocess.PIPE)) - started


def _read_line(process: subprocess.Popen[bytes]) -> float:
    """When the first line came."""
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        now = time.perf_counter()
        assert line == b"here\n", line
    return now
