//! SYN cookies: what tells that the server kept nothing of the SYN (RFC 4987 3.6).
//!
//! A listener that answers with a cookie has no socket before the acknowledgment comes: the server
//! is in LISTEN until then, and never in SYN-RECEIVED. While a connection lives, it is looked at as
//! if there were one, since the segments are the same; the entries are taken out at the end.
//!
//! What tells is Linux's way of baking them (`net/ipv4/syncookies.c`), so the host's
//! `tcp_syncookies` must be known: 2 says it of every SYN, 0 excludes it, and with 1 one of these
//! must show it. A SYN-ACK that a timer repeats disproves all of them.

use crate::compact::compact;

use super::bring_back::BringBack;
use super::endpoint::Endpoint;
use super::opening::Opening;
use super::{Cause, Connection, Event, Mark, Reason, SYN_TIMER, State};
use crate::certainty::Certainty;
use crate::settings::Settings;
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{self, Segment, Side};

/// What told that a SYN-ACK was a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieSign {
    /// `tcp_syncookies` is 2.
    Settings,
    /// The client offered window scale or SACK but no timestamps, and the SYN-ACK offers nothing:
    /// there was no place to keep what was agreed on.
    Options,
    /// The SYN-ACK's timestamp lies before the SYN: its low bits hold the options. The frame is the
    /// one whose timestamp showed the server's clock.
    Clock(FrameId),
    /// The SYN-ACK was due again, did not come, and the listener was there.
    Silence,
    /// The listener held as many half-open connections as it may.
    Queue,
}

compact!(
    enum CookieSign {
        Settings,
        Options,
        Clock(frame),
        Silence,
        Queue,
    }
);

impl CookieSign {
    /// The sign's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Options => "options",
            Self::Clock(_) => "clock",
            Self::Silence => "silence",
            Self::Queue => "queue",
        }
    }

    const fn frame(self) -> Option<FrameId> {
        match self {
            Self::Clock(frame) => Some(frame),
            Self::Settings | Self::Options | Self::Silence | Self::Queue => None,
        }
    }
}

/// A listener that is heard so long after a SYN-ACK was there when that was due again, or as good as:
/// its timer runs out after 1 s, at most an eighth late.
const NEARLY_DUE: Span = Span::from_millis(900);

/// When a SYN-ACK is due again (RFC 6298 2.1).
const FIRST_TIMER: Span = Span::from_secs(1);

/// After this a SYN-ACK that was due has not come.
pub(super) const OVERDUE: Span = Span::from_millis(1_150);

/// The timestamp of a cookie is set back by less than this, in ticks (Linux `TSBITS` is 6).
const SET_BACK: i64 = 64;

/// Ticks that two clocks' readings may be off by, and the share by which their rates may differ: the
/// usual limit of adjtimex(2) is 1 in 2,000.
const TICKS_OFF: i64 = 2;
const RATE_OFF: i64 = 1_000;

/// A cookie is good for that long at least (Linux `MAX_SYNCOOKIE_AGE`: two minutes begun).
const SHELF_LIFE: Span = Span::from_secs(60);

/// How many values of the MSS a cookie can hold.
const MSS_CODES: i64 = 4;

/// The longest time over which a clock is extrapolated.
const EXTRAPOLATED: Span = Span::from_secs(20);

/// What is known of a server that may bake cookies; kept only where its settings say so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Baker {
    /// The SYN ended a TIME-WAIT: who sent it is no forger and gets a socket (Linux
    /// `tcp_conn_request`).
    recycles: bool,
    /// The settings say that it bakes none.
    never: bool,
    /// The latest SYN-ACK's timestamp and when the SYN passed that it answers, while the server's
    /// clock is not known.
    clock: Option<(u32, Time)>,
    pub(super) sign: Option<CookieSign>,
    pub(super) tries: BringBack,
}

compact!(struct Baker { recycles, never, clock, sign, tries });

impl Baker {
    /// One whose client ended a TIME-WAIT with its SYN.
    pub(super) fn of_known_peer() -> Self {
        Self { recycles: true, ..Self::default() }
    }

    pub(super) const fn may_bake(&self) -> bool {
        !self.recycles && !self.never
    }
}

impl Opening {
    /// What told that the SYN-ACK was a cookie, if anything did.
    pub(super) fn cookie(&self) -> Option<CookieSign> {
        self.baker.as_ref()?.sign
    }

    /// The server's next segment may tell.
    pub(super) fn asks_for_clock(&self) -> bool {
        self.baker.as_ref().is_some_and(|baker| baker.clock.is_some() || baker.tries.is_open())
    }
}

impl Connection {
    /// The server's SYN-ACK, which answers the SYN of `syn`: whether the settings or the options say
    /// that it is a cookie.
    pub(super) fn note_cookie(&mut self, syn_ack: &Segment, syn: Time, settings: &Settings) {
        let host = settings.of(self.addresses.server.address);
        let (client, server) = self.sides.pair_mut(Side::Client);
        // Of data in the SYN nothing would be left to acknowledge.
        let is_bare = client.stream.offset(syn_ack.ack) == 1;
        let is_known = host.syncookies.is_some() && is_bare;
        let recycles = self.opening.baker.as_ref().is_some_and(|baker| baker.recycles);
        if !is_known || recycles {
            return;
        }
        if !matches!(host.syncookies, Some(1 | 2)) {
            self.opening.baker = Some(Box::new(Baker { never: true, ..Baker::default() }));
            return;
        }
        let (offered, answered) = (&client.stream.options, &server.stream.options);
        let had_no_place = offered.seen
            && !offered.timestamps
            && (offered.window_scale.is_some() && host.window_scaling
                || offered.sack_permitted && host.sack)
            && answered.window_scale.is_none()
            && !answered.sack_permitted;
        let sign = match host.syncookies {
            Some(2) => Some(CookieSign::Settings),
            _ if had_no_place => Some(CookieSign::Options),
            _ => None,
        };
        let clock = syn_ack.timestamps().filter(|_| sign.is_none());
        let clock = clock.map(|stamps| (stamps.value, syn));
        let tries = BringBack::default();
        let never = false;
        self.opening.baker = Some(Box::new(Baker { recycles, never, clock, sign, tries }));
    }

    /// The SYN-ACK again: unless it answers the SYN again, a timer sent it, and there is a socket to
    /// send it from.
    pub(super) fn doubt_cookie(&mut self, from: Side, again: &Segment) {
        let Opening { syns, syn_acks, baker, .. } = &mut self.opening;
        let (Some(baker), Side::Server) = (baker, from) else { return };
        let last = syn_acks.server.last().map(|last| last.mark.time);
        let by_timer = last.is_some_and(|last| again.time.since(last) > SYN_TIMER)
            && syns.client.last().map(|syn| syn.mark.time) < last;
        let echo = again.timestamps().map(|stamps| stamps.echo);
        let syn = syns.client.answered_by(echo).map(|syn| syn.mark.time);
        let clock = syn.zip(again.timestamps()).map(|(syn, stamps)| (stamps.value, syn));
        if by_timer {
            (baker.sign, baker.clock) = (None, None);
        } else {
            baker.clock = baker.clock.and(clock);
        }
    }

    /// A segment of the server after its SYN-ACK shows its clock. The answer to a SYN leaves no
    /// sooner than that comes; if its timestamp is older, it was set back to hold the options.
    pub(super) fn read_clock(&mut self, from: Side, segment: &Segment) {
        let Some(baker) = self.opening.baker.as_mut().filter(|_| from == Side::Server) else {
            return;
        };
        let (Some((then, syn)), Some(now)) = (baker.clock, segment.timestamps()) else { return };
        baker.clock = None;
        if is_set_back((then, syn), (now.value, segment.time)) {
            baker.sign = Some(CookieSign::Clock(segment.frame));
        }
    }

    /// A segment of the client comes late to a server that is closed. If it still brings back the
    /// cookie, the listener makes another socket of it. What is checked is the distance of its two
    /// numbers, which stays the same while both sides have sent as much; the MSS is in there as well
    /// (Linux `check_tcp_syn_cookie`).
    pub(super) fn bring_back_cookie(&mut self, from: Side, segment: &Segment) {
        let (client, server) = self.sides.pair_mut(Side::Client);
        if from == Side::Server || server.state != State::Closed {
            return;
        }
        let moved = server.stream.offset(segment.ack) - client.stream.offset(segment.seq);
        let coded = mss_code(self.addresses.client, client.stream.options.mss) + moved;
        let fits = (0..MSS_CODES).contains(&coded) && segment.flags.ack();
        let baked = self.opening.syn_acks.server.last().map(|baked| baked.mark.time);
        let is_fresh = baked.is_some_and(|baked| segment.time.since(baked) < SHELF_LIFE);
        if fits && is_fresh && self.opening.cookie() == Some(CookieSign::Settings) {
            let reason = Reason::inferred(Mark::of(segment), Cause::ReceivedCookie);
            server.apply(Event::ReceiveCookie, reason);
            if segment.flags.fin() {
                server.apply(Event::ReceiveFin, Reason { cause: Cause::ReceivedFin, ..reason });
            }
        }
    }

    /// The listener, and from when on it must have been heard, if that is all that is missing: its
    /// SYN-ACK, which nobody answered, was due again before `known_until` and did not come.
    #[must_use]
    pub fn is_silent(
        &self,
        known_until: Time,
        settings: &Settings,
    ) -> Option<(tcp::Endpoint, Time)> {
        let (listener, last) = self.is_unrepeated(settings)?;
        (known_until.since(last) > OVERDUE).then_some((listener, last + NEARLY_DUE))
    }

    /// The listener, and when it sent a SYN-ACK that nobody answered and that was not sent again, where
    /// that may have been a cookie.
    #[must_use]
    pub fn is_unrepeated(&self, settings: &Settings) -> Option<(tcp::Endpoint, Time)> {
        let listener = self.addresses.server;
        let host = settings.of(listener.address);
        if host.syncookies != Some(1) || host.synack_retries == 0 {
            return None;
        }
        let opening = &self.opening;
        let last = opening.syn_acks.server.last()?.mark.time;
        let is_open = opening.cookie().is_none()
            && opening.ack.is_none()
            && opening.syn_ack_timeouts == 0
            && self.reset.is_none()
            && self.sides.server.was_half_open_only();
        is_open.then_some((listener, last))
    }

    /// The listener was heard when its SYN-ACK was due again: there was nothing to send it from.
    pub fn heard_listener(&mut self) {
        self.opening.baker.get_or_insert_default().sign = Some(CookieSign::Silence);
    }

    /// The listener was closed before its SYN-ACK was due again. The half-open connection waits for that,
    /// and ends then (Linux `reqsk_timer_handler`).
    pub fn lost_its_listener(&mut self) {
        let Some(last) = self.opening.syn_acks.server.last() else { return };
        let server = &mut self.sides.server;
        if server.state == State::SynReceived {
            (server.timer, server.timer_grace) = (last.mark.time + FIRST_TIMER, Span::ZERO);
        }
    }

    /// The listener, and when it sent a SYN-ACK of which nothing else tells whether it was a cookie.
    #[must_use]
    pub fn may_be_cookie(&self, settings: &Settings) -> Option<(tcp::Endpoint, Time)> {
        let listener = self.addresses.server;
        let opening = &self.opening;
        let baker = opening.baker.as_ref()?;
        let syn_acks = &opening.syn_acks.server;
        let is_open = settings.of(listener.address).syncookies == Some(1)
            && baker.sign.is_none()
            && !baker.recycles
            && syn_acks.count() == 1
            && self.sides.server.was_in(State::SynReceived);
        syn_acks.first().filter(|_| is_open).map(|sent| (listener, sent.mark.time))
    }

    /// It had no place for a half-open connection.
    pub fn found_no_request(&mut self) {
        self.opening.baker.get_or_insert_default().sign = Some(CookieSign::Queue);
    }

    /// Takes out the SYN-RECEIVED of a server that had no socket, and how that ended.
    pub(super) fn settle_cookie(&mut self, known_until: Time) {
        self.settle_bring_back(known_until);
        let Some(sign) = self.opening.cookie() else { return };
        self.sides.server.was_listening(sign);
        if let Some(reset) = &mut self.reset {
            reset.states.server = reset.states.server.filter(|it| *it != State::SynReceived);
        }
    }
}

impl Endpoint {
    /// Whether it came to SYN-RECEIVED and no further, and no RST reached it there.
    fn was_half_open_only(&self) -> bool {
        let mut states = self.entries().iter().map(|entry| entry.state);
        let closed = [None, Some(State::Closed)];
        states.next() == Some(State::SynReceived)
            && closed.contains(&states.next())
            && self.last_entry().is_some_and(|last| last.cause != Cause::ReceivedRst)
    }

    fn was_listening(&mut self, sign: CookieSign) {
        let entries = self.entries_mut();
        entries.retain(|entry| entry.state != State::SynReceived);
        // Nor was there anything that ended before it.
        if let Some(opened) = entries.iter().position(|entry| entry.state != State::Closed) {
            entries.drain(..opened);
        }
        match entries.first_mut() {
            Some(first) if first.state != State::Closed => {
                first.cause = match first.cause {
                    Cause::ReceivedAckOfSyn => Cause::ReceivedCookie,
                    other => other,
                };
                first.certainty = first.certainty.min(Certainty::Inferred);
                first.corrected_by = first.corrected_by.or(sign.frame());
            }
            // What had no socket did not close either.
            Some(_) | None => entries.clear(),
        }
        self.state = self.last_entry().map_or(State::Listen, |last| last.state);
    }
}

/// Whether a SYN-ACK with this timestamp, which answers the SYN of that time, was set back to hold options:
/// what its sender's clock shows later, and when.
fn is_set_back((then, syn): (u32, Time), (value, at): (u32, Time)) -> bool {
    let elapsed = at.since(syn);
    // Linux counts milliseconds.
    let passed = elapsed.nanos() / 1_000_000;
    let ticks = i64::from(value.wrapping_sub(then).cast_signed());
    let least = TICKS_OFF + passed / RATE_OFF;
    (Span::ZERO..EXTRAPOLATED).contains(&elapsed)
        && (least..SET_BACK + least).contains(&(ticks - passed))
}

/// How a cookie holds the client's MSS: the largest of these that is no larger (Linux `msstab`, in
/// `net/ipv4/syncookies.c` and `net/ipv6/syncookies.c`; without the option it is 536, RFC 9293 3.7.1).
fn mss_code(client: tcp::Endpoint, mss: Option<u16>) -> i64 {
    let above: [u16; 3] =
        if client.address.is_ipv4() { [1_300, 1_440, 1_460] } else { [1_420, 1_440, 8_940] };
    let mss = mss.unwrap_or(536);
    above.iter().map(|least| i64::from(mss >= *least)).sum()
}
