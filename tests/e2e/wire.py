"""What a page sends and hears over its websockets."""

from __future__ import annotations

import json
import struct
import time
from typing import Any

from playwright.sync_api import Page, WebSocket


class Wire:
    """Counts the bytes of a page's websockets that are opened from now on, and keeps what panels say.

    Attributes:
        up: bytes sent.
        down: bytes received.
        asked: requests of panels, the latest last.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self.up = self.down = 0
        self.asked: list[dict[str, Any]] = []
        page.on("websocket", self._opened)

    def reset(self) -> None:
        self.up = self.down = 0
        self.asked.clear()

    def settle(self, quiet_s: float = 0.5, limit_s: float = 20) -> None:
        """Waits until nothing has been said for a while."""
        began = changed = time.monotonic()
        seen = -1
        while time.monotonic() - changed < quiet_s and time.monotonic() - began < limit_s:
            if self.up + self.down != seen:
                seen, changed = self.up + self.down, time.monotonic()
            self._page.wait_for_timeout(25)

    def last(self, op: str) -> dict[str, Any]:
        """The body of the latest request of this kind."""
        return next(said["body"] for said in reversed(self.asked) if said["op"] == op)

    def _opened(self, socket: WebSocket) -> None:
        socket.on("framesent", self._sent)
        socket.on("framereceived", self._received)

    def _sent(self, payload: str | bytes) -> None:
        self.up += len(payload)
        said = content(payload).get("data", {}).get("content", {})
        if isinstance(said, dict) and said.get("k") == "req":
            self.asked.append(said)

    def _received(self, payload: str | bytes) -> None:
        self.down += len(payload)


def content(payload: str | bytes) -> dict[str, Any]:
    """The content of a Jupyter message (v1.kernel.websocket.jupyter.org); empty for anything else.

    A message begins with the number of its parts and where each begins: channel, header, parent, metadata, content,
    then buffers.
    """
    if isinstance(payload, str) or len(payload) < 56:
        return {}
    (parts,) = struct.unpack_from("<Q", payload)
    if not 6 <= parts < 1000:
        return {}
    begins = struct.unpack_from(f"<{parts}Q", payload, 8)
    found: dict[str, Any] = json.loads(payload[begins[4] : begins[5]])
    return found
