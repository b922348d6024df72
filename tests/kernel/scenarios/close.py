"""Orderly closes: who closes first, how the FINs cross, what arrives late."""

import socket

from matches import pure_ack
from packet import ACK, FIN
from scenario import scenario

BOTH = (4, 6)
WRITE = socket.SHUT_WR


def fin_from(role):
    return lambda packet, side: side == role and packet.fin


@scenario(families=BOTH)
def close_by_client(net):
    """The client closes first: it ends in TIME-WAIT, the server passes CLOSE-WAIT and LAST-ACK."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.wait(0.06)
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH)
def close_by_server(net):
    """The server closes first: TIME-WAIT is the server's."""
    client, server = net.pair()
    net.exchange(client, server)
    server.close()
    net.reach(client, "CLOSE-WAIT")
    net.wait(0.06)
    client.close()
    net.await_table(net.server, "TIME-WAIT")


@scenario(families=BOTH)
def close_fast(net):
    """The server answers the FIN with FIN+ACK at once: FIN-WAIT-2 and TIME-WAIT in one step."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True, delay=0.02)
def close_simultaneous(net):
    """Both close within one round trip: FIN-WAIT-1, CLOSING, TIME-WAIT on both sides."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.hold(lambda p, side: p.fin, count=2)
    client.close()
    server.close()
    net.relay.release(2)
    net.await_table(net.client, "TIME-WAIT")
    net.await_table(net.server, "TIME-WAIT")


@scenario(families=BOTH)
def half_close_with_data_after(net):
    """The client shuts down its sending side, the server goes on sending for a while, then closes."""
    client, server = net.pair()
    client.sendall(b"request")
    client.shutdown(WRITE)
    net.reach(server, "CLOSE-WAIT")
    net.read(server, 7)
    for _ in range(5):
        server.sendall(b"a" * 1000)
        net.read(client, 1000)
        net.wait(0.02)
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH)
def half_close_by_server(net):
    """The server shuts down first while the client keeps uploading, then closes."""
    client, server = net.pair()
    server.sendall(b"greeting")
    server.shutdown(WRITE)
    net.reach(client, "CLOSE-WAIT")
    net.read(client, 8)
    for _ in range(5):
        client.sendall(b"q" * 1000)
        net.read(server, 1000)
        net.wait(0.02)
    client.close()
    net.await_table(net.server, "TIME-WAIT")


@scenario(families=BOTH)
def close_without_data(net):
    """A connection that carries nothing: handshake, then FINs."""
    client, server = net.pair()
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH)
def close_wait_leak(net):
    """Ten clients close; the server never does: ten CLOSE-WAIT and ten orphaned FIN-WAIT-2 remain."""
    listener = net.listen()
    for _ in range(10):
        client, server = net.pair(listener=listener)
        net.exchange(client, server)
        client.close()
        net.reach(server, "CLOSE-WAIT")
        net.wait(0.05)
    net.await_table(net.server, "CLOSE-WAIT", 10)
    net.await_table(net.client, "FIN-WAIT-2", 10)
    net.wait(0.5)


@scenario(families=BOTH)
def kill_in_close_wait(net):
    """The application dies in CLOSE-WAIT with unread data: RST instead of a FIN."""
    client, server = net.pair()
    client.sendall(b"never read")
    client.shutdown(WRITE)
    net.reach(server, "CLOSE-WAIT")
    net.wait(0.05)
    server.close()
    net.reach(client, "CLOSED")


@scenario(families=BOTH, seconds=6, client={"tcp_fin_timeout": 2})
def orphan_fin_wait_2_expires(net):
    """A closed socket's FIN-WAIT-2 runs out after tcp_fin_timeout; nothing on the wire tells."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.await_table(net.client, "FIN-WAIT-2")
    net.await_table(net.client, "FIN-WAIT-2", 0)
    net.wait(0.2)


@scenario(families=BOTH, seconds=7, client={"tcp_fin_timeout": 2})
def orphan_fin_wait_2_expires_then_fin(net):
    """The server closes after the client's FIN-WAIT-2 ran out: its FIN is answered with RST."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.await_table(net.client, "FIN-WAIT-2")
    net.await_table(net.client, "FIN-WAIT-2", 0)
    net.wait(0.2)
    server.close()
    net.wait(0.1)


@scenario(families=BOTH)
def orphan_fin_wait_2_then_fin(net):
    """The FIN reaches a FIN-WAIT-2 that only a mini-socket holds: TIME-WAIT for 60 s from then."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.await_table(net.client, "FIN-WAIT-2")
    net.wait(0.4)
    server.close()
    net.await_table(net.client, "TIME-WAIT")
    net.await_table(net.server, "LAST-ACK", 0)


@scenario(seconds=68, client={"tcp_fin_timeout": 62})
def orphan_fin_wait_2_long_timeout(net):
    """tcp_fin_timeout above 60 s: the full socket waits the excess, a mini-socket the rest."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.await_table(net.client, "FIN-WAIT-2")
    net.await_table(net.client, "FIN-WAIT-2", 0, timeout=75)
    net.wait(0.1)


@scenario(seconds=6, client={"tcp_fin_timeout": 61})
def orphan_fin_wait_2_little_longer(net):
    """tcp_fin_timeout of 61 s: a second, and a second more; then data finds nobody."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.await_table(net.client, "FIN-WAIT-2")
    net.await_table(net.client, "FIN-WAIT-2", 0)
    net.wait(0.2)
    server.sendall(b"late")
    net.reach(server, "CLOSED")


@scenario(families=BOTH, relay=True, delay=0.01)
def closes_behind_data_when_the_fin_comes(net):
    """The server closes behind 60 kB, more than it may send at once; then the client's FIN comes. Its
    own FIN goes out later: CLOSING, and not CLOSE-WAIT."""
    client, server = net.pair()
    client.sendall(b"q" * 10)
    net.read(server, 10)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)
    server.sendall(b"a" * 60_000)
    server.close()
    client.shutdown(WRITE)
    net.read(client, 60_000)
    net.await_table(net.server, "TIME-WAIT")


@scenario(families=BOTH, seconds=4)
def paced_close(net):
    """A socket that may send 200 kB/s (SO_MAX_PACING_RATE) is closed behind its data: the FIN waits."""
    client, server = net.pair(setup=lambda s: s.setsockopt(socket.SOL_SOCKET, 47, 200_000))
    client.sendall(b"q" * 60_000)
    client.close()
    net.read(server, 60_000)
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH)
def orphan_fin_wait_2_gets_data(net):
    """Data for a closed socket in FIN-WAIT-2: answered with RST, both ends are CLOSED."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.await_table(net.client, "FIN-WAIT-2")
    server.sendall(b"too late")
    net.reach(server, "CLOSED")


@scenario(families=BOTH)
def shutdown_keeps_fin_wait_2(net):
    """A shutdown socket that is still open stays in FIN-WAIT-2 without any timer."""
    client, server = net.pair()
    net.exchange(client, server)
    client.shutdown(WRITE)
    net.reach(client, "FIN-WAIT-2")
    net.wait(1.0)


@scenario(families=BOTH, relay=True)
def fin_before_earlier_data(net):
    """The FIN overtakes a data segment: CLOSE-WAIT is entered by the data that fills the hole."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.hold(lambda p, side: side == "client" and p.length > 0)
    client.sendall(b"q" * 300)
    client.shutdown(WRITE)
    net.relayed("client", lambda p: p.fin, "the FIN")
    net.relay.release()
    net.reach(server, "CLOSE-WAIT")
    net.read(server, 300)
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH)
def late_fin_into_time_wait(net):
    """A repeated FIN in TIME-WAIT is acknowledged and arms the 60 s again."""
    client, server = net.pair(source=40001)
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.server.drop_input("tcp flags & (fin|syn|rst|ack) == ack")
    server.close()
    net.await_table(net.client, "TIME-WAIT")
    net.wait(1.2)
    net.server.allow()
    net.await_table(net.server, "LAST-ACK", 0)


@scenario(families=BOTH, relay=True)
def lost_first_fin(net):
    """The client's FIN is lost once and repeated."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.drop(fin_from("client"))
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True)
def lost_second_fin(net):
    """The passive side's FIN is lost once: it stays in LAST-ACK until the repetition."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.relay.drop(fin_from("server"))
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True)
def lost_last_ack(net):
    """The ACK of the last FIN is lost: LAST-ACK repeats its FIN into TIME-WAIT."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.relay.drop(lambda p, side: side == "client"
                   and any(fin.fin and p.ack == fin.end for fin in net.relay.seen["server"]))
    server.close()
    net.await_table(net.server, "LAST-ACK")
    net.await_table(net.server, "LAST-ACK", 0)
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True)
def lost_ack_of_first_fin(net):
    """The ACK of the first FIN is lost, the FIN is repeated in FIN-WAIT-1."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.drop(lambda p, side: side == "server" and p.flags & (ACK | FIN) == ACK)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.await_table(net.client, "FIN-WAIT-2")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True)
def simultaneous_close_with_loss(net):
    """Crossing FINs, one of them lost once: CLOSING on one side, the other learns later."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.drop(fin_from("server"))
    net.relay.hold(fin_from("client"))
    client.close()
    server.close()
    net.relayed("server", lambda p: p.fin, "the FIN")
    net.relay.release()
    net.await_table(net.client, "FIN-WAIT-1", 0)
    net.await_table(net.server, "FIN-WAIT-1", 0)
    net.wait(0.5)


@scenario(families=BOTH, relay=True, delay=0.01)
def doubled_fin_while_the_own_is_lost(net):
    """The passive side's FIN is lost, and the network doubles the other one: what answers the copy has
    the number behind a FIN that nobody saw, and the two had not crossed."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.duplicate(fin_from("client"), after=0.05)
    net.relay.drop(fin_from("server"))
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(relay=True, delay=0.01)
def lost_fin_and_late_answers(net):
    """The client's FIN is lost, and its answer to the server's is overtaken by its repetition. That answer
    has the number behind it: the FINs had crossed."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.drop(fin_from("client"))
    net.relay.late(pure_ack("client"), 0.4, count=None)
    client.shutdown(WRITE)
    server.sendall(b"a" * 100)
    server.shutdown(WRITE)
    net.read(client, 100)
    net.await_table(net.client, "TIME-WAIT")


@scenario(relay=True, delay=0.01)
def lost_fin_and_lost_answer(net):
    """The client's FIN is lost, and its answer to the server's: of what it sends then, only the IP
    identification tells that two things are missing, and that the FINs had crossed."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.drop(fin_from("client"))
    net.relay.hold(fin_from("server"))
    server.close()
    client.close()
    net.relayed("client", lambda p: p.fin, "the FIN")
    net.relay.drop(pure_ack("client"))
    net.relay.release()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH)
def fin_with_last_data(net):
    """The FIN rides on the last data segment (cork, then close)."""
    client, server = net.pair()
    net.exchange(client, server)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    client.sendall(b"q" * 200)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.read(server, 200)
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH)
def both_shut_down(net):
    """Both applications only shut down; the sockets stay open and the active one ends in TIME-WAIT."""
    client, server = net.pair()
    net.exchange(client, server)
    client.shutdown(WRITE)
    net.reach(server, "CLOSE-WAIT")
    server.shutdown(WRITE)
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True)
def duplicated_fins(net):
    """Every FIN arrives twice; the states do not care."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.duplicate(lambda p, side: p.fin, count=None, after=0.01)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.wait(0.05)
    server.close()
    net.await_table(net.client, "TIME-WAIT")
    net.wait(0.05)


@scenario(families=BOTH, relay=True, delay=0.01, seconds=5)
def fins_cross_over_unequal_ways(net):
    """What the server sends takes twice as long: FINs that cross pass either tap at other times than
    they left and came."""
    net.relay.late(lambda p, side: side == "server", 0.01, count=None)
    for number, pause in enumerate((0, 0.003, 0.006, 0.012)):
        client, server = net.pair(port=80 + number)
        net.exchange(client, server)
        net.wait(0.1)
        client.close()
        net.wait(pause)
        server.close()
    net.until(lambda: not net.count(net.server, "CLOSING"), 5, "the end of CLOSING")
    net.wait(0.1)
