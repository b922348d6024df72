"""Damage on the way: loss, reordering, duplication, delay, scripted and seeded at random."""

import random
import threading

from matches import data, every, first_and_again, pure_ack, short_data
from scenario import scenario

BOTH = (4, 6)


def download(net, client, server, size):
    """The server sends `size` bytes while the client reads."""
    sender = threading.Thread(target=server.sendall, args=(b"d" * size,))
    server.settimeout(30)
    client.settimeout(30)
    sender.start()
    net.read(client, size)
    sender.join()


def finish(net, client, server):
    client.close()
    net.reach(server, "CLOSE-WAIT", timeout=20)
    server.close()
    net.until(lambda: not net.count(net.server, "LAST-ACK"), 20, "the end of LAST-ACK")


@scenario(families=BOTH, relay=True, seconds=5)
def third_segment_lost(net):
    """The third data segment is lost: duplicate ACKs, fast retransmission."""
    client, server = net.pair()
    net.relay.drop(data("server"), nth=3)
    download(net, client, server, 40000)
    finish(net, client, server)


@scenario(families=BOTH, relay=True, seconds=5)
def last_segment_lost(net):
    """The last data segment is lost: a tail loss probe or the timer repeats it."""
    client, server = net.pair()
    net.relay.drop(short_data("server"))
    download(net, client, server, 14480 + 500)
    finish(net, client, server)


@scenario(families=BOTH, relay=True, seconds=6)
def retransmission_lost_too(net):
    """A segment and its repetition are lost: the timer repeats it again."""
    client, server = net.pair()
    net.relay.drop(first_and_again(data("server")), count=2)
    download(net, client, server, 30000)
    finish(net, client, server)


@scenario(families=BOTH, relay=True, seconds=6)
def without_sack(net):
    """Loss without SACK: only the cumulative ACK tells."""
    for host in net.hosts:
        host.sysctl(tcp_sack=0)
    client, server = net.pair()
    net.relay.drop(data("server"), nth=2)
    net.relay.drop(data("server"), nth=6)
    download(net, client, server, 40000)
    finish(net, client, server)


@scenario(families=BOTH, relay=True, seconds=4)
def reordered(net):
    """Every third data segment is 3 ms late: reordering, no loss."""
    client, server = net.pair()
    net.relay.late(every(3, data("server")), 0.003, count=None)
    download(net, client, server, 60000)
    finish(net, client, server)


@scenario(families=BOTH, relay=True, seconds=4)
def duplicated(net):
    """Every data segment arrives twice: D-SACK."""
    client, server = net.pair()
    net.relay.duplicate(data("server"), count=None, after=0.001)
    download(net, client, server, 30000)
    finish(net, client, server)


@scenario(families=BOTH, relay=True, seconds=5)
def spurious_timeout(net):
    """One direction stalls for 0.5 s: the timer fires although nothing was lost."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.hold(data("server"), count=3)
    server.sendall(b"d" * 500)
    net.wait(0.5)
    net.relay.release()
    net.read(client, 500)
    net.exchange(client, server)


@scenario(families=BOTH, relay=True, seconds=4)
def acks_lost(net):
    """Half of the pure ACKs are lost; later ones cover them."""
    client, server = net.pair()
    net.relay.drop(every(2, pure_ack("client")), count=None)
    download(net, client, server, 60000)
    finish(net, client, server)


def impair(net, seed, loss=0.0, late=0.0, double=0.0, seconds=0.004):
    """Seeded random damage in both directions; the seed fixes the dice, not the kernel's timing."""
    dice = random.Random(seed)
    if loss:
        net.relay.drop(lambda p, side: dice.random() < loss, count=None)
    if late:
        net.relay.late(lambda p, side: dice.random() < late, seconds, count=None)
    if double:
        net.relay.duplicate(lambda p, side: dice.random() < double, count=None, after=0.001)


@scenario(families=BOTH, relay=True, seconds=25, deterministic=False)
def storm_one_connection(net):
    """5 % loss, 10 % reordering and 3 % duplication on one transfer."""
    impair(net, 7, 0.05, 0.10, 0.03)
    client, server = net.pair()
    download(net, client, server, 150000)
    finish(net, client, server)


@scenario(families=BOTH, relay=True, seconds=25, deterministic=False)
def storm_many_connections(net):
    """Thirty short connections through 8 % loss, reordering and duplication."""
    impair(net, 11, 0.08, 0.10, 0.03)
    listener = net.listen()
    pairs = []
    for _ in range(30):
        client = net.dial(80)
        client.settimeout(25)
        pairs.append(client)
    listener.settimeout(25)
    servers = [net.accept(listener) for _ in pairs]
    for client in pairs:
        client.sendall(b"q" * 3000)
    for server in servers:
        server.settimeout(25)
        net.read(server, 3000)
        server.sendall(b"a" * 3000)
    for client in pairs:
        net.read(client, 3000)
        client.close()
    for server in servers:
        net.reach(server, "CLOSE-WAIT", timeout=25)
        server.close()
    net.wait(2)


@scenario(families=BOTH, relay=True, delay=0.03, seconds=5)
def slow_path(net):
    """30 ms each way and no damage: both taps see everything at different times."""
    client, server = net.pair()
    net.exchange(client, server, 20000)
    finish(net, client, server)
    net.await_table(net.client, "TIME-WAIT")
