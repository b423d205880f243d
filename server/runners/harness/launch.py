"""Run one command as a child, on a leash: stdlib only, for any Python from 3.8 on.

    launch.py [--leash] [--report FILE] [--timeout SECONDS] [--memory BYTES] [--cpus N] -- COMMAND...

The command shares this process's group. With `--leash`, stdin is the owner's pipe: a line with a number, that many
bytes for the command's stdin, and then silence; its end means that the owner is dead, and the whole group is killed.
The report is JSON: exit_code, timed_out, and the kernel's figures, null where it gives none: peak_memory_bytes and
oom_kills. In a container this is the first process: its control group can still be read when the command is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None

CONTROL_GROUP = Path("/sys/fs/cgroup")


def main() -> int:
    """Run the command. Gives its exit code, 128 plus its signal, 124 when its time was up, 127 if it cannot start."""
    options = parse_options()
    if options.memory and resource:
        # RLIMIT_DATA counts private writable memory, not the address space that allocators only reserve.
        resource.setrlimit(resource.RLIMIT_DATA, (options.memory, options.memory))
    if options.cpus and hasattr(os, "sched_setaffinity"):
        available = sorted(os.sched_getaffinity(0))
        # Runs side by side mostly get different ones.
        first = os.getpid() % len(available)
        os.sched_setaffinity(0, (2 * available)[first : first + options.cpus])
    owner = sys.stdin.buffer
    given = owner.read(int(owner.readline() or 0)) if options.leash else None
    # In a container both streams are one: through two pipes the engine's log would lose their order.
    stdin, stderr = (subprocess.PIPE, None) if options.leash else (None, subprocess.STDOUT)
    try:
        child = subprocess.Popen(options.command, stdin=stdin, stderr=stderr)
    except OSError as error:
        print(f"{options.command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    if options.leash:
        threading.Thread(target=die_with_owner, daemon=True).start()
    timed_out = False
    try:
        child.communicate(given, timeout=options.timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        child.kill()
        child.wait()
    code = child.returncode if child.returncode >= 0 else 128 - child.returncode
    if options.report:
        report = {
            "exit_code": None if timed_out else code,
            "timed_out": timed_out,
            "peak_memory_bytes": largest_process() if options.leash else container_peak() or largest_process(),
            "oom_kills": None if options.leash else container_oom_kills(),
        }
        # The command may have filled its folder; how it ended counts for more.
        with contextlib.suppress(OSError):
            Path(options.report).write_text(json.dumps(report))
    return 124 if timed_out else code


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--leash", action="store_true")
    parser.add_argument("--report")
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--memory", type=int)
    parser.add_argument("--cpus", type=int)
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def die_with_owner() -> None:
    """Wait for the end of the owner's pipe and kill the whole group, this process included."""
    # Not through sys.stdin: its lock, held by a daemon thread, aborts the interpreter's shutdown.
    while os.read(0, 1):
        pass
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    subprocess.run(["taskkill", "/F", "/T", "/PID", str(os.getpid())], capture_output=True)


def container_peak() -> int | None:
    """Bytes that the container's control group held at most (cgroup v2, then v1)."""
    for file in ("memory.peak", "memory/memory.max_usage_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return int((CONTROL_GROUP / file).read_text())
    return None


def container_oom_kills() -> int | None:
    """How many processes of the container the kernel killed for want of memory."""
    for file in ("memory.events", "memory/memory.oom_control"):
        with contextlib.suppress(OSError, KeyError, ValueError):
            return int(dict(line.split() for line in (CONTROL_GROUP / file).read_text().splitlines())["oom_kill"])
    return None


def largest_process() -> int | None:
    """Bytes of the largest process that this one waited for."""
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
