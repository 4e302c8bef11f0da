"""A board's serial line and power, as labgrid has them: for programs that want a terminal and a command, and by lines."""

import os
import pty
import select
import tempfile
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


class PowerCommand:
    """A shell's command that has the power cycled here, in the process that holds labgrid's driver."""

    def __init__(self, power):
        self._power = power
        self._directory = tempfile.TemporaryDirectory(prefix="power-")
        names = [os.path.join(self._directory.name, name) for name in ("wish", "answer")]
        for name in names:
            os.mkfifo(name)
        # Open for both directions: opening waits for nobody, and what is written stays until it is read.
        self._wish, self._answer = (os.open(name, os.O_RDWR | os.O_NONBLOCK) for name in names)
        self.text = f"echo cycle > '{names[0]}'; read -r word < '{names[1]}'; echo \"power: $word\" >&2; [ \"$word\" = cycled ]"

    def serve(self):
        """Cycles the power if that is wished."""
        if not select.select([self._wish], [], [], 0)[0]:
            return
        os.read(self._wish, 4096)
        try:
            self._power.cycle()
            word = "cycled"
        except Exception as error:  # whatever the driver's reason: the one who waits is told
            word = repr(error).replace("\n", " ")
        os.write(self._answer, f"{word}\n".encode())

    def close(self):
        os.close(self._wish)
        os.close(self._answer)
        self._directory.cleanup()


class Terminal:
    """A terminal at which everything arrives that the board says, and a command for its power."""

    def __init__(self, console, power):
        self._console = console
        self.power = PowerCommand(power)
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
        self.power.close()

    def _pass_on(self):
        # One thread for line and power: labgrid's steps do not bear two.
        while not self._over.is_set():
            self.power.serve()
            said = received(self._console, 0.2)
            while said and not self._over.is_set():
                try:
                    said = said[os.write(self._master, said):]
                except OSError:
                    return
