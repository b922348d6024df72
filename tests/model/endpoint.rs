//! One simulated endpoint: RFC 9293 3.10, written down without a look at the tool's table.
//!
//! It keeps what arrives early, acknowledges at once, sends at most four segments ahead, and
//! repeats the oldest unacknowledged one with a doubling timer. Sequence numbers count from the own
//! SYN; times are microseconds.

use tcpautopsy::connection::State;

/// A segment on the simulated wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    pub(crate) from: usize,
    pub(crate) seq: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) len: u32,
    /// Value and echo of the timestamps option.
    pub(crate) stamps: (u32, u32),
}

/// Bytes in a full segment.
const FULL: u32 = 1_000;
/// Segments in flight at most.
const AHEAD: u32 = 4;
/// First retransmission of a SYN or SYN-ACK (RFC 6298 2.1), and of anything else.
const FIRST_RTO: (i64, i64) = (1_000_000, 300_000);

/// How much higher the next connection on the same ports begins.
const NEXT_ISN: u32 = 10_000_000;

/// TIME-WAIT does not end sooner for a connection that its own side opens (Linux `tcp_twsk_unique`).
const ONE_SECOND: i64 = 1_000_000;

/// An endpoint, and the states that it went through.
#[derive(Debug)]
pub(crate) struct Peer {
    me: usize,
    pub(crate) state: State,
    pub(crate) history: Vec<(State, i64)>,
    isn: u32,
    irs: u32,
    /// Bytes that the application has written, all in all.
    written: u32,
    closing: bool,
    una: u32,
    next: u32,
    /// Number of the FIN, once it was sent.
    fin: Option<u32>,
    /// When CLOSE was called, and when its FIN left.
    closed: Option<i64>,
    left: Option<i64>,
    /// It was gone without a word: from SYN-SENT by CLOSE, or with its host.
    pub(crate) gone_silently: bool,
    /// A RST ended it, its own or the peer's.
    pub(crate) was_reset: bool,
    received: u32,
    early: Vec<Wire>,
    recent_stamp: u32,
    clock: u32,
    pub(crate) timer: Option<i64>,
    timeout: i64,
}

impl Peer {
    pub(crate) fn new(me: usize, isn: u32, listens: bool) -> Self {
        Self {
            me,
            state: if listens { State::Listen } else { State::Closed },
            history: Vec::new(),
            isn,
            irs: 0,
            written: 0,
            closing: false,
            una: 0,
            next: 0,
            fin: None,
            closed: None,
            left: None,
            gone_silently: false,
            was_reset: false,
            received: 0,
            early: Vec::new(),
            recent_stamp: 0,
            clock: isn.wrapping_mul(7),
            timer: None,
            timeout: 0,
        }
    }

    /// Whether it neither listens nor ever opened.
    pub(crate) fn is_unborn(&self) -> bool {
        self.state == State::Closed && self.history.is_empty()
    }

    /// Whether its FIN had to wait behind data: then nothing shows when it called CLOSE.
    pub(crate) fn fin_waited(&self) -> bool {
        self.left != self.closed
    }

    /// Whether its host may open another connection on the same ports.
    pub(crate) fn may_open_again(&self, now: i64) -> bool {
        let last = self.history.last();
        match self.state {
            State::Closed => last.is_some(),
            State::TimeWait => last.is_some_and(|it| now - it.1 > ONE_SECOND),
            _ => false,
        }
    }

    /// Whether a listener is there to take this SYN: nothing is left of the socket, or TIME-WAIT gives way
    /// to a number beyond all that was received (RFC 9293 3.10.7.4, fourth).
    pub(crate) fn gives_way_to(&self, it: &Wire) -> bool {
        let beyond = it.seq.wrapping_sub(self.irs).cast_signed() > self.received.cast_signed();
        let is_over = match self.state {
            State::Closed => !self.history.is_empty(),
            State::TimeWait => beyond,
            _ => false,
        };
        is_over && it.syn && it.ack.is_none()
    }

    /// The next socket on the same ports takes its place; returns it as it was in the end.
    pub(crate) fn replace(&mut self, listens: bool, now: i64) -> Self {
        if self.state == State::TimeWait {
            self.end(now);
        }
        let isn = self.isn.wrapping_add(NEXT_ISN);
        let next = Self { clock: self.clock, ..Self::new(self.me, isn, listens) };
        std::mem::replace(self, next)
    }

    /// OPEN.
    pub(crate) fn open(&mut self, now: i64) -> Vec<Wire> {
        if !matches!(self.state, State::Closed | State::Listen) || !self.history.is_empty() {
            return Vec::new();
        }
        self.enter(State::SynSent, now);
        self.next = 1;
        self.arm(now, FIRST_RTO.0);
        vec![Wire { syn: true, ack: None, ..self.segment(0, 0, now) }]
    }

    /// SEND.
    pub(crate) fn write(&mut self, bytes: u32, now: i64) -> Vec<Wire> {
        if !self.closing {
            self.written += bytes;
        }
        self.push(now)
    }

    /// CLOSE. The state changes at once, however long the FIN has to wait. In SYN-RECEIVED nobody can
    /// call it but who opened: what a listener has not accepted belongs to no application.
    pub(crate) fn close(&mut self, now: i64) -> Vec<Wire> {
        let to = match self.state {
            State::SynSent => {
                self.vanish(now);
                return Vec::new();
            }
            // With data to send it would wait for ESTABLISHED.
            State::SynReceived if self.history[0].0 == State::SynSent && self.written == 0 => {
                State::FinWait1
            }
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            _ => return Vec::new(),
        };
        self.closing = true;
        self.closed = Some(now);
        self.enter(to, now);
        self.push(now)
    }

    /// The host crashes and comes back: nobody is told, and the peer is left half-open (3.5.1).
    pub(crate) fn vanish(&mut self, now: i64) {
        if !matches!(self.state, State::Closed | State::Listen) {
            self.end(now);
            self.gone_silently = true;
        }
    }

    /// ABORT, where it shows: in the other states it sends nothing (3.10.5), and is not called.
    pub(crate) fn abort(&mut self, now: i64) -> Vec<Wire> {
        let shows = matches!(
            self.state,
            State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait
        );
        let opened = self.state == State::SynReceived && self.history[0].0 == State::SynSent;
        if !shows && !opened {
            return Vec::new();
        }
        let rst = Wire { rst: true, ..self.segment(self.next, 0, now) };
        self.reset(now);
        vec![rst]
    }

    /// A segment arrives.
    pub(crate) fn receive(&mut self, it: &Wire, now: i64) -> Vec<Wire> {
        match self.state {
            State::Closed => self.answer_without_connection(it, now),
            State::Listen => self.receive_in_listen(it, now),
            State::SynSent => self.receive_in_syn_sent(it, now),
            _ => self.receive_synchronized(it, now),
        }
    }

    /// The retransmission timer runs out.
    pub(crate) fn tick(&mut self, now: i64) -> Vec<Wire> {
        if self.timer.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.timeout *= 2;
        self.timer = Some(now + self.timeout);
        match self.state {
            State::SynSent => vec![Wire { syn: true, ack: None, ..self.segment(0, 0, now) }],
            _ if self.una == 0 => vec![Wire { syn: true, ..self.segment(0, 0, now) }],
            _ if self.fin == Some(self.una) => {
                vec![Wire { fin: true, ..self.segment(self.una, 0, now) }]
            }
            _ => {
                let end = self.fin.unwrap_or(self.next);
                let len = FULL.min(end - self.una);
                let last = self.fin == Some(self.una + len);
                vec![Wire { fin: last, ..self.segment(self.una, len, now) }]
            }
        }
    }

    fn receive_in_listen(&mut self, it: &Wire, now: i64) -> Vec<Wire> {
        if it.rst {
            return Vec::new();
        }
        if it.ack.is_some() {
            return self.answer_without_connection(it, now);
        }
        if !it.syn {
            return Vec::new();
        }
        self.take_syn(it);
        self.enter(State::SynReceived, now);
        self.next = 1;
        self.arm(now, FIRST_RTO.0);
        vec![Wire { syn: true, ..self.segment(0, 0, now) }]
    }

    fn receive_in_syn_sent(&mut self, it: &Wire, now: i64) -> Vec<Wire> {
        let acknowledged = it.ack.map(|ack| ack.wrapping_sub(self.isn));
        if acknowledged.is_some_and(|ack| ack != 1) {
            return if it.rst { Vec::new() } else { self.answer_without_connection(it, now) };
        }
        if it.rst {
            if acknowledged.is_some() {
                self.reset(now);
            }
            return Vec::new();
        }
        if !it.syn {
            return Vec::new();
        }
        self.take_syn(it);
        if acknowledged.is_some() {
            self.una = 1;
            self.timer = None;
            self.enter(State::Established, now);
            let mut out = vec![self.segment(self.next, 0, now)];
            out.extend(self.push(now));
            return out;
        }
        self.enter(State::SynReceived, now);
        self.arm(now, FIRST_RTO.0);
        vec![Wire { syn: true, ..self.segment(0, 0, now) }]
    }

    fn receive_synchronized(&mut self, it: &Wire, now: i64) -> Vec<Wire> {
        // Simultaneous open: the SYN-ACK lies before the window, and is the acknowledgment awaited.
        if self.una == 0 && it.syn && it.ack == Some(self.isn.wrapping_add(1)) {
            self.una = 1;
            self.timer = None;
            if self.state == State::SynReceived {
                self.enter(State::Established, now);
            } else {
                self.arm(now, FIRST_RTO.1);
            }
            return self.push(now);
        }
        let at = i64::from(it.seq.wrapping_sub(self.irs).cast_signed());
        let length = it.len + u32::from(it.fin) + u32::from(it.syn);
        let next = i64::from(self.received);
        // One that ends where the window begins still counts (Linux tcp_sequence).
        let acceptable = at + i64::from(length) >= next;
        if !acceptable || at > next + 65_535 {
            if it.rst {
                // One that counts from a FIN that has come ends it as well (Linux tcp_reset_check).
                let has_fin =
                    matches!(self.state, State::CloseWait | State::LastAck | State::Closing);
                if has_fin && at + 1 == next {
                    self.reset(now);
                }
                return Vec::new();
            }
            if it.syn && self.una == 0 {
                return vec![Wire { syn: true, ..self.segment(0, 0, now) }];
            }
            return vec![self.segment(self.next, 0, now)];
        }
        if it.rst {
            if at == next {
                self.reset(now);
                return Vec::new();
            }
            return vec![self.segment(self.next, 0, now)];
        }
        if it.syn && self.una > 0 {
            return vec![self.segment(self.next, 0, now)];
        }
        let Some(ack) = it.ack.map(|ack| ack.wrapping_sub(self.isn)) else { return Vec::new() };
        // In TIME-WAIT a copy of the FIN is not recorded (Linux tcp_timewait_state_process).
        let records = at <= next && (self.state != State::TimeWait || at == next);
        if records && it.stamps.0.wrapping_sub(self.recent_stamp).cast_signed() >= 0 {
            self.recent_stamp = it.stamps.0;
        }
        if let Some(answer) = self.take_ack(ack, it, now) {
            return answer;
        }
        let mut out = Vec::new();
        if self.state == State::Closed {
            return out;
        }
        if it.len > 0 || it.fin {
            self.take_data(it, now);
            out.push(self.segment(self.next, 0, now));
        }
        out.extend(self.push(now));
        out
    }

    /// The acknowledgment of a segment; an answer if the segment ends here.
    fn take_ack(&mut self, ack: u32, it: &Wire, now: i64) -> Option<Vec<Wire>> {
        if self.state == State::SynReceived {
            if ack == 0 || ack > self.next {
                return Some(self.answer_without_connection(it, now));
            }
            self.enter(State::Established, now);
        }
        if ack > self.next && ack < 1 << 31 {
            return Some(vec![self.segment(self.next, 0, now)]);
        }
        if ack > self.una && ack <= self.next {
            self.una = ack;
            self.timer = None;
            if self.una < self.next {
                self.arm(now, FIRST_RTO.1);
            }
        }
        if self.fin.is_some_and(|fin| self.una > fin) {
            match self.state {
                State::FinWait1 => self.enter(State::FinWait2, now),
                State::Closing => self.enter(State::TimeWait, now),
                State::LastAck => self.end(now),
                _ => {}
            }
        }
        None
    }

    fn take_data(&mut self, it: &Wire, now: i64) {
        self.early.push(*it);
        while let Some(index) = self.early.iter().position(|early| {
            let at = i64::from(early.seq.wrapping_sub(self.irs).cast_signed());
            at <= i64::from(self.received)
        }) {
            let early = self.early.swap_remove(index);
            let end = early.seq.wrapping_sub(self.irs) + early.len;
            if end < self.received && !early.fin {
                continue;
            }
            self.received = self.received.max(end);
            if early.fin && self.received == end {
                self.received += 1;
                match self.state {
                    State::Established | State::SynReceived => self.enter(State::CloseWait, now),
                    State::FinWait1 => self.enter(State::Closing, now),
                    State::FinWait2 => self.enter(State::TimeWait, now),
                    _ => {}
                }
            }
        }
    }

    /// Sends what may be sent: data, and the FIN after the last of it.
    fn push(&mut self, now: i64) -> Vec<Wire> {
        let sends = matches!(
            self.state,
            State::Established | State::CloseWait | State::FinWait1 | State::LastAck
        );
        let mut out = Vec::new();
        let end = self.written + 1;
        while sends && self.fin.is_none() && self.next < end && self.next < self.una + AHEAD * FULL
        {
            let len = FULL.min(end - self.next);
            out.push(self.segment(self.next, len, now));
            self.next += len;
        }
        if sends && self.closing && self.fin.is_none() && self.next == end {
            self.fin = Some(end);
            self.left = Some(now);
            out.push(Wire { fin: true, ..self.segment(end, 0, now) });
            self.next += 1;
        }
        if !out.is_empty() && self.timer.is_none() {
            self.arm(now, FIRST_RTO.1);
        }
        out
    }

    fn answer_without_connection(&self, it: &Wire, now: i64) -> Vec<Wire> {
        if it.rst {
            return Vec::new();
        }
        let plain = Wire { rst: true, ..self.segment(0, 0, now) };
        let length = it.len + u32::from(it.syn) + u32::from(it.fin);
        let behind = it.seq.wrapping_add(length);
        let (seq, ack) = it.ack.map_or((0, Some(behind)), |ack| (ack, None));
        vec![Wire { seq, ack, stamps: (0, 0), ..plain }]
    }

    fn take_syn(&mut self, it: &Wire) {
        self.irs = it.seq;
        self.received = 1;
        self.recent_stamp = it.stamps.0;
    }

    fn segment(&self, at: u32, len: u32, now: i64) -> Wire {
        let value = self.clock.wrapping_add(u32::try_from(now / 1_000).unwrap());
        Wire {
            from: self.me,
            seq: self.isn.wrapping_add(at),
            ack: Some(self.irs.wrapping_add(self.received)),
            syn: false,
            fin: false,
            rst: false,
            len,
            stamps: (value, self.recent_stamp),
        }
    }

    fn enter(&mut self, state: State, now: i64) {
        self.state = state;
        self.history.push((state, now));
        if state == State::TimeWait {
            self.timer = None;
        }
    }

    fn reset(&mut self, now: i64) {
        self.end(now);
        self.was_reset = true;
    }

    fn end(&mut self, now: i64) {
        self.enter(State::Closed, now);
        self.timer = None;
        self.early.clear();
    }

    fn arm(&mut self, now: i64, timeout: i64) {
        self.timeout = timeout;
        self.timer = Some(now + timeout);
    }
}
