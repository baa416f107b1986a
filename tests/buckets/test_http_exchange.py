"""An exchange: the bytes of an answer, however they come, and what ends a connection."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.http_exchange import Exchange, is_usable, write_request
from volfs.buckets.http_values import Reply, WireRequest

DONE = b'HTTP/1.1 200 OK\r\nETag: "a"\r\nX-Two: 1\r\nx-two: 2\r\nContent-Length: 0\r\n\r\n'
REFUSED = b"HTTP/1.1 412 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<Erro\r\n2\r\nr>\r\n0\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


class Pair:
    """A connection and its other end."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.kept: list[socket.socket] = []

    def begin(self, sent: bytes = b"x") -> Exchange:
        exchange = Exchange(self.near, sent, self.kept.append)
        exchange.send()
        if not exchange.is_sending:
            assert self.far.recv(len(sent)) == sent  # Else closing the far end is a reset.
        return exchange

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    found = Pair()
    yield found
    found.close()


def receive_in_pieces(exchange: Exchange, pair: Pair, pieces: list[bytes]) -> Reply | None:
    reply = None
    for piece in pieces:
        pair.far.sendall(piece)
        reply = exchange.receive()
    return reply


@given(st.sampled_from([DONE, REFUSED, GO_ON + DONE, GO_ON + GO_ON + REFUSED]), st.data())
def test_an_answer_is_the_same_however_it_comes(answer: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer) - 1), max_size=6)))
    pieces = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    pair = Pair()
    try:
        exchange = pair.begin()
        assert not exchange.is_sending
        assert exchange.receive() is None
        reply = receive_in_pieces(exchange, pair, pieces)
    finally:
        pair.close()
    assert reply is not None
    if answer.endswith(DONE):
        assert (reply.status, reply.body) == (200, b"")
        assert (reply.headers["etag"], reply.headers["x-two"]) == ('"a"', "1, 2")
    else:
        assert (reply.status, reply.body) == (412, b"<Error>")
    assert pair.kept == [pair.near]


@pytest.mark.parametrize(
    "answer",
    [
        DONE.replace(b"ETag", b"Connection: close\r\nETag"),
        DONE.replace(b"1.1", b"1.0"),
        DONE + DONE,
    ],
)
def test_a_connection_of_no_more_use_is_closed(pair: Pair, answer: bytes) -> None:
    exchange = pair.begin()
    pair.far.sendall(answer)
    reply = exchange.receive()
    assert reply is not None
    assert reply.status == 200
    assert (pair.kept, pair.near.fileno()) == ([], -1)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", FailureKind.RESET),
        (DONE[:30], FailureKind.RESET),
        (REFUSED[:60], FailureKind.SHORT),
        (b"\x15\x03\x01\x00\x02\x02", FailureKind.RESET),
    ],
)
def test_an_answer_that_ends_early_is_a_failure(
    pair: Pair, answer: bytes, kind: FailureKind
) -> None:
    exchange = pair.begin()
    pair.far.sendall(answer)
    pair.far.close()
    with pytest.raises(RequestFailure) as failure:
        exchange.receive()
    assert failure.value.kind is kind
    assert failure.value.row.unclear
    exchange.close()
    assert pair.kept == []


def test_a_request_goes_out_as_the_connection_takes_it(pair: Pair) -> None:
    sent = bytes(range(256)) * 20_000
    exchange = pair.begin(sent)
    assert exchange.is_sending
    got = bytearray()
    while len(got) < len(sent):
        got += pair.far.recv(1 << 20)
        exchange.send()
    assert got == sent
    assert not exchange.is_sending


def test_a_closed_connection_is_a_failure_when_sending(pair: Pair) -> None:
    pair.far.close()
    with pytest.raises(RequestFailure):
        pair.begin()


def test_only_a_silent_connection_is_usable(pair: Pair) -> None:
    assert is_usable(pair.near)
    pair.far.sendall(b"x")
    assert not is_usable(pair.near)
    pair.far.close()
    assert not is_usable(pair.near)
    pair.near.close()
    assert not is_usable(pair.near)


def test_a_request_in_bytes() -> None:
    request = WireRequest("PUT", "/b/k", {"a": "b c"}, {"x": "1"}, b"body")
    sent = write_request(request, "host:1")
    assert sent is not None
    head, _, body = sent.partition(b"\r\n\r\n")
    assert body == b"body"
    assert head.splitlines()[0] == b"PUT /b/k?a=b%20c HTTP/1.1"
    assert {b"host: host:1", b"x: 1", b"content-length: 4"} < set(head.splitlines())


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\n", "a\0", "\u20ac"])
def test_a_header_that_cannot_be_is_not_sent(value: str) -> None:
    assert write_request(WireRequest("PUT", "/b/k", {}, {"if-match": value}), "host") is None


def test_nothing_to_wait_for_at_first(pair: Pair) -> None:
    exchange = pair.begin()
    assert select.select([exchange], [], [], 0)[0] == []
    pair.far.sendall(DONE)
    assert select.select([exchange], [], [], 5)[0] == [exchange]
