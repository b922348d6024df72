"""The cable between the two hosts: either one veth pair, or two with a relay in user space.

The relay forwards Ethernet frames unchanged and applies rules scripted by packet ("drop the 3rd
data segment from the client"); it can also delay, hold, duplicate, rewrite and inject. Offloads are
switched off then, so that one frame is one segment.
"""

import heapq
import itertools
import os
import select
import socket
import struct
import threading
import time

from host import CLONE_NEWNET, LIBC, command
from packet import parse_frame, parse_ip

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
OFFLOADS = ("tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off", "sg", "off")


def join(one, other, middle=None):
    """Makes the devices of both hosts, up, addressed, with permanent neighbours."""
    lines = []
    if middle is None:
        lines.append(f"link add {one.device} netns {one.name} type veth "
                     f"peer name {other.device} netns {other.name}")
    else:
        for host, end in ((one, "m0"), (other, "m1")):
            lines.append(f"link add {host.device} netns {host.name} type veth "
                         f"peer name {end} netns {middle}")
    command("ip", "-batch", "-", text="\n".join(lines) + "\n")
    for host, peer in ((one, other), (other, one)):
        host.peer_mac = peer.mac
        text = ":".join(f"{byte:02x}" for byte in host.mac)
        remote = ":".join(f"{byte:02x}" for byte in peer.mac)
        host.run("ip", "-batch", "-", text="\n".join([
            "link set lo up",
            f"link set {host.device} addrgenmode none",
            f"link set {host.device} address {text}",
            f"addr add {host.address}/24 dev {host.device}",
            f"addr add {host.address6}/64 dev {host.device} nodad",
            f"link set {host.device} up",
            f"neigh replace {peer.address} lladdr {remote} dev {host.device} nud permanent",
            f"neigh replace {peer.address6} lladdr {remote} dev {host.device} nud permanent",
            f"route add default via {peer.address}",
            f"route add ::/0 via {peer.address6} dev {host.device}"]) + "\n")
        if middle is not None:
            host.run("ethtool", "-K", host.device, *OFFLOADS, check=False)
    if middle is not None:
        command("ip", "-n", middle, "-batch", "-", text="\n".join(
            f"link set {end} {what}" for end in ("m0", "m1") for what in ("addrgenmode none", "up"))
            + "\n")
        for end in ("m0", "m1"):
            command("ip", "netns", "exec", middle, "ethtool", "-K", end, *OFFLOADS, check=False)
    ends = [(host.name, host.device) for host in (one, other)]
    await_running(ends if middle is None else [*ends, (middle, "m0"), (middle, "m1")])


def await_running(ends, timeout=20.0):
    """Waits until each (namespace, device) sends. A device that is set up begins to when a worker has seen
    its carrier (Linux `linkwatch_do_dev`), on a busy machine seconds later: until then what a host sends
    is thrown away, and no capture shows it."""
    limit = time.monotonic() + timeout
    for namespace, device in ends:
        while " state UP " not in command("ip", "-n", namespace, "-o", "link", "show", "dev", device):
            if time.monotonic() > limit:
                raise TimeoutError(f"{device} of {namespace} does not run")
            time.sleep(0.01)


class Rule:
    """Applies `action` to the packets that match, from the `nth` on, `count` times (None = for ever)."""

    def __init__(self, match, action, nth, count):
        self.match, self.action, self.nth, self.count = match, action, nth, count
        self.seen = self.done = 0

    def wants(self, packet, side):
        if not self.match(packet, side):
            return False
        self.seen += 1
        if self.seen < self.nth or (self.count is not None and self.done >= self.count):
            return False
        self.done += 1
        return True


class Relay:
    """Rules see (packet, side), where side is the sender's role: client or server."""

    def __init__(self, middle, delay=0.0):
        self.delay, self.rules, self.held, self.forged = delay, [], [], []
        self.seen = {"client": [], "server": []}
        self._queue, self._ticket = [], itertools.count()
        self._lock = threading.Lock()
        self._stopping = False
        self.error = None
        self._ends = {}
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        inner = os.open(f"/var/run/netns/{middle}", os.O_RDONLY)
        LIBC.setns(inner, CLONE_NEWNET)
        try:
            for side, end in (("client", "m0"), ("server", "m1")):
                raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                raw.bind((end, ETH_P_ALL))
                raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
                raw.setblocking(False)
                self._ends[side] = raw
        finally:
            LIBC.setns(before, CLONE_NEWNET)
            os.close(before)
            os.close(inner)
        self._wake, self._poke = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _add(self, match, action, nth, count):
        rule = Rule(match, action, nth, count)
        with self._lock:
            self.rules.append(rule)
        return rule

    def drop(self, match, nth=1, count=1):
        return self._add(match, ("drop",), nth, count)

    def late(self, match, seconds, nth=1, count=1):
        return self._add(match, ("late", seconds), nth, count)

    def scatter(self, match, draw):
        """Each comes later by what `draw` gives, in seconds: they overtake one another."""
        return self._add(match, ("scatter", draw), 1, None)

    def hold(self, match, nth=1, count=1):
        """Keeps matching frames back until `release`."""
        return self._add(match, ("hold",), nth, count)

    def duplicate(self, match, nth=1, count=1, after=0.0):
        return self._add(match, ("duplicate", after), nth, count)

    def rewrite(self, match, change, nth=1, count=None):
        """`change` gets the frame (bytes) and its Packet and returns the frame to send instead."""
        return self._add(match, ("rewrite", change), nth, count)

    def forget(self, rule):
        with self._lock:
            self.rules.remove(rule)

    def release(self, frames=1, timeout=4.0):
        """Sends what `hold` kept back, once at least `frames` have come: a host's state changes
        before its frame has reached the relay."""
        limit = time.monotonic() + timeout
        while len(self.held) < frames:
            if time.monotonic() > limit:
                raise TimeoutError(f"{len(self.held)} of {frames} frames came to be held")
            time.sleep(0.001)
        with self._lock:
            for side, frame in self.held:
                self._later(side, frame, 0)
            self.held.clear()
        os.write(self._poke, b".")

    def inject(self, toward, packet):
        """Sends an IP packet (bytes) to one host as if it came over the cable."""
        self.forged.append(parse_ip(packet))
        source = "server" if toward == "client" else "client"
        kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
        frame = self.macs[toward] + self.macs[source] + struct.pack("!H", kind) + packet
        self._ends[toward].send(frame)

    def is_busy(self):
        """Whether frames are still on their way."""
        with self._lock:
            return bool(self._queue)

    def _later(self, side, frame, seconds):
        heapq.heappush(self._queue, (time.monotonic() + seconds, next(self._ticket), side, frame))

    def _apply(self, side, frame):
        packet = parse_frame(frame)
        delay = self.delay
        if packet is not None:
            self.seen[side].append(packet)
            for rule in self.rules:
                if not rule.wants(packet, side):
                    continue
                kind = rule.action[0]
                if kind == "drop":
                    return
                if kind == "hold":
                    self.held.append((side, frame))
                    return
                if kind == "late":
                    delay += rule.action[1]
                elif kind == "scatter":
                    delay += rule.action[1]()
                elif kind == "duplicate":
                    self._later(side, frame, delay + rule.action[1])
                elif kind == "rewrite":
                    frame = rule.action[1](frame, packet)
        if delay > 0:
            self._later(side, frame, delay)
        else:
            self._send(side, frame)

    def _send(self, side, frame):
        try:
            self._ends["server" if side == "client" else "client"].send(frame)
        except OSError:
            pass  # The device is going away, or its queue is full: a lost frame, as on a real cable.

    def _run(self):
        try:
            self._forward()
        except Exception as error:  # noqa: BLE001 - a broken rule must fail the scenario
            self.error = error

    def _forward(self):
        ends = {raw: side for side, raw in self._ends.items()}
        while not self._stopping:
            with self._lock:
                now = time.monotonic()
                while self._queue and self._queue[0][0] <= now:
                    _, _, side, frame = heapq.heappop(self._queue)
                    self._send(side, frame)
                wait = max(0.0, self._queue[0][0] - now) if self._queue else 0.5
            ready, _, _ = select.select([*ends, self._wake], [], [], wait)
            for raw in ready:
                if raw == self._wake:
                    os.read(self._wake, 4096)
                    continue
                for _ in range(256):
                    try:
                        frame, where = raw.recvfrom(65600)
                    except OSError:
                        break
                    if where[2] != socket.PACKET_OUTGOING:
                        with self._lock:
                            self._apply(ends[raw], frame)

    def stop(self):
        self._stopping = True
        os.write(self._poke, b".")
        self._thread.join(2)
        for raw in self._ends.values():
            raw.close()


