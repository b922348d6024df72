#!/usr/bin/python3
"""Makes the capture of the README: one host, four things that happen to it, 80 seconds.

Everything is real but the sources of the flood. On 10.0.0.2 run three services:

    :443   answers short requests; listen(128), SYN cookies off, tcp_max_syn_backlog 256
    :8080  answers, but never closes its side: one more CLOSE-WAIT with every client that leaves
    :5432  answers; its only client, 10.0.0.40, opens a new connection for every query and closes
           it first: one more TIME-WAIT there each time, all to one address and port

    0-80 s   eight clients (10.0.0.11-18) ask :443 about once a second, three of them 5-40 ms away
    4-78 s   clients of :8080 come and go
    8-32 s   10.0.0.40 queries :5432 25 times a second, with 1,000 ephemeral ports
    25-55 s  4,500 SYNs with invented sources out of 198.18.0.0/15 hit :443, 150 a second

Needs root and tcpdump; works in network namespaces of its own and removes them. The capture is taken
at 10.0.0.2, 96 bytes of each packet, and the host's settings are written beside it.
"""

import contextlib
import os
import random
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import wire  # noqa: E402
from host import Host, command  # noqa: E402
from lab import KEPT_SYSCTLS  # noqa: E402
from packet import SYN, build_tcp  # noqa: E402

SECONDS = 80.0
FLOOD_FROM, FLOOD_TO, FLOOD_RATE = 25.0, 55.0, 150
SEED = 20240229
SERVER = "10.0.0.2"
CLIENTS = [f"10.0.0.{last}" for last in range(11, 19)]
DELAYS = {"10.0.0.14": 0.005, "10.0.0.15": 0.012, "10.0.0.16": 0.040}  # seconds, each way
LEAVERS = [f"10.0.0.{last}" for last in range(31, 36)]
QUERIER = "10.0.0.40"


class Stage:
    """The hosts, the cable and the clock of the story."""

    def __init__(self):
        prefix = f"story{os.getpid()}-"
        self.inner = f"{prefix}m"
        self.hosts = []
        self.relay = None
        self.outside = self._host("client", f"{prefix}c", "st0", "10.0.0.1", "fd00::1", b"\x02\0\0\0\0\x01")
        self.server = self._host("server", f"{prefix}s", "eth0", SERVER, "fd00::2", b"\x02\0\0\0\0\x02")
        command("ip", "netns", "add", self.inner)
        wire.join(self.outside, self.server, self.inner)
        for host in self.hosts:
            host.defaults()
        self.server.sysctl(tcp_syncookies=0, tcp_max_syn_backlog=256, core__somaxconn=128)
        self.outside.sysctl(ip_local_port_range="40000 40999", tcp_fin_timeout=60, tcp_tw_reuse=0)
        mac = ":".join(f"{byte:02x}" for byte in self.outside.mac)
        for address in (*CLIENTS, *LEAVERS, QUERIER):
            self.outside.run("ip", "addr", "add", f"{address}/24", "dev", "st0")
            self.server.run("ip", "neigh", "replace", address, "lladdr", mac, "dev", "eth0",
                            "nud", "permanent")
        self.relay = wire.Relay(self.inner, 0.0002)
        self.relay.macs = {host.role: host.mac for host in self.hosts}
        for address, seconds in DELAYS.items():
            self.relay.late(lambda p, side, far=address: far in (p.src, p.dst), seconds, count=None)

    def _host(self, *words):
        made = Host(*words)
        self.hosts.append(made)
        return made

    def begin(self, path):
        with self.server.inside():
            self.tcpdump = subprocess.Popen(
                ["tcpdump", "-i", "eth0", "-w", path, "-s", "96", "-B", "16384", "-n", "-Z", "root",
                 "--time-stamp-precision=nano", "--immediate-mode", "tcp"],
                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        for line in self.tcpdump.stderr:
            if b"listening on" in line:
                break
        self.zero = time.monotonic()

    def now(self):
        return time.monotonic() - self.zero

    def until(self, moment):
        time.sleep(max(0.0, moment - self.now()))

    def end(self):
        self.tcpdump.send_signal(2)
        text = self.tcpdump.stderr.read().decode()
        self.tcpdump.wait()
        return text

    def dismantle(self):
        if self.relay is not None:
            self.relay.stop()
        for host in self.hosts:
            host.dismantle()
        command("ip", "netns", "del", self.inner, check=False)


def service(stage, port, size, closes=True):
    """Answers every request with `size` bytes; with closes=False it forgets to close."""
    listener = stage.server.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((SERVER, port))
    listener.listen(128)
    listener.settimeout(None)
    leaked = []

    def answer(made):
        with contextlib.suppress(OSError):
            while made.recv(4096):
                made.sendall(b"a" * size)
            if not closes:
                leaked.append(made)
                return
        made.close()

    def run():
        with contextlib.suppress(OSError):
            while True:
                made, _ = listener.accept()
                threading.Thread(target=answer, args=(made,), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return leaked


def ask(stage, source, port, ask_size=180):
    """One connection: request, answer, close. Returns the seconds until connected, or None."""
    with stage.outside.inside():
        made = socket.socket()
    with made:
        made.settimeout(16)
        made.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        made.bind((source, 0))
        begun = time.monotonic()
        try:
            made.connect((SERVER, port))
            took = time.monotonic() - begun
            made.sendall(b"q" * ask_size)
            made.recv(65536)
            return took
        except OSError:
            return None


def healthy(stage, source, results):
    dice = random.Random(f"{SEED}{source}")
    stage.until(dice.random())
    while stage.now() < SECONDS - 2:
        begun = stage.now()
        results.append((begun, ask(stage, source, 443)))
        time.sleep(max(0.0, begun + dice.uniform(0.8, 1.2) - stage.now()))


def leavers(stage):
    dice = random.Random(SEED + 1)
    stage.until(4)
    while stage.now() < SECONDS - 2:
        ask(stage, dice.choice(LEAVERS), 8080, 300)
        time.sleep(dice.uniform(0.6, 1.2))


def querier(stage):
    stage.until(8)
    number = 0
    while stage.now() < 32:
        ask(stage, QUERIER, 5432, 60)
        number += 1
        stage.until(8 + number / 25)


def flood(stage):
    dice = random.Random(SEED + 2)
    total = int((FLOOD_TO - FLOOD_FROM) * FLOOD_RATE)
    for number in range(total):
        stage.until(FLOOD_FROM + number / FLOOD_RATE)
        source = f"198.{dice.choice((18, 19))}.{dice.randrange(256)}.{dice.randrange(1, 255)}"
        stage.outside.inject(build_tcp(
            source, SERVER, dice.randrange(1024, 65536), 443, dice.randrange(1 << 32), flags=SYN,
            window=1024, options=b"\x02\x04\x05\xb4", ttl=dice.randrange(40, 60),
            ip_id=dice.randrange(1 << 16)))


def summary(results):
    for name, low, high in (("before", 0, FLOOD_FROM), ("during", FLOOD_FROM, FLOOD_TO),
                            ("after", FLOOD_TO, SECONDS)):
        part = [took for begun, took in results if low <= begun < high]
        good = sorted(took for took in part if took is not None)
        middle = f"{good[len(good) // 2] * 1000:.1f} ms" if good else "-"
        slow = sum(1 for took in good if took > 0.9)
        print(f"{name:7} {len(part):4} attempts, {len(good):4} served, {slow:3} of them only after a"
              f" repeated SYN, median handshake {middle}")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "..", "testdata")
    path = os.path.join(os.path.abspath(folder), "story.pcap")
    stage = Stage()
    try:
        service(stage, 443, 900)
        leaked = service(stage, 8080, 600, closes=False)
        service(stage, 5432, 200)
        stage.begin(path)
        results = []
        workers = [threading.Thread(target=healthy, args=(stage, source, results), daemon=True)
                   for source in CLIENTS]
        workers += [threading.Thread(target=work, args=(stage,), daemon=True)
                    for work in (leavers, querier, flood)]
        for worker in workers:
            worker.start()
        stage.until(SECONDS)
        print(stage.end().strip())
        with open(os.path.join(os.path.dirname(path), "story.sysctl"), "w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in stage.server.sysctl_text().splitlines()
                            if KEPT_SYSCTLS.match(line))
        summary(results)
        print(f"{len(leaked)} sockets leaked in CLOSE-WAIT; {path}: {os.path.getsize(path)} bytes")
    finally:
        stage.dismantle()


if __name__ == "__main__":
    main()
