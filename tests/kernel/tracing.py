"""The kernel's own record of socket states: one tracefs instance, read as raw ring-buffer pages.

The text form loses what matters (nanoseconds, IPv6 addresses next to socket pointers), so the
binary pages of `trace_pipe_raw` are stored during the run and decoded afterwards with the layouts
that the `format` files give. Lost events are detected and reported, never ignored.
"""

import os
import re
import struct
import threading
import time
from dataclasses import dataclass

ROOT = "/sys/kernel/tracing"
EVENTS = {
    "inet_sock_set_state": "sock",
    "timer_start": "timer",
    "timer_cancel": "timer",
    "timer_expire_entry": "timer",
    "timer_expire_exit": "timer",
    "net_dev_queue": "net",
}
DEVICE_PREFIX = "tl"


class TraceUnavailable(Exception):
    """This kernel or container gives no tracefs."""


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def _symbol(name):
    with open("/proc/kallsyms", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if len(fields) >= 3 and fields[2] == name and int(fields[0], 16):
                return int(fields[0], 16)
    raise TraceUnavailable(f"{name} is not in /proc/kallsyms")


class Tracer:
    """An own trace instance, streamed to one file per CPU until `stop`."""

    def __init__(self, directory, buffer_kib=32768):
        if not os.path.exists(f"{ROOT}/trace"):
            os.makedirs(ROOT, exist_ok=True)
            if os.system(f"mount -t tracefs nodev {ROOT} 2>/dev/null") != 0:
                raise TraceUnavailable("tracefs cannot be mounted")
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.path = f"{ROOT}/instances/tcplab-{os.getpid()}"
        self.functions = {_symbol("reqsk_timer_handler"): "reqsk", _symbol("tw_timer_handler"): "tw"}
        os.mkdir(self.path)
        self._threads = []
        self._stopping = threading.Event()
        try:
            self._configure(buffer_kib)
        except BaseException:
            self.remove()
            raise

    def _configure(self, buffer_kib):
        _write(f"{self.path}/tracing_on", "0")
        _write(f"{self.path}/trace_clock", "tai")
        _write(f"{self.path}/buffer_size_kb", str(buffer_kib))
        only = " || ".join(f"function == {address:#x}" for address in self.functions)
        _write(f"{self.path}/events/timer/timer_start/filter", only)
        _write(f"{self.path}/events/timer/timer_expire_entry/filter", only)
        _write(f"{self.path}/events/sock/inet_sock_set_state/filter", "protocol == 6")
        _write(f"{self.path}/events/net/net_dev_queue/filter", f'name ~ "{DEVICE_PREFIX}*"')
        for event, group in EVENTS.items():
            _write(f"{self.path}/events/{group}/{event}/enable", "1")
        self.layouts = {}
        for event, group in EVENTS.items():
            self._layout(event, group)
        # The clock called tai runs on CLOCK_TAI, which is epoch time plus the TAI offset (11 = CLOCK_TAI).
        self.tai_offset = round((time.clock_gettime_ns(11) - time.clock_gettime_ns(0)) / 1e9) * 10**9
        self.pages = []
        for name in sorted(os.listdir(f"{self.path}/per_cpu")):
            out = f"{self.directory}/{name}.raw"
            thread = threading.Thread(target=self._stream, args=(name, out), daemon=True)
            self.pages.append(out)
            self._threads.append(thread)
        _write(f"{self.path}/tracing_on", "1")
        for thread in self._threads:
            thread.start()

    def _layout(self, event, group):
        text = _read(f"{self.path}/events/{group}/{event}/format")
        number = int(re.search(r"^ID: (\d+)", text, re.M).group(1))
        fields = {}
        for name, offset, size in re.findall(
                r"field:.*?(\w+)(?:\[\d*\])?;\s*offset:(\d+);\s*size:(\d+)", text):
            fields[name] = (int(offset), int(size))
        self.layouts[number] = (event, fields)

    def _stream(self, cpu, out):
        source = os.open(f"{self.path}/per_cpu/{cpu}/trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK)
        with open(out, "wb") as file:
            while True:
                last = self._stopping.is_set()
                while True:
                    try:
                        page = os.read(source, 4096)
                    except BlockingIOError:
                        break
                    if not page:
                        break
                    file.write(page.ljust(4096, b"\0"))
                if last:
                    break
                time.sleep(0.02)
        os.close(source)

    def stop(self):
        _write(f"{self.path}/tracing_on", "0")
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def remove(self):
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(5)
        for _ in range(20):
            try:
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.1)

    def events(self):
        """All events of all CPUs in time order, and the number of pages before which some were lost."""
        merged, lost = [], 0
        for cpu, path in enumerate(self.pages):
            found, missed = decode(path, self, cpu)
            merged.extend(found)
            lost += missed
        merged.sort(key=lambda event: event.time)
        return merged, lost


@dataclass(slots=True)
class Event:
    """`kind` is state, start, cancel, expire, exit or queue; `data` depends on it."""

    time: int
    cpu: int
    order: int
    kind: str
    data: tuple


def decode(path, tracer, cpu):
    events, lost = [], 0
    with open(path, "rb") as file:
        while page := file.read(4096):
            stamp, commit = struct.unpack_from("<QQ", page)
            if commit & 1 << 31:
                lost += 1
            size = commit & 0xFFFFF
            _page(page, stamp, size, tracer, cpu, events)
    return events, lost


def _page(page, clock, size, tracer, cpu, events):
    at, end = 16, 16 + size
    while at + 4 <= end:
        head = struct.unpack_from("<I", page, at)[0]
        kind, delta = head & 31, head >> 5
        if kind == 29:
            if delta == 0:
                return
            at += 4 + struct.unpack_from("<I", page, at + 4)[0]
            clock += delta
            continue
        if kind == 30:
            clock += delta | struct.unpack_from("<I", page, at + 4)[0] << 27
            at += 8
            continue
        if kind == 31:
            absolute = delta | struct.unpack_from("<I", page, at + 4)[0] << 27
            clock = clock >> 59 << 59 | absolute
            at += 8
            continue
        clock += delta
        if kind == 0:
            length = struct.unpack_from("<I", page, at + 4)[0] - 4
            start = at + 8
            at = start + length
        else:
            start = at + 4
            at = start + kind * 4
        event = _event(page, start, clock - tracer.tai_offset, tracer, cpu, len(events))
        if event is not None:
            events.append(event)


def _event(page, start, clock, tracer, cpu, order):
    layout = tracer.layouts.get(struct.unpack_from("<H", page, start)[0])
    if layout is None:
        return None
    name, fields = layout

    def number(field):
        offset, size = fields[field]
        return int.from_bytes(page[start + offset:start + offset + size], "little")

    if name == "inet_sock_set_state":
        v6 = fields["saddr_v6"][0], fields["daddr_v6"][0]
        data = (number("skaddr"), number("oldstate"), number("newstate"), number("sport"),
                number("dport"), number("family"),
                page[start + fields["saddr"][0]:start + fields["saddr"][0] + 4],
                page[start + fields["daddr"][0]:start + fields["daddr"][0] + 4],
                page[start + v6[0]:start + v6[0] + 16], page[start + v6[1]:start + v6[1] + 16])
        return Event(clock, cpu, order, "state", data)
    if name == "timer_start":
        function = tracer.functions.get(number("function"))
        data = (number("timer"), function, number("expires") - number("now"), number("now"))
        return Event(clock, cpu, order, "start", data)
    if name == "timer_expire_entry":
        return Event(clock, cpu, order, "expire", (number("timer"),))
    if name == "timer_cancel":
        return Event(clock, cpu, order, "cancel", (number("timer"),))
    if name == "timer_expire_exit":
        return Event(clock, cpu, order, "exit", (number("timer"),))
    where = struct.unpack_from("<HH", page, start + fields["name"][0])
    device = page[start + where[0]:start + where[0] + where[1]].split(b"\0")[0].decode("ascii")
    return Event(clock, cpu, order, "queue", (device, number("len")))
