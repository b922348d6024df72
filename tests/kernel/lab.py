#!/usr/bin/python3
"""The kernel laboratory: runs scenarios in network namespaces and writes captures with their truth.

Needs root, Linux with tracefs, tcpdump, nft, iproute2, ethtool. `--list` shows the scenarios,
`--out DIR` runs them. Exit status 0: everything ran and both witnesses agree; 1: something failed.
"""

import argparse
import json
import os
import pickle
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import scenario  # noqa: E402
from sockets import Joiner  # noqa: E402
from tracing import Tracer, TraceUnavailable  # noqa: E402
from truth import STOOD_STILL, assemble  # noqa: E402

HASH = "/proc/sys/net/ipv4/tcp_child_ehash_entries"
KEPT_SYSCTLS = re.compile(r"net\.(ipv4\.(tcp_|ip_local_port_range)|core\.somaxconn|mptcp\.enabled)")
RECORDED_IPV6 = {f"{name}_ipv6" for name in (
    "close_by_client", "close_by_server", "close_simultaneous", "orphan_fin_wait_2_then_fin",
    "refused", "icmp_unreachable", "half_open_expires", "flood_without_cookies", "linger_zero",
    "fast_open_cookie_then_data", "cookies_always", "time_wait_recycled_by_newer_syn",
    "injected_reset_exact", "storm_one_connection", "mptcp_joins", "keep_alive_dead",
    "close_at_zero_window", "icmp_in_syn_sent", "icmp_in_syn_received",
    "time_wait_buckets_of_many_half_closed", "flood_with_cookies_alone")}
NUMBERS = 1000  # more than there are scenarios: each attempt has addresses of its own
FEW = 5  # so many runs may be lost to a machine that stands still, however often they are run
LONG = 12.0  # seconds: longer scenarios mostly wait, so they run beside the others


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="folder that gets one folder per scenario")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names, or /regular expressions")
    parser.add_argument("--jobs", type=int, default=10)
    parser.add_argument("--again", type=int, default=0, metavar="N",
                        help="run what failed again, at less load, up to N times")
    parser.add_argument("--quick", action="store_true", help="leave out what takes over 12 s")
    parser.add_argument("--record", action="store_true",
                        help="small runs for a repository: trimmed settings, fewer connections")
    parser.add_argument("--sysctl", nargs="+", default=[], metavar="[client:|server:]NAME=VALUE",
                        help="settings of both hosts or of one, where a scenario has none of its own")
    parser.add_argument("--snaplen", type=int, metavar="BYTES", help="of every frame, in all captures")
    parser.add_argument("--keep", action="store_true", help="keep polls and raw traces")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--run-one", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen(options, registry):
    names = list(registry)
    if options.only:
        wanted = []
        for word in options.only:
            if word.startswith("/"):
                wanted += [name for name in names if re.search(word[1:], name)]
            elif word in registry:
                wanted.append(word)
            else:
                sys.exit(f"there is no scenario {word}; --list shows them")
        names = sorted(set(wanted), key=names.index)
    elif options.record:
        names = [name for name in names if not name.endswith("_ipv6") or name in RECORDED_IPV6]
    if options.quick:
        names = [name for name in names if registry[name].seconds <= LONG and registry[name].quick]
    return names


class Run:
    """All children of one invocation; whatever happens, `clean` leaves the machine as it was."""

    def __init__(self, options, registry, names, attempt=0):
        self.options, self.registry = options, registry
        self.waiting = sorted(names, key=lambda name: -registry[name].seconds)
        # What a run before has left behind (an orphaned socket outlives its namespace) must not be
        # taken for this one's.
        first = (os.getpid() * 3 + attempt) % 40 * NUMBERS
        self.numbers = {name: first + number for number, name in enumerate(registry)}
        self.running, self.results = {}, {}
        self.prefix = f"lab{os.getpid()}-"
        with open(HASH, encoding="ascii") as file:
            self.hash_before = file.read().strip()
        with open(HASH, "w", encoding="ascii") as file:
            file.write("1024")
        self.tracer = None

    def start(self, name):
        directory = os.path.join(self.options.out, name)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        words = [sys.executable, os.path.abspath(__file__), "--run-one", name,
                 str(self.numbers[name]), f"{self.prefix}{self.numbers[name]}", directory]
        if self.options.record:
            words.append("--record")
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        self.running[name] = process, time.monotonic()

    def short_running(self):
        return sum(1 for name in self.running if self.registry[name].seconds <= LONG)

    def go(self):
        while self.waiting or self.running:
            started = False
            for name in list(self.waiting):
                if self.registry[name].seconds > LONG or self.short_running() < self.options.jobs:
                    self.waiting.remove(name)
                    self.start(name)
                    started = True
                    break
            self.reap()
            time.sleep(0.03 if started else 0.02)

    def reap(self):
        for name, (process, since) in list(self.running.items()):
            if process.poll() is None:
                if time.monotonic() - since > self.registry[name].seconds * 2 + 25:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    self.results[name] = "failed", "took too long"
                    del self.running[name]
                continue
            text = process.stdout.read().decode(errors="replace").strip()
            status, _, message = text.rpartition("\0")[2].partition("\n")
            if status not in ("ran", "skipped", "failed"):
                status, message = "failed", text
            self.results[name] = status, message
            del self.running[name]

    def clean(self):
        for process, _ in self.running.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        listing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
        for line in listing.stdout.splitlines():
            if line.startswith(self.prefix):
                subprocess.run(["ip", "netns", "del", line.split()[0]], check=False)
        if self.tracer is not None:
            self.tracer.remove()
        with open(HASH, "w", encoding="ascii") as file:
            file.write(self.hash_before)


def trim_sysctls(directory):
    for role in ("client", "server"):
        path = f"{directory}/{role}.sysctl"
        with open(path, encoding="ascii") as file:
            lines = [line for line in file if KEPT_SYSCTLS.match(line)]
        with open(path, "w", encoding="ascii") as file:
            file.writelines(lines)


def judge(run, options):
    """Assembles every run; returns the names of those that failed, and of those among them in which
    nothing but the machine was at fault."""
    events, lost = run.tracer.events()
    if options.keep:
        with open(os.path.join(options.out, "events.pickle"), "wb") as file:
            pickle.dump(events, file)
    joiner = Joiner(events)
    failures, stood_still = [], []
    if lost:
        print(f"the trace lost events before {lost} pages", file=sys.stderr)
        failures.extend(run.results)
    kernel = platform.release()
    totals = {"wire": 0, "timer": 0, "invisible": 0}
    lags = []
    for name in sorted(run.results):
        status, message = run.results[name]
        directory = os.path.join(options.out, name)
        line = message
        if status == "ran":
            truth, problems = assemble(directory, joiner, kernel, options.keep)
            for row in truth["transitions"]:
                totals[row["tag"]] += 1
                if row["tag"] == "wire":
                    lags.append(abs(row["at_ns"] - row["frame_ns"]))
            if problems:
                status = "failed"
                if all(problem.startswith(STOOD_STILL) for problem in problems):
                    stood_still.append(name)
                line = f"{len(problems)} problems\n    " + "\n    ".join(problems[:6])
            else:
                line = f"{len(truth['transitions'])} transitions, {truth['polled']} polled states agree"
            if options.record:
                trim_sysctls(directory)
        elif not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
        if status == "failed" and name not in failures:
            failures.append(name)
        print(f"{status:8} {name:44} {line}")
    lags.sort()
    if lags:
        print(f"capture to kernel: median {lags[len(lags) // 2] / 1000:.1f} us, p99 "
              f"{lags[len(lags) * 99 // 100] / 1000:.1f} us, max {lags[-1] / 1000:.1f} us")
    print(f"{len(run.results)} scenarios, {len(failures)} failed; transitions {totals}")
    return failures, stood_still


def main():
    options = arguments()
    registry = scenario.load()
    if options.run_one:
        name, number, prefix, directory = options.run_one
        status, message = scenario.run_one(name, int(number), prefix, directory, options.record)
        print(f"\0{status}\n{message}")
        return 0
    if options.list:
        for spec in registry.values():
            print(f"{spec.name:44} {spec.seconds:5.0f} s  {spec.description}")
        return 0
    if not options.out:
        sys.exit("--out DIR is needed (or --list)")
    if os.geteuid() != 0:
        sys.exit("the laboratory needs root: it makes network namespaces")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.update(scenario.varied(options.sysctl, options.snaplen))
    options.out = os.path.abspath(options.out)
    os.makedirs(options.out, exist_ok=True)
    traces = os.path.join(options.out, ".trace")
    names = chosen(options, registry)
    for attempt in range(options.again + 1):
        if attempt:
            print(f"again, {len(names)} at less load: {' '.join(names)}")
            options.jobs = max(1, options.jobs // 4)
        names, stood_still = attempt_all(options, registry, names, traces, attempt)
        if not names:
            return 0
    for name in names:
        # Two witnesses that disagree say nothing of what really happened.
        if not options.keep:
            shutil.rmtree(os.path.join(options.out, name), ignore_errors=True)
    if set(names) == set(stood_still) and len(names) <= FEW:
        print(f"left out, since the machine stood still in every attempt: {' '.join(names)}")
        return 0
    print(f"FAILED: {' '.join(names)}; the reasons stand above")
    return 1


def attempt_all(options, registry, names, traces, attempt):
    """Runs the scenarios once; returns what `judge` does."""
    run = Run(options, registry, names, attempt)
    started = time.monotonic()
    try:
        run.tracer = Tracer(traces)
        run.go()
        run.tracer.stop()
        ran = time.monotonic() - started
        verdict = judge(run, options)
        print(f"ran {ran:.1f} s, judged {time.monotonic() - started - ran:.1f} s", flush=True)
        return verdict
    except TraceUnavailable as reason:
        sys.exit(f"no kernel trace here: {reason}")
    finally:
        run.clean()
        if not options.keep:
            shutil.rmtree(traces, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
