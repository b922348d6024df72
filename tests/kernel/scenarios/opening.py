"""Handshakes: answered, refused, ignored, repeated, crossed, deferred, with cookies, with data."""

import contextlib
import socket

from host import Missing
from packet import ACK, RST, SYN
from scenario import scenario

BOTH = (4, 6)


def syn(packet, side):
    return side == "client" and packet.bare_syn


def syn_ack(packet, side):
    return side == "server" and packet.syn_ack


def final_ack(packet, side):
    return side == "client" and packet.flags & (SYN | ACK | RST) == ACK


def black_hole(name, retries, linear, seconds, rto_max=None, families=(4,)):
    settings = {"tcp_syn_retries": retries, "tcp_syn_linear_timeouts": linear}
    if rto_max:
        settings["tcp_rto_max_ms"] = rto_max

    def attempt(net):
        net.server.drop_input("tcp dport 80")
        client = net.dial(80)
        net.reach(client, "CLOSED", timeout=seconds + 3)

    attempt.__doc__ = (f"No answer at all: tcp_syn_retries={retries}, linear timeouts {linear}"
                       + (f", RTO at most {rto_max} ms" if rto_max else "")
                       + "; the connect gives up silently.")
    scenario(families=families, name=name, seconds=seconds, client=settings)(attempt)


for _retries in range(1, 9):
    black_hole(f"syn_black_hole_retries_{_retries}", _retries, 0, 2 * _retries + 2, 2000)
for _retries in range(1, 5):
    black_hole(f"syn_black_hole_exponential_{_retries}", _retries, 0, 2 ** (_retries + 1) + 1)
black_hole("syn_black_hole_exponential_5", 5, 0, 66)
black_hole("syn_black_hole_linear", 2, 4, 12, families=BOTH)
black_hole("syn_black_hole_linear_only", 1, 3, 8)


@scenario(families=BOTH)
def refused(net):
    """Nobody listens: RST answers the SYN, the client is CLOSED."""
    client = net.dial(81)
    net.reach(client, "CLOSED")


@scenario(families=BOTH, seconds=5, client={"tcp_syn_linear_timeouts": 4})
def refusal_unheard(net):
    """The client's firewall eats what refuses its SYN, twice: it goes on, and hears the third RST."""
    net.client.drop_input("tcp flags & rst == rst")
    client = net.dial(81)
    net.wait(1.5)
    net.client.allow()
    net.reach(client, "CLOSED")


@scenario(families=BOTH)
def icmp_unreachable(net):
    """ICMP port unreachable answers the SYN. The first comes while connect still holds the socket
    and is ignored by the kernel; the one for the repeated SYN ends SYN-SENT."""
    net.server.run("nft", "-f", "-", text=(
        "table inet lab {\n chain input {\n  type filter hook input priority 0;\n"
        "  tcp dport 80 reject with icmpx type port-unreachable\n }\n}\n"))
    client = net.dial(80)
    net.until(lambda: net.state(client) == "CLOSED")


@scenario(families=BOTH, seconds=5)
def syn_lost_twice(net):
    """Two SYNs are lost, the third is answered."""
    net.server.drop_input("tcp flags & (syn|ack) == syn numgen inc mod 1000 < 2")
    listener = net.listen()
    client = net.dial(80)
    server = net.accept(listener)
    net.exchange(client, server)


@scenario(families=BOTH, relay=True, seconds=4)
def syn_lost_in_the_network(net):
    """The first SYN never reaches the server's tap."""
    listener = net.listen()
    net.relay.drop(syn)
    client = net.dial(80)
    server = net.accept(listener)
    net.exchange(client, server)


@scenario(families=BOTH, relay=True, seconds=4)
def syn_ack_lost_once(net):
    """The first SYN-ACK is lost: both sides repeat."""
    listener = net.listen()
    net.relay.drop(syn_ack)
    client = net.dial(80)
    server = net.accept(listener)
    net.exchange(client, server)


@scenario(families=BOTH, seconds=6, sysctl={"tcp_timestamps": 0})
def syn_acks_eaten_until_the_timer(net):
    """The client's firewall eats SYN-ACKs behind the tap, and opens before the server's timer repeats one:
    without timestamps, only the time of the acknowledgment tells which one came."""
    net.client.drop_input("tcp flags & (syn|ack) == (syn|ack)")
    net.listen()
    client = net.dial(80)
    net.wait(1.5)
    net.client.allow()
    net.reach(client, "ESTABLISHED")
    net.wait(0.05)


@scenario(families=BOTH, seconds=9, server={"tcp_synack_retries": 1}, client={"tcp_syn_retries": 1})
def syn_ack_black_hole(net):
    """SYN-ACKs never arrive: the client gives up in SYN-SENT, the request socket runs out."""
    net.listen()
    net.client.drop_input("tcp sport 80")
    net.dial(80)
    net.await_table(net.client, "SYN-SENT", 0)
    net.await_table(net.server, "SYN-RECEIVED", 0)


@scenario(families=BOTH, seconds=6)
def final_ack_dropped(net):
    """The server's firewall eats the final ACK behind its tap: SYN-RECEIVED although the ACK is seen."""
    listener = net.listen()
    net.server.drop_input("tcp flags & (syn|ack) == ack")
    client = net.dial(80, block=True)
    net.await_table(net.server, "SYN-RECEIVED")
    net.wait(0.2)
    net.server.allow()
    server = net.accept(listener)
    net.exchange(client, server)


@scenario(families=BOTH, relay=True)
def final_ack_lost_data_completes(net):
    """The final ACK is lost, the client's first data completes the handshake."""
    listener = net.listen()
    net.relay.drop(final_ack)
    client = net.dial(80, block=True)
    net.wait(0.1)
    client.sendall(b"q" * 10)
    server = net.accept(listener)
    net.read(server, 10)


@scenario(families=BOTH, seconds=6, server={"tcp_synack_retries": 1})
def half_open_expires(net):
    """A spoofed SYN: nobody answers the SYN-ACK, SYN-RECEIVED runs out after its retries."""
    net.listen()
    source = ("198.18.0.1" if net.family == 4 else "fd99::1", 1234)
    net.client.inject(net.forge(source, net.at(net.server, 80), 1000, flags=SYN))
    net.await_table(net.server, "SYN-RECEIVED")
    net.await_table(net.server, "SYN-RECEIVED", 0)


@scenario(families=BOTH)
def half_open_reset(net):
    """The host behind a spoofed SYN resets the SYN-ACK: the request socket goes at once."""
    net.listen()
    source = net.at(net.client, 4321)
    net.client.inject(net.forge(source, net.at(net.server, 80), 1000, flags=SYN))
    net.wait(0.1)


@scenario(families=BOTH, seconds=5)
def half_open_destroyed(net):
    """An administrator destroys the half-open connection (ss -K): the SYN that comes again makes another,
    with another number."""
    listener = net.listen()
    net.client.drop_input("tcp sport 80")
    client = net.dial(80)
    net.await_table(net.server, "SYN-RECEIVED")
    net.server.kill("state", "syn-recv")
    net.await_table(net.server, "SYN-RECEIVED", 0)
    net.client.allow()
    net.accept(listener)
    net.reach(client, "ESTABLISHED")


@scenario(families=BOTH, seconds=5, server={"tcp_synack_retries": 0}, client={"tcp_syn_retries": 1})
def half_open_expires_and_comes_again(net):
    """tcp_synack_retries=0: the half-open connection is gone when the SYN comes again after a second."""
    net.listen()
    net.client.drop_input("tcp sport 80")
    net.dial(80)
    net.await_table(net.server, "SYN-RECEIVED", 1)
    net.await_table(net.client, "SYN-SENT", 0)
    net.await_table(net.server, "SYN-RECEIVED", 0)


@scenario(families=BOTH)
def bad_ack_in_syn_received(net):
    """An ACK that acknowledges the wrong number is answered with RST; SYN-RECEIVED stays."""
    net.listen()
    net.client.drop_output("tcp flags & rst == rst")
    source = net.at(net.client, 4321)
    target = net.at(net.server, 80)
    net.client.inject(net.forge(source, target, 1000, flags=SYN))
    net.await_table(net.server, "SYN-RECEIVED")
    net.client.inject(net.forge(source, target, 1001, 77777, ACK))
    net.wait(0.3)


@scenario(families=BOTH, relay=True)
def strange_segments_in_syn_received(net):
    """While the final ACK is held up, the server gets an acknowledgment from outside the window, a SYN
    with another number and a RST that is not exact: it answers each, and stays in SYN-RECEIVED."""
    listener = net.listen()
    net.relay.hold(final_ack)
    client = net.dial(80, source=4321)
    net.await_table(net.server, "SYN-RECEIVED")
    net.reach(client, "ESTABLISHED")
    source, target = net.at(net.client, 4321), net.at(net.server, 80)
    first = net.last_sent(net.server, source, lambda p: p.bare_syn)
    answer = net.last_sent(net.server, target, lambda p: p.syn_ack)
    for seq, ack, flags in ((first.end + 80_000_000, answer.end, ACK), (first.seq + 90_000_000, 0, SYN),
                            (first.end + 50, 0, RST), (first.end - 1, answer.end, ACK)):
        net.relay.inject("server", net.forge(source, target, seq, ack, flags))
        net.wait(0.02)
    net.relay.release()
    net.accept(listener)
    client.sendall(b"q" * 10)
    net.wait(0.1)


@scenario(families=BOTH, relay=True)
def bad_syn_ack_gets_reset(net):
    """A SYN-ACK with a wrong acknowledgment in SYN-SENT: RST, and the SYN is repeated soon."""
    listener = net.listen()
    target, source = net.at(net.server, 80), net.at(net.client, 40002)
    net.relay.hold(syn)
    client = net.dial(80, source=40002)
    net.wait(0.05)
    net.relay.inject("client", net.forge(target, source, 5, 99, SYN | ACK))
    net.wait(0.05)
    net.relay.release()
    net.accept(listener)
    net.reach(client, "ESTABLISHED")


@scenario(families=BOTH, relay=True, delay=0.01)
def simultaneous_open(net):
    """SYNs cross: both sides pass SYN-SENT, SYN-RECEIVED, ESTABLISHED."""
    one = net.dial(5001, source=5000)
    other = net.dial(5000, source=5001, host=net.server)
    net.reach(one, "ESTABLISHED")
    net.reach(other, "ESTABLISHED")
    net.exchange(one, other)
    one.close()
    net.reach(other, "CLOSE-WAIT")
    other.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True, delay=0.005)
def simultaneous_open_again(net):
    """SYNs cross, one side aborts, and soon SYNs cross again on the same ports: that is one connection."""
    for _ in range(2):
        one = net.dial(5001, source=5000)
        other = net.dial(5000, source=5001, host=net.server)
        net.reach(one, "ESTABLISHED")
        net.reach(other, "ESTABLISHED")
        net.exchange(one, other)
        net.linger_zero(other)
        other.close()
        net.reach(one, "CLOSED")
        net.wait(0.03)


@scenario(families=BOTH, relay=True)
def self_collision_syn_lost(net):
    """Both dial each other, but one SYN is lost: still one connection."""
    net.relay.late(syn, 0.03)
    one = net.dial(5001, source=5000)
    other = net.dial(5000, source=5001, host=net.server)
    net.reach(one, "ESTABLISHED")
    net.reach(other, "ESTABLISHED")


@scenario(families=BOTH, seconds=6)
def deferred_accept(net):
    """TCP_DEFER_ACCEPT: the bare ACK is ignored, SYN-RECEIVED lasts until data arrives."""
    listener = net.listen(setup=lambda s: s.setsockopt(socket.IPPROTO_TCP,
                                                       socket.TCP_DEFER_ACCEPT, 5))
    client = net.dial(80, block=True)
    net.wait(0.3)
    client.sendall(b"q" * 10)
    server = net.accept(listener)
    net.read(server, 10)
    client.close()
    net.reach(server, "CLOSE-WAIT")


@scenario(seconds=6)
def deferred_accept_of_a_second(net):
    """TCP_DEFER_ACCEPT of a second and a client that says nothing: one more SYN-ACK, and its
    acknowledgment is taken."""
    listener = net.listen(setup=lambda s: s.setsockopt(socket.IPPROTO_TCP,
                                                       socket.TCP_DEFER_ACCEPT, 1))
    net.dial(80, block=True)
    net.accept(listener)
    net.wait(3.0)
    net.dial(81)
    net.wait(0.05)


@scenario(seconds=7)
def deferred_accept_told_by_another(net):
    """TCP_DEFER_ACCEPT of two seconds: clients that speak, close and abort, and one that is silent, whose
    SYN-ACK comes again after three seconds and tells of the others."""
    listener = net.listen(setup=lambda s: s.setsockopt(socket.IPPROTO_TCP,
                                                       socket.TCP_DEFER_ACCEPT, 2))
    net.dial(80, block=True)
    speaks, closes, aborts = (net.dial(80, block=True) for _ in range(3))
    net.wait(0.2)
    speaks.sendall(b"q" * 10)
    server = net.accept(listener)
    net.read(server, 10)
    server.sendall(b"a" * 10)
    closes.close()
    net.accept(listener).close()
    net.linger_zero(aborts)
    aborts.close()
    net.accept(listener)


def answer_at_length(net, client, server, size):
    """The server answers the question that it was sent, and the client closes."""
    net.read(server, 80)
    server.sendall(b"a" * size)
    net.read(client, size)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()


@scenario(families=BOTH)
def deferred_accept_and_a_long_answer(net):
    """TCP_DEFER_ACCEPT: clients speak after 30 and 200 ms. The server takes that for the round trip, and hands
    its answer to the card in small pieces."""
    listener = net.listen(setup=lambda s: s.setsockopt(socket.IPPROTO_TCP,
                                                       socket.TCP_DEFER_ACCEPT, 3))
    for wait, size in ((0.03, 6_000), (0.2, 20_000)):
        client = net.dial(80, block=True)
        net.wait(wait)
        client.sendall(b"q" * 80)
        server = net.accept(listener)
        answer_at_length(net, client, server, size)
    net.wait(0.05)


@scenario(families=BOTH)
def long_answer_to_a_late_question(net):
    """The same without TCP_DEFER_ACCEPT: the answer goes out in large pieces."""
    listener = net.listen()
    for wait, size in ((0.03, 6_000), (0.2, 20_000)):
        client, server = net.pair(listener=listener)
        net.wait(wait)
        client.sendall(b"q" * 80)
        answer_at_length(net, client, server, size)
    net.wait(0.05)


@scenario(seconds=12)
def deferred_accept_runs_out(net):
    """TCP_DEFER_ACCEPT without data: SYN-ACKs are repeated at the end, then the ACK is taken."""
    listener = net.listen(setup=lambda s: s.setsockopt(socket.IPPROTO_TCP,
                                                       socket.TCP_DEFER_ACCEPT, 2))
    net.dial(80, block=True)
    net.accept(listener)


def fast_open(net, listener_on=True):
    net.client.sysctl(tcp_fastopen=3)
    net.server.sysctl(tcp_fastopen=3)
    option = getattr(socket, "TCP_FASTOPEN", None)
    if option is None:
        raise Missing("no TCP_FASTOPEN")
    return net.listen(setup=lambda s: s.setsockopt(socket.IPPROTO_TCP, option, 16)
                      if listener_on else None)


def fast_dial(net, data):
    client = net.client.socket(net.family)
    client.settimeout(None)
    client.sendto(data, socket.MSG_FASTOPEN, net.at(net.server, 80))
    return client


def known_fast_open(net):
    """A listener whose cookie a first connection has fetched."""
    listener = fast_open(net)
    first = fast_dial(net, b"q" * 50)
    server = net.accept(listener)
    net.read(server, 50)
    first.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.wait(0.05)
    return listener


@scenario(families=BOTH)
def fast_open_cookie_then_data(net):
    """TCP Fast Open: the first connection fetches a cookie, the second sends data with its SYN."""
    listener = known_fast_open(net)
    second = fast_dial(net, b"q" * 50)
    server = net.accept(listener)
    net.read(server, 50)
    server.sendall(b"a" * 20)
    net.read(second, 20)
    second.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.wait(0.05)


@scenario(families=BOTH, relay=True, delay=0.006, sysctl={"tcp_fastopen": 0x603})
def fast_open_without_cookie(net):
    """TFO: a listener that wants no cookie (TFO_SERVER_COOKIE_NOT_REQD) answers before the final ACK comes, in
    SYN-RECEIVED; another client has given up by then."""
    listener = net.listen()
    for leaves in (False, True):
        client = net.client.socket(net.family)
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            client.sendto(b"", socket.MSG_FASTOPEN, net.at(net.server, 80))
        if leaves:
            client.close()
        server = net.accept(listener)
        server.sendall(b"a" * 200)
        net.wait(0.05)
        server.close()
        net.wait(0.05)
        if not leaves:
            client.close()
    net.wait(0.1)


@scenario(families=BOTH, relay=True)
def fast_open_server_answers_early(net):
    """TFO: the server answers and closes before the final ACK: SYN-RECEIVED to FIN-WAIT-1."""
    listener = known_fast_open(net)
    net.relay.late(lambda p, side: side == "client" and not p.bare_syn, 0.05, count=None)
    fast_dial(net, b"q" * 50)
    server = net.accept(listener)
    net.read(server, 50)
    server.sendall(b"a" * 20)
    server.close()
    net.wait(0.3)


@scenario(families=BOTH, relay=True, delay=0.01)
def fast_open_closes_early(net):
    """TFO over a long way: the server answers and closes, or resets, while the final ACK is on its way."""
    listener = known_fast_open(net)
    net.wait(0.05)
    second = fast_dial(net, b"q" * 50)
    server = net.accept(listener)
    net.read(server, 50)
    net.reach(second, "ESTABLISHED")
    server.close()
    net.wait(0.1)
    second.close()
    third = fast_dial(net, b"q" * 50)
    server = net.accept(listener)
    net.reach(third, "ESTABLISHED")
    server.close()
    net.reach(third, "CLOSED")
    net.wait(0.1)


@scenario(families=BOTH)
def fast_open_not_supported(net):
    """Data with the SYN to a server without TFO: it acknowledges only the SYN, the data is repeated."""
    listener = net.listen()
    net.client.sysctl(tcp_fastopen=5)  # 4: send data without a cookie
    client = fast_dial(net, b"q" * 50)
    server = net.accept(listener)
    net.read(server, 50)
    client.close()
    net.reach(server, "CLOSE-WAIT")


@scenario(families=BOTH, server={"tcp_syncookies": 2})
def cookies_always(net):
    """SYN cookies for every SYN: no request socket exists, the ACK creates the connection."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(sysctl={"tcp_timestamps": 0}, server={"tcp_syncookies": 2})
def cookies_without_timestamps(net):
    """Cookies and no timestamps: the SYN-ACK offers neither window scale nor SACK."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")


@scenario(server={"tcp_syncookies": 2}, relay=True, seconds=5)
def cookies_final_ack_lost(net):
    """Cookies: the lost final ACK is not asked for again; the client's data creates the connection."""
    listener = net.listen()
    net.relay.drop(final_ack)
    client = net.dial(80, block=True)
    net.wait(0.5)
    client.sendall(b"q" * 10)
    server = net.accept(listener)
    net.read(server, 10)


@scenario(families=BOTH, relay=True, seconds=4)
def simultaneous_open_closed_early(net):
    """SYNs cross, and the SYN-ACKs are lost: one side closes in SYN-RECEIVED."""
    net.relay.drop(lambda p, side: p.syn_ack, count=None)
    net.relay.late(lambda p, side: p.bare_syn, 0.02, count=2)
    one = net.dial(5001, source=5000)
    other = net.dial(5000, source=5001, host=net.server)
    net.await_table(net.client, "SYN-RECEIVED")
    net.await_table(net.server, "SYN-RECEIVED")
    one.close()
    net.reach(other, "CLOSE-WAIT")
    net.wait(0.1)
    other.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(server={"tcp_syncookies": 2}, relay=True, delay=0.01, seconds=4)
def cookie_brought_back_and_dialled_again(net):
    """The server aborts, and a copy of the final ACK makes another socket there. The client's next SYN is
    challenged, and what it answers to that ends this one."""
    listener = net.listen()
    net.relay.duplicate(final_ack, after=0.1)
    client, server = net.pair(listener=listener, source=44000)
    net.linger_zero(server)
    server.close()
    net.reach(client, "CLOSED")
    net.await_table(net.server, "ESTABLISHED")
    net.wait(0.02)
    client = net.dial(source=44000)
    net.accept(listener)
    server = net.accept(listener)
    net.exchange(client, server)


@scenario(families=BOTH)
def syn_to_established(net):
    """A SYN on an established connection is answered with a challenge ACK and changes nothing."""
    client, server = net.pair(source=40003)
    net.exchange(client, server)
    net.client.inject(net.forge(client.getsockname(), server.getsockname(), 1, flags=SYN))
    net.wait(0.1)
    net.exchange(client, server)


@scenario(families=BOTH)
def destroyed_in_syn_sent(net):
    """The application gives up by closing in SYN-SENT: nothing is sent."""
    net.server.drop_input("tcp dport 80")
    client = net.dial(80)
    net.wait(0.2)
    client.close()
    net.wait(0.1)


@scenario(families=BOTH, relay=True)
def closed_before_syn_ack(net):
    """The client closes in SYN-SENT, the SYN-ACK comes later and gets RST."""
    net.listen()
    net.relay.hold(syn_ack)
    client = net.dial(80)
    client.close()
    net.relay.release()
    net.relayed("client", lambda p: p.rst, "the RST")
    net.await_table(net.server, "SYN-RECEIVED", 0)


@scenario(families=BOTH, relay=True)
def duplicated_handshake(net):
    """Every segment of the handshake arrives twice."""
    listener = net.listen()
    net.relay.duplicate(lambda p, side: True, count=None, after=0.005)
    client = net.dial(80, block=True)
    server = net.accept(listener)
    net.exchange(client, server)


def with_syn_to_come_again(net):
    """A connection with an exchange behind it, of whose SYN a copy is still on its way."""
    listener = net.listen()
    net.relay.duplicate(syn, after=0.4)
    client = net.dial(80, block=True)
    server = net.accept(listener)
    net.exchange(client, server)
    return client, server


@scenario(families=BOTH, relay=True, seconds=4)
def late_syn_duplicate(net):
    """A copy of the first SYN arrives after the connection has closed: it opens a half-open one."""
    client, server = with_syn_to_come_again(net)
    server.close()
    net.reach(client, "CLOSE-WAIT")
    client.close()
    net.wait(0.6)


@scenario(families=BOTH, relay=True, seconds=4)
def late_syn_duplicate_at_closed_server(net):
    """The same when the client closes first: the server is CLOSED then, and makes a half-open connection
    of the copy; TIME-WAIT does not take its SYN-ACK."""
    client, server = with_syn_to_come_again(net)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.wait(0.6)


@scenario(families=BOTH, relay=True, seconds=4)
def late_syn_duplicate_after_reset(net):
    """A copy of the SYN arrives after a reset: the half-open connection that it makes is reset as well."""
    _, server = with_syn_to_come_again(net)
    net.linger_zero(server)
    server.close()
    net.wait(0.6)


@scenario(families=BOTH)
def tiny_window(net):
    """A client that offers a tiny window from the start."""
    listener = net.listen()
    client = net.dial(80, block=True,
                      setup=lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304))
    server = net.accept(listener)
    server.setblocking(False)
    server.send(b"a" * 1000)
    net.read(client, 1000)
    client.close()
    net.reach(server, "CLOSE-WAIT")


