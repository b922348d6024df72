"""ICMP errors in every state in which they could end something: all types and codes, one by one."""

from packet import SYN, build_icmp, fix_checksums
from scenario import scenario

BOTH = (4, 6)
PORT = 50000
# (type, code, what the second word carries); 3/4 and 2/0 carry the MTU.
ERRORS = {
    4: [(3, code, 1400 if code == 4 else 0) for code in range(16)] + [(4, 0, 0), (11, 0, 0), (11, 1, 0),
                                                                      (12, 0, 0)],
    6: [(1, code, 0) for code in range(8)] + [(2, 0, 1400), (3, 0, 0), (3, 1, 0), (4, 0, 0), (4, 1, 0)],
}


def router(net):
    return "198.18.255.1" if net.family == 4 else "fd99::ffff"


def complain(net, toward, error, frame):
    """A router's error about a frame; returns when its receiver's tap has seen it."""
    kind, code, extra = error
    receiver = net.at(net.client if toward == "client" else net.server, 0)[0]
    net.relay.inject(toward, build_icmp(router(net), receiver, kind, code, frame[14:], extra))
    net.sniffed(net.client if toward == "client" else net.server)


def held_of(net, port):
    """The frame of this port that the relay keeps back."""
    found = []

    def kept():
        found[:] = [frame for _, frame in net.relay.held if port in ports(frame)]
        return found

    net.until(kept, what=f"a frame of port {port} at the relay")
    return found[0]


def ports(frame):
    from packet import parse_frame
    packet = parse_frame(frame)
    return packet.sport, packet.dport


@scenario(families=BOTH, relay=True, seconds=5)
def icmp_in_syn_sent(net):
    """Each ICMP error about a SYN, to a client that has left connect: which of them end SYN-SENT."""
    net.relay.hold(lambda p, side: p.bare_syn, count=None)
    for number, error in enumerate(ERRORS[net.family]):
        client = net.dial(80, source=PORT + number)
        complain(net, "client", error, held_of(net, PORT + number))
        net.note(f"{error[:2]}: {net.state(client)}")
    net.wait(0.1)


@scenario(families=BOTH, relay=True, seconds=5)
def icmp_in_syn_received(net):
    """Each ICMP error about a SYN-ACK: which of them end the request."""
    net.listen(backlog=64)
    net.client.drop_output("tcp flags & rst == rst")  # Its kernel knows nothing of these SYNs.
    answers = {}

    def keep(frame, packet):
        answers[packet.dport] = frame
        return frame

    net.relay.rewrite(lambda p, side: side == "server" and p.syn_ack, keep)
    for number, error in enumerate(ERRORS[net.family]):
        source = net.at(net.client, PORT + number)
        net.client.inject(net.forge(source, net.at(net.server, 80), 1000 + number, flags=SYN))
        net.until(lambda port=PORT + number: port in answers, what="the SYN-ACK")
        complain(net, "server", error, answers[PORT + number])
    net.wait(0.1)


@scenario(families=BOTH, relay=True, seconds=5)
def icmp_in_established(net):
    """Each ICMP error about data that is on its way: an open connection survives all of them."""
    client, server = net.pair(source=PORT)
    net.exchange(client, server)
    held = net.relay.hold(lambda p, side: side == "client" and p.length > 0, count=None)
    client.sendall(b"q" * 100)
    frame = held_of(net, PORT)
    for error in ERRORS[net.family]:
        complain(net, "client", error, frame)
    net.relay.forget(held)
    net.relay.release()
    net.read(server, 100)
    net.exchange(client, server)


@scenario(families=BOTH, relay=True, seconds=5)
def icmp_in_fin_wait_1(net):
    """Each ICMP error about the FIN of a closed socket: it goes on trying."""
    client, server = net.pair(source=PORT)
    net.exchange(client, server)
    held = net.relay.hold(lambda p, side: side == "client" and p.fin, count=None)
    client.close()
    frame = held_of(net, PORT)
    for error in ERRORS[net.family]:
        complain(net, "client", error, frame)
    net.relay.forget(held)
    net.relay.release()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, relay=True, seconds=5)
def icmp_about_other_numbers(net):
    """ICMP errors that quote what is not on its way: nobody believes them (RFC 5927)."""
    net.relay.hold(lambda p, side: p.bare_syn, count=None)
    client = net.dial(80, source=PORT)
    frame = bytearray(held_of(net, PORT))
    at = 14 + (20 if net.family == 4 else 40) + 4
    frame[at:at + 4] = b"\x01\x02\x03\x04"
    port_unreachable = (3, 3, 0) if net.family == 4 else (1, 4, 0)
    complain(net, "client", port_unreachable, bytes(fix_checksums(frame)))
    net.reach(client, "SYN-SENT")
    net.wait(0.1)
