"""Which packets a rule of the relay is for: each function makes a match of (packet, side)."""

from packet import ACK, FIN, SYN


def data(role):
    """What carries payload of one side."""
    return lambda packet, side: side == role and packet.length > 0


def short_data(role):
    """Payload of less than 1,000 bytes: as a rule the last of a transfer."""
    return lambda packet, side: side == role and 0 < packet.length < 1000


def pure_ack(role):
    """An acknowledgment and nothing else."""
    return lambda packet, side: (side == role and not packet.length and packet.flags & ACK
                                 and not packet.flags & (SYN | FIN))


def every(nth, match):
    """Every nth of those that match."""
    turn = {"n": 0}

    def is_due(packet, side):
        if not match(packet, side):
            return False
        turn["n"] += 1
        return turn["n"] % nth == 0

    return is_due


def every_new(nth, match, limit):
    """Every nth of those that match, repetitions not counted, among the first `limit`."""
    sent = set()

    def is_due(packet, side):
        if not match(packet, side) or packet.seq in sent:
            return False
        sent.add(packet.seq)
        return len(sent) % nth == 0 and len(sent) < limit

    return is_due


def first_and_again(match):
    """The first that matches, and its repetitions."""
    seen = {}

    def is_it(packet, side):
        return match(packet, side) and packet.seq == seen.setdefault("seq", packet.seq)

    return is_it


def once_from(offset, match):
    """Those that match this far behind the first of them in the stream, each number once."""
    seen, hit = {}, set()

    def is_there(packet, side):
        if not match(packet, side):
            return False
        at = (packet.seq - seen.setdefault("first", packet.seq)) & 0xFFFFFFFF
        if at < offset or at in hit:
            return False
        hit.add(at)
        return True

    return is_there
