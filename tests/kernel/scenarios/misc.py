"""Options, offload, other families, MPTCP, MD5, ECN, NAT on the way."""

import socket
import struct
import threading

from host import Missing
from packet import fix_checksums
from scenario import scenario

BOTH = (4, 6)
TCP = socket.IPPROTO_TCP
IPPROTO_MPTCP = 262
TCP_MD5SIG = 14


def finish(net, client, server):
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.await_table(net.client, "TIME-WAIT")


@scenario(families=BOTH, sysctl={"tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0})
def no_options(net):
    """Neither timestamps nor SACK nor window scaling."""
    client, server = net.pair()
    net.exchange(client, server)
    finish(net, client, server)


@scenario(families=BOTH, seconds=5)
def offloaded_big_segments(net):
    """Segmentation offload: the captures hold segments far above the MTU."""
    client, server = net.pair()
    sender = threading.Thread(target=server.sendall, args=(b"d" * 400000,))
    sender.start()
    net.read(client, 400000)
    sender.join()
    finish(net, client, server)


@scenario(seconds=4, polled=(4, 6))
def v4_mapped(net):
    """An IPv6 socket talks to a v4-mapped address: IPv4 on the wire."""
    listener = net.server.socket(6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((f"::ffff:{net.server.address}", 80))
    listener.listen(8)
    client = net.client.socket(6)
    client.connect((f"::ffff:{net.server.address}", 80))
    server = net.accept(listener)
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.until(lambda: any(state == "TIME-WAIT" for state in both(net).values()))


def both(net):
    import diag
    with net.client.inside():
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
    with netlink:
        return {**diag.dump(netlink, 4), **diag.dump(netlink, 6)}


@scenario(families=BOTH, sysctl={"tcp_ecn": 1})
def ecn_negotiated(net):
    """Both sides ask for ECN: SYN with ECE and CWR, SYN-ACK with ECE."""
    client, server = net.pair()
    net.exchange(client, server)
    finish(net, client, server)


@scenario(families=BOTH, client={"tcp_ecn": 1}, server={"tcp_ecn": 0})
def ecn_refused(net):
    """The client asks for ECN, the server does not want it."""
    client, server = net.pair()
    net.exchange(client, server)
    finish(net, client, server)


@scenario(families=BOTH, client={"tcp_ecn": 1}, server={"tcp_ecn": 1}, seconds=5, relay=True)
def ecn_syn_dropped_on_the_way(net):
    """A middlebox drops SYNs with ECN bits: the repetition comes without them."""
    listener = net.listen()
    net.relay.drop(lambda p, side: p.bare_syn and p.flags & 0xC0, count=None)
    client = net.dial(80)
    net.accept(listener)
    net.reach(client, "ESTABLISHED")


def storage(net, host):
    """A host's address as `struct sockaddr_storage`."""
    address = socket.inet_pton(socket.AF_INET if net.family == 4 else socket.AF_INET6,
                               net.at(host, 0)[0])
    if net.family == 4:
        start = struct.pack("=HH", socket.AF_INET, 0)
    else:
        start = struct.pack("=HHI", socket.AF_INET6, 0, 0)
    return (start + address).ljust(128, b"\0")


def signed_exchange(net, set_key):
    """A whole life in which both ends have the same key."""
    listener = net.listen(setup=lambda s: set_key(net, s, net.client, b"secret"))
    client = net.dial(80, block=True, setup=lambda s: set_key(net, s, net.server, b"secret"))
    server = net.accept(listener)
    net.exchange(client, server)
    finish(net, client, server)


def keys_that_differ(net, set_key):
    net.listen(setup=lambda s: set_key(net, s, net.client, b"secret"))
    net.dial(80, setup=lambda s: set_key(net, s, net.server, b"wrong"))
    net.wait(2.2)


def md5_key(net, sock, host, key):
    value = storage(net, host) + struct.pack("=BBHi", 0, 0, len(key), 0) + key.ljust(80, b"\0")
    try:
        sock.setsockopt(TCP, TCP_MD5SIG, value)
    except OSError as error:
        raise Missing(f"TCP_MD5SIG: {error.strerror}") from None


@scenario(families=BOTH)
def md5_signed(net):
    """Every segment carries a TCP MD5 signature (RFC 2385)."""
    signed_exchange(net, md5_key)


@scenario(families=BOTH, seconds=5)
def md5_wrong_key(net):
    """Different keys: SYNs are dropped silently behind the tap."""
    keys_that_differ(net, md5_key)


TCP_AO_ADD_KEY = 38


def ao_key(net, sock, host, key):
    """`struct tcp_ao_add` of linux/tcp.h: HMAC-SHA1, key ids 100 both ways."""
    value = (storage(net, host) + b"hmac(sha1)".ljust(64, b"\0")
             + struct.pack("=iIHBBBBBB", 0, 0, 0, 32 if net.family == 4 else 128, 100, 100, 12, 0,
                           len(key)) + key.ljust(80, b"\0"))
    try:
        sock.setsockopt(TCP, TCP_AO_ADD_KEY, value)
    except OSError as error:
        raise Missing(f"TCP_AO_ADD_KEY: {error.strerror}") from None


@scenario(families=BOTH)
def ao_signed(net):
    """Every segment carries a TCP authentication option (RFC 5925)."""
    signed_exchange(net, ao_key)


@scenario(families=BOTH, seconds=5)
def ao_wrong_key(net):
    """Different keys: SYNs are dropped silently behind the tap."""
    keys_that_differ(net, ao_key)


def mptcp(net, host):
    try:
        with host.inside():
            made = socket.socket(socket.AF_INET if net.family == 4 else socket.AF_INET6,
                                 socket.SOCK_STREAM, IPPROTO_MPTCP)
    except OSError as error:
        raise Missing(f"MPTCP: {error.strerror}") from None
    host.write_sysctl("net.mptcp.enabled", 1)
    made.settimeout(10)
    host.sockets.append(made)
    return made


def mptcp_listener(net):
    listener = mptcp(net, net.server)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(net.at(net.server, 80))
    listener.listen(8)
    return listener


@scenario(families=BOTH, seconds=5)
def mptcp_one_subflow(net):
    """MPTCP on both sides: one subflow with MP_CAPABLE, closed through DATA_FIN."""
    listener = mptcp_listener(net)
    client = mptcp(net, net.client)
    client.connect(net.at(net.server, 80))
    server = net.accept(listener)
    net.exchange(client, server)
    client.close()
    net.wait(0.1)
    server.close()
    net.wait(0.5)


@scenario(families=BOTH, seconds=6)
def mptcp_joins(net):
    """MPTCP: a second address of the client joins with MP_JOIN as a second TCP connection."""
    second = net.extra_address(net.client, 11)
    for host in net.hosts:
        host.run("ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2")
    net.client.run("ip", "mptcp", "endpoint", "add", second, "dev", net.client.device, "subflow")
    listener = mptcp_listener(net)
    client = mptcp(net, net.client)
    client.bind(net.at(net.client, 0))
    client.connect(net.at(net.server, 80))
    server = net.accept(listener)
    net.exchange(client, server)
    net.until(lambda: net.count(net.server, "ESTABLISHED") == 2, 5, "the second subflow")
    net.exchange(client, server, 5000)
    client.close()
    net.wait(0.1)
    server.close()
    net.wait(0.5)


@scenario(families=BOTH, seconds=5)
def mptcp_falls_back(net):
    """An MPTCP client meets a plain TCP listener: plain TCP from the SYN-ACK on."""
    listener = net.listen()
    client = mptcp(net, net.client)
    client.connect(net.at(net.server, 80))
    server = net.accept(listener)
    net.exchange(client, server)
    client.close()
    net.reach(server, "CLOSE-WAIT")
    server.close()
    net.wait(0.3)


@scenario(families=BOTH, relay=True, seconds=5)
def mptcp_option_stripped(net):
    """A middlebox strips MP_CAPABLE from the SYN: both fall back."""
    def strip(frame, packet):
        changed = bytearray(frame)
        at, end = packet.l4 + 20, packet.l4 + 20 + len(packet.options)
        while at < end:
            kind = changed[at]
            if kind == 0:
                break
            if kind == 1:
                at += 1
                continue
            size = changed[at + 1]
            if kind == 30:
                changed[at:at + size] = b"\x01" * size
            at += size
        return bytes(fix_checksums(changed))

    listener = mptcp_listener(net)
    net.relay.rewrite(lambda p, side: p.bare_syn, strip)
    client = mptcp(net, net.client)
    client.connect(net.at(net.server, 80))
    server = net.accept(listener)
    net.exchange(client, server)
    client.close()
    net.wait(0.1)
    server.close()
    net.wait(0.5)


@scenario(families=BOTH, seconds=4)
def many_small_exchanges(net):
    """A long-lived connection with forty requests, idle at the end and still open."""
    client, server = net.pair()
    for _ in range(40):
        net.exchange(client, server, 200)
        net.wait(0.005)
    net.wait(0.3)


@scenario(families=BOTH, relay=True)
def middlebox_mangles_numbers(net):
    """A firewall shifts the client's sequence numbers: both ends agree only through it."""
    shift = 1000003
    for host in net.hosts:
        host.sysctl(tcp_sack=0)

    def move(frame, packet):
        changed = bytearray(frame)
        sent = packet.dport == 80
        at = packet.l4 + (4 if sent else 8)
        value = struct.unpack_from("!I", changed, at)[0]
        if sent:
            value += shift
        elif packet.flags & 16:
            value -= shift
        struct.pack_into("!I", changed, at, value & 0xFFFFFFFF)
        return bytes(fix_checksums(changed))

    net.relay.rewrite(lambda p, side: True, move)
    client, server = net.pair()
    net.exchange(client, server)
    finish(net, client, server)


@scenario(families=BOTH)
def urgent_data(net):
    """One urgent byte."""
    client, server = net.pair()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    client.send(b"abc")
    client.send(b"!", socket.MSG_OOB)
    net.read(server, 4)
    finish(net, client, server)


@scenario(families=BOTH)
def wrapping_numbers(net):
    """A transfer whose sequence numbers pass 2^32 (TCP_REPAIR sets the start)."""
    repair, queue, queue_seq, send_queue = 19, 20, 21, 2
    listener = net.listen()
    client = net.client.socket(net.family)
    try:
        client.setsockopt(TCP, repair, 1)
        client.setsockopt(TCP, queue, send_queue)
        client.setsockopt(TCP, queue_seq, struct.pack("=I", 0xFFFFFF00))
        client.setsockopt(TCP, repair, 0)
    except OSError as error:
        raise Missing(f"TCP_REPAIR: {error.strerror}") from None
    client.connect(net.at(net.server, 80))
    server = net.accept(listener)
    net.exchange(client, server, 2000)
    finish(net, client, server)
