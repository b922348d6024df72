"""The listener's two queues: backlog, overflow, abort, floods, a listener that goes away."""

import random
import socket

from packet import SYN
from scenario import scenario

BOTH = (4, 6)


def fill(net, count, port=80):
    """Clients that connect and are never accepted."""
    return [net.dial(port, block=True) for _ in range(count)]


def flood(net, count, pause=0.0, seed=1, options=b"\x02\x04\x05\xb4"):
    """Spoofed SYNs, one for each source; the sources do not exist."""
    chance = random.Random(seed)
    for number in range(count):
        if net.family == 4:
            source = f"198.18.{number >> 8 & 255}.{number & 255 or 1}"
        else:
            source = f"fd99::{number + 1:x}"
        net.client.inject(net.forge((source, chance.randrange(1024, 65536)), net.at(net.server, 80),
                                    chance.randrange(1 << 32), flags=SYN,
                                    options=options))
        if pause:
            net.wait(pause)


def overflow(net):
    """Two handshakes race for one place: (listener, the client that got it, the one that did not)."""
    listener = net.listen(backlog=2)
    fill(net, 2)
    held = net.relay.hold(lambda p, side: side == "client" and not p.bare_syn, count=None)
    clients = [net.dial(80), net.dial(80)]
    for client in clients:
        net.reach(client, "ESTABLISHED")
    net.relay.release(2)
    net.relay.forget(held)
    net.await_table(net.server, "ESTABLISHED", 3)
    return listener, *clients


@scenario(families=BOTH, seconds=9, relay=True)
def accept_overflow_client_sends(net):
    """Accept queue full: the ACK and the data are ignored; accepting later lets it in."""
    listener, _, client = overflow(net)
    client.sendall(b"q" * 100)
    net.await_table(net.server, "SYN-RECEIVED")
    net.wait(0.7)
    servers = [net.accept(listener) for _ in range(4)]
    net.read(servers[3], 100)


@scenario(families=BOTH, seconds=6, relay=True)
def accept_queue_drained_before_the_timer(net):
    """Accept queue full: the ACK and the data are ignored; when the data comes again there is room, long
    before the SYN-ACK would."""
    listener, _, client = overflow(net)
    client.sendall(b"q" * 100)
    net.wait(0.05)
    servers = [net.accept(listener) for _ in range(4)]
    net.read(servers[3], 100)
    net.wait(0.1)


@scenario(families=BOTH, seconds=9, relay=True)
def accept_overflow_ack_only(net):
    """Accept queue full and a silent client: ESTABLISHED here, SYN-RECEIVED there, SYN-ACK repeated,
    until there is room; then the client speaks."""
    listener, _, client = overflow(net)
    net.await_table(net.server, "SYN-RECEIVED")
    servers = [net.accept(listener) for _ in range(4)]
    client.sendall(b"q" * 10)
    net.read(servers[3], 10)


@scenario(families=BOTH, seconds=12, relay=True, server={"tcp_synack_retries": 2})
def accept_overflow_for_ever(net):
    """The queue is never served: the request runs out, the client stays ESTABLISHED alone."""
    _, _, client = overflow(net)
    net.await_table(net.server, "SYN-RECEIVED")
    net.await_table(net.server, "SYN-RECEIVED", 0, timeout=12)
    client.sendall(b"hello?")
    net.reach(client, "CLOSED")


@scenario(families=BOTH, seconds=9, server={"tcp_synack_retries": 2})
def accept_queue_crowded_with_cookies(net):
    """One place, and several SYNs that were ignored come again at once: all are answered with cookies,
    and one acknowledgment is taken; the others are dropped without a trace."""
    listener = net.listen(backlog=0)
    fill(net, 1)
    clients = [net.dial(80) for _ in range(3)]
    net.wait(0.2)
    net.accept(listener)
    for client in clients:
        net.reach(client, "ESTABLISHED")
    net.wait(0.2)
    net.accept(listener)
    clients[1].sendall(b"q" * 10)
    net.wait(0.3)


@scenario(seconds=8, sysctl={"tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0})
def accept_queue_crowded_with_silent_cookies(net):
    """Two places, and four SYNs that were ignored come again at once: two get cookies, whose acknowledgments are
    dropped. There are no options that a cookie would lack: no SYN-ACK comes again, and the FINs bring the cookies
    back later."""
    listener = net.listen(backlog=1)
    fill(net, 2)
    clients = [net.dial(80) for _ in range(4)]
    net.wait(2.5)
    for _ in range(2):
        net.accept(listener)
    for client in clients:
        net.reach(client, "ESTABLISHED")
    for _ in range(2):
        net.accept(listener)
    net.wait(1.6)
    for client in clients:
        client.close()
    net.wait(0.1)


@scenario(families=BOTH, seconds=9, relay=True)
def accept_overflow_with_cookies(net):
    """Backlog 1: four handshakes at once, two of them by cookies that find the queue full. Their clients
    close; the FINs bring the cookies back until there is room."""
    listener = net.listen(backlog=1)
    held = net.relay.hold(lambda p, side: side == "client" and not p.bare_syn, count=None)
    clients = [net.dial(80) for _ in range(4)]
    for client in clients:
        net.reach(client, "ESTABLISHED")
    net.relay.forget(held)
    net.relay.release(4)
    net.await_table(net.server, "ESTABLISHED", 2)
    net.wait(0.05)
    for client in clients[1:]:
        client.close()
    net.wait(0.1)
    for _ in range(4):
        net.accept(listener).close()
    net.wait(0.3)


@scenario(families=BOTH, relay=True, server={"tcp_abort_on_overflow": 1})
def abort_on_overflow(net):
    """tcp_abort_on_overflow=1: the ACK that finds the queue full is answered with RST."""
    _, _, client = overflow(net)
    net.reach(client, "CLOSED")


def backlog_scenario(size):
    def attempt(net):
        net.listen(backlog=size)
        fill(net, size + 1)
        net.dial(80)
        net.wait(2.2)

    attempt.__doc__ = (f"listen({size}) takes {size + 1} connections; the SYN of one more is dropped "
                       "while the accept queue is full.")
    scenario(name=f"backlog_{size}", seconds=5, server={"tcp_syncookies": 0})(attempt)


for _size in (0, 1, 4):
    backlog_scenario(_size)


@scenario(seconds=5, server={"core__somaxconn": 2})
def somaxconn_cuts_the_backlog(net):
    """listen(100) with somaxconn=2: three connections fit."""
    net.listen(backlog=100)
    fill(net, 3)
    net.dial(80)
    net.wait(1.3)


@scenario(families=BOTH, seconds=12, server={"tcp_syncookies": 0, "tcp_max_syn_backlog": 16,
                                             "tcp_synack_retries": 1})
def flood_without_cookies(net):
    """A small SYN queue fills with spoofed SYNs: a real client is ignored until requests run out."""
    listener = net.listen(backlog=16)
    flood(net, 40)
    client = net.dial(80)
    net.wait(0.3)
    server = net.accept(listener)
    net.exchange(client, server)
    net.await_table(net.server, "SYN-RECEIVED", 0)


@scenario(families=BOTH, seconds=11, server={"tcp_syncookies": 1, "tcp_max_syn_backlog": 16,
                                             "tcp_synack_retries": 2})
def flood_with_cookies(net):
    """The same flood with cookies: the real client gets in at once, without a request socket. The second
    repetition of what was kept shows that the rest was not."""
    listener = net.listen(backlog=8)
    flood(net, 40)
    client = net.dial(80, block=True)
    server = net.accept(listener)
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.server, "SYN-RECEIVED", 0)


@scenario(families=BOTH, seconds=10, server={"tcp_syncookies": 1, "tcp_synack_retries": 2})
def flood_with_cookies_goes_on(net):
    """A flood that is answered with cookies, by SYNs with and without options, and some clients; a
    client that comes later shows that the listener was there when nothing was repeated."""
    listener = net.listen(backlog=8)
    flood(net, 30)
    clients = []
    for number in range(16):
        client = net.dial(80, block=True)
        clients.append(client)
        server = net.accept(listener)
        net.wait(0.011 * number)
        net.exchange(client, server)
    flood(net, 8, seed=2, options=b"\x02\x04\x05\xb4\x04\x02\x01\x01\x01\x03\x03\x07")
    for client in clients[::2]:
        client.close()
    net.wait(1.6)
    client = net.dial(80, block=True)
    net.exchange(client, net.accept(listener))


@scenario(families=BOTH, seconds=9, server={"tcp_syncookies": 1, "tcp_synack_retries": 1})
def flood_with_cookies_alone(net):
    """A slow flood, a client behind it, and silence: only what is repeated shows how many were held."""
    listener = net.listen(backlog=5)
    flood(net, 18, pause=0.012)
    client = net.dial(80, block=True)
    net.exchange(client, net.accept(listener))
    net.wait(3.4)


@scenario(seconds=11, server={"tcp_syncookies": 1, "tcp_synack_retries": 2}, client={"tcp_timestamps": 0})
def flood_with_cookies_and_clients(net):
    """A flood of two seconds and a client every now and then: places become free, and are taken."""
    listener = net.listen(backlog=10)
    for turn in range(8):
        flood(net, 8, pause=0.03, seed=turn + 1)
        client = net.dial(80, block=True)
        net.exchange(client, net.accept(listener))
        client.close()
    net.wait(1.3)


@scenario(seconds=9, server={"tcp_syncookies": 1, "tcp_synack_retries": 1, "core__somaxconn": 8})
def flood_with_cookies_and_somaxconn(net):
    """The host allows no listener more than 8: what comes beyond gets cookies, also in a flood that is
    not over when the capture is."""
    net.listen(backlog=1024)
    flood(net, 30, pause=0.002)
    net.wait(0.5)


@scenario(seconds=10, server={"tcp_syncookies": 0, "tcp_max_syn_backlog": 256,
                              "tcp_synack_retries": 5})
def pressure_shortens_retries(net):
    """A SYN queue more than half full gives young requests fewer SYN-ACK retries: what does not
    repeat its SYN-ACK at 7 s is gone. A client that comes later shows that the capture went on."""
    net.listen(backlog=64)
    flood(net, 48, pause=0.002)
    net.wait(8.5)
    net.dial(80, block=True)


@scenario(families=BOTH)
def listener_closed_with_accepted_waiting(net):
    """Closing the listener resets the connections that nobody has accepted."""
    listener = net.listen(backlog=8)
    clients = fill(net, 3)
    net.await_table(net.server, "ESTABLISHED", 3)
    listener.close()
    for client in clients:
        net.reach(client, "CLOSED")


@scenario(families=BOTH, seconds=5, server={"tcp_synack_retries": 1})
def listener_closed_with_requests(net):
    """Pending request sockets outlive their listener until their timer fires."""
    listener = net.listen()
    flood(net, 3)
    net.await_table(net.server, "SYN-RECEIVED", 3)
    listener.close()
    net.await_table(net.server, "SYN-RECEIVED", 0)


@scenario(families=BOTH, relay=True)
def listener_closed_before_final_ack(net):
    """The final ACK finds the listener gone: RST."""
    listener = net.listen()
    net.relay.late(lambda p, side: side == "client" and not p.bare_syn, 0.1)
    client = net.dial(80)
    net.await_table(net.server, "SYN-RECEIVED")
    listener.close()
    net.reach(client, "CLOSED")


@scenario(families=BOTH)
def client_leaves_the_accept_queue(net):
    """A client closes while it waits in the accept queue: accept yields a CLOSE-WAIT socket."""
    listener = net.listen()
    client = net.dial(80, block=True)
    client.close()
    net.await_table(net.server, "CLOSE-WAIT")
    server = net.accept(listener)
    net.wait(0.05)
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH)
def client_aborts_in_the_accept_queue(net):
    """A client aborts while it waits in the accept queue: the server's socket is CLOSED before accept."""
    net.listen()
    client = net.dial(80, block=True)
    net.await_table(net.server, "ESTABLISHED")
    net.linger_zero(client)
    client.close()
    net.await_table(net.server, "ESTABLISHED", 0)


def share(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


@scenario(families=BOTH, seconds=5, relay=True, server={"tcp_migrate_req": 1})
def listener_migrates(net):
    """tcp_migrate_req: what waits at a listener that is closed goes over to another on its port, the
    accepted ones and the half-open ones."""
    one, other = net.listen(setup=share), net.listen(setup=share)
    fill(net, 8)
    net.await_table(net.server, "ESTABLISHED", 8)
    held = net.relay.hold(lambda p, side: side == "client" and not p.bare_syn, count=None)
    clients = [net.dial(80) for _ in range(8)]
    for client in clients:
        net.reach(client, "ESTABLISHED")
    one.close()
    net.relay.forget(held)
    net.relay.release(8)
    for _ in range(16):
        net.accept(other)
    net.await_table(net.server, "ESTABLISHED", 16)


@scenario(seconds=4)
def two_listeners_one_port(net):
    """SO_REUSEPORT: two listeners share a port, eight connections spread over them."""
    net.listen(setup=share)
    net.listen(setup=share)
    clients = fill(net, 8)
    net.await_table(net.server, "ESTABLISHED", 8)
    for client in clients:
        client.close()
    net.await_table(net.server, "CLOSE-WAIT", 8)


@scenario(seconds=9, server={"tcp_syncookies": 1, "tcp_synack_retries": 3}, client={"tcp_timestamps": 0})
def flood_with_cookies_ends_early(net):
    """Two floods, and clients between them without timestamps. What was kept of the first one is repeated
    before any answer of the second one is due, and what was not shows how many places there are."""
    listener = net.listen(backlog=8)
    flood(net, 24, pause=0.002)
    net.wait(0.4)
    for _ in range(3):
        client = net.dial(80, block=True)
        net.exchange(client, net.accept(listener))
    flood(net, 5, pause=0.002, seed=2)
    net.wait(0.85)
    client = net.dial(80, block=True)
    net.exchange(client, net.accept(listener))


@scenario(seconds=9, server={"tcp_syncookies": 1, "tcp_synack_retries": 2}, client={"tcp_timestamps": 0})
def listener_opened_again_with_requests(net):
    """A listener that may bake cookies is closed with requests, and another one takes its place: what is
    not repeated were no cookies."""
    listener = net.listen(backlog=8)
    flood(net, 4, pause=0.004)
    net.wait(0.2)
    listener.close()
    listener = net.listen(backlog=8)
    flood(net, 3, pause=0.004, seed=2)
    client = net.dial(80, block=True)
    net.exchange(client, net.accept(listener))
    net.wait(1.6)
    client = net.dial(80, block=True)
    net.exchange(client, net.accept(listener))
