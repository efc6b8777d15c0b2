"""The wire between the ledger's writer and PostgreSQL, with a pair of scissors."""

import asyncio
import tempfile
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from django.db import connection

from billing import ledger, ledger_line

SOCKET = ".s.PGSQL.5432"
_address = ledger_line.address
BATCH = b'"model_served"'  # PostgreSQL commits what it is told in one message


class Wire:
    """Passes on what is said; `cut_at_commit` cuts once, before or after PostgreSQL has heard."""

    def __init__(self, folder: Path, postgres: Path) -> None:
        self.cut_at_commit: Literal["before", "after"] | None = None
        self.was_cut = asyncio.Event()
        self._path = folder / SOCKET
        self._postgres = postgres / SOCKET
        self._server: asyncio.Server | None = None
        self._writers: list[StreamWriter] = []

    async def connect(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def disconnect(self) -> None:
        """Cut every connection and refuse new ones, as a server does that is down."""
        assert self._server is not None
        self._server.close()
        self._path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        await asyncio.sleep(0.01)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_unix_connection(self._postgres)
        self._writers += (writer, their_writer)
        answers = asyncio.create_task(self._pass_on(their_reader, writer))
        try:
            while said := await reader.read(65_536):
                when = self.cut_at_commit if BATCH in said else None
                if when == "after":
                    answers.cancel()
                if when != "before":
                    their_writer.write(said)
                if when is not None:
                    self.cut_at_commit = None
                    self.was_cut.set()
                    await asyncio.sleep(0.05)  # PostgreSQL commits, and nobody hears of it
                    break
        except ConnectionError:
            pass  # the other side was cut
        finally:
            writer.close()
            their_writer.close()

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        while said := await reader.read(65_536):
            writer.write(said)
        writer.close()


@asynccontextmanager
async def writers_wire() -> AsyncIterator[Wire]:
    """Put a wire between the ledger and PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        host = connection.settings_dict["HOST"]
        wire = Wire(Path(folder), Path(host))
        await wire.connect()
        _lead_to(folder)
        try:
            yield wire
        finally:
            _lead_to(host)
            await wire.disconnect()


def _lead_to(host: str) -> None:
    def lead() -> None:
        connection.settings_dict["HOST"] = host

    ledger.close()
    ledger._writer.submit(lead).result()
    ledger_line.address = lambda: {**_address(), "host": host}
