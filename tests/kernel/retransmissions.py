#!/usr/bin/python3
"""Records transfers with scripted damage, and what the kernel itself counted about them.

Each run leaves two captures, one per host, and `counters.json`: the TCP counters of both hosts'
namespaces, in which nothing else ran. Needs root, Linux, tcpdump, nft, iproute2, ethtool.

    tests/kernel/retransmissions.py --out testdata/retransmissions [NAME...]
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import scenario  # noqa: E402
from matches import data, every, every_new, first_and_again, once_from, pure_ack  # noqa: E402
from scenario import Net, Scenario  # noqa: E402
from scenarios import loss  # noqa: E402
from scenarios.loss import download, finish  # noqa: E402

SERVER_DATA = data("server")

KEPT = {
    "Tcp": ("OutSegs", "RetransSegs"),
    "TcpExt": ("TCPTimeouts", "TCPLossProbes", "TCPLossProbeRecovery", "TCPFastRetrans",
               "TCPSlowStartRetrans", "TCPLostRetransmit", "TCPSackRecovery", "TCPRenoRecovery",
               "TCPSpuriousRTOs", "TCPDSACKRecv", "TCPDSACKOfoRecv", "TCPSynRetrans",
               "TCPKeepAlive", "TCPWinProbe", "TCPFromZeroWindowAdv", "TCPToZeroWindowAdv",
               "TCPSpuriousRtxHostQueues", "TCPOFOQueue"),
}
RUNS = {}


def run(function=None, **settings):
    """Registers a run; its docstring says what it shows."""

    def register(function):
        settings.setdefault("relay", True)
        description = " ".join(function.__doc__.split())
        RUNS[function.__name__] = Scenario(function.__name__, function, description, polled=(),
                                           snaplen=96, **settings)
        return function

    return register(function) if function else register


def same(name, function, **settings):
    """Registers a scenario of the state laboratory under a name of this one."""

    def again(net):
        function(net)

    again.__name__, again.__doc__ = name, function.__doc__
    run(again, **settings)


same("tail_loss", loss.last_segment_lost)
same("fast_by_sack", loss.third_segment_lost)
same("fast_without_sack", loss.without_sack)
same("retransmission_lost", loss.retransmission_lost_too, seconds=6)
same("duplicated", loss.duplicated)


@run
def tail_loss_of_three(net):
    """The last three segments are lost: the probe brings SACK, and that repeats the others."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.drop(once_from(1448 * 6, SERVER_DATA), count=3)
    download(net, client, server, 1448 * 9)
    finish(net, client, server)


@run(seconds=12)
def timeouts_with_backoff(net):
    """One segment is lost five times: a probe, then timeouts that double."""
    client, server = net.pair()
    net.relay.drop(first_and_again(SERVER_DATA), count=5)
    download(net, client, server, 1000)
    finish(net, client, server)


@run(seconds=12)
def timeouts_without_sack(net):
    """One segment is lost four times, without SACK: no probe, timeouts that double."""
    for host in net.hosts:
        host.sysctl(tcp_sack=0)
    client, server = net.pair()
    net.relay.drop(first_and_again(SERVER_DATA), count=4)
    download(net, client, server, 1000)
    finish(net, client, server)


@run(seconds=12)
def timeout_of_a_window(net):
    """A whole flight is lost, and its probe: a timeout, and then one segment after the other."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.drop(SERVER_DATA, count=9)
    download(net, client, server, 1448 * 8)
    finish(net, client, server)


@run
def fast_by_sack_many_holes(net):
    """Every fourth segment is lost once: many holes, all known from SACK."""
    client, server = net.pair()
    net.relay.drop(every_new(4, SERVER_DATA, 30), count=None)
    download(net, client, server, 60000)
    finish(net, client, server)


@run
def fast_without_timestamps(net):
    """Two segments are lost, with SACK and without timestamps."""
    for host in net.hosts:
        host.sysctl(tcp_timestamps=0)
    client, server = net.pair()
    net.relay.drop(SERVER_DATA, nth=3)
    net.relay.drop(SERVER_DATA, nth=9)
    download(net, client, server, 40000)
    finish(net, client, server)


@run(delay=0.01)
def reordered(net):
    """Every fifth data segment is 2 ms late on a path of 20 ms: reordering, no loss."""
    client, server = net.pair()
    net.relay.late(every(5, SERVER_DATA), 0.002, count=None)
    download(net, client, server, 60000)
    finish(net, client, server)


@run
def reordered_far(net):
    """Every third segment comes so late that the sender repeats it: D-SACK."""
    client, server = net.pair()
    net.relay.late(every(3, SERVER_DATA), 0.012, count=None)
    download(net, client, server, 60000)
    finish(net, client, server)


@run
def spurious_timeout(net):
    """One direction stalls for 0.7 s: probe and timeout, although nothing was lost."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.hold(SERVER_DATA, count=None)
    server.sendall(b"d" * 500)
    net.wait(0.7)
    net.relay.rules.clear()
    net.relay.release()
    net.read(client, 500)
    net.exchange(client, server)
    finish(net, client, server)


@run
def acknowledgments_lost(net):
    """All acknowledgments of a transfer's end are lost: the sender repeats what had arrived."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.drop(pure_ack("client"), count=3)
    server.sendall(b"d" * 2000)
    net.read(client, 2000)
    net.wait(1.2)
    finish(net, client, server)


@run(seconds=12)
def zero_window(net):
    """The receiver does not read for three seconds: the window closes and is probed."""
    listener = net.listen(setup=lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20))
    client = net.dial(80, block=True, setup=lambda s: s.setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, 8192))
    server = net.accept(listener)
    size = 60000
    sender = threading.Thread(target=server.sendall, args=(b"z" * size,))
    sender.start()
    net.wait(3)
    net.read(client, size)
    sender.join()
    finish(net, client, server)


@run(seconds=12)
def keep_alives(net):
    """Keep-alives every second on an idle connection, all answered."""
    client, server = net.pair()
    net.exchange(client, server)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    net.wait(4.3)
    finish(net, client, server)


@run(seconds=8)
def control_segments_lost(net):
    """A SYN, a SYN-ACK and a FIN are lost once each."""
    net.relay.drop(lambda p, side: side == "client" and p.bare_syn)
    net.relay.drop(lambda p, side: side == "server" and p.syn_ack)
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.drop(lambda p, side: side == "client" and p.fin)
    finish(net, client, server)


@run(relay=False)
def offload(net):
    """Super-segments: the receiver's firewall drops packets of the sender's big bursts."""
    client, server = net.pair()
    net.exchange(client, server)
    net.client.drop_input("tcp sport 80 ip length > 1000 numgen inc mod 3 == 1")
    dropping = threading.Timer(0.05, net.client.allow)
    dropping.start()
    download(net, client, server, 400000)
    dropping.join()
    finish(net, client, server)


@run(relay=False)
def offload_at_the_sender_only(net):
    """The sender hands over super-segments, the receiver gets and acknowledges small ones."""
    net.client.run("ethtool", "-K", net.client.device, "gro", "off", "lro", "off", check=False)
    net.server.run("ethtool", "-K", net.server.device, "tso", "off", "gso", "off", check=False)
    client, server = net.pair()
    net.exchange(client, server)
    download(net, client, server, 200000)
    finish(net, client, server)


def counters(host):
    """What the host's namespace counted: {name: value}."""
    with host.inside():
        texts = []
        for name in ("snmp", "netstat"):
            with open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
                texts += file.read().splitlines()
    kept = {}
    for names, values in zip(texts[::2], texts[1::2]):
        group, _, names = names.partition(":")
        for name, value in zip(names.split(), values.partition(":")[2].split()):
            if name in KEPT.get(group, ()):
                kept[name] = int(value)
    return kept


def total_retrans(sock):
    """`retrans` of `ss -ti`, the total over the socket's life (struct tcp_info)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("=I", info, 100)[0]


def record(number, spec, out):
    directory = os.path.join(out, spec.name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    net = Net(spec, number, f"rtx{os.getpid()}-", directory, True)
    try:
        net.observe()
        spec.function(net)
        time.sleep(0.3)
        counted = {host.role: counters(host) for host in net.hosts}
        net.conclude()
        lost = net.lost_frames
    finally:
        net.dismantle()
    for name in ("polls.pickle", "facts.json", "client.sysctl", "server.sysctl"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(directory, name))
    if lost:
        raise RuntimeError(f"tcpdump lost {lost} frames")
    truth = {"run": spec.name, "description": spec.description, "kernel": os.uname().release,
             "counters": counted}
    with open(os.path.join(directory, "counters.json"), "w", encoding="ascii") as file:
        json.dump(truth, file, indent=1)
        file.write("\n")
    return counted


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    failed = 0
    for number, spec in enumerate(RUNS.values()):
        if options.names and spec.name not in options.names:
            continue
        try:
            counted = record(number, spec, os.path.abspath(options.out))
        except (OSError, RuntimeError, scenario.Failed, AssertionError) as error:
            print(f"failed   {spec.name:30} {error}")
            failed += 1
            continue
        told = {role: {name: value for name, value in found.items() if value and name != "OutSegs"}
                for role, found in counted.items()}
        print(f"ran      {spec.name:30} {told}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
