"""What goes between a page and the server, so that the page can be behind: it hears of a run's end when it has asked again."""

from __future__ import annotations

import time

from playwright.sync_api import Page, WebSocketRoute
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.person import PATIENCE

#: milliseconds between two looks
GLANCE = 20


class Wire:
    """The socket of a page that opens nothing before."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._late = False
        self._kept: list[str | bytes] = []
        page.route_web_socket("**/_stcore/stream", self._opened)

    def _opened(self, page: WebSocketRoute) -> None:
        server = page.connect_to_server()

        def told(message: str | bytes) -> None:
            if self._kept or (self._late and _ends(message)):
                self._kept.append(message)
            else:
                page.send(message)

        def asked(message: str | bytes) -> None:
            server.send(message)
            if self._kept and _asks_anew(message):
                kept, self._kept, self._late = self._kept, [], False
                for one in kept:
                    page.send(one)

        page.on_message(asked)
        server.on_message(told)

    def be_late(self) -> None:
        """Keep back what the server says from the end of the next run on, until the page asks for another."""
        self._late = True

    def ended(self) -> None:
        """That run has ended, and the page does not know it."""
        patience = time.monotonic() + PATIENCE / 1000
        while not self._kept:
            assert time.monotonic() < patience, "no run has ended"
            self._page.wait_for_timeout(GLANCE)


def _ends(message: str | bytes) -> bool:
    told = ForwardMsg.FromString(message) if isinstance(message, bytes) else ForwardMsg()
    return told.WhichOneof("type") == "script_finished" and told.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY


def _asks_anew(message: str | bytes) -> bool:
    asked = BackMsg.FromString(message) if isinstance(message, bytes) else BackMsg()
    return asked.WhichOneof("type") == "rerun_script" and not asked.rerun_script.fragment_id
