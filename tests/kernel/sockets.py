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
    device: str | None = None
    queued: int = 0
    owner: tuple | None = None  # timewait: (socket pointer, old state); request: child's tuple
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
        self.jiffies = [event.data[3] for event in events if event.kind == "start"]
        times = [event.time for event in events if event.kind == "start"]
        self.hz = self._rate(times)
        for event in events:
            getattr(self, f"_{event.kind}")(event)
        for mini in self._active.values():
            self._settle(mini)

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
        if mini is not None:
            # A restart detaches first. Only timewait timers restart while pending; a request's
            # memory may be in use again just as soon.
            again = mini.cancelled is None or (
                kind == "tw" and mini.cancelled[1:] == (event.cpu, event.order - 1)
                and event.time - mini.cancelled[0] < 20_000)
            if mini.kind == kind and again and mini.ended is None:
                mini.cancelled = mini.expiring = None
                mini.restarts.append((event.time, timeout))
                return
            self._settle(mini)
        mini = Mini(kind, event.time, timeout)
        self._active[timer] = mini
        self.minis.append(mini)
        (self._request if kind == "reqsk" else self._timewait)[event.cpu] = mini

    def _queue(self, event):
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
        artefact = False
        if new == "CLOSED":
            mini = self._timewait.pop(event.cpu, None)
            if mini is not None and mini.owner is None:
                mini.owner = pointer, old
                artefact = True
                self.states.append((event.time, pointer, old, mini, sport, dport, plain(saddr),
                                    plain(daddr)))
        if (old, new) == ("LISTEN", "SYN-RECEIVED"):
            self._child[event.cpu] = (join_port(plain(saddr), sport), join_port(plain(daddr), dport))
        else:
            self._child.pop(event.cpu, None)
        if not artefact and old != new:
            self.states.append((event.time, pointer, old, new, sport, dport, plain(saddr),
                                plain(daddr)))


class Lives:
    """All incarnations of one scenario, and its listeners."""

    def __init__(self, joiner, facts, roles, segments):
        """`roles`: address -> role; `segments`: role -> [Packet], used for SYN-ACKs and SYNs only."""
        self.number, self.roles, self.hz = facts["number"], roles, joiner.hz
        self.begin, self.end = facts["begin"], facts["end"]
        self.segments = segments
        self.lives, self.listeners, self.problems = [], [], []
        self._open = {}
        for record in joiner.states:
            if self.begin <= record[0] <= self.end and record[6] in roles:
                self._full(*record)
        self._name_clients()
        self._requests(joiner.minis)
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
        full = TIME_WAIT_SECONDS * self.hz
        state = old

        def is_time_wait(timeout, at):
            if abs(timeout - full) > self.hz // 2:
                return False
            return self._fin_arrived(life, at)

        if old != "FIN-WAIT-2" or is_time_wait(mini.timeout, mini.time):
            life.changes.append(Change(mini.time, old, "TIME-WAIT", "timer"))
            state = "TIME-WAIT"
        for at, timeout in mini.restarts:
            if at <= self.end and state == "FIN-WAIT-2" and is_time_wait(timeout, at):
                life.changes.append(Change(at, state, "TIME-WAIT", "timer",
                                           note="a FIN-WAIT-2 that only a mini-socket still held"))
                state = "TIME-WAIT"
        if mini.ended is not None and mini.ended <= self.end:
            life.changes.append(Change(mini.ended, state, "CLOSED", "timer", mini.how))

    def _fin_arrived(self, life, at):
        began = life.changes[0].time if life.changes else 0
        return any(packet.fin and began <= packet.time <= at + 1_000_000
                   and join_port(packet.dst, packet.dport) == life.local
                   and join_port(packet.src, packet.sport) == life.remote
                   for packet in self.segments[life.role])

    def _name_clients(self):
        """A connect that ended before any later event has port 0: its SYN in the capture has the port."""
        for life in self.lives:
            if not life.local.endswith(":0"):
                continue
            address = life.local.rsplit(":", 1)[0].strip("[]")
            for packet in self.segments[life.role]:
                if (packet.bare_syn and packet.src == address
                        and join_port(packet.dst, packet.dport) == life.remote
                        and 0 <= packet.time - life.changes[0].time < 20_000_000):
                    life.local = join_port(packet.src, packet.sport)
                    break
            else:
                life.changes.clear()  # No SYN and no port: it never became a connection attempt.

    def _requests(self, minis):
        answers = {}
        for role, packets in self.segments.items():
            mine = [packet for packet in packets
                    if packet.syn_ack and self.roles.get(packet.src) == role]
            answers[role] = [packet.time for packet in mine], mine, set()
        devices = {f"tl{self.number}c": "client", f"tl{self.number}s": "server"}
        children = {}
        for life in self.lives:
            if life.changes and life.changes[0].old == "LISTEN":
                children.setdefault((life.role, life.local, life.remote), []).append(life)
        for mini in minis:
            if mini.kind != "reqsk" or not self.begin <= mini.time <= self.end:
                continue
            pair = self._request_pair(mini, devices, answers)
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

    def _request_pair(self, mini, devices, answers):
        if mini.device in devices:
            role = devices[mini.device]
            times, packets, claimed = answers[role]
            at = bisect_left(times, mini.queued)
            while at < len(times) and times[at] - mini.queued < 5_000_000:
                if at not in claimed:
                    claimed.add(at)
                    packet = packets[at]
                    return (role, join_port(packet.src, packet.sport),
                            join_port(packet.dst, packet.dport))
                at += 1
            self.problems.append(f"{role}: a request socket without its SYN-ACK in the capture")
            return None
        if mini.device is None and mini.owner is not None:
            local, remote = mini.owner
            role = self.roles.get(local.rsplit(":", 1)[0].strip("[]"))
            return (role, local, remote) if role else None
        return None
