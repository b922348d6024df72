"""Polls the socket table of a namespace through sock_diag: the second witness beside the trace.

What `ss -tan` shows, as numbers: state and tuple of every full, request and timewait socket. Polls
are stored as (time before, time after, {(local, remote): state}); truth.py compares them.
"""

import socket
import struct
import threading
import time

STATES = {1: "ESTABLISHED", 2: "SYN-SENT", 3: "SYN-RECEIVED", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2",
          6: "TIME-WAIT", 7: "CLOSED", 8: "CLOSE-WAIT", 9: "LAST-ACK", 10: "LISTEN",
          11: "CLOSING", 12: "SYN-RECEIVED"}
SOCK_DIAG_BY_FAMILY, NLMSG_DONE, NLMSG_ERROR = 20, 3, 2
REQUEST_AND_DUMP = 0x301


def join_port(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def plain(packed):
    """Text of an address; a v4-mapped one as the wire shows it."""
    if len(packed) == 16 and packed[:12] == b"\0" * 10 + b"\xff\xff":
        packed = packed[12:]
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def dump(netlink, family):
    """{(local, remote): state} of all TCP sockets of one family, listeners left out."""
    number = socket.AF_INET if family == 4 else socket.AF_INET6
    body = struct.pack("=BBBBI", number, socket.IPPROTO_TCP, 0, 0, 0xFFF & ~(1 << 10)) + b"\0" * 48
    netlink.send(struct.pack("=IHHII", 16 + len(body), SOCK_DIAG_BY_FAMILY, REQUEST_AND_DUMP, 1, 0)
                 + body)
    table = {}
    while True:
        data = netlink.recv(262144)
        at = 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind == NLMSG_DONE:
                return table
            if kind == NLMSG_ERROR:
                raise OSError(-struct.unpack_from("=i", data, at + 16)[0], "sock_diag")
            af, state = data[at + 16], data[at + 17]
            sport, dport = struct.unpack_from("!HH", data, at + 20)
            size = 4 if af == socket.AF_INET else 16
            local = join_port(plain(data[at + 24:at + 24 + size]), sport)
            remote = join_port(plain(data[at + 40:at + 40 + size]), dport)
            if dport:
                table[local, remote] = STATES.get(state, str(state))
            at += length + 3 & ~3


class Poller:
    """Polls one host until `stop`; slower when nothing has changed for a while."""

    def __init__(self, host, families, interval):
        self.families, self.interval = families, interval
        self.polls = []
        with host.inside():
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
        self._netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        quiet, last, stopping = 0, None, False
        while not stopping:
            stopping = self._stopping.is_set()  # What changed since the last poll: one more.
            before = time.time_ns()
            table = {}
            for family in self.families:
                table.update(dump(self._netlink, family))
            after = time.time_ns()
            self.polls.append((before, after, table))
            quiet = quiet + 1 if table == last else 0
            last = table
            spent = (after - before) / 1e9
            self._stopping.wait(min(0.25, max(self.interval * (1 + quiet // 8), spent * 4)))

    def stop(self):
        self._stopping.set()
        self._thread.join(5)
        self._netlink.close()
        return self.polls
