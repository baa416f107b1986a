"""A host of any name on loopback, with HTTPS: what it is asked a server of a test answers.

A program that names an endpoint of the internet is then answered here, unmodified. The name
is told by ``/etc/hosts``, in the mount namespace of the tests alone.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = Path("/etc/hosts")
_BLOCK = 1 << 16


@contextmanager
def answering_as(host: str, upstream: str, folder: Path) -> Iterator[Path]:
    """``https://HOST`` leads to the server during the block. What vouches for it, as a file."""
    certificate, key = _make_certificate(host, folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    place = f"127.{os.getpid() >> 16 & 255}.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
    with _named(host, place, folder), _serving(place, context, upstream):
        yield certificate


@contextmanager
def _named(host: str, place: str, folder: Path) -> Iterator[None]:
    hosts = folder / "hosts"
    hosts.write_text(f"{HOSTS.read_text()}\n{place} {host}\n")
    subprocess.run(["mount", "--bind", hosts, HOSTS], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", HOSTS], check=True)


@contextmanager
def _serving(place: str, context: ssl.SSLContext, upstream: str) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    ended = asyncio.Event()

    async def serve() -> None:
        def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> object:
            return _pass_on(reader, writer, upstream)

        async with await asyncio.start_server(answer, place, 443, ssl=context):
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.run_until_complete(_end_all(asyncio.all_tasks(loop)))
        loop.close()


async def _end_all(tasks: set[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: str
) -> None:
    parts = urlsplit(upstream)
    there, back = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        with suppress(asyncio.CancelledError):  # The door is being closed.
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
    finally:
        back.close()
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_BLOCK):
            writer.write(data)
            await writer.drain()
    writer.close()


def _make_certificate(host: str, folder: Path) -> tuple[Path, Path]:
    """One that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
