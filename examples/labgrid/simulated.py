"""Boards that are QEMU, as an exporter sees real ones: a serial line at a TCP port that outlives the power, and a relay."""

import http.server
import os
import re
import socket
import subprocess
import threading

MEMORY = 128 << 20
QEMU = [
    *("qemu-system-aarch64", "-machine", "virt,gic-version=3,memory-backend=ram", "-cpu", "cortex-a76"),
    *("-smp", "4", "-m", "128M", "-display", "none", "-monitor", "none", "-nic", "none"),
]


class Board:
    """A board: off, until its relay is switched."""

    def __init__(self, kernel, append, directory, name):
        self._ram = os.path.join(directory, f"{name}.ram")
        self._log = open(os.path.join(directory, f"{name}.log"), "wb")
        line = os.path.join(directory, f"{name}.line")
        ram = f"memory-backend-file,id=ram,share=on,size={MEMORY}B,mem-path={self._ram}"
        self._command = [*QEMU, "-object", ram, "-serial", f"unix:{line}", "-kernel", kernel, "-append", append]
        self._qemu = None
        self._lock = threading.Lock()
        # The two ends of the serial line: the chip, and what serves it to whoever listens.
        self._chip = socket.socket(socket.AF_UNIX)
        self._chip.bind(line)
        self._chip.listen()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._listener = None
        threading.Thread(target=self._serve, daemon=True).start()
        threading.Thread(target=self._pass_on, daemon=True).start()

    def _serve(self):
        while True:
            listener, _ = self._server.accept()
            self._listener, before = listener, self._listener
            if before:
                before.close()

    def _pass_on(self):
        while True:
            chip, _ = self._chip.accept()
            while said := _received(chip):
                self._log.write(said)
                self._log.flush()
                try:
                    if self._listener:
                        self._listener.sendall(said)
                except OSError:
                    self._listener = None  # what nobody listens to is lost, as on a wire

    @property
    def is_on(self):
        return self._qemu is not None

    def switch(self, on):
        """The relay. Memory without power becomes noise."""
        with self._lock:
            if self._qemu and not on:
                self._qemu.kill()
                self._qemu.wait()
                self._qemu = None
            elif on and not self._qemu:
                with open(self._ram, "wb") as ram:
                    ram.write(os.urandom(MEMORY))
                self._qemu = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)


def _received(chip):
    try:
        return chip.recv(4096)
    except OSError:
        return b""


class Relays:
    """Relays over HTTP, as labgrid's power model `rest` wants them: PUT 0 or 1, GET tells."""

    def __init__(self, boards):
        class Handler(http.server.BaseHTTPRequestHandler):
            def _board(self):
                index = re.fullmatch(r"/relay/(\d+)", self.path)
                return boards.get(int(index[1])) if index else None

            def _answer(self, status, text=""):
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_GET(self):
                board = self._board()
                self._answer(200, "1" if board.is_on else "0") if board else self._answer(404)

            def do_PUT(self):
                value = self.rfile.read(int(self.headers["Content-Length"]))
                board = self._board()
                if not board or value not in (b"0", b"1"):
                    return self._answer(404)
                board.switch(value == b"1")
                self._answer(200)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
