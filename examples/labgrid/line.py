"""A board's serial line, as labgrid has it: for programs that want a terminal, and by lines."""

import os
import pty
import threading
import time
import tty

from pexpect import TIMEOUT


def received(console, wait):
    """The bytes that came; none if there were none in so many seconds."""
    try:
        return console.read(size=1, timeout=wait, max_size=4096)
    except TIMEOUT:
        return b""


class Lines:
    """What the board says, by lines."""

    def __init__(self, console):
        self._console = console
        self._pending = b""

    def until(self, text, timeout):
        """All lines up to the next that holds the text."""
        end = time.monotonic() + timeout
        lines = []
        while time.monotonic() < end:
            while b"\n" in self._pending:
                line, self._pending = self._pending.split(b"\n", 1)
                lines.append(line.decode("ascii", "backslashreplace").rstrip("\r"))
                if text in lines[-1]:
                    return lines
            self._pending += received(self._console, 0.5)
        raise AssertionError(f"no {text!r} in {timeout} s; the last lines:\n" + "\n".join(lines[-20:]))


class Terminal:
    """A terminal at which everything arrives that the board says."""

    def __init__(self, console):
        self._console = console
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.name = os.ttyname(self._slave)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._pass_on, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        # Whoever read has gone: nothing must wait for room.
        os.close(self._slave)
        self._thread.join(timeout=10)
        os.close(self._master)

    def _pass_on(self):
        while not self._over.is_set():
            said = received(self._console, 0.2)
            while said and not self._over.is_set():
                try:
                    said = said[os.write(self._master, said):]
                except OSError:
                    return
