"""Connections that die of silence: keep-alive, retransmission, user timeout, orphans, zero windows."""

import socket

from scenario import scenario

BOTH = (4, 6)
TCP = socket.IPPROTO_TCP
WRITE = socket.SHUT_WR


def keep_alive(sock, idle=1, interval=1, probes=2):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(TCP, socket.TCP_KEEPIDLE, idle)
    sock.setsockopt(TCP, socket.TCP_KEEPINTVL, interval)
    sock.setsockopt(TCP, socket.TCP_KEEPCNT, probes)


def silence(net):
    """Nothing reaches the server's TCP any more (its tap still sees it)."""
    net.server.drop_input("tcp dport 80")


@scenario(families=BOTH, seconds=5)
def silence_behind_the_handshake(net):
    """The client's first words find nobody. The server was ESTABLISHED: no SYN-ACK comes again."""
    client, _ = net.pair()
    silence(net)
    client.sendall(b"q" * 10)
    net.wait(2.0)


@scenario(families=BOTH, seconds=8, client={"tcp_orphan_retries": 3})
def orphan_dies_without_a_word(net):
    """The client closes without having said anything, and its FIN finds nobody, however often it comes."""
    client, _ = net.pair()
    silence(net)
    client.close()
    net.await_table(net.client, "FIN-WAIT-1", 0)


@scenario(families=BOTH, seconds=6)
def keep_alive_answered(net):
    """Keep-alive probes are answered, nothing changes."""
    client, server = net.pair()
    net.exchange(client, server)
    keep_alive(client)
    net.wait(3.3)


@scenario(families=BOTH, seconds=7)
def keep_alive_dead(net):
    """Keep-alive probes stay unanswered: RST and CLOSED; the peer knows nothing."""
    client, server = net.pair()
    net.exchange(client, server)
    keep_alive(client)
    silence(net)
    net.reach(client, "CLOSED")


@scenario(families=BOTH, seconds=6)
def keep_alive_dead_at_once(net):
    """A single keep-alive probe stays unanswered; the peer does not get the RST either."""
    client, server = net.pair()
    net.exchange(client, server)
    keep_alive(client, probes=1)
    silence(net)
    net.reach(client, "CLOSED")
    net.wait(0.05)


@scenario(families=BOTH, seconds=5)
def keep_alive_meets_reset(net):
    """The peer lost the connection: the first keep-alive probe gets RST."""
    client, server = net.pair()
    net.exchange(client, server)
    net.server.drop_output("tcp flags & rst == rst")
    net.server.kill("state", "established")
    net.wait(0.05)
    net.server.allow()
    keep_alive(client)
    net.reach(client, "CLOSED")


@scenario(families=BOTH, seconds=6)
def user_timeout(net):
    """TCP_USER_TIMEOUT of 1.5 s: unacknowledged data kills the connection after it."""
    client, server = net.pair()
    net.exchange(client, server)
    client.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 1500)
    silence(net)
    client.sendall(b"q" * 100)
    net.reach(client, "CLOSED")


@scenario(families=BOTH, seconds=7, client={"tcp_retries2": 3})
def retransmission_death(net):
    """tcp_retries2=3: repeated data is never acknowledged, the socket dies without a word."""
    client, server = net.pair()
    net.exchange(client, server)
    silence(net)
    client.sendall(b"q" * 100)
    net.reach(client, "CLOSED")


@scenario(families=BOTH, seconds=9, client={"tcp_orphan_retries": 2})
def orphan_dies_in_fin_wait_1(net):
    """A closed socket's FIN is never acknowledged: the orphan dies in FIN-WAIT-1."""
    client, server = net.pair()
    net.exchange(client, server)
    silence(net)
    client.close()
    net.await_table(net.client, "FIN-WAIT-1", 0)
    net.wait(0.1)


@scenario(families=BOTH, seconds=9, server={"tcp_orphan_retries": 2})
def orphan_dies_in_last_ack(net):
    """The passive side's FIN is never acknowledged: the orphan dies in LAST-ACK."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    net.await_table(net.client, "FIN-WAIT-2")
    net.client.drop_input("tcp sport 80")
    server.close()
    net.await_table(net.server, "LAST-ACK", 0)
    net.wait(0.1)


def answer_fin_in_vain(net):
    """The server shuts down, and its firewall eats all that the client says to that: its own close as well."""
    client, server = net.pair()
    net.exchange(client, server)
    net.server.drop_input("tcp dport 80")
    server.shutdown(WRITE)
    net.reach(client, "CLOSE-WAIT")
    client.close()


@scenario(families=BOTH, seconds=6)
def orphan_hears_at_last_and_resets(net):
    """The client's firewall eats all that acknowledges its FIN, and opens: the next acknowledgment is taken,
    and what the server repeats then meets an orphan, which resets it."""
    client, server = net.pair()
    net.exchange(client, server)
    net.client.drop_input("tcp sport 80")
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.sendall(b"a" * 30)
    server.close()
    net.wait(0.7)
    net.client.allow()
    net.await_table(net.server, "LAST-ACK", 0)


@scenario(seconds=6, sysctl={"tcp_timestamps": 0, "tcp_sack": 0})
def words_again_in_fin_wait_1(net):
    """The server's firewall eats all that acknowledges its last words and its FIN: it sends the words again."""
    client, server = net.pair()
    net.exchange(client, server)
    net.server.drop_input("tcp dport 80")
    server.sendall(b"a" * 8)
    net.wait(0.01)
    server.shutdown(WRITE)
    net.wait(0.55)
    net.server.allow()
    net.reach(server, "FIN-WAIT-2")
    net.read(client, 8)
    client.close()
    net.await_table(net.client, "LAST-ACK", 0)


@scenario(families=BOTH, seconds=6, sysctl={"tcp_timestamps": 0})
def fin_eaten_in_fin_wait_2(net):
    """An orphan waits in FIN-WAIT-2, and its firewall eats the server's FIN three times. No timestamps."""
    client, server = net.pair()
    net.exchange(client, server)
    client.close()
    net.await_table(net.client, "FIN-WAIT-2")
    net.client.drop_input("tcp sport 80")
    server.close()
    net.wait(0.6)
    net.client.allow()
    net.await_table(net.server, "LAST-ACK", 0)


@scenario(families=BOTH, seconds=9, sysctl={"tcp_orphan_retries": 1})
def orphan_dies_in_last_ack_and_resets(net):
    """The orphan has died in LAST-ACK; what it answers to the peer's FINs then, the peer's firewall eats
    as it ate all before."""
    answer_fin_in_vain(net)
    net.await_table(net.client, "LAST-ACK", 0)
    net.wait(5.2)


@scenario(families=BOTH, seconds=9, sysctl={"tcp_orphan_retries": 2})
def orphan_dies_in_last_ack_alone(net):
    """The peer's firewall eats what comes and what leaves: the FINs, and the acknowledgment in them, came
    to nobody."""
    answer_fin_in_vain(net)
    net.server.drop_output("tcp sport 80")
    net.await_table(net.client, "LAST-ACK", 0)
    net.wait(0.1)


@scenario(families=BOTH, seconds=9, client={"tcp_orphan_retries": 2})
def dead_orphan_answers(net):
    """An orphan has died in LAST-ACK; a keep-alive probe is answered with a RST, much later."""
    client, server = net.pair()
    net.exchange(client, server)
    server.shutdown(WRITE)
    net.reach(client, "CLOSE-WAIT")
    keep_alive(server, idle=4)
    net.server.drop_input("tcp dport 80")
    client.close()
    net.await_table(net.client, "LAST-ACK", 0)
    net.server.allow()
    net.reach(server, "CLOSED")


@scenario(families=BOTH, seconds=9, relay=True, sysctl={"tcp_orphan_retries": 2})
def orphans_die_in_closing(net):
    """Crossing FINs whose ACKs never arrive: both orphans die in CLOSING."""
    client, server = net.pair()
    net.exchange(client, server)
    net.relay.hold(lambda p, side: p.fin, count=None)
    client.close()
    server.close()
    net.await_table(net.client, "FIN-WAIT-1")
    net.await_table(net.server, "FIN-WAIT-1")
    net.relay.drop(lambda p, side: True, count=None)
    net.relay.release(2)
    net.await_table(net.client, "CLOSING")
    net.await_table(net.server, "CLOSING")
    net.await_table(net.client, "CLOSING", 0)
    net.await_table(net.server, "CLOSING", 0)
    net.wait(0.1)


def stuff(net, sender, receiver):
    """Writes until the receiver's window is closed and the sender's buffer is full."""
    sender.setblocking(False)
    quiet = 0
    while quiet < 30:
        try:
            sender.send(b"d" * 4096)
            quiet = 0
        except BlockingIOError:
            quiet += 1
            net.wait(0.01)
    sender.settimeout(10)


def small_buffers(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)


@scenario(families=BOTH, seconds=7)
def zero_window_recovers(net):
    """The receiver stops reading, window probes are answered, reading on opens the window."""
    client, server = net.pair(setup=small_buffers)
    stuff(net, server, client)
    net.wait(1.5)
    client.settimeout(0.3)
    try:
        while client.recv(65536):
            pass
    except TimeoutError:
        pass
    net.exchange(client, server)


@scenario(families=BOTH, seconds=6)
def close_at_zero_window(net):
    """Close while the peer's window is closed: FIN-WAIT-1 long before any FIN is on the wire."""
    client, server = net.pair(setup=small_buffers)
    stuff(net, server, client)
    server.close()
    net.await_table(net.server, "FIN-WAIT-1")
    net.wait(0.6)
    client.settimeout(2)
    while client.recv(65536):
        pass
    client.close()
    net.await_table(net.server, "TIME-WAIT")


@scenario(families=BOTH, seconds=12, server={"tcp_orphan_retries": 3, "tcp_rto_max_ms": 1000})
def orphan_dies_at_zero_window(net):
    """The peer never opens its window again: the closed sender dies in FIN-WAIT-1, its FIN unsent."""
    client, server = net.pair(setup=small_buffers)
    stuff(net, server, client)
    server.close()
    net.await_table(net.server, "FIN-WAIT-1", 0, timeout=12)
    net.wait(0.1)


@scenario(families=BOTH, seconds=6)
def zero_window_then_reset(net):
    """The receiver closes with its buffer full: RST."""
    client, server = net.pair(setup=small_buffers)
    stuff(net, server, client)
    client.close()
    net.reach(server, "CLOSED")


@scenario(families=BOTH, seconds=7)
def close_wait_at_zero_window(net):
    """The peer has closed its side and its window: LAST-ACK with an unsent FIN, which goes out later."""
    client, server = net.pair(setup=small_buffers)
    client.shutdown(WRITE)
    net.reach(server, "CLOSE-WAIT")
    stuff(net, server, client)
    server.shutdown(WRITE)
    net.reach(server, "LAST-ACK")
    net.wait(0.5)
    client.settimeout(2)
    while client.recv(65536):
        pass
    net.await_table(net.server, "LAST-ACK", 0)


@scenario(families=BOTH, seconds=6)
def route_lost(net):
    """ICMP host unreachable in mid-connection is a soft error: nothing changes."""
    client, server = net.pair()
    net.exchange(client, server)
    net.server.run("nft", "-f", "-", text=(
        "table inet lab {\n chain input {\n  type filter hook input priority 0;\n"
        "  tcp dport 80 reject with icmpx type host-unreachable\n }\n}\n"))
    client.sendall(b"q" * 100)
    net.wait(0.7)
    net.server.allow()
    net.read(server, 100)
    net.exchange(client, server)


@scenario(families=BOTH, seconds=5)
def linger_timeout(net):
    """SO_LINGER with time: close blocks while the FIN is unacknowledged."""
    import struct
    import threading
    client, server = net.pair()
    net.exchange(client, server)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
    net.server.drop_input("tcp dport 80")
    client.settimeout(None)
    closing = threading.Thread(target=client.close)
    closing.start()
    net.wait(0.3)
    net.server.allow()
    closing.join()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.wait(0.1)
