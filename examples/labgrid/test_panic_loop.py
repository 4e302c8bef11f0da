"""The panic loop on a place of labgrid's, and its negative: a power cut."""

import re
import subprocess

from line import Lines, Terminal

# Seconds for one crash, boot loader and all; a board that hangs is silent before, which the command notices.
CRASH_MAX = 60


def test_what_was_recorded_survives_every_panic(console, power, afterglow, crashes, tmp_path):
    reports = tmp_path / "reports"
    reports.mkdir()
    power.on()
    with Terminal(console) as terminal:
        command = [afterglow, "loop", "--serial", terminal.name, "--crashes", str(crashes)]
        command += ["--junit", str(reports / "junit.xml"), "--markdown", str(reports / "summary.md")]
        command += ["--time", str(CRASH_MAX * (crashes + 1))]
        loop = subprocess.run(command, capture_output=True, text=True, timeout=CRASH_MAX * (crashes + 2))
    print(loop.stdout, loop.stderr)
    assert loop.returncode == 0, f"status {loop.returncode}\n{loop.stdout}\n{loop.stderr}"
    assert re.search(rf"^{crashes} crashes: {crashes} held", loop.stdout, re.M), loop.stdout
    # A test case for each crash, and one for the run as a whole.
    assert (reports / "junit.xml").read_text().count("<testcase") == crashes + 1


def test_after_a_power_cut_the_content_is_rejected_with_its_reason(console, power, env):
    line = Lines(console)
    power.on()
    crash = line.until("reset: asking for it by", CRASH_MAX)
    assert any(line.startswith("panic: cleaned ") for line in crash), crash
    # Now all is in memory, and nothing of it was told yet.
    power.cycle()
    # What the line still held from before ends where the first boot begins that finds nothing.
    boot = line.until("content    cold: ", CRASH_MAX)
    reason = env.config.get_option("after_power_cut")
    assert f"no signature ({reason}" in boot[-1], boot[-1]
    after = line.until("panic: cleaned ", CRASH_MAX)
    assert any("recording  boot 1 into bank 0" in line for line in after), after
    assert not any(line.startswith("crash in bank") for line in after), after
