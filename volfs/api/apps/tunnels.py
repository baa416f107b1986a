"""``volfs.forward``: the address of a port of a container."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass

from volfs.containers.messages import is_local
from volfs.errors import InvalidError

_HOST = "127.0.0.1"
_PORT_MAX = 65535


@dataclass(frozen=True)
class Tunnel:
    """The address of a port on this machine. Containers share the machine's network."""

    host: str
    port: int
    unencrypted_host: str = ""
    unencrypted_port: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def tls_socket(self) -> tuple[str, int]:
        """The host and the port. There is no TLS here."""
        return self.host, self.port

    @property
    def tcp_socket(self) -> tuple[str, int]:
        """The host and the port for plain TCP. InvalidError without ``unencrypted``."""
        if not self.unencrypted_host:
            raise InvalidError(
                "This tunnel is not configured for unencrypted TCP. "
                "Please use `forward(..., unencrypted=True)`."
            )
        return self.unencrypted_host, self.unencrypted_port


class forward(AbstractContextManager[Tunnel], AbstractAsyncContextManager[Tunnel]):  # noqa: N801
    """A block that gives the address of a port. Nothing is forwarded, so no other machine reaches
    the port."""

    def __init__(
        self,
        port: int,
        *,
        unencrypted: bool = False,
        h2_enabled: bool = False,
        client: object = None,
    ) -> None:
        """InvalidError for a wrong port, and outside of a container."""
        if not isinstance(port, int):
            raise InvalidError(f"The port argument should be an int, not {port!r}")
        if not 1 <= port <= _PORT_MAX:
            raise InvalidError(f"Invalid port number {port}")
        if h2_enabled and unencrypted:
            raise InvalidError("H2 can only be used with encrypted ports")
        if is_local():
            raise InvalidError("Forwarding ports only works inside a Modal container")
        plain = (_HOST, port) if unencrypted else ("", 0)
        self._tunnel = Tunnel(_HOST, port, *plain)

    def __enter__(self) -> Tunnel:
        return self._tunnel

    def __exit__(self, *_: object) -> None:
        """Do nothing, because nothing was opened."""

    async def __aenter__(self) -> Tunnel:
        return self._tunnel

    async def __aexit__(self, *_: object) -> None:
        """Do nothing, because nothing was opened."""

    @classmethod
    def aio(cls, port: int, *, unencrypted: bool = False, h2_enabled: bool = False) -> forward:
        return cls(port, unencrypted=unencrypted, h2_enabled=h2_enabled)
