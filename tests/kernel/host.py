"""One host of the laboratory: a network namespace with one device, its settings and its sockets.

Every scenario gets addresses and device names of its own, so that a kernel event can be assigned
by address alone (namespace numbers and socket pointers are recycled). Entering a namespace changes
only the calling thread; sockets stay in the namespace in which they were made.
"""

import contextlib
import ctypes
import os
import socket
import struct
import subprocess

from packet import parse_ip

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
HOME = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

# Everything that changes a state or a time below; defaults differ between kernels and distributions.
SETTINGS = {
    "net.core.somaxconn": 4096,
    "net.ipv4.ip_local_port_range": "32768 60999",
    "net.ipv4.tcp_abort_on_overflow": 0,
    "net.ipv4.tcp_congestion_control": "reno",
    "net.ipv4.tcp_ecn": 2,
    "net.ipv4.tcp_fastopen": 1,
    "net.ipv4.tcp_fin_timeout": 30,
    "net.ipv4.tcp_keepalive_intvl": 75,
    "net.ipv4.tcp_keepalive_probes": 9,
    "net.ipv4.tcp_keepalive_time": 7200,
    "net.ipv4.tcp_max_syn_backlog": 1024,
    "net.ipv4.tcp_max_tw_buckets": 16384,
    "net.ipv4.tcp_no_metrics_save": 1,
    "net.ipv4.tcp_orphan_retries": 0,
    "net.ipv4.tcp_retries1": 3,
    "net.ipv4.tcp_retries2": 15,
    "net.ipv4.tcp_rfc1337": 0,
    "net.ipv4.tcp_rto_max_ms": 120000,
    "net.ipv4.tcp_rto_min_us": 200000,
    "net.ipv4.tcp_sack": 1,
    "net.ipv4.tcp_syn_linear_timeouts": 0,
    "net.ipv4.tcp_syn_retries": 6,
    "net.ipv4.tcp_synack_retries": 5,
    "net.ipv4.tcp_syncookies": 1,
    "net.ipv4.tcp_timestamps": 1,
    "net.ipv4.tcp_tw_reuse": 2,
    "net.ipv4.tcp_window_scaling": 1,
}
OPTIONAL = {"net.ipv4.tcp_rto_max_ms", "net.ipv4.tcp_rto_min_us", "net.ipv4.tcp_syn_linear_timeouts"}


class Missing(Exception):
    """The kernel lacks what a scenario needs: the scenario is skipped, not failed."""


def command(*words, text=None, check=True):
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Host:
    """`name` is the namespace, `role` is client or server, `device` its only real device."""

    def __init__(self, role, name, device, address, address6, mac):
        self.role, self.name, self.device, self.mac = role, name, device, mac
        self.address, self.address6 = address, address6
        self.addresses = [address, address6]
        self.peer_mac = None
        self.sockets, self.forged = [], []
        self._raw = None
        command("ip", "netns", "add", name)
        self.fd = os.open(f"/var/run/netns/{name}", os.O_RDONLY)

    @contextlib.contextmanager
    def inside(self):
        """The calling thread is in this host's namespace for the time of the block."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if LIBC.setns(self.fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            LIBC.setns(before, CLONE_NEWNET)
            os.close(before)

    def run(self, *words, text=None, check=True):
        with self.inside():
            return command(*words, text=text, check=check)

    def sysctl(self, **settings):
        """host.sysctl(tcp_fin_timeout=5): net.ipv4 unless the name holds two underscores (core__somaxconn)."""
        for name, value in settings.items():
            full = name.replace("__", ".") if "__" in name else f"ipv4.{name}"
            self.write_sysctl(f"net.{full}", value)

    def write_sysctl(self, name, value):
        path = "/proc/sys/" + name.replace(".", "/")
        with self.inside():
            try:
                with open(path, "w", encoding="ascii") as file:
                    file.write(str(value))
            except FileNotFoundError:
                if name not in OPTIONAL:
                    raise Missing(f"{name} does not exist here") from None

    def defaults(self):
        for name, value in SETTINGS.items():
            self.write_sysctl(name, value)

    def socket(self, family=4, kind=socket.SOCK_STREAM, protocol=0):
        """A kept socket: nothing closes it but the scenario, or the end after the capture."""
        with self.inside():
            made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind, protocol)
        made.settimeout(10)
        self.sockets.append(made)
        return made

    def inject(self, packet):
        """Sends an IP packet (bytes) out of this host's device, unseen by its own TCP."""
        self.forged.append(parse_ip(packet))
        self.send_frame(0x0800 if packet[0] >> 4 == 4 else 0x86DD, packet)

    def send_frame(self, kind, body):
        """Sends an Ethernet frame of this kind to the peer."""
        if self._raw is None:
            with self.inside():
                self._raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._raw.bind((self.device, 0))
        self._raw.send(self.peer_mac + self.mac + struct.pack("!H", kind) + body)

    def drop_input(self, *matches):
        """The receiver ignores what matches (nft syntax), after its capture has seen it."""
        self._drop("input", matches)

    def drop_output(self, *matches):
        """The sender's own firewall eats what matches, before its capture sees it."""
        self._drop("output", matches)

    def _drop(self, hook, matches):
        rules = "\n".join(f"  {match} counter drop" for match in matches)
        self.run("nft", "-f", "-", text=(
            f"table inet lab_{hook} {{ chain {hook} {{\n"
            f"  type filter hook {hook} priority 0;\n{rules}\n }}\n}}\n"))

    def allow(self):
        """Removes every firewall rule."""
        self.run("nft", "flush", "ruleset")

    def kill(self, *filters):
        """Destroys sockets as an administrator would (`ss -K`)."""
        self.run("ss", "-K", "-t", *filters)

    def sysctl_text(self):
        return self.run("sysctl", "-a", "-r", r"^net\.(ipv4|core|mptcp)\.", check=False)

    def dismantle(self):
        for kept in self.sockets:
            with contextlib.suppress(OSError):
                kept.close()
        if self._raw is not None:
            self._raw.close()
        with contextlib.suppress(OSError):
            os.close(self.fd)
        command("ip", "netns", "del", self.name, check=False)
