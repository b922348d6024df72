"""TIME-WAIT: its end, its reuse, its assassination, its overflow."""

import socket

from matches import data
from packet import ACK, RST, SYN, timestamp_option
from scenario import scenario

BOTH = (4, 6)


def finish(net, client, server):
    """The client closes first and ends in TIME-WAIT."""
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


def finish_by_server(net, client, server):
    net.exchange(client, server)
    server.close()
    net.reach(client, "CLOSE-WAIT")
    client.close()
    net.await_table(net.server, "TIME-WAIT")


@scenario(families=BOTH, seconds=72)
def time_wait_full(net):
    """TIME-WAIT lasts 60 s, whatever tcp_fin_timeout says."""
    client, server = net.pair()
    finish(net, client, server)
    net.await_table(net.client, "TIME-WAIT", 0, timeout=75)


@scenario(seconds=74)
def time_wait_rearmed(net):
    """A repeated FIN after 3 s arms the 60 s again."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.server.drop_output("tcp flags & rst == rst")  # It would end TIME-WAIT.
    target = server.getsockname()
    source = server.getpeername()
    server.close()
    net.await_table(net.client, "TIME-WAIT")
    last = net.last_sent(net.client, target, lambda p: p.fin)
    net.wait(3.0)
    net.server.inject(net.forge(target, source, last.seq, last.ack, last.flags,
                                options=timestamp_option(last.tsval + 3000, 0)))
    net.await_table(net.client, "TIME-WAIT", 0, timeout=75)


@scenario(families=BOTH, seconds=6, client={"tcp_tw_reuse": 1, "ip_local_port_range": "42000 42001"})
def time_wait_reused_by_client(net):
    """tcp_tw_reuse=1: connect takes a tuple in TIME-WAIT after one second."""
    listener = net.listen()
    for _ in range(3):
        client, server = net.pair(listener=listener)
        finish_any(net, client, server)
        net.wait(1.2)


def finish_any(net, client, server):
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.wait(0.05)


@scenario(families=BOTH, client={"tcp_tw_reuse": 0, "ip_local_port_range": "42000 42001"})
def time_wait_blocks_ports(net):
    """Two ports, both in TIME-WAIT, no reuse: the third connect fails without a segment."""
    listener = net.listen()
    for _ in range(2):
        client, server = net.pair(listener=listener)
        finish_any(net, client, server)
    try:
        net.dial(80, block=True)
    except OSError as error:
        net.note(f"third connect: {error.strerror}")


@scenario(families=BOTH)
def time_wait_recycled_by_newer_syn(net):
    """The server holds TIME-WAIT; a newer SYN on the same tuple opens a new connection at once."""
    listener = net.listen()
    client, server = net.pair(listener=listener, source=43000)
    finish_by_server(net, client, server)
    net.wait(0.3)
    client, server = net.pair(listener=listener, source=43000)
    net.exchange(client, server)


@scenario(families=BOTH)
def time_wait_old_syn_gets_old_ack(net):
    """A SYN with an older number and timestamp into TIME-WAIT: the OLD ACK, and RST from the client."""
    listener = net.listen()
    client, server = net.pair(listener=listener, source=43000)
    finish_by_server(net, client, server)
    first = net.last_sent(net.server, net.at(net.client, 43000), lambda p: p.bare_syn)
    net.client.inject(net.forge(client_name(net, 43000), net.at(net.server, 80),
                                first.seq - 100000, flags=SYN,
                                options=timestamp_option(first.tsval - 100000)))
    net.wait(0.2)


def client_name(net, port):
    return net.at(net.client, port)


def assassinate(net):
    client, server = net.pair(source=43000)
    finish(net, client, server)
    fin = net.last_sent(net.client, net.at(net.server, 80), lambda p: p.fin)
    net.server.inject(net.forge(net.at(net.server, 80), net.at(net.client, 43000),
                                fin.end, 0, RST))
    net.wait(0.2)


@scenario(families=BOTH)
def time_wait_assassinated(net):
    """tcp_rfc1337=0: an RST with the right number ends TIME-WAIT."""
    assassinate(net)


@scenario(families=BOTH, client={"tcp_rfc1337": 1})
def time_wait_protected(net):
    """tcp_rfc1337=1: the same RST is ignored."""
    assassinate(net)


@scenario(families=BOTH)
def time_wait_wrong_reset(net):
    """An RST with a wrong number does nothing to TIME-WAIT."""
    client, server = net.pair(source=43000)
    finish(net, client, server)
    fin = net.last_sent(net.client, net.at(net.server, 80), lambda p: p.fin)
    net.server.inject(net.forge(net.at(net.server, 80), net.at(net.client, 43000),
                                fin.end + 77, 0, RST))
    net.wait(0.2)


@scenario(families=BOTH)
def time_wait_gets_data(net):
    """Old data that arrives in TIME-WAIT is acknowledged and discarded."""
    client, server = net.pair(source=43000)
    finish(net, client, server)
    net.server.drop_output("tcp flags & rst == rst")  # It would end TIME-WAIT.
    fin = net.last_sent(net.client, net.at(net.server, 80), lambda p: p.fin)
    net.server.inject(net.forge(net.at(net.server, 80), net.at(net.client, 43000), fin.end - 50,
                                fin.ack, ACK, payload=b"a" * 20,
                                options=timestamp_option(0x7fffffff)))
    net.wait(0.2)


@scenario(families=BOTH, seconds=6)
def time_wait_accumulates(net):
    """Forty short connections closed by the client: forty TIME-WAIT."""
    listener = net.listen()
    for _ in range(40):
        client, server = net.pair(listener=listener)
        finish_any_fast(net, client, server)
    net.await_table(net.client, "TIME-WAIT", 40)


def finish_any_fast(net, client, server):
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()


@scenario(families=BOTH, client={"tcp_max_tw_buckets": 3})
def time_wait_bucket_overflow(net):
    """tcp_max_tw_buckets=3: further sockets are CLOSED at once, the wire looks the same."""
    listener = net.listen()
    for _ in range(8):
        client, server = net.pair(listener=listener)
        finish_any_fast(net, client, server)
        net.wait(0.02)
    net.wait(0.1)


@scenario(families=BOTH, sysctl={"tcp_max_tw_buckets": 2})
def time_wait_buckets_of_both(net):
    """Both close at once where each host has two buckets: the third pair of sockets finds none, on
    either side."""
    listener = net.listen()
    for _ in range(5):
        client, server = net.pair(listener=listener)
        net.exchange(client, server)
        client.close()
        server.close()
        net.wait(0.02)
    net.wait(0.1)


@scenario(families=BOTH, client={"tcp_max_tw_buckets": 2})
def time_wait_buckets_of_half_closed(net):
    """Sockets that were only shut down take no bucket in FIN-WAIT-2, and find none when the FIN comes."""
    listener = net.listen()
    for _ in range(5):
        client, server = net.pair(listener=listener)
        net.exchange(client, server)
        client.shutdown(socket.SHUT_WR)
        net.reach(server, "CLOSE-WAIT")
        net.wait(0.06)
        server.close()
        net.wait(0.02)
    net.wait(0.1)


@scenario(families=BOTH, client={"tcp_max_tw_buckets": 4})
def time_wait_buckets_of_many_half_closed(net):
    """More sockets are shut down than there are buckets, and closed in another order: each asks for its
    bucket when the FIN comes, since none was an orphan."""
    listener = net.listen()
    pairs = [net.pair(listener=listener) for _ in range(9)]
    for client, server in pairs:
        net.exchange(client, server)
        client.shutdown(socket.SHUT_WR)
        net.wait(0.01)
    net.wait(0.1)
    for number in (7, 2, 0, 8, 5, 1, 6, 3, 4):
        pairs[number][1].close()
        net.wait(0.01)
    net.wait(0.1)


@scenario(families=BOTH, client={"tcp_max_tw_buckets": 2})
def time_wait_buckets_of_orphans(net):
    """Orphans take a bucket in FIN-WAIT-2; those that find none are CLOSED then, and answer the FIN with
    a RST."""
    listener = net.listen()
    servers = []
    for _ in range(5):
        client, server = net.pair(listener=listener)
        net.exchange(client, server)
        client.close()
        net.reach(server, "CLOSE-WAIT")
        net.wait(0.06)
        servers.append(server)
    for server in servers:
        server.close()
        net.wait(0.02)
    net.wait(0.1)


@scenario(client={"tcp_max_tw_buckets": 2})
def time_wait_buckets_beside_an_orphan(net):
    """An orphan waits in FIN-WAIT-2 and holds a place unseen: of two that close after it, the second finds
    none. The answer to the orphan's FIN, later, comes from what is left of a socket."""
    listener = net.listen()
    pairs = [net.pair(listener=listener) for _ in range(3)]
    for client, server in pairs:
        net.exchange(client, server)
    orphan = pairs[0][1]
    pairs[0][0].close()
    net.reach(orphan, "CLOSE-WAIT")
    net.wait(0.08)
    for client, server in pairs[1:]:
        client.close()
        net.reach(server, "CLOSE-WAIT")
        server.close()
        net.wait(0.05)
    orphan.close()
    net.wait(0.1)


@scenario(seconds=6)
def nat_with_old_timestamps(net):
    """Two hosts behind one address: the second's older clock meets TIME-WAIT and is answered with ACKs only."""
    listener = net.listen()
    client, server = net.pair(listener=listener, source=43000)
    finish_by_server(net, client, server)
    first = net.last_sent(net.server, net.at(net.client, 43000), lambda p: p.bare_syn)
    net.client.drop_output("tcp flags & rst == rst")  # The other host behind the NAT says nothing.
    for attempt in range(3):
        net.client.inject(net.forge(net.at(net.client, 43000), net.at(net.server, 80),
                                    first.seq + 500000, flags=SYN,
                                    options=timestamp_option(first.tsval - 60000 + attempt)))
        net.wait(0.4)


@scenario(families=BOTH, sysctl={"tcp_timestamps": 0})
def time_wait_recycled_without_timestamps(net):
    """No timestamps: only a newer sequence number can recycle TIME-WAIT."""
    listener = net.listen()
    client, server = net.pair(listener=listener, source=43000)
    finish_by_server(net, client, server)
    net.wait(0.1)
    client, server = net.pair(listener=listener, source=43000)
    net.exchange(client, server)


@scenario(families=BOTH)
def time_wait_killed(net):
    """An administrator destroys the TIME-WAIT socket (ss -K): nothing on the wire."""
    client, server = net.pair()
    finish(net, client, server)
    net.client.kill("state", "time-wait")
    net.await_table(net.client, "TIME-WAIT", 0)
    net.wait(0.1)


@scenario(sysctl={"tcp_max_tw_buckets": 2})
def time_wait_buckets_of_many_at_once(net):
    """Many sockets are shut down by one side or the other, and closed later, all at once: each asks for
    its bucket when the other FIN comes, though it may have had one since its own was acknowledged."""
    listener = net.listen(backlog=32)
    pairs = [net.pair(listener=listener) for _ in range(8)]
    for number, (client, server) in enumerate(pairs):
        (server if number % 3 == 0 else client).shutdown(socket.SHUT_WR)
    net.wait(0.15)
    for client, server in pairs:
        client.close()
        server.close()
    net.wait(0.2)


@scenario()
def time_wait_gets_syn_ack(net):
    """A SYN-ACK in the client's name meets the server's TIME-WAIT: it is answered, and ends nothing."""
    client, server = net.pair(source=43000)
    net.exchange(client, server)
    finish_by_server(net, client, server)
    last = net.last_sent(net.server, net.at(net.client, 43000))
    net.client.drop_output("tcp flags & rst == rst")
    net.client.inject(net.forge(net.at(net.client, 43000), net.at(net.server, 80),
                                last.seq + 5000, last.ack, SYN | ACK))
    net.wait(0.2)


@scenario(families=BOTH)
def time_wait_gets_syn_of_the_server(net):
    """A new SYN in the server's name meets the client's TIME-WAIT: nobody listens there, so it is
    acknowledged as before, and ends nothing."""
    client, server = net.pair(source=43000)
    finish(net, client, server)
    fin = net.last_sent(net.client, net.at(net.server, 80), lambda p: p.fin)
    net.server.drop_output("tcp flags & rst == rst")
    net.server.inject(net.forge(net.at(net.server, 80), net.at(net.client, 43000), fin.end + 70_000,
                                flags=SYN, options=timestamp_option(fin.tsval + 10)))
    net.wait(0.1)


@scenario(families=BOTH, relay=True, delay=0.003)
def answers_for_the_connection_before(net):
    """The client aborts and opens again on the same port while words of the server are on their way: the RST
    that answers them belongs to the connection before, and the new one goes on."""
    listener = net.listen()
    client, server = net.pair(listener=listener, source=43100)
    net.exchange(client, server)
    net.relay.hold(data("server"))
    held = net.relay.hold(lambda p, side: side == "server" and p.syn_ack)
    server.sendall(b"late words")
    net.relayed("server", lambda p: p.length == 10, "the late words")
    net.linger_zero(client)
    client.close()
    net.reach(server, "CLOSED")
    client = net.dial(source=43100)
    net.relay.release(2)
    net.relay.forget(held)
    server = net.accept(listener)
    net.exchange(client, server)
    finish_by_server(net, client, server)
