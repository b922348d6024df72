"""What a scenario is, and what it works with: the registry, `Net` with its two hosts, one run.

A scenario is a function of one `Net`; its docstring says what it verifies. It makes real sockets
in both hosts in one thread, so it reads as the story it tells. Everything that it leaves open stays
open until the captures have ended.
"""

import contextlib
import fcntl
import importlib
import json
import os
import pickle
import socket
import struct
import subprocess
import termios
import time
import traceback
from dataclasses import dataclass, field

import diag
import wire
from host import Host, Missing
from packet import ACK, MARK, RST, build_tcp, read_pcap

GRACE = 20_000_000  # ns for what the capture's last segments do to sockets
REGISTRY = {}
SYSCTL, SNAPLEN = "KERNEL_LAB_SYSCTL", "KERNEL_LAB_SNAPLEN"
THEMES = ("close", "opening", "queues", "resets", "timewait", "death", "loss", "misc", "crowd", "lives",
          "errors", "defaults")


@dataclass
class Scenario:
    """`seconds` is how long it takes at most; `hints` go into truth.json as they are."""

    name: str
    function: object
    description: str
    seconds: float = 3
    relay: bool = False
    delay: float = 0.0
    family: int = 4
    polled: tuple = ()
    deterministic: bool = True
    sysctl: dict = field(default_factory=dict)
    client: dict = field(default_factory=dict)
    server: dict = field(default_factory=dict)
    snaplen: int = 128
    poll: float = 0.01
    quick: bool = True


def scenario(families=(4,), name=None, **settings):
    """Registers a function; with families=(4, 6) a second time over IPv6."""

    def register(function):
        for family in families:
            title = (name or function.__name__) + ("_ipv6" if family == 6 and len(families) > 1 else "")
            if title in REGISTRY:
                raise ValueError(f"two scenarios are called {title}")
            REGISTRY[title] = Scenario(title, function, " ".join((function.__doc__ or "").split()),
                                       family=family,
                                       **{"polled": (family,), **settings})
        return function

    return register


def load():
    for theme in THEMES:
        importlib.import_module(f"scenarios.{theme}")
    return REGISTRY


class Failed(Exception):
    """The scenario did not reach the situation that it is about."""


class Net:
    """Two hosts, the cable between them, and short words for what scenarios do most."""

    def __init__(self, spec, number, prefix, directory, record):
        self.spec, self.number, self.directory = spec, number, directory
        self.family, self.record = spec.family, record
        self.relay = self._tcpdumps = None
        self._pollers, self._namespaces = [], []
        self.keep = []
        self.notes = []
        self._marks = 0
        mac = b"\x02\x00" + struct.pack("!H", number)
        subnet = f"10.{number // 250}.{number % 250 + 1}"
        six = f"fd77:{number + 1:x}::"
        try:
            self.client = Host("client", f"{prefix}c", f"tl{number}c", f"{subnet}.1", f"{six}1",
                               mac + b"\0\x01")
            self._namespaces.append(self.client)
            self.server = Host("server", f"{prefix}s", f"tl{number}s", f"{subnet}.2", f"{six}2",
                               mac + b"\0\x02")
            self._namespaces.append(self.server)
            self.hosts = (self.client, self.server)
            self.subnet, self.six = subnet, six
            middle = self.middle = None
            if spec.relay:
                middle = f"{prefix}m"
                subprocess.run(["ip", "netns", "add", middle], check=True)
                self.middle = middle
            wire.join(self.client, self.server, middle)
            for host in self.hosts:
                host.defaults()
                for name, value in {**variation(host.role), **spec.sysctl,
                                    **getattr(spec, host.role)}.items():
                    host.sysctl(**{name: value})
            if spec.relay:
                self.relay = wire.Relay(middle, spec.delay)
                self.relay.macs = {host.role: host.mac for host in self.hosts}
            self._await_links()
            if 6 in spec.polled:
                self._await_ipv6()
        except BaseException:
            self.dismantle()
            raise

    def _await_links(self):
        """What is sent before a busy machine has got round to activating a link is dropped, unseen."""
        for _ in range(250):
            lines = [host.run("ip", "-o", "link", "show", "dev", host.device) for host in self.hosts]
            if self.middle is not None:
                lines += [self.client.run("ip", "-n", self.middle, "-o", "link", "show", "dev", end)
                          for end in ("m0", "m1")]
            if all("state UP" in line for line in lines):
                return
            time.sleep(0.02)
        raise RuntimeError("a link does not come up")

    def _await_ipv6(self):
        for _ in range(100):
            if "tentative" not in self.client.run("ip", "-6", "addr"):
                return
            time.sleep(0.02)

    # --- observation -------------------------------------------------------------------------

    def observe(self):
        self.sysctls = {}
        self._tcpdumps = []
        snaplen = os.environ.get(SNAPLEN, str(self.spec.snaplen))
        for host in self.hosts:
            path = f"{self.directory}/{host.role}.pcap"
            with host.inside():
                process = subprocess.Popen(
                    ["tcpdump", "-i", host.device, "-w", path, "-s", snaplen, "-B", "16384",
                     "--time-stamp-precision=nano", "--immediate-mode", "-U", "-n", "-Z", "root",
                     f"tcp or icmp or icmp6 or ether proto {MARK}"],
                    stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
            self._tcpdumps.append(process)
        for process in self._tcpdumps:
            for line in process.stderr:
                if b"listening on" in line:
                    break
        for host in self.hosts:
            self._pollers.append((host.role, diag.Poller(host, self.spec.polled, self.spec.poll)))
        self.begin = time.time_ns()

    def conclude(self):
        """Ends the observation: what segments after this moment do is not part of the truth."""
        if self.relay is not None:
            limit = time.monotonic() + 3
            while self.relay.is_busy() and time.monotonic() < limit:
                time.sleep(0.005)
        time.sleep(0.06)
        if self.relay is not None and self.relay.error is not None:
            raise self.relay.error
        self.end = time.time_ns()
        time.sleep(GRACE / 1e9)
        polls = {role: poller.stop() for role, poller in self._pollers}
        self.lost_frames = 0
        for process in self._tcpdumps:
            process.send_signal(2)
        for process in self._tcpdumps:
            text = process.stderr.read().decode()
            process.wait(10)
            for line in text.splitlines():
                if "dropped by kernel" in line:
                    self.lost_frames += int(line.split()[0])
        for host in self.hosts:
            with open(f"{self.directory}/{host.role}.sysctl", "w", encoding="ascii") as file:
                file.write(host.sysctl_text())
        with open(f"{self.directory}/polls.pickle", "wb") as file:
            pickle.dump(polls, file)
        facts = {
            "scenario": self.spec.name, "description": self.spec.description,
            "deterministic": self.spec.deterministic, "number": self.number,
            "begin": self.begin, "end": self.end, "grace": GRACE, "lost_frames": self.lost_frames,
            "notes": self.notes,
            "forged": [packet.print for sender in (*self.hosts, self.relay) if sender is not None
                       for packet in sender.forged if packet is not None],
            "hosts": {host.role: {"addresses": host.addresses} for host in self.hosts},
        }
        with open(f"{self.directory}/facts.json", "w", encoding="ascii") as file:
            json.dump(facts, file)

    def dismantle(self):
        for process in self._tcpdumps or []:
            if process.poll() is None:
                process.kill()
                process.wait()
        for _, poller in self._pollers:
            poller.stop()
        if self.relay is not None:
            self.relay.stop()
        for host in self._namespaces:
            host.dismantle()
        if getattr(self, "middle", None):
            subprocess.run(["ip", "netns", "del", self.middle], check=False)

    # --- words for scenarios -----------------------------------------------------------------

    def note(self, text):
        self.notes.append(text)

    def at(self, host, port):
        """Socket address of a host in this scenario's family."""
        return (host.address if self.family == 4 else host.address6, port)

    def extra_address(self, host, last):
        """Gives a host one more address (its last byte) and returns it."""
        address = f"{self.subnet}.{last}" if self.family == 4 else f"{self.six}{last:x}"
        size = 24 if self.family == 4 else 64
        words = ["ip", "addr", "add", f"{address}/{size}", "dev", host.device]
        host.run(*words, *(["nodad"] if self.family == 6 else []))
        other = self.server if host is self.client else self.client
        other.run("ip", "neigh", "replace", address, "lladdr",
                  ":".join(f"{byte:02x}" for byte in host.mac), "dev", other.device,
                  "nud", "permanent")
        host.addresses.append(address)
        return address

    def listen(self, port=80, backlog=128, host=None, setup=None):
        listener = (host or self.server).socket(self.family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if setup:
            setup(listener)
        listener.bind(self.at(host or self.server, port))
        listener.listen(backlog)
        return listener

    def dial(self, port=80, source=None, host=None, block=False, setup=None, to=None):
        """Starts a connection; without `block` it returns at once, whatever becomes of it."""
        host = host or self.client
        dialer = host.socket(self.family)
        if setup:
            setup(dialer)
        if source is not None:
            dialer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            dialer.bind(source if isinstance(source, tuple) else self.at(host, source))
        target = to or self.at(self.server if host is self.client else self.client, port)
        if block:
            dialer.connect(target)
        else:
            dialer.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                dialer.connect(target)
            dialer.settimeout(10)
        return dialer

    def accept(self, listener, setup=None):
        accepted, _ = listener.accept()
        accepted.settimeout(10)
        self.keep.append(accepted)
        if setup:
            setup(accepted)
        return accepted

    def pair(self, port=80, listener=None, source=None, **words):
        """An established connection: (client socket, server socket)."""
        listener = listener or self.listen(port)
        client = self.dial(port, source=source, block=True, **words)
        server = self.accept(listener)
        self.until(lambda: self.state(server) == "ESTABLISHED")
        return client, server

    def exchange(self, client, server, size=100):
        """A request and an answer, read to the last byte."""
        client.sendall(b"q" * size)
        self.read(server, size)
        server.sendall(b"a" * size)
        self.read(client, size)

    def read(self, sock, size):
        got = 0
        while got < size:
            part = sock.recv(size - got)
            if not part:
                raise Failed("the stream ended early")
            got += len(part)
        return got

    def await_acknowledged(self, sock):
        """Waits until the peer has acknowledged all that the socket sent (`SIOCOUTQ`)."""
        def unacknowledged():
            return struct.unpack("=i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]

        self.until(lambda: unacknowledged() == 0, what="the acknowledgment of what was sent")

    def wait(self, seconds):
        time.sleep(seconds)

    def until(self, condition, timeout=8.0, what="a condition"):
        limit = time.monotonic() + timeout
        while time.monotonic() < limit:
            if condition():
                return
            time.sleep(0.002)
        raise Failed(f"waited {timeout} s in vain for {what}")

    def state(self, sock):
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
        return diag.STATES.get(info[0])

    def reach(self, sock, state, timeout=8.0):
        self.until(lambda: self.state(sock) == state, timeout, f"{state}, have {self.state(sock)}")

    def table(self, host):
        """{(local, remote): state}, as `ss -tan` would list them."""
        with host.inside():
            netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
        with netlink:
            return diag.dump(netlink, self.family)

    def count(self, host, state):
        return sum(1 for found in self.table(host).values() if found == state)

    def await_table(self, host, state, count=1, timeout=8.0):
        self.until(lambda: self.count(host, state) == count, timeout,
                   f"{count} sockets in {state} at the {host.role}")

    def linger_zero(self, sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def forge(self, src, dst, seq, ack=0, flags=ACK, **words):
        """IP packet with one segment between two socket addresses."""
        return build_tcp(src[0], dst[0], src[1], dst[1], seq, ack, flags, **words)

    def sniffed(self, host):
        """The segments that have passed a host's tap: all of them, since a mark goes behind them."""
        self._marks += 1
        mark = self._marks.to_bytes(46, "big")
        host.send_frame(MARK, mark)
        limit = time.monotonic() + 8
        while (capture := read_pcap(f"{self.directory}/{host.role}.pcap")).mark != mark:
            if time.monotonic() > limit:
                raise Failed(f"tcpdump at the {host.role} is 8 s behind")
            time.sleep(0.002)
        return [packet for packet in capture.packets if packet.icmp is None]

    def last_sent(self, host, source, accept=lambda packet: True):
        """The latest segment from a socket address that `accept` takes, once the tap of `host` has it."""
        found = []

        def passed():
            found[:] = [packet for packet in self.sniffed(host)
                        if (packet.src, packet.sport) == source[:2] and accept(packet)]
            return found

        self.until(passed, what=f"a segment from {source[0]} at the {host.role}'s tap")
        return found[-1]

    def relayed(self, side, accept, what):
        """Waits until a segment of a side that `accept` takes has come to the relay; returns it."""
        found = []

        def came():
            found[:] = filter(accept, list(self.relay.seen[side]))
            return found

        self.until(came, what=f"{what} of the {side} at the relay")
        return found[-1]

    def reset(self, toward, seq, src, dst, ack=None):
        """A third party's RST, injected into the cable (relay scenarios only)."""
        flags = RST if ack is None else RST | ACK
        self.relay.inject(toward, self.forge(src, dst, seq, ack or 0, flags))


def varied(settings, snaplen):
    """What the environment of a run must say so that its scenarios differ from the usual ones."""
    return {SYSCTL: " ".join(settings), **({SNAPLEN: str(snaplen)} if snaplen else {})}


def variation(role):
    """{name: value} of a host in this run (`lab.py --sysctl`)."""
    found = {}
    for word in os.environ.get(SYSCTL, "").split():
        name, _, value = word.partition("=")
        owner, _, name = name.rpartition(":")
        if owner in ("", role):
            found[name] = value
    return found


def _story(error):
    """The message, and the lines that led to it."""
    steps = traceback.extract_tb(error.__traceback__)[-3:]
    where = ", ".join(f"{os.path.basename(step.filename)}:{step.lineno}" for step in steps)
    return f"{type(error).__name__}: {error} ({where})"


def run_one(name, number, prefix, directory, record):
    """Runs one scenario in this process; returns (status, message)."""
    spec = load()[name]
    os.makedirs(directory, exist_ok=True)
    net = None
    try:
        net = Net(spec, number, prefix, directory, record)
        net.observe()
        spec.function(net)
        net.conclude()
        return "ran", ""
    except Missing as reason:
        return "skipped", str(reason)
    except Exception as error:  # noqa: BLE001 - the driver reports whatever went wrong
        return "failed", _story(error)
    finally:
        if net is not None:
            net.dismantle()
