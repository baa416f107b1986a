"""An app as somebody writes it; the tests call it. Its helpers are imported in containers."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import volfs as modal

app = modal.App("shop")
volume = modal.Volume.from_name("data", create_if_missing=True)
said = modal.Queue.from_name("said", create_if_missing=True)
cups = modal.Dict.from_name("cups", create_if_missing=True)


class ShopError(Exception):
    """Raised in a container, caught outside."""


def double(number: int) -> int:
    return 2 * number


@app.function(volumes={"/data": volume})
def write(name: str, text: str, commit: bool = True) -> str:
    Path("/data", name).write_text(text)
    if commit:
        volume.commit()
    return str(os.getpid())


@app.function(volumes={"/data": volume})
def read(name: str, reload: bool = False) -> str | None:
    if reload:
        volume.reload()
    path = Path("/data", name)
    return path.read_text() if path.exists() else None


@app.function(volumes={"/data": volume.with_mount_options(read_only=True)})
def write_nothing() -> None:
    Path("/data/x").write_text("x")


@app.function(volumes={"/data": volume})
def reload_busy() -> None:
    path = Path("/data/open.txt")
    path.write_text("x")
    volume.commit()
    with path.open():
        volume.reload()


@app.function()
def compute(number: int, plus: int = 0) -> int:
    return double(number) + plus


@app.function()
async def compute_later(number: int) -> int:
    return double(number)


@app.function()
def count_to(number: int):
    yield from range(number)


@app.function()
async def count_later(number: int):
    for item in range(number):
        yield item


@app.function(is_generator=True)
def count_in_steps(number: int):
    return iter(range(number))


@app.function()
def fill(number: int):
    for _ in range(number):
        yield bytes(1 << 20)


@app.function()
def fill_through_another(number: int):
    for item in fill.remote_gen(number):
        assert compute.remote(1) == 2
        yield item


@app.function()
def give_generator(number: int):
    return (n for n in range(number))


@app.function()
def fail(what: str) -> None:
    if what == "exit":
        sys.exit(3)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ShopError(what)


@app.function()
def speak() -> None:
    print("said in a container")
    print("wailed in a container", file=sys.stderr)
    os.system("echo said by a child")


@app.function()
def call_others(number: int) -> list[int]:
    return [*compute.map(range(number)), compute.remote(number), compute.local(number)]


@app.function()
def spawn_others(number: int) -> str:
    return compute.spawn(number).object_id


@app.function()
def find_and_change(number: int) -> list[int]:
    found = modal.Function.from_name("shop", "compute")
    changed = found.with_options(env={"CHANGED": "1"}, timeout=60)
    cls = modal.Cls.from_name("shop", "Barista").with_options(single_use_containers=True)
    made = [cls(name="Ida").make.remote("tea")[2] for _ in range(2)]
    return [found.remote(number), changed.remote(number), *made]


@app.function()
def leave_a_thread() -> None:
    threading.Thread(target=said.get, kwargs={"partition": "end"}, name="lasting").start()


@app.function(timeout=0.5)
def sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


@app.function()
def say_and_sleep(word: str) -> None:
    said.put(word)
    threading.Event().wait()


@app.function(retries=modal.Retries(max_retries=2, initial_delay=0.0))
def work_at_last(key: str) -> int:
    tries: int = cups.change(key, lambda n: n + 1, 0)
    if cups[key] < 3:
        raise ShopError(f"try {tries}")
    return int(cups[key])


@app.function(secrets=[modal.Secret.from_dict({"A": "1", "B": "1"})], env={"B": "3"})
def show_environment(names: list[str]) -> list[str | None]:
    return [os.environ.get(name) for name in names]


@app.function()
def where() -> tuple[bool, str | None, float]:
    return modal.is_local(), modal.current_function_call_id(), time.time()


@app.function(max_containers=1)
def touch(path: str) -> None:
    Path(path).touch()


@app.function(max_containers=1)
def where_pid() -> int:
    return os.getpid()


@app.function(max_containers=1)
@modal.concurrent(max_inputs=4)
def meet(name: str) -> str:
    """Returns when all four are here."""
    global barrier
    with lock:
        barrier = barrier or threading.Barrier(4)
    barrier.wait(20)
    return name


barrier: threading.Barrier | None = None


class _Lock:
    """A lock that travels: each process has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[_Lock], tuple[()]]:
        return _Lock, ()


lock = _Lock()


@app.cls(volumes={"/data": volume})
class Barista:
    name: str = modal.parameter(default="Ada")

    @modal.enter()
    def arrive(self) -> None:
        self.made = 0
        self.pid = os.getpid()

    @modal.enter()
    async def wake(self) -> None:
        self.awake = True

    @modal.method()
    def make(self, what: str) -> tuple[str, str, int]:
        self.made += 1
        assert self.awake
        return self.name, what, self.made

    @modal.method()
    def make_two(self, what: str) -> list[tuple[str, str, int]]:
        return [self.make.local(what), self.make(what)]

    @modal.method()
    def pour(self, number: int):
        yield from range(number)

    @modal.exit()
    def leave(self) -> None:
        Path(f"/data/left-{self.name}").write_text(str(self.made))


@app.function()
def order(what: str) -> tuple[str, str, int]:
    return Barista(name="Bob").make.remote(what)


@app.local_entrypoint()
def main(number: int, name: str = "x", loud: bool = False) -> None:
    print(name, compute.remote(number), loud)
