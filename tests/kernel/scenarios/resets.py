"""Aborts: linger 0, unread data, resets in every state, FINs in every state, destroyed sockets."""

import socket

from packet import ACK, FIN, RST, SYN, timestamp_option
from scenario import scenario

BOTH = (4, 6)
WRITE = socket.SHUT_WR


@scenario(families=BOTH)
def linger_zero(net):
    """SO_LINGER 0: close sends RST, both ends are CLOSED."""
    client, server = net.pair()
    net.exchange(client, server)
    net.linger_zero(client)
    client.close()
    net.reach(server, "CLOSED")


@scenario(families=BOTH)
def linger_zero_by_server(net):
    """The server aborts with SO_LINGER 0."""
    client, server = net.pair()
    net.exchange(client, server)
    net.linger_zero(server)
    server.close()
    net.reach(client, "CLOSED")


@scenario(families=BOTH)
def close_with_unread_data(net):
    """Close with unread data in the receive buffer: RST instead of FIN."""
    client, server = net.pair()
    client.sendall(b"never read")
    net.wait(0.05)
    server.close()
    net.reach(client, "CLOSED")


@scenario(families=BOTH)
def send_after_close(net):
    """The peer has closed; data sent to it is answered with RST."""
    client, server = net.pair()
    net.exchange(client, server)
    server.close()
    net.reach(client, "CLOSE-WAIT")
    client.sendall(b"too late")
    net.reach(client, "CLOSED")


@scenario(families=BOTH)
def shutdown_then_reset(net):
    """The client shuts down, then aborts in FIN-WAIT-2."""
    client, server = net.pair()
    net.exchange(client, server)
    client.shutdown(WRITE)
    net.reach(client, "FIN-WAIT-2")
    net.linger_zero(client)
    client.close()
    net.reach(server, "CLOSED")


@scenario(families=BOTH)
def close_wait_then_linger_zero(net):
    """The server aborts in CLOSE-WAIT with SO_LINGER 0."""
    client, server = net.pair()
    net.exchange(client, server)
    client.shutdown(WRITE)
    net.reach(server, "CLOSE-WAIT")
    net.linger_zero(server)
    server.close()
    net.reach(client, "CLOSED")


@scenario(families=BOTH)
def fin_and_reset_eaten(net):
    """The server's firewall eats a FIN and the RST behind it; what the server says then shows it."""
    client, server = net.pair()
    net.exchange(client, server)
    net.server.drop_input("tcp dport 80")
    client.close()
    net.await_table(net.client, "FIN-WAIT-1")
    net.client.kill("state", "fin-wait-1")
    net.await_table(net.client, "FIN-WAIT-1", 0)
    net.wait(0.05)
    net.server.allow()
    server.sendall(b"hello?")
    net.reach(server, "CLOSED")


@scenario(families=BOTH)
def fin_eaten_and_reset_challenged(net):
    """The server's firewall eats a FIN: the RST behind it is not exact, and gets a challenge ACK."""
    client, server = net.pair()
    net.exchange(client, server)
    net.server.drop_input("tcp flags & fin == fin")
    client.close()
    net.await_table(net.client, "FIN-WAIT-1")
    net.wait(0.02)
    net.client.kill("state", "fin-wait-1")
    net.reach(server, "CLOSED")


@scenario(families=BOTH, relay=True, delay=0.02)
def words_eaten_and_reset_challenged(net):
    """The server's firewall eats the last words, or the FIN behind all: the RST that follows at once is not the
    next number, is challenged, and comes again over a long way."""
    for port, eaten in ((80, "psh"), (81, "fin")):
        client, server = net.pair(port)
        net.exchange(client, server)
        net.await_acknowledged(server)
        net.wait(0.05)
        net.server.drop_input(f"tcp flags & {eaten} == {eaten}")
        if eaten == "psh":
            client.sendall(b"q" * 100)
            net.linger_zero(client)
            client.close()
        else:
            client.shutdown(WRITE)
            net.linger_zero(client)
            client.close()
        net.reach(server, "CLOSED")
        net.server.allow()


@scenario(families=BOTH)
def dialled_again_before_the_next_syn(net):
    """The client's socket is gone without a word; its next SYN is challenged, which it answers with a RST; before
    that SYN comes again, the application gives up, and dials once more."""
    listener = net.listen()
    client, server = net.pair(listener=listener, source=43000)
    net.exchange(client, server)
    net.client.drop_output("tcp flags & rst == rst")
    net.client.kill("state", "established")
    net.client.allow()
    net.wait(0.05)
    net.dial(source=43000).close()
    net.reach(server, "CLOSED")
    client = net.dial(source=43000)
    server = net.accept(listener)
    net.exchange(client, server)


@scenario(families=BOTH)
def disconnect(net):
    """connect(AF_UNSPEC) on an established socket: RST, and the socket can be used again."""
    import ctypes
    listener = net.listen()
    client, server = net.pair(listener=listener)
    net.exchange(client, server)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.connect(client.fileno(), ctypes.create_string_buffer(16), 16)
    net.reach(server, "CLOSED")
    client.settimeout(10)
    client.connect(net.at(net.server, 80))
    net.accept(listener)
    net.reach(client, "ESTABLISHED")


@scenario(families=BOTH)
def destroyed_socket(net):
    """An administrator destroys the client's socket (ss -K): RST to the server."""
    client, server = net.pair()
    net.exchange(client, server)
    net.client.kill("state", "established")
    net.reach(server, "CLOSED")


@scenario(families=BOTH)
def destroyed_listener(net):
    """An administrator destroys the listener; the next SYN is refused."""
    net.listen()
    first = net.dial(80, block=True)
    net.server.kill("state", "listening")
    net.wait(0.05)
    net.reach(first, "CLOSED")
    second = net.dial(80)
    net.reach(second, "CLOSED")


@scenario(families=BOTH)
def peer_crashed_half_open(net):
    """One host forgot the connection without a word; the next data from the other gets RST."""
    client, server = net.pair()
    net.exchange(client, server)
    net.server.drop_output("tcp flags & rst == rst")
    net.server.kill("state", "established")
    net.wait(0.05)
    net.server.allow()
    client.sendall(b"anybody there?")
    net.reach(client, "CLOSED")


@scenario(families=BOTH, seconds=5)
def reset_lost(net):
    """The RST of an abort is lost: the peer stays ESTABLISHED until it speaks."""
    client, server = net.pair()
    net.exchange(client, server)
    net.server.drop_input("tcp flags & rst == rst")
    net.linger_zero(client)
    client.close()
    net.wait(0.3)
    net.server.allow()
    server.sendall(b"hello?")
    net.reach(server, "CLOSED")


def numbers(net, host, ours, theirs):
    """(next sequence number of `theirs`, what it has acknowledged) as the tap of `host` saw them."""
    last = net.last_sent(host, theirs, lambda p: (p.dst, p.dport) == ours[:2] and not p.rst)
    return last.end, last.ack


def spoofed_reset(net, host, ours, theirs, offset=0, flags=RST):
    seq, ack = numbers(net, host, ours, theirs)
    net.relay.inject(host.role, net.forge(theirs, ours, seq + offset, ack, flags))


@scenario(families=BOTH, relay=True)
def injected_reset_exact(net):
    """A third party's RST with exactly the next number kills the server's side only."""
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    # An acknowledgment that comes later is answered with a RST, which would kill the client as well.
    net.await_acknowledged(server)
    spoofed_reset(net, net.server, server.getsockname(), server.getpeername())
    net.reach(server, "CLOSED")
    client.sendall(b"still here")
    net.reach(client, "CLOSED")


@scenario(families=BOTH, relay=True)
def injected_reset_in_window(net):
    """RFC 5961: an RST inside the window but not exact gets a challenge ACK, nothing changes."""
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    spoofed_reset(net, net.server, server.getsockname(), server.getpeername(), 1000)
    net.wait(0.1)
    net.exchange(client, server)


@scenario(families=BOTH, relay=True)
def injected_reset_outside(net):
    """An RST outside the window is ignored."""
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    spoofed_reset(net, net.server, server.getsockname(), server.getpeername(), -5000)
    net.wait(0.1)
    net.exchange(client, server)


@scenario(families=BOTH, relay=True)
def reset_in_syn_sent(net):
    """RST+ACK in SYN-SENT from somewhere on the path: refused."""
    net.listen()
    net.relay.hold(lambda p, side: p.bare_syn)
    client = net.dial(80, source=44000)
    net.wait(0.05)
    first = net.last_sent(net.client, net.at(net.client, 44000), lambda p: p.bare_syn)
    net.relay.inject("client", net.forge(net.at(net.server, 80), net.at(net.client, 44000),
                                         0, first.seq + 1, RST | ACK))
    net.reach(client, "CLOSED")


@scenario(families=BOTH, relay=True)
def bad_reset_in_syn_sent(net):
    """An RST with a wrong acknowledgment in SYN-SENT is ignored; the handshake completes."""
    listener = net.listen()
    net.relay.hold(lambda p, side: p.bare_syn)
    client = net.dial(80, source=44000)
    net.wait(0.05)
    net.relay.inject("client", net.forge(net.at(net.server, 80), net.at(net.client, 44000),
                                         0, 12345, RST | ACK))
    net.wait(0.05)
    net.relay.release()
    net.accept(listener)
    net.reach(client, "ESTABLISHED")


@scenario(families=BOTH, relay=True)
def reset_in_syn_received(net):
    """RST in SYN-RECEIVED from somewhere on the path: the request socket is gone."""
    net.listen()
    net.relay.hold(lambda p, side: side == "server" and p.syn_ack)
    net.dial(80, source=44000)
    net.await_table(net.server, "SYN-RECEIVED")
    spoofed_reset(net, net.server, net.at(net.server, 80), net.at(net.client, 44000))
    net.await_table(net.server, "SYN-RECEIVED", 0)
    net.wait(0.05)


def open_state(net):
    return net.pair(source=44000)


def fin_wait_1(net):
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    net.relay.hold(lambda p, side: side == "client" and p.fin, count=None)
    client.shutdown(WRITE)
    net.reach(client, "FIN-WAIT-1")
    return server, client


def fin_wait_2(net):
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    client.shutdown(WRITE)
    net.reach(client, "FIN-WAIT-2")
    return server, client


def close_wait(net):
    return fin_wait_2(net)[::-1]


def last_ack(net):
    client, server = close_wait(net)
    net.relay.hold(lambda p, side: side == "server" and p.fin, count=None)
    server.shutdown(WRITE)
    net.reach(server, "LAST-ACK")
    return client, server


def closing(net):
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    net.relay.hold(lambda p, side: side == "client" and p.fin, count=None)
    client.shutdown(WRITE)
    server.shutdown(WRITE)
    net.reach(client, "CLOSING")
    return server, client


def host_of(net, sock):
    return net.server if sock.getsockname()[:2] == net.at(net.server, 80) else net.client


def reset_in(reach_state, net):
    """The side that the state is of gets a RST from somewhere on the path."""
    _, target = reach_state(net)
    spoofed_reset(net, host_of(net, target), target.getsockname(), target.getpeername())
    net.reach(target, "CLOSED")


@scenario(families=BOTH, relay=True)
def reset_in_fin_wait_1(net):
    """RST in FIN-WAIT-1: CLOSED."""
    reset_in(fin_wait_1, net)


@scenario(families=BOTH, relay=True)
def reset_in_fin_wait_2(net):
    """RST in FIN-WAIT-2: CLOSED, the server stays in CLOSE-WAIT."""
    reset_in(fin_wait_2, net)


@scenario(families=BOTH, relay=True)
def reset_in_orphan_fin_wait_2(net):
    """RST for a FIN-WAIT-2 that only a mini-socket holds: CLOSED."""
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    names = client.getsockname(), client.getpeername()
    client.close()
    net.await_table(net.client, "FIN-WAIT-2")
    net.wait(0.05)
    spoofed_reset(net, net.client, *names)
    net.await_table(net.client, "FIN-WAIT-2", 0)


@scenario(families=BOTH, relay=True)
def reset_in_close_wait(net):
    """RST in CLOSE-WAIT: CLOSED."""
    reset_in(close_wait, net)


@scenario(families=BOTH, relay=True)
def reset_in_last_ack(net):
    """RST in LAST-ACK: CLOSED."""
    reset_in(last_ack, net)


@scenario(families=BOTH, relay=True)
def reset_in_closing(net):
    """RST in CLOSING: CLOSED."""
    reset_in(closing, net)


def destroyed_in(reach_state, net):
    """The FIN of the side that is destroyed is on its way: its acknowledgment finds nobody."""
    _, target = reach_state(net)
    (net.client if host_of(net, target) is net.client else net.server).kill(
        "sport", "=", f":{target.getsockname()[1]}")
    net.reach(target, "CLOSED")
    net.wait(0.02)
    net.relay.release()
    net.wait(0.1)


@scenario(families=BOTH, relay=True)
def destroyed_in_last_ack(net):
    """An administrator destroys the socket in LAST-ACK: no RST, but the last acknowledgment gets one."""
    destroyed_in(last_ack, net)


@scenario(families=BOTH, relay=True)
def destroyed_in_closing(net):
    """The same in CLOSING: there is no TIME-WAIT."""
    destroyed_in(closing, net)


@scenario(families=BOTH, relay=True)
def fin_in_syn_sent(net):
    """A FIN in SYN-SENT is ignored; the handshake goes on."""
    listener = net.listen()
    net.relay.hold(lambda p, side: p.bare_syn)
    client = net.dial(80, source=44000)
    net.wait(0.05)
    net.relay.inject("client", net.forge(net.at(net.server, 80), net.at(net.client, 44000),
                                         777, 0, FIN))
    net.wait(0.05)
    net.relay.release()
    net.accept(listener)
    net.reach(client, "ESTABLISHED")


@scenario(families=BOTH)
def reset_in_listen(net):
    """RSTs to a listener are dropped; it goes on listening."""
    listener = net.listen()
    for number, flags in enumerate((RST, RST | ACK)):
        net.client.inject(net.forge(net.at(net.client, 44000 + number), net.at(net.server, 80), 5, 6,
                                    flags))
    client = net.dial(80, block=True)
    net.accept(listener)
    net.reach(client, "ESTABLISHED")


def second_fin(net, toward, sock):
    """The peer's FIN once more, as a third party would copy it."""
    ours, theirs = sock.getsockname(), sock.getpeername()
    fin = net.last_sent(toward, theirs, lambda p: p.fin)
    net.relay.inject(toward.role, net.forge(theirs, ours, fin.seq, fin.ack, FIN | ACK,
                                            options=timestamp_option(fin.tsval + 1, 0)))


@scenario(families=BOTH, relay=True)
def second_fin_in_last_ack(net):
    """The client's FIN again in LAST-ACK: acknowledged, nothing changes."""
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    client.shutdown(WRITE)
    net.reach(server, "CLOSE-WAIT")
    held = net.relay.hold(lambda p, side: side == "server" and p.fin, count=None)
    server.shutdown(WRITE)
    net.reach(server, "LAST-ACK")
    second_fin(net, net.server, server)
    net.wait(0.05)
    net.relay.forget(held)
    net.relay.release()
    net.await_table(net.server, "LAST-ACK", 0)


@scenario(families=BOTH, relay=True)
def second_fin_in_closing(net):
    """The peer's FIN again in CLOSING: acknowledged, nothing changes."""
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    held = net.relay.hold(lambda p, side: side == "client" and p.fin, count=None)
    client.shutdown(WRITE)
    server.shutdown(WRITE)
    net.reach(client, "CLOSING")
    second_fin(net, net.client, client)
    net.wait(0.05)
    net.relay.forget(held)
    net.relay.release()
    net.await_table(net.client, "TIME-WAIT")


def foreign_fin(net, sock, distance, stamp=1, ack=0):
    """A FIN in the peer's name, this far from the right number, its timestamp so much later."""
    ours, theirs = sock.getsockname(), sock.getpeername()
    host = host_of(net, sock)
    last = net.last_sent(host, theirs)
    mine = net.last_sent(host, ours)
    net.relay.inject(host.role, net.forge(theirs, ours, last.end + distance, mine.end + ack, FIN | ACK,
                                          options=timestamp_option(last.tsval + stamp, 0)))
    net.wait(0.05)


@scenario(families=BOTH, relay=True)
def foreign_fin_of_old_number(net):
    """Somebody's FIN with a number that was data: it is dropped, and the real ones come later."""
    client, server = open_state(net)
    net.exchange(client, server)
    foreign_fin(net, client, -1)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True)
def foreign_fin_beyond_a_gap(net):
    """Somebody's FIN with a number that is never reached; the real ones come later."""
    client, server = open_state(net)
    net.exchange(client, server)
    foreign_fin(net, client, 500)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True)
def old_acknowledgment_in_closing(net):
    """In CLOSING an acknowledgment of the FIN with an old timestamp is dropped (PAWS)."""
    server, client = closing(net)
    foreign_fin(net, client, 0, stamp=-100000)
    net.relay.release()
    net.await_table(net.client, "TIME-WAIT")
    net.wait(0.05)


@scenario(families=BOTH, relay=True)
def reset_lost_and_dialled_again(net):
    """The server's firewall eats the RST; the same port dials again: a challenge, a RST, another SYN."""
    listener = net.listen()
    client, server = net.pair(listener=listener, source=44000)
    net.exchange(client, server)
    net.server.drop_input("tcp flags & rst == rst")
    net.linger_zero(client)
    client.close()
    net.wait(0.1)
    net.server.allow()
    again, server = net.pair(listener=listener, source=44000)
    net.exchange(again, server)


def strange_segments(reach_state):
    """What nobody may accept, in one state after the other: a SYN, data far outside, an
    acknowledgment of nothing, a RST in the window and one outside it."""
    def attempt(net):
        _, target = reach_state(net)
        ours, theirs = target.getsockname(), target.getpeername()
        host = host_of(net, target)
        seq, ack = numbers(net, host, ours, theirs)
        stamp = timestamp_option(net.last_sent(host, theirs).tsval)
        for offset, flags, other, data in ((0, SYN, 0, b""), (900_000, ACK, 0, b"x" * 9),
                                           (0, ACK, 900_000, b"x" * 9), (700, RST, 0, b""),
                                           (-5000, RST, 0, b"")):
            net.relay.inject(host.role, net.forge(theirs, ours, seq + offset, ack + other, flags,
                                                  payload=data, options=stamp))
            net.wait(0.02)

    name = reach_state.__name__
    attempt.__doc__ = (f"{name.replace('_', '-').upper()}: a SYN, data far outside, an acknowledgment "
                       "of nothing, RSTs that do not fit: challenge ACKs, and nothing changes.")
    scenario(families=BOTH, relay=True, name=f"strange_segments_in_{name}")(attempt)


for _state in (open_state, fin_wait_1, fin_wait_2, close_wait, last_ack, closing):
    strange_segments(_state)


def acknowledged_from_beyond(reach_state):
    """The FIN is acknowledged by what lies beyond the window: that acknowledges nothing."""
    def attempt(net):
        _, target = reach_state(net)
        ours, theirs = target.getsockname(), target.getpeername()
        host = host_of(net, target)
        seq, _ = numbers(net, host, ours, theirs)
        fin = net.last_sent(host, ours, lambda p: p.fin)
        stamp = timestamp_option(net.last_sent(host, theirs).tsval)
        net.relay.inject(host.role, net.forge(theirs, ours, seq + 900_000, fin.end, ACK,
                                              payload=b"x" * 9, options=stamp))
        net.wait(0.05)

    name = reach_state.__name__
    attempt.__doc__ = (f"{name.replace('_', '-').upper()}: data beyond the window acknowledges the FIN, and "
                       "is dropped as a whole.")
    scenario(families=BOTH, relay=True, name=f"acknowledged_from_beyond_in_{name}")(attempt)


for _state in (fin_wait_1, last_ack, closing):
    acknowledged_from_beyond(_state)


@scenario(families=BOTH)
def fin_in_listen(net):
    """A FIN without ACK to a listener is dropped; FIN+ACK gets RST."""
    net.listen()
    net.client.inject(net.forge(net.at(net.client, 44000), net.at(net.server, 80), 5, flags=FIN))
    net.wait(0.05)
    net.client.inject(net.forge(net.at(net.client, 44001), net.at(net.server, 80), 5, 6, FIN | ACK))
    net.wait(0.05)


@scenario(families=BOTH, relay=True)
def fin_in_syn_received(net):
    """The final ACK is lost and the client closes at once: the FIN takes SYN-RECEIVED to CLOSE-WAIT."""
    listener = net.listen()
    net.relay.drop(lambda p, side: side == "client" and p.flags & (SYN | ACK) == ACK)
    client = net.dial(80, block=True)
    client.close()
    net.await_table(net.server, "CLOSE-WAIT")
    server = net.accept(listener)
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True)
def second_fin_in_close_wait(net):
    """The client's FIN arrives twice in CLOSE-WAIT: acknowledged, nothing changes."""
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    net.relay.duplicate(lambda p, side: side == "client" and p.fin, after=0.05)
    client.shutdown(WRITE)
    net.reach(server, "CLOSE-WAIT")
    net.wait(0.1)
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True)
def illegal_flags(net):
    """NULL, XMAS, SYN+FIN and SYN+RST to a listener and to an established connection."""
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    for number, flags in enumerate((0, 41, SYN | FIN, SYN | RST, FIN, ACK)):
        net.relay.inject("server", net.forge(net.at(net.client, 45000 + number),
                                             net.at(net.server, 80), 1000 + number, 0, flags))
        net.wait(0.02)
    seq, ack = numbers(net, net.server, server.getsockname(), server.getpeername())
    for flags in (0, 41, SYN | FIN):
        net.relay.inject("server", net.forge(server.getpeername(), server.getsockname(),
                                             seq, ack, flags))
        net.wait(0.02)
    net.wait(0.5)


@scenario(families=BOTH, relay=True)
def blind_data_injection(net):
    """Data with an impossible acknowledgment is answered with a challenge ACK and not taken."""
    client, server = net.pair(source=44000)
    net.exchange(client, server)
    seq, ack = numbers(net, net.server, server.getsockname(), server.getpeername())
    net.relay.inject("server", net.forge(server.getpeername(), server.getsockname(), seq,
                                         ack + 100000, ACK, payload=b"x" * 10,
                                         options=timestamp_option(1)))
    net.wait(0.1)
    net.exchange(client, server)


@scenario(families=BOTH, relay=True, delay=0.003, seconds=5)
def reset_overtakes_the_first_answer(net):
    """The SYN-ACK was slow; the server reads a request and aborts, and its RST overtakes the acknowledgment
    of the request: what it acknowledges says that the connection was open."""
    net.relay.late(lambda p, side: p.syn_ack, 0.06)
    client, server = net.pair()
    net.relay.late(lambda p, side: side == "server" and not p.rst and not p.length, 0.02)
    client.sendall(b"q" * 100)
    net.read(server, 100)
    net.wait(0.005)
    net.linger_zero(server)
    server.close()
    net.reach(client, "CLOSED")
    net.wait(0.1)


@scenario(families=BOTH, relay=True, delay=0.004, sysctl={"tcp_timestamps": 0})
def late_copy_behind_a_reset(net):
    """The client aborts; behind its RST comes a copy of what the server had acknowledged long before: it is
    no word of a server that lives on."""
    net.relay.duplicate(lambda p, side: side == "server" and p.flags == ACK and not p.length, after=0.06)
    client, server = net.pair()
    net.exchange(client, server)
    net.linger_zero(client)
    client.close()
    net.reach(server, "CLOSED")
    net.wait(0.1)


@scenario(families=BOTH, relay=True, seconds=5)
def orphan_answers_sooner_than_the_handshake(net):
    """The SYN-ACK was slow. Data meets an orphan whose FIN is acknowledged: its RST comes sooner than the
    handshake took, and says by its number that it is an answer."""
    net.relay.late(lambda p, side: p.syn_ack, 0.06)
    client, server = net.pair()
    net.relay.late(lambda p, side: side == "server" and p.fin, 0.01)
    server.close()
    net.reach(client, "CLOSE-WAIT")
    net.await_table(net.server, "FIN-WAIT-2")
    client.sendall(b"q" * 50)
    net.reach(client, "CLOSED")
    net.wait(0.1)
