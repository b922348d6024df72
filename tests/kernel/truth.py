"""Writes truth.json: every state change with its tag, checked against the second witness.

A change is `wire` when the host's own capture holds the segment behind it, `timer` when a timer of
known length ran out, `invisible` otherwise. The segment is found by rule from the kind of change,
the tuple and the time. The run fails when the trace and the polled socket table disagree.
"""

import json
import os
import pickle
from bisect import bisect_left

from diag import join_port
from packet import read_pcap, write_pcap
from sockets import Lives

BEFORE, AFTER = 20_000_000, 20_000_000  # ns: a busy machine delays the kernel that much at worst
NEAR = 5_000  # ns: two stamps of one event
BATCH = 100_000  # ns: what comes together is stamped before the kernel acts on any of it
SLACK = 300_000  # ns: capture and trace stamps are taken at different points of one path
POLL_SLACK = 4_000_000
STOOD_STILL = "the machine stood still"
# The child of a cookie passes through SYN-RECEIVED within the call that makes it: no state of anybody's.
COOKIE = "SYN cookie: no socket existed before this ACK"
STANDSTILL = 1_000_000  # ns: what tests/kernel_truth allows between a segment and its effect


# Any segment with the right number does it.
BY_ACKNOWLEDGMENT = {("SYN-RECEIVED", "ESTABLISHED"), ("FIN-WAIT-1", "FIN-WAIT-2"), ("CLOSING", "TIME-WAIT")}


class Wire:
    """The segments of one host's capture by (local, remote)."""

    def __init__(self, capture, addresses):
        self.by_pair, self.all = {}, capture.packets
        mine = set(addresses)
        for packet in capture.packets:
            if packet.icmp is not None:
                inner = packet.icmp[2]
                if inner is not None and inner.src in mine:
                    self._add((join_port(inner.src, inner.sport),
                               join_port(inner.dst, inner.dport)), packet, False)
                continue
            source = join_port(packet.src, packet.sport)
            target = join_port(packet.dst, packet.dport)
            if packet.src in mine:
                self._add((source, target), packet, True)
            if packet.dst in mine:
                self._add((target, source), packet, False)
            elif packet.src not in mine:
                self._add((source, target), packet, True)  # Spoofed here.

    def _add(self, pair, packet, sent):
        times, entries = self.by_pair.setdefault(pair, ([], []))
        times.append(packet.time)
        entries.append((packet, sent))

    def received(self, pair, time, accept, reach=BEFORE):
        """The last segment before `time`; one slightly later only when there is none."""
        return (self._received(pair, time + NEAR, accept, reach)
                or self._received(pair, time + SLACK, accept, reach))

    def _received(self, pair, time, accept, reach):
        times, entries = self.by_pair.get(pair, ([], []))
        at = bisect_left(times, time) - 1
        while at >= 0 and times[at] >= time - reach:
            packet, sent = entries[at]
            if not sent and accept(packet):
                return packet
            at -= 1
        return None

    def first_of_batch(self, pair, packet):
        """The first of the segments that came together with `packet` and acknowledge the same."""
        times, entries = self.by_pair[pair]
        for at in range(bisect_left(times, packet.time - BATCH), bisect_left(times, packet.time)):
            earlier, sent = entries[at]
            if (not sent and earlier.icmp is None and not earlier.rst and earlier.flags & 16
                    and earlier.ack == packet.ack):
                return earlier
        return packet

    def sent(self, pair, time, accept, reach=AFTER):
        """The first segment after `time`; one slightly earlier only when there is none."""
        return (self._sent(pair, time - NEAR, accept, reach)
                or self._sent(pair, time - SLACK, accept, reach))

    def _sent(self, pair, time, accept, reach):
        times, entries = self.by_pair.get(pair, ([], []))
        at = bisect_left(times, time)
        while at < len(times) and times[at] <= time + reach:
            packet, sent = entries[at]
            if sent and accept(packet):
                return packet
            at += 1
        return None

    def between(self, pair, begin, end):
        times, entries = self.by_pair.get(pair, ([], []))
        return [entry for entry in entries[bisect_left(times, begin):bisect_left(times, end)]]

    def holds(self, packet):
        """Whether this capture has the same segment (a big one may have been cut on the way)."""
        pair = (join_port(packet.src, packet.sport), join_port(packet.dst, packet.dport))
        found = self.by_pair.get(pair) or self.by_pair.get(pair[::-1])
        if found is None:
            return False
        return any(same(packet, other) for other, _ in found[1])


def same(packet, other):
    """Whether two captures saw one segment; a middlebox may have moved its numbers."""
    if (other.icmp is not None or (other.src, other.sport) != (packet.src, packet.sport)
            or other.flags & 7 != packet.flags & 7
            or abs(other.time - packet.time) >= 3_000_000_000 or other.tsval != packet.tsval):
        return False
    return (other.end, other.ack) == (packet.end, packet.ack) or (
        packet.tsval is not None and other.length == packet.length)


def explain(change, pair, wire):
    """(tag, packet or None, note) of one change."""
    old, new, time = change.old, change.new, change.time
    if new == "CLOSED":
        return _explain_end(change, pair, wire)
    if new == "SYN-SENT":
        packet = wire.sent(pair, time, lambda p: p.bare_syn)
        return ("wire", packet, "") if packet else ("invisible", None, "its SYN never left the host")
    if new in ("FIN-WAIT-1", "LAST-ACK"):
        return _explain_fin(change, pair, wire)
    rules = {
        ("LISTEN", "SYN-RECEIVED"): lambda p: p.bare_syn,
        ("SYN-SENT", "SYN-RECEIVED"): lambda p: p.bare_syn,
        ("SYN-SENT", "ESTABLISHED"): lambda p: p.syn_ack,
        ("SYN-RECEIVED", "ESTABLISHED"): lambda p: p.flags & 16 and not p.rst,
    }
    accept = rules.get((old, new), lambda p: p.icmp is None and p.flags & 16 and not p.rst)
    packet = wire.received(pair, time, lambda p: p.icmp is None and accept(p))
    if packet is not None and (old, new) in BY_ACKNOWLEDGMENT:
        packet = wire.first_of_batch(pair, packet)
    if (old, new, change.source) == ("LISTEN", "SYN-RECEIVED", "tracepoint"):
        # No request socket was seen: data with the SYN (TFO), or the ACK of a SYN cookie.
        cause = wire.received(pair, time, lambda p: p.icmp is None and not p.rst)
        if cause is not None and not cause.bare_syn:
            return "invisible", cause, COOKIE
    return ("wire", packet, "") if packet else ("invisible", None, "no segment at that time")


def _explain_fin(change, pair, wire):
    packet = wire.sent(pair, change.time, lambda p: p.fin)
    if packet is None:
        return "invisible", None, "the FIN waits behind unsent data or a closed window"
    lag = packet.time - change.time
    if lag > 1_000_000 and wire.between(pair, change.time, packet.time - 1):
        return "invisible", None, f"the FIN waited {lag // 1000} us behind unsent data"
    return "wire", packet, ""


def _explain_end(change, pair, wire):
    old, time = change.old, change.time
    if change.how == "orphaned":
        return "invisible", None, ""
    if change.how == "expire":
        return "timer", None, {"TIME-WAIT": "TIME-WAIT ran out",
                               "FIN-WAIT-2": "tcp_fin_timeout ran out",
                               "SYN-RECEIVED": "SYN-ACK retries ran out"}.get(old, "timer ran out")
    causes = [wire.received(pair, time, lambda p: p.icmp is None and p.rst, 5_000_000)]
    if old != "SYN-SENT":  # Closed there, a socket says nothing; a RST answers the SYN-ACK later.
        causes.append(_reset_by_it(old, time, pair, wire))
    acknowledged = wire.received(pair, time, lambda p: p.icmp is None and p.flags & 16, 5_000_000)
    if old == "LAST-ACK":
        causes.append(acknowledged and wire.first_of_batch(pair, acknowledged))
    causes = [packet for packet in causes if packet is not None]
    if causes:
        return "wire", min(causes, key=lambda packet: abs(packet.time - time)), ""
    packet = wire.received(pair, time, lambda p: p.icmp is not None, 5_000_000)
    if packet is not None:
        return "wire", packet, "ICMP error"
    if old == "TIME-WAIT":
        packet = wire.received(pair, time, lambda p: p.bare_syn, 5_000_000)
        if packet is None:
            packet = wire.sent(pair, time, lambda p: p.bare_syn, 5_000_000)
        if packet is not None:
            return "wire", packet, "a new connection takes the tuple"
        return "invisible", None, "TIME-WAIT was removed"
    if old in ("FIN-WAIT-2", "CLOSING") and acknowledged is not None:
        return "invisible", acknowledged, "no TIME-WAIT bucket was free: closed at once"
    notes = {"SYN-SENT": "the connect gave up or its application closed", "FIN-WAIT-1": "the orphan died",
             "LAST-ACK": "the orphan died", "CLOSING": "the orphan died",
             "FIN-WAIT-2": "the orphan died", "SYN-RECEIVED": "the request was dropped"}
    return "invisible", None, notes.get(old, "aborted without a segment")


def _reset_by_it(old, time, pair, wire):
    """The RST that it sent as it closed. Where nothing may have been left of it, a RST that answers what
    came later is not its own."""
    packet = wire.sent(pair, time, lambda p: p.icmp is None and p.rst, 5_000_000)
    if packet is not None and old in ("ESTABLISHED", "CLOSE-WAIT", "LAST-ACK") and not packet.flags & 16:
        return None  # A socket that aborts sends an ACK with it: this one answered for the port alone.
    if packet is not None and old in ("FIN-WAIT-2", "CLOSING"):
        later = wire.between(pair, time + NEAR, packet.time)
        if any(not sent for _, sent in later):
            return None
    return packet


def check_chain(lives, begin):
    """Every incarnation begins at CLOSED or LISTEN and continues where it was."""
    problems = []
    for life in lives:
        at = life.changes[0].old
        who = f"{life.role} {life.local} {life.remote}"
        if at not in ("CLOSED", "LISTEN"):
            problems.append(f"{who} begins at {at}")
        for change in life.changes:
            if change.old != at:
                problems.append(f"{who} goes on from {change.old} while in {at}")
            at = change.new
    return problems


def check_polls(lives, polls, facts):
    """What the polled socket table contradicts, as sentences; empty when both witnesses agree."""
    problems, compared = [], 0
    spans = {}
    for life in lives:
        changes = life.changes
        steps = spans.setdefault((life.role, life.local, life.remote), [])
        for change, after in zip(changes, [*changes[1:], None]):
            until = after.time if after is not None else facts["end"] + 10**12
            if change.new != "CLOSED":
                steps.append((change.time, until, change.new))
    for role, rows in polls.items():
        rows = [row for row in rows if row[1] <= facts["end"]]
        for before, after, table in rows:
            low, high = before - POLL_SLACK, after + POLL_SLACK
            for (local, remote), state in table.items():
                if state == "CLOSED":
                    continue  # A socket that its application has not closed yet: no connection.
                compared += 1
                possible = [found for start, stop, found in spans.get((role, local, remote), [])
                            if start <= high and stop >= low]
                if state not in possible:
                    problems.append(f"{role} {local} {remote}: polled {state} at {before}, traced "
                                    f"{possible or 'nothing'}")
        problems += absent(role, rows, spans)
    return problems, compared


def absent(role, rows, spans):
    """Sockets that live in the trace while two polls in a row do not list them."""
    problems = []
    begins = [row[0] for row in rows]
    for (owner, local, remote), steps in spans.items():
        if owner != role:
            continue
        missed = set()
        for start, stop, _ in steps:
            at = bisect_left(begins, start + POLL_SLACK)
            while at < len(rows) and rows[at][1] + POLL_SLACK <= stop:
                if rows[at][2].get((local, remote), "CLOSED") == "CLOSED":
                    missed.add(at)
                at += 1
        if any(at + 1 in missed for at in missed):
            problems.append(f"{role} {local} {remote}: alive in the trace, not in {len(missed)} polls "
                            f"from {begins[min(missed)]} on")
    return problems


def assemble(directory, joiner, kernel, keep=False):
    """Completes one run's folder; returns (truth, problems)."""
    with open(f"{directory}/facts.json", encoding="ascii") as file:
        facts = json.load(file)
    with open(f"{directory}/polls.pickle", "rb") as file:
        polls = pickle.load(file)
    captures, wires, roles = {}, {}, {}
    for role, host in facts["hosts"].items():
        capture = read_pcap(f"{directory}/{role}.pcap")
        capture.records = [record for record in capture.records if record[0] <= facts["end"]]
        capture.packets = [packet for packet in capture.packets if packet.time <= facts["end"]]
        write_pcap(f"{directory}/{role}.pcap", capture)
        captures[role] = capture
        wires[role] = Wire(capture, host["addresses"])
        for address in host["addresses"]:
            roles[address] = role
    found = Lives(joiner, facts, roles, wires, polls)
    problems = found.problems + check_chain(found.lives, facts["begin"])
    disagreements, compared = check_polls(found.lives, polls, facts)
    problems += disagreements
    if facts["lost_frames"]:
        problems.append(f"tcpdump lost {facts['lost_frames']} frames")
    transitions, impossible = describe(found.lives, wires, facts["end"])
    problems += standstills(transitions)
    truth = {
        "scenario": facts["scenario"], "description": facts["description"], "kernel": kernel,
        "deterministic": facts["deterministic"], "begin_ns": facts["begin"], "end_ns": facts["end"],
        "hosts": facts["hosts"],
        "listeners": [{key: value for key, value in listener.items() if key != "socket"}
                      for listener in found.listeners],
        "notes": facts["notes"], "polled": compared,
        "forged": forged_frames(facts["forged"], wires, roles),
        "transitions": transitions, "impossible_at_other_end": impossible,
    }
    with open(f"{directory}/truth.json", "w", encoding="ascii") as file:
        file.write(render(truth))
    if not keep:
        os.unlink(f"{directory}/facts.json")
        os.unlink(f"{directory}/polls.pickle")
    return truth, problems


def forged_frames(prints, wires, roles):
    """{role: frames of its capture} that a raw socket sent in the name of one of the hosts: what they
    seem to say of a socket there, no kernel of the laboratory has said."""
    forged = [mark for mark in prints if mark[0] in roles]
    return {role: [packet.frame for packet in wire.all
                   if packet.icmp is None and packet.print in forged] for role, wire in wires.items()}


def standstills(transitions):
    """Where capture and kernel lie further apart than any judge allows: the machine, and not one of
    the hosts, stood still between the two stamps. Such a run says nothing of the states."""
    return [f"{STOOD_STILL} for {lag // 1000} us between capture and kernel: {row['host']} "
            f"{row['local']} {row['from']} -> {row['to']}" for row in transitions
            if row["tag"] == "wire" and (lag := abs(row["at_ns"] - row["frame_ns"])) > STANDSTILL]


def describe(lives, wires, end):
    transitions, impossible, incarnations = [], [], {}
    for life in lives:
        pair = life.local, life.remote
        number = incarnations[life.role, pair] = incarnations.get((life.role, pair), 0) + 1
        other = wires["server" if life.role == "client" else "client"]
        begun = None
        for change in life.changes:
            tag, packet, note = explain(change, pair, wires[life.role])
            if note == COOKIE:
                begun = change.old
                continue
            if packet is None and change.time > end:
                continue  # Its segment came after the captures' end.
            row = {"host": life.role, "local": life.local, "remote": life.remote,
                   "incarnation": number, "from": begun or change.old, "to": change.new,
                   "at_ns": change.time, "source": change.source, "tag": tag}
            if begun:
                note, begun = f"{COOKIE}; {note}" if note else COOKIE, None
            if packet is not None:
                row["frame"], row["frame_ns"] = packet.frame, packet.time
            note = "; ".join(text for text in (change.note, note) if text)
            if note:
                row["note"] = note
            transitions.append(row)
            reason = None
            if tag == "invisible":
                reason = note or "no segment shows it"
            elif tag == "wire" and not (packet.icmp or other.holds(packet)):
                reason = "the other capture does not hold the segment"
            elif tag == "wire" and packet.icmp and not any(
                    found.icmp and found.icmp[:2] == packet.icmp[:2] for found in other.all):
                reason = "the other capture does not hold the ICMP error"
            if reason:
                impossible.append({"host": life.role, "local": life.local, "remote": life.remote,
                                   "incarnation": number, "to": change.new, "reason": reason})
    transitions.sort(key=lambda row: row["at_ns"])
    return transitions, impossible


def render(truth):
    """JSON with one line per list entry, so that a diff of two recordings can be read."""
    lines = []
    for key, value in truth.items():
        if isinstance(value, list) and value:
            rows = ",\n".join("    " + json.dumps(row) for row in value)
            lines.append(f"  {json.dumps(key)}: [\n{rows}\n  ]")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
