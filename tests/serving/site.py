"""An App with endpoints of every kind, for ``volfs serve``."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import volfs as modal

app = modal.App("site")
volume = modal.Volume.from_name("pages", create_if_missing=True)
PORT = int(os.environ.get("SITE_PORT", "1"))


class Item(BaseModel):
    """A class that FastAPI has to find in the module, not as a copy."""

    name: str
    price: float = 1.0


@asynccontextmanager
async def live(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    app.state.up = True
    yield {"given": "by the lifespan"}


web = FastAPI(lifespan=live)


@web.get("/")
async def home(request: Request) -> dict[str, Any]:
    return {"up": request.app.state.up, "given": request.state.given, "pid": os.getpid()}


@web.post("/items/{number}")
def items(number: int, item: Item) -> dict[str, Any]:
    return {"number": number, "item": item.model_dump()}


@web.post("/size")
async def size(request: Request) -> dict[str, int]:
    return {"size": len(await request.body())}


@web.get("/stream")
def stream(count: int) -> StreamingResponse:
    def give() -> Iterator[bytes]:
        for _ in range(count):
            yield bytes(1 << 20)

    return StreamingResponse(give())


@web.get("/refused")
def refused() -> None:
    raise HTTPException(418, "a teapot")


@web.get("/broken")
def broken() -> None:
    raise ValueError("broken on purpose")


@web.get("/broken-stream")
def broken_stream() -> StreamingResponse:
    def give() -> Iterator[bytes]:
        yield b"begun"
        raise ValueError("broken in the middle")

    return StreamingResponse(give())


@web.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    while (said := await socket.receive_text()) != "stop":
        await socket.send_text(said.upper())
    await socket.close(4000)


@app.function(max_containers=1)
@modal.concurrent(max_inputs=10)
@modal.asgi_app()
def site() -> FastAPI:
    return web


@app.function(volumes={"/pages": volume}, env={"VOICE": "wsgi"})
@modal.wsgi_app()
def old() -> Any:
    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        name = environ["PATH_INFO"].strip("/")
        body = environ["wsgi.input"].read()
        if environ["REQUEST_METHOD"] == "POST":
            with open(f"/pages/{name}", "wb") as file:
                file.write(body)
        start_response(
            "201 Created", [("content-type", "text/plain"), ("x-voice", os.environ["VOICE"])]
        )
        return [name.encode(), b"=", body]

    return answer


@app.function()
@modal.fastapi_endpoint(method="POST", docs=True)
def make(item: Item, count: int = 2) -> dict[str, Any]:
    return {"item": item.model_dump(), "count": count, "url": make.get_web_url()}


@app.function()
@modal.web_endpoint()
async def former(x: int) -> int:
    return x + 1


@app.function()
@modal.web_server(PORT, startup_timeout=60)
def server() -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/die":
                os._exit(1)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"served by itself")

    HTTPServer(("127.0.0.1", PORT), Handler).serve_forever()


@app.cls()
class Counter:
    step: int = modal.parameter(default=1)

    @modal.enter()
    def begin(self) -> None:
        self.count = 0

    @modal.fastapi_endpoint()
    def hit(self, by: int = 1) -> dict[str, int]:
        self.count += by * self.step
        return {"count": self.count}

    @modal.fastapi_endpoint()
    def die(self) -> None:
        os._exit(3)

    @modal.asgi_app()
    def nothing(self) -> Any:
        return None
