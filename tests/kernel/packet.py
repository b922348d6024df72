"""Ethernet, IP and TCP headers: parse captured frames, build frames to inject.

Only what the laboratory needs. Parsing is used by the relay (to decide what to drop) and by
truth.py (to find the segment behind a state change); building is used for spoofed and crafted
segments. Nothing here touches a socket or a file except `read_pcap` and `write_pcap`.
"""

import ipaddress
import struct
from dataclasses import dataclass, field

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
MARK = 0x88B5  # an EtherType for experiments: frames that only a capture takes (Net.sniffed)
LETTERS = (("F", FIN), ("S", SYN), ("R", RST), ("P", PSH), (".", ACK), ("U", URG),
           ("E", ECE), ("W", CWR))


@dataclass(slots=True)
class Packet:
    """One IP packet. `length` is the TCP payload length in bytes, also when the capture cut it."""

    src: str
    dst: str
    sport: int = 0
    dport: int = 0
    seq: int = 0
    ack: int = 0
    flags: int = 0
    window: int = 0
    length: int = 0
    tsval: int | None = None
    ip_id: int = 0
    protocol: int = 6
    icmp: tuple | None = None  # (type, code, inner Packet) of an ICMP error
    options: bytes = b""
    l3: int = 14  # offset of the IP header in the frame
    l4: int = 34  # offset of the TCP header in the frame
    frame: int = 0  # 1-based number in its capture, 0 on the wire
    time: int = 0  # ns since the epoch, 0 on the wire

    def has(self, flags):
        return self.flags & flags == flags

    @property
    def bare_syn(self):
        return self.flags & (SYN | ACK | RST) == SYN

    @property
    def syn_ack(self):
        return self.flags & (SYN | ACK | RST) == SYN | ACK

    @property
    def fin(self):
        return bool(self.flags & FIN)

    @property
    def rst(self):
        return bool(self.flags & RST)

    @property
    def end(self):
        """Sequence number after the payload, SYN and FIN."""
        return (self.seq + self.length + (self.flags & 1) + (self.flags >> 1 & 1)) & 0xFFFFFFFF

    @property
    def print(self):
        """What tells it from other segments, before and after a capture."""
        return [self.src, self.sport, self.dst, self.dport, self.seq, self.ack, self.flags,
                self.length, self.tsval]

    def letters(self):
        return "".join(letter for letter, bit in LETTERS if self.flags & bit)

    def __str__(self):
        return (f"{self.src}:{self.sport} > {self.dst}:{self.dport} [{self.letters()}] "
                f"seq {self.seq} ack {self.ack} len {self.length}")


def _parse_ip(data, offset):
    version = data[offset] >> 4
    if version == 4:
        header = (data[offset] & 15) * 4
        total, ip_id = struct.unpack_from("!HH", data, offset + 2)
        protocol = data[offset + 9]
        src = str(ipaddress.IPv4Address(data[offset + 12:offset + 16]))
        dst = str(ipaddress.IPv4Address(data[offset + 16:offset + 20]))
        return src, dst, protocol, ip_id, offset + header, (total - header) if total else None
    if version == 6:
        total, protocol = struct.unpack_from("!HB", data, offset + 4)
        src = str(ipaddress.IPv6Address(data[offset + 8:offset + 24]))
        dst = str(ipaddress.IPv6Address(data[offset + 24:offset + 40]))
        return src, dst, protocol, 0, offset + 40, total if total else None
    return None


def _timestamp(options):
    at = 0
    while at < len(options):
        kind = options[at]
        if kind == 0:
            return None
        if kind == 1:
            at += 1
            continue
        if at + 1 >= len(options) or options[at + 1] < 2:
            return None
        if kind == 8 and at + 10 <= len(options):
            return struct.unpack_from("!I", options, at + 2)[0]
        at += options[at + 1]
    return None


def parse_ip(data, offset=0, wire_length=None):
    """Packet at `offset` (an IP header), or None when it is neither TCP nor an ICMP error."""
    try:
        parsed = _parse_ip(data, offset)
        if parsed is None:
            return None
        src, dst, protocol, ip_id, l4, l4_length = parsed
        if l4_length is None:
            l4_length = (wire_length or len(data)) - l4
        if protocol == 6:
            sport, dport, seq, ack, bits, window = struct.unpack_from("!HHIIHH", data, l4)
            header = (bits >> 12) * 4
            options = bytes(data[l4 + 20:l4 + header])
            return Packet(src, dst, sport, dport, seq, ack, bits & 0xFF, window,
                          l4_length - header, _timestamp(options), ip_id, 6, None, options,
                          offset, l4)
        if protocol in (1, 58):
            kind, code = data[l4], data[l4 + 1]
            error = kind in (3, 4, 5, 11, 12) if protocol == 1 else kind < 128
            inner = _inner(data, l4 + 8) if error else None
            return Packet(src, dst, protocol=protocol, icmp=(kind, code, inner), l3=offset, l4=l4)
    except (struct.error, IndexError, ipaddress.AddressValueError):
        return None
    return None


def _inner(data, offset):
    parsed = _parse_ip(data, offset)
    if parsed is None or parsed[2] != 6:
        return None
    sport, dport, seq = struct.unpack_from("!HHI", data, parsed[4])
    return Packet(parsed[0], parsed[1], sport, dport, seq)


def parse_frame(data, wire_length=None):
    """Packet of an Ethernet frame without VLAN tags, or None."""
    if len(data) < 34 or data[12:14] not in (b"\x08\x00", b"\x86\xdd"):
        return None
    return parse_ip(data, 14, wire_length)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def build_tcp(src, dst, sport, dport, seq, ack=0, flags=ACK, window=65535, payload=b"",
              options=b"", ttl=64, ip_id=0):
    """IP packet (bytes) with one TCP segment and right checksums."""
    source, target = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    options += b"\x01" * (-len(options) % 4)
    offset = 5 + len(options) // 4
    head = struct.pack("!HHIIHHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF,
                       offset << 12 | flags, window, 0, 0)
    body = head + options + payload
    pseudo = source.packed + target.packed + struct.pack("!II", len(body), 6)
    body = body[:16] + struct.pack("!H", checksum(pseudo + body)) + body[18:]
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(body), 6, ttl) + source.packed + target.packed + body
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), ip_id, 0x4000, ttl, 6, 0)
    ip += source.packed + target.packed
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + body


def build_icmp(src, dst, kind, code, quoted, extra=0):
    """IP packet (bytes) with an ICMP error that quotes the beginning of an IP packet; `extra` is what
    some types carry in their second word (an MTU)."""
    source, target = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    body = struct.pack("!BBHI", kind, code, 0, extra) + quoted[:(40 if source.version == 6 else 20) + 20]
    pseudo = b""
    if source.version == 6:
        pseudo = source.packed + target.packed + struct.pack("!II", len(body), 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(body), 58, 64) + source.packed + target.packed + body
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, 1, 0)
    ip += source.packed + target.packed
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + body


def fix_checksums(frame):
    """Recomputes the IP and TCP checksums of an Ethernet frame that was changed (bytearray)."""
    packet = parse_frame(bytes(frame))
    if frame[14] >> 4 == 4:
        frame[24:26] = b"\0\0"
        frame[24:26] = struct.pack("!H", checksum(bytes(frame[14:packet.l4])))
        addresses = bytes(frame[26:34])
    else:
        addresses = bytes(frame[22:54])
    end = packet.l4 + 20 + len(packet.options) + packet.length
    frame[packet.l4 + 16:packet.l4 + 18] = b"\0\0"
    body = bytes(frame[packet.l4:end])
    pseudo = addresses + struct.pack("!II", len(body), 6)
    frame[packet.l4 + 16:packet.l4 + 18] = struct.pack("!H", checksum(pseudo + body))
    return frame


def timestamp_option(value, echo=0):
    return b"\x01\x01" + struct.pack("!BBII", 8, 10, value & 0xFFFFFFFF, echo & 0xFFFFFFFF)


@dataclass
class Capture:
    """A pcap file with nanosecond times: raw records and the packets parsed from them."""

    header: bytes
    records: list = field(default_factory=list)  # (time ns, record header, bytes)
    packets: list = field(default_factory=list)
    mark: bytes = b""  # what the last mark says


def read_pcap(path):
    """Reads a little-endian nanosecond pcap as tcpdump writes it. A cut last record is left out, and
    so are the laboratory's own marks, of which the last is kept apart."""
    with open(path, "rb") as file:
        data = file.read()
    magic = struct.unpack_from("<I", data)[0]
    if magic != 0xA1B23C4D:
        raise ValueError(f"{path}: not a nanosecond pcap")
    capture = Capture(data[:24])
    at = 24
    while at + 16 <= len(data):
        seconds, nanos, kept, wire = struct.unpack_from("<IIII", data, at)
        if at + 16 + kept > len(data):
            break
        body = data[at + 16:at + 16 + kept]
        if body[12:14] == MARK.to_bytes(2, "big"):
            capture.mark = body[14:]
            at += 16 + kept
            continue
        time = seconds * 1_000_000_000 + nanos
        capture.records.append((time, data[at:at + 16], body))
        packet = parse_frame(body, wire)
        if packet is not None:
            packet.frame, packet.time = len(capture.records), time
            capture.packets.append(packet)
        at += 16 + kept
    return capture


def write_pcap(path, capture):
    with open(path, "wb") as file:
        file.write(capture.header)
        for _, head, body in capture.records:
            file.write(head)
            file.write(body)
