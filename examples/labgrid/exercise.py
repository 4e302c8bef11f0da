#!/usr/bin/env python3
"""Tries the example on this machine, without hardware, to the end and within bounds:

1. labgrid's own QEMU driver runs the tests;
2. a coordinator and an exporter on loopback, two places, each with a serial line and a power switch; both are acquired, a second
   user is turned away, and the tests run on both at once.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

from simulated import Board, Relays

HERE = pathlib.Path(__file__).resolve().parent
APPEND = "reserve_mem=8M:2M:ring after=halt crash_loop=0 tail=0 events=1000 cycles=1000000"
# Seconds for a daemon to answer, and for a client.
READY_MAX = 60


def program(name):
    """One of labgrid's, beside this Python."""
    return str(pathlib.Path(sys.executable).parent / name)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(command, log, **options):
    """A daemon, which does not outlive this."""
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **options)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(what, is_there, log):
    end = time.monotonic() + READY_MAX
    while not is_there():
        if time.monotonic() > end:
            sys.exit(f"{what} is not there after {READY_MAX} s:\n{pathlib.Path(log).read_text()[-2000:]}")
        time.sleep(0.2)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def client(coordinator, user, *words):
    environment = {**os.environ, "LG_USERNAME": user, "LG_HOSTNAME": "here"}
    command = [program("labgrid-client"), "-x", coordinator, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=READY_MAX)


def must(done):
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, done.args))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def tests(name, environment, *options):
    """pytest, begun."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(HERE)]
    log = tempfile.TemporaryFile()
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=HERE
    )
    return name, process, log


def ended(name, process, log, limit):
    """What became of it, in a line; all that it said if it failed."""
    try:
        status = process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        status = f"none in {limit} s"
    log.seek(0)
    said = log.read().decode(errors="backslashreplace").strip()
    print(f"{name}: {said.splitlines()[-1] if said else 'silence'}", flush=True)
    if status != 0:
        print(said)
    return status == 0


def own_driver(limit):
    return ended(*tests("QEMUDriver", {}, "--lg-env", str(HERE / "qemu.yaml")), limit)


def two_places(kernel, directory, limit):
    boards = {number: Board(kernel, APPEND, directory, f"board{number}") for number in (1, 2)}
    coordinator = f"127.0.0.1:{free_port()}"
    exported = {f"LG_AFTERGLOW_SERIAL_{number}": str(board.port) for number, board in boards.items()}
    environment = {**os.environ, **exported, "LG_AFTERGLOW_RELAYS": str(Relays(boards).port)}
    logs = [os.path.join(directory, name) for name in ("coordinator.log", "exporter.log")]
    with contextlib.ExitStack() as stack:
        for board in boards.values():
            stack.callback(board.switch, False)
        stack.enter_context(running([program("labgrid-coordinator"), "-l", coordinator], logs[0], cwd=directory))
        wait_for("the coordinator", lambda: answers(int(coordinator.split(":")[1])), logs[0])
        exporter = [program("labgrid-exporter"), "-c", coordinator, "-n", "bench", "--hostname", "127.0.0.1"]
        stack.enter_context(running([*exporter, str(HERE / "exporter.yaml")], logs[1], env=environment, cwd=directory))
        resources = lambda: client(coordinator, "ci", "resources").stdout
        wait_for("the exporter", lambda: "board1" in resources() and "board2" in resources(), logs[1])
        for number in boards:
            place = f"board{number}"
            must(client(coordinator, "ci", "-p", place, "create"))
            must(client(coordinator, "ci", "-p", place, "add-match", f"bench/{place}/*"))
            must(client(coordinator, "ci", "-p", place, "acquire"))
        refused = client(coordinator, "somebody", "-p", "board1", "acquire")
        print(f"a second user: {(refused.stdout + refused.stderr).strip().splitlines()[-1]}", flush=True)
        begun = [
            tests(
                f"board{number}",
                {"LG_PLACE": f"board{number}", "LG_USERNAME": "ci", "LG_HOSTNAME": "here"},
                *("--lg-env", str(HERE / "place.yaml"), "--lg-coordinator", coordinator),
            )
            for number in boards
        ]
        passed = [ended(*one, limit) for one in begun]
        for number in boards:
            must(client(coordinator, "ci", "-p", f"board{number}", "release"))
        return refused.returncode != 0 and all(passed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", required=True, help="the kernel: an ELF file")
    parser.add_argument("--afterglow", required=True, help="the afterglow command")
    parser.add_argument("--crashes", type=int, default=20, help="crashes of each loop")
    parser.add_argument("--only", choices=["own-driver", "two-places"], help="one half of it")
    wished = parser.parse_args()
    kernel = str(pathlib.Path(wished.kernel).resolve())
    os.environ["LG_AFTERGLOW_KERNEL"] = kernel
    os.environ["LG_AFTERGLOW_COMMAND"] = str(pathlib.Path(wished.afterglow).resolve())
    os.environ["LG_AFTERGLOW_CYCLES"] = str(wished.crashes)
    # Whoever ends this ends all that it began.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    limit = 120 + 30 * wished.crashes
    passed = True
    with tempfile.TemporaryDirectory(prefix="afterglow-labgrid-") as directory:
        if wished.only != "two-places":
            passed &= own_driver(limit)
        if wished.only != "own-driver":
            passed &= two_places(kernel, directory, limit)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
