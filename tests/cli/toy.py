"""A component for the supervisor's tests: does what its argument says, with no cluster around it."""

import os
import signal
import subprocess
import sys
import time

import click


@click.command()
@click.argument("what")
def command(what: str) -> None:
    print(f"toy {os.getpid()} {what}", flush=True)
    if what == "steady":
        signal.pause()
    elif what == "clean":
        try:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            signal.pause()
        finally:
            print("cleaned up", flush=True)
    elif what == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)
    elif what == "orphan":
        # A grandchild in a session of its own, as a container is, left behind by a parent that is killed.
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        print(f"child {child.pid}", flush=True)
        signal.pause()
    elif what == "failing":
        print("minik8s toy: cannot listen on 127.0.0.1:1: in use", file=sys.stderr)
        raise SystemExit(1)
    elif what == "noisy":
        print("x" * 4096, flush=True)
        signal.pause()
