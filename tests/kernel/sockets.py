"""From kernel events to socket lives: joins state changes and the timers of mini-sockets.

Request and timewait sockets have no state event. Their timers have, and what happens next on the
same CPU tells whose they are: a new request's timer is followed by its SYN-ACK entering a device
queue, a new timewait timer by the full socket's change to CLOSE (an artefact, left out). Knows
nothing of captures but the SYN-ACKs that name a request.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

from diag import STATES, join_port, plain

TIME_WAIT_SECONDS = 60
ONE_STEP = 1_000_000  # ns: what the kernel does of one segment lies closer together
NEAR = 5_000  # ns: two stamps of one event


def bare(name):
    """The address of an address:port text."""
    return name.rsplit(":", 1)[0].strip("[]")


@dataclass
class Change:
    """One state change. `how` says what closed a mini-socket: expire, cancel or None."""

    time: int
    old: str
    new: str
    source: str
    how: str | None = None
    note: str = ""


@dataclass
class Life:
    """One incarnation: the changes of one (local, remote) pair on one host."""

    number: int
    role: str
    local: str
    remote: str
    changes: list = field(default_factory=list)
    socket: int = 0


@dataclass
class Mini:
    """A request or timewait timer from its start to its end."""

    kind: str
    time: int
    timeout: int
    timer: int
    device: str | None = None
    queued: int = 0
    owner: tuple | None = None  # the tuple of the child that a request became
    answering: str | None = None  # the device that took an answer since the full socket's last change
    expiring: int | None = None
    cancelled: tuple | None = None  # (time, cpu, order)
    ended: int | None = None
    how: str | None = None
    restarts: list = field(default_factory=list)


class Joiner:
    """One pass over all events of a run."""

    def __init__(self, events):
        self.states, self.minis = [], []
        self._active, self._request, self._timewait, self._child = {}, {}, {}, {}
        self._sent, self._changed = {}, {}
        self.jiffies = [event.data[3] for event in events if event.kind == "start"]
        times = [event.time for event in events if event.kind == "start"]
        self.hz = self._rate(times)
        for event in events:
            getattr(self, f"_{event.kind}")(event)
        for mini in self._active.values():
            self._settle(mini)
        self.by_address, self.by_device, self.by_owner = {}, {}, {}
        for record in self.states:
            self.by_address.setdefault(record[6], []).append(record)
        for mini in self.minis:
            if mini.kind == "reqsk" and mini.device is not None:
                self.by_device.setdefault(mini.device, []).append(mini)
            elif mini.kind == "reqsk" and mini.owner is not None:
                self.by_owner.setdefault(bare(mini.owner[0]), []).append(mini)

    def _rate(self, times):
        if len(times) < 2 or times[-1] - times[0] < 10**9:
            return 250
        rate = (self.jiffies[-1] - self.jiffies[0]) * 1e9 / (times[-1] - times[0])
        return min((100, 250, 300, 1000), key=lambda hz: abs(hz - rate))

    def _settle(self, mini):
        if mini.cancelled is not None and mini.ended is None:
            mini.ended, mini.how = mini.cancelled[0], "cancel"

    def _start(self, event):
        timer, kind, timeout, _ = event.data
        mini = self._active.get(timer)
        if mini is not None and mini.kind == kind and mini.ended is None:
            detached = mini.cancelled
            # A restart detaches first, and so does the end, whose memory may be in use again at
            # once. A request restarts just after its SYN-ACK was repeated; a new timewait timer
            # shows itself by the full socket's CLOSE (`_hand_over`).
            if detached is None or (detached[1:] == (event.cpu, event.order - 1) and (
                    kind == "tw" or self._repeated(mini, event))):
                mini.cancelled = mini.expiring = None
                mini.restarts.append((event.time, timeout))
                if detached is not None and kind == "tw":
                    self._timewait[event.cpu] = mini, detached
                return
        if mini is not None:
            self._settle(mini)
        mini = self._new(kind, timer, event.time, timeout)
        if kind == "reqsk":
            self._request[event.cpu] = mini
        else:
            self._timewait[event.cpu] = mini, None

    def _repeated(self, mini, event):
        device, time = self._sent.get(event.cpu, (None, 0))
        return device == mini.device and mini.cancelled[0] - time < 1_000_000 \
            and event.time - mini.cancelled[0] < 50_000

    def _new(self, kind, timer, time, timeout):
        mini = Mini(kind, time, timeout, timer)
        self._active[timer] = mini
        self.minis.append(mini)
        return mini

    def _queue(self, event):
        self._timewait.pop(event.cpu, None)
        self._sent[event.cpu] = event.data[0], event.time
        mini = self._request.pop(event.cpu, None)
        if mini is not None and event.time - mini.time < 5_000_000:
            mini.device, mini.queued = event.data[0], event.time

    def _cancel(self, event):
        mini = self._active.get(event.data[0])
        if mini is None or mini.ended is not None:
            return
        mini.cancelled = event.time, event.cpu, event.order
        child = self._child.pop(event.cpu, None)
        if mini.kind == "reqsk" and child is not None:
            mini.owner = child

    def _expire(self, event):
        mini = self._active.get(event.data[0])
        if mini is not None and mini.ended is None:
            mini.expiring, mini.cancelled = event.time, None  # Expiry detaches: no cancellation.

    def _exit(self, event):
        mini = self._active.get(event.data[0])
        if mini is not None and mini.expiring is not None and mini.ended is None:
            mini.ended, mini.how = mini.expiring, "expire"

    def _state(self, event):
        pointer, old, new, sport, dport, family, saddr, daddr, saddr6, daddr6 = event.data
        if family == 10:
            saddr, daddr = saddr6, daddr6
        old, new = STATES.get(old, "CLOSED"), STATES.get(new, "CLOSED")
        fresh = self._timewait.pop(event.cpu, None)
        artefact = fresh is not None and new == "CLOSED" and old in ("FIN-WAIT-2", "CLOSING")
        if artefact:
            new = self._hand_over(*fresh)
            device, sent = self._sent.get(event.cpu, (None, 0))
            if max(self._changed.get(pointer, 0), new.time - ONE_STEP) < sent < new.time:
                new.answering = device
        self._changed[pointer] = event.time
        if (old, new) == ("LISTEN", "SYN-RECEIVED"):
            self._child[event.cpu] = (join_port(plain(saddr), sport), join_port(plain(daddr), dport))
        elif new != "ESTABLISHED":
            self._child.pop(event.cpu, None)
        if old != new:
            self.states.append((event.time, pointer, old, new, sport, dport, plain(saddr),
                                plain(daddr)))

    def _hand_over(self, mini, detached):
        """The timewait socket of a full one; what looked like a restart was its memory's reuse."""
        if detached is None:
            return mini
        time, timeout = mini.restarts.pop()
        mini.ended, mini.how = detached[0], "cancel"
        return self._new("tw", mini.timer, time, timeout)


class Lives:
    """All incarnations of one scenario, and its listeners."""

    def __init__(self, joiner, facts, roles, wires, polls):
        """`roles`: address -> role; `wires`: role -> truth.Wire, used for SYNs, SYN-ACKs, FINs; `polls`:
        role -> the polled socket tables."""
        self.number, self.roles, self.hz = facts["number"], roles, joiner.hz
        self.begin, self.end = facts["begin"], facts["end"] + facts["grace"]
        self.wires, self.polls = wires, polls
        self.lives, self.listeners, self.problems = [], [], []
        self._open = {}
        records = [record for address in roles for record in joiner.by_address.get(address, [])]
        for record in sorted(records, key=lambda record: record[0]):
            if self.begin <= record[0] <= self.end:
                self._full(*record)
        self._name_clients()
        minis = [mini for role in "cs" for mini in joiner.by_device.get(f"tl{self.number}{role}", [])]
        minis += [mini for address in roles for mini in joiner.by_owner.get(address, [])]
        self._requests(sorted(minis, key=lambda mini: mini.time))
        self._orphan_requests()
        self.lives = [life for life in self.lives if life.changes]
        for life in self.lives:
            life.changes.sort(key=lambda change: change.time)
        self.lives.sort(key=lambda life: life.changes[0].time)

    def _full(self, time, pointer, old, new, sport, dport, saddr, daddr):
        role = self.roles[saddr]
        if new == "LISTEN":
            self.listeners.append({"host": role, "local": join_port(saddr, sport), "from_ns": time,
                                   "socket": pointer})
            return
        if old == "LISTEN" and new == "CLOSED":
            for listener in self.listeners:
                if listener["socket"] == pointer and "to_ns" not in listener:
                    listener["to_ns"] = time
            return
        if old in ("CLOSED", "LISTEN"):
            life = Life(self.number, role, join_port(saddr, sport), join_port(daddr, dport))
            life.socket = pointer
            self._open[pointer] = life
            self.lives.append(life)
        life = self._open.get(pointer)
        if life is None:
            self.problems.append(f"{role}: {old} -> {new} of an unknown socket {saddr}:{sport}")
            return
        if sport:
            life.local = join_port(saddr, sport)
        if isinstance(new, Mini):
            self._timewait(life, old, new, time)
        else:
            life.changes.append(Change(time, old, new, "tracepoint"))

    def _timewait(self, life, old, mini, time):
        """The full socket is replaced by a timewait mini-socket, in TIME-WAIT or still FIN-WAIT-2."""
        state = "TIME-WAIT" if old != "FIN-WAIT-2" or self._is_time_wait(life, mini) else old
        if state != old:
            life.changes.append(Change(mini.time, old, state, "timer"))
        if state == "FIN-WAIT-2" and (found := self._time_wait_later(life, mini)):
            life.changes.append(Change(found[0], state, "TIME-WAIT", found[1],
                                       note="a FIN-WAIT-2 that only a mini-socket still held"))
            state = "TIME-WAIT"
        if mini.ended is not None and mini.ended <= self.end:
            life.changes.append(Change(mini.ended, state, "CLOSED", "timer", mini.how))

    def _time_wait_later(self, life, mini):
        """When a FIN-WAIT-2 of a mini-socket became TIME-WAIT, and who says so. Nothing but the FIN begins
        its time anew (`tcp_timewait_state_process`). Where the new end falls into the same slot of the
        timer wheel, no timer event tells, but the polled table does, and the FIN says when."""
        restart = mini.restarts[0][0] if mini.restarts and mini.restarts[0][0] <= self.end else None
        limit = min(time for time in (restart, mini.ended, float("inf")) if time is not None)
        pair, before = (life.local, life.remote), mini.time
        for start, stop, table in self.polls[life.role]:
            if start < mini.time:
                continue
            if stop > limit:
                break
            state = table.get(pair)
            if state == "TIME-WAIT":
                fin = self._answered_fin(life, before, stop)
                return (fin.time, "poll") if fin and fin.time <= self.end else None
            if state == "FIN-WAIT-2":
                before = start
        return (restart, "timer") if restart else None

    def _answered_fin(self, life, begin, end):
        """The first FIN received in this time that was acknowledged at once; else the first one."""
        entries = self.wires[life.role].between((life.local, life.remote), begin - NEAR, end)
        fins = [packet for packet, sent in entries if packet.fin and not sent]
        answers = [packet for packet, sent in entries if sent and packet.icmp is None]
        for fin in fins:
            if any(answer.ack == fin.end and 0 <= answer.time - fin.time < ONE_STEP for answer in answers):
                return fin
        return fins[0] if fins else None

    def _is_time_wait(self, life, mini):
        """Whether a full socket in FIN-WAIT-2 went to TIME-WAIT. With tcp_fin_timeout=60 both times are the
        same. The kernel answers the FIN before it makes a TIME-WAIT, and makes a FIN-WAIT-2 without a
        word; where a firewall eats the answer, a FIN that came right behind begins the time anew."""
        if abs(mini.timeout - TIME_WAIT_SECONDS * self.hz) > self.hz // 2:
            return False
        fins = [packet.time for packet, sent in self.wires[life.role].between(
            (life.local, life.remote), life.changes[0].time if life.changes else 0, mini.time + NEAR)
            if packet.fin and not sent]
        if not fins or mini.answering == f"tl{self.number}{life.role[0]}":
            return bool(fins)
        again = mini.restarts and mini.restarts[0][0] - mini.time < ONE_STEP
        return mini.time - fins[-1] < ONE_STEP and not again

    def _name_clients(self):
        """A connect that ended before any later event has port 0: its SYN in the capture has the port."""
        for life in self.lives:
            if not life.local.endswith(":0"):
                continue
            address = bare(life.local)
            for packet in self.wires[life.role].all:
                if (packet.icmp is None and packet.bare_syn and packet.src == address
                        and join_port(packet.dst, packet.dport) == life.remote
                        and 0 <= packet.time - life.changes[0].time < 20_000_000):
                    life.local = join_port(packet.src, packet.sport)
                    break
            else:
                life.changes.clear()  # No SYN and no port: it never became a connection attempt.

    def _requests(self, minis):
        answers = {}
        for role, wire in self.wires.items():
            mine = [packet for packet in wire.all
                    if packet.icmp is None and packet.syn_ack
                    and self.roles.get(packet.src) == role]
            answers[role] = [packet.time for packet in mine], mine, set()
        pairs = self._request_pairs(minis, answers)
        children = {}
        for life in self.lives:
            if life.changes and life.changes[0].old == "LISTEN":
                children.setdefault((life.role, life.local, life.remote), []).append(life)
        for mini in minis:
            if not self.begin <= mini.time <= self.end:
                continue
            pair = pairs.get(id(mini))
            if pair is None:
                continue
            role, local, remote = pair
            opened = Change(mini.time, "LISTEN", "SYN-RECEIVED", "timer")
            life = None
            for child in children.get(pair, []):
                if child.changes[0].source == "tracepoint" and child.changes[0].time >= mini.time \
                        and (mini.ended is None or child.changes[0].time <= mini.ended):
                    life = child
                    break
            if life is not None:
                life.changes[0] = opened
                continue
            life = Life(self.number, role, local, remote, [opened])
            if mini.ended is not None and mini.ended <= self.end:
                life.changes.append(Change(mini.ended, "SYN-RECEIVED", "CLOSED", "timer", mini.how))
            self.lives.append(life)

    def _orphan_requests(self):
        """A request whose listener is gone ends when its timer next fires, retries left or not."""
        for life in self.lives:
            for change in life.changes:
                if change.old != "SYN-RECEIVED" or change.how != "expire":
                    continue
                own = [listener for listener in self.listeners if listener["local"] == life.local]
                if own and all(listener.get("to_ns", self.end + 1) < change.time
                               or listener["from_ns"] > change.time for listener in own):
                    change.how, change.note = "orphaned", "its listener was closed before"

    def _request_pairs(self, minis, answers):
        """id of a request -> (role, local, remote): known from the child that it became, else from
        the SYN-ACK that left the device when the request was made."""
        devices = {f"tl{self.number}c": "client", f"tl{self.number}s": "server"}
        minis = [mini for mini in minis if self.begin <= mini.time <= self.end]
        pairs = {}
        for mini in minis:
            if mini.owner is not None and (role := self.roles.get(bare(mini.owner[0]))):
                if mini.device is None or self._claim(mini, answers[role], mini.owner):
                    pairs[id(mini)] = role, *mini.owner
        for mini in minis:
            role = devices.get(mini.device)
            if role is None or id(mini) in pairs:
                continue
            pair = self._claim(mini, answers[role])
            if pair is None:
                self.problems.append(f"{role}: a request socket without its SYN-ACK in the capture")
            else:
                pairs[id(mini)] = role, *pair
        return pairs

    def _claim(self, mini, answers, owner=None):
        """Takes the SYN-ACK, of `owner` if given, that is nearest to the moment at which one was
        queued for this request; returns its (local, remote)."""
        times, packets, claimed = answers
        at = bisect_left(times, mini.queued - 20_000)  # Two clocks' readings of one moment.
        found = []
        while at < len(times) and times[at] - mini.queued < 5_000_000:
            packet = packets[at]
            pair = join_port(packet.src, packet.sport), join_port(packet.dst, packet.dport)
            if at not in claimed and owner in (None, pair):
                found.append((abs(times[at] - mini.queued), at, pair))
            at += 1
        if not found:
            return None
        _, at, pair = min(found)
        claimed.add(at)
        return pair
