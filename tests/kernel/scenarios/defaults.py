"""The kernel's own defaults waited out: what happens in the minute of an orphan's FIN-WAIT-2, and at its end.

With tcp_fin_timeout=60 that lasts as long as TIME-WAIT, so that the length of a timer tells nothing.
"""

import socket

from packet import SYN
from scenario import scenario

BOTH = (4, 6)
WRITE = socket.SHUT_WR
DEFAULTS = {"tcp_fin_timeout": 60, "tcp_syn_linear_timeouts": 4, "tcp_max_syn_backlog": 2048,
            "tcp_max_tw_buckets": 131072, "tcp_no_metrics_save": 0}


def orphan(net, wait=0.0, **words):
    """A connection whose client has closed, this long ago: (names of the client's socket, server)."""
    client, server = net.pair(**words)
    net.exchange(client, server)
    names = client.getsockname(), client.getpeername()
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.await_table(net.client, "FIN-WAIT-2")
    if wait:
        net.wait(wait)
    return names, server


def shut_down(net):
    """A connection whose client is shut down, but not closed: (client, server)."""
    client, server = net.pair()
    net.exchange(client, server)
    client.shutdown(WRITE)
    net.reach(client, "FIN-WAIT-2")
    return client, server


def later(net):
    """Shows that time went on."""
    net.reach(net.dial(81), "CLOSED")


@scenario(families=BOTH, seconds=72, sysctl=DEFAULTS, poll=0.05)
def default_fin_wait_2_runs_out(net):
    """tcp_fin_timeout=60, the default: the orphan is gone after a minute, and its FIN-WAIT-2 was no TIME-WAIT."""
    orphan(net)
    net.await_table(net.client, "FIN-WAIT-2", 0, timeout=75)
    later(net)


def fin_after(seconds, then=0.3):
    def attempt(net):
        _, server = orphan(net, seconds)
        server.close()
        net.wait(then)
        later(net)

    attempt.__doc__ = f"The FIN comes {seconds} s into an orphan's FIN-WAIT-2 of a minute."
    name = f"default_fin_wait_2_fin_after_{str(seconds).replace('.', '_')}" + ("_waited_out" if then > 1 else "")
    scenario(families=BOTH, name=name, seconds=seconds + then + 4, sysctl=DEFAULTS, poll=0.05)(attempt)


for _seconds in (0.001, 0.05, 5, 50, 59.5, 66):
    fin_after(_seconds)
fin_after(0, 66)
fin_after(20, 66)
fin_after(59, 66)


@scenario(families=BOTH, seconds=10, sysctl=DEFAULTS)
def default_fin_wait_2_gets_data(net):
    """Data after 3 s: RST, and the orphan is gone."""
    _, server = orphan(net, 3.0)
    server.sendall(b"late")
    net.reach(server, "CLOSED")
    net.wait(0.1)


@scenario(families=BOTH, seconds=10, sysctl=DEFAULTS)
def default_fin_wait_2_gets_reset(net):
    """The peer aborts after 3 s."""
    _, server = orphan(net, 3.0)
    net.linger_zero(server)
    server.close()
    net.await_table(net.client, "FIN-WAIT-2", 0)
    net.wait(0.1)


@scenario(families=BOTH, seconds=72, sysctl=DEFAULTS, poll=0.05)
def default_fin_wait_2_gets_keep_alives(net):
    """Keep-alive probes are answered by what is left of the socket, and lengthen nothing."""
    _, server = orphan(net)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 7), (socket.TCP_KEEPINTVL, 7), (socket.TCP_KEEPCNT, 4)):
        server.setsockopt(socket.IPPROTO_TCP, option, value)
    net.await_table(net.client, "FIN-WAIT-2", 0, timeout=75)
    net.wait(8)
    later(net)


@scenario(families=BOTH, seconds=75, sysctl=DEFAULTS, poll=0.05)
def default_shutdown_waits_longer(net):
    """A socket that is only shut down stays in FIN-WAIT-2 beyond the minute; then the FIN comes."""
    client, server = shut_down(net)
    net.wait(66)
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, seconds=80, sysctl=DEFAULTS, poll=0.05)
def default_shutdown_waits_and_reads(net):
    """A socket that is only shut down gets data after 10, 30 and 66 s; then the FIN comes."""
    client, server = shut_down(net)
    for seconds in (10, 20, 36):
        net.wait(seconds)
        server.sendall(b"a" * 100)
        net.read(client, 100)
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, seconds=10, sysctl=DEFAULTS)
def default_close_wait_many(net):
    """Twenty orphans; of their servers every third closes, every third speaks, every third resets."""
    listener = net.listen()
    servers = []
    for _ in range(20):
        client, server = net.pair(listener=listener)
        net.exchange(client, server)
        client.close()
        net.reach(server, "CLOSE-WAIT")
        servers.append(server)
    net.await_table(net.client, "FIN-WAIT-2", 20)
    net.wait(0.5)
    for number, server in enumerate(servers):
        if number % 3 == 1:
            server.sendall(b"late")
        elif number % 3 == 2:
            net.linger_zero(server)
            server.close()
        else:
            server.close()
        net.wait(0.01)
    net.wait(0.5)


@scenario(families=BOTH, seconds=140, sysctl=DEFAULTS, poll=0.1)
def default_syn_black_hole(net):
    """Nobody answers: tcp_syn_retries=6 behind four linear timeouts, 131 s in all."""
    net.server.drop_input("tcp dport 80")
    client = net.dial(80)
    net.reach(client, "CLOSED", timeout=150)
    net.server.allow()
    later(net)


@scenario(families=BOTH, seconds=75, sysctl=DEFAULTS, poll=0.05)
def default_half_open_expires(net):
    """Nobody acknowledges the SYN-ACK: tcp_synack_retries=5, 63 s."""
    net.listen()
    source = ("198.18.0.1" if net.family == 4 else "fd99::1", 1234)
    net.client.inject(net.forge(source, net.at(net.server, 80), 1000, flags=SYN))
    net.await_table(net.server, "SYN-RECEIVED")
    net.await_table(net.server, "SYN-RECEIVED", 0, timeout=80)
    later(net)


@scenario(families=BOTH, seconds=140, sysctl=DEFAULTS, poll=0.1)
def default_orphan_dies_in_fin_wait_1(net):
    """The FIN is never acknowledged: tcp_orphan_retries=0 means eight."""
    client, server = net.pair()
    net.exchange(client, server)
    net.server.drop_input("tcp dport 80")
    client.close()
    net.await_table(net.client, "FIN-WAIT-1", 0, timeout=150)
    net.wait(0.2)


@scenario(families=BOTH, seconds=140, sysctl=DEFAULTS, poll=0.1)
def default_orphan_dies_in_last_ack(net):
    """The second FIN is never acknowledged; the first orphan's minute runs out before."""
    _, server = orphan(net)
    net.client.drop_input("tcp sport 80")
    server.close()
    net.await_table(net.server, "LAST-ACK", 0, timeout=150)
    net.wait(0.2)


@scenario(families=BOTH, seconds=75, sysctl={**DEFAULTS, "tcp_timestamps": 0}, poll=0.05)
def default_fin_wait_2_ports_again(net):
    """The server's port in an orphan's FIN-WAIT-2 meets a new SYN of the same client, after 2 s and 64 s."""
    listener = net.listen()
    client, server = net.pair(listener=listener, source=43000)
    net.exchange(client, server)
    server.close()
    net.reach(client, "CLOSE-WAIT")
    net.await_table(net.server, "FIN-WAIT-2")
    net.wait(2)
    net.client.drop_output("tcp flags & rst == rst")
    net.client.kill("state", "close-wait")
    net.client.allow()
    again = net.dial(source=43000)
    net.wait(64)
    net.note(f"second: {net.state(again)}")
    later(net)


@scenario(families=BOTH, seconds=6, sysctl=DEFAULTS, relay=True, delay=0.005)
def default_fin_behind_the_ack(net):
    """The acknowledgment of the FIN, and the FIN itself, arrive together."""
    for number in range(6):
        client, server = net.pair(port=80 + number)
        net.exchange(client, server)
        held = net.relay.hold(lambda p, side: side == "server", count=None)
        client.close()
        net.reach(server, "CLOSE-WAIT")
        net.wait(0.06)
        server.close()
        net.wait(0.02)
        net.relay.forget(held)
        net.relay.release(2)
        net.wait(0.1)
