//! Whether the first SYN that the capture shows is the first one that was sent.
//!
//! A SYN that nobody answers comes again, after 1 s and then after twice as long each time (RFC 6298 2.1,
//! 5.5). A capture that begins meanwhile shows a repetition first: its client had been in SYN-SENT before,
//! and its server in SYN-RECEIVED, if it had got an earlier one.

use super::attempts::Attempt;
use super::closing::newer;
use super::timers::longest_wait_for_syn;
use super::{Cause, Connection, Mark, State};
use crate::certainty::Certainty;
use crate::settings::{HostSettings, Settings};
use crate::stamp::{Span, Time};
use crate::tcp::{Segment, Side};

/// How the capture began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// When.
    pub at: Time,
    /// Connections that were open by then had shown before the frame that this is asked for.
    pub in_traffic: bool,
}

impl Begun {
    /// Whether a SYN at `time` of which the capture shows no repetition may be one itself.
    #[must_use]
    pub fn may_hide_syn(self, time: Time, host: &HostSettings) -> bool {
        self.in_traffic && time.since(self.at) < longest_wait_for_syn(host)
    }
}

/// No first timer of 1 s takes that long.
const FIRST_WAIT: Span = Span::from_millis(1_500);

/// Some systems begin with 3 s.
const SLOW_FIRST_WAIT: (Span, Span) = (Span::from_millis(2_800), Span::from_millis(3_500));

/// An echo of a timestamp that is older by more ticks than any attempt lasts is of something else.
const LONGEST_ATTEMPT: u32 = 200_000;

impl Connection {
    /// The client's first SYN, if the connection begins with one.
    #[must_use]
    pub fn first_syn(&self) -> Option<Mark> {
        let first = self.sides.client.entries().first()?;
        let syn = self.opening.syns.client.first()?.mark;
        (first.cause == Cause::SentSyn && first.frame == Some(syn.frame)).then_some(syn)
    }

    /// Whether the first SYN may have been sent before, where its predecessor would lie before the
    /// capture's beginning.
    pub fn settle_first_syn(&mut self, begun: Begun, settings: &Settings) {
        let syns = &self.opening.syns.client;
        let (Some(syn), gap) = (syns.first(), syns.gaps(1).first().copied()) else { return };
        let host = settings.of(self.addresses.client.address);
        let (least, most) = SLOW_FIRST_WAIT;
        let is_slow = |gap| !host.is_linux() && (least..most).contains(&gap);
        let elapsed = syn.mark.time.since(begun.at);
        let is_again = match gap {
            // The wait before was half as long.
            Some(gap) if gap > FIRST_WAIT && !is_slow(gap) => elapsed.nanos() < gap.nanos() / 8 * 5,
            Some(_) if host.syn_linear_timeouts == Some(0) => false,
            _ => begun.may_hide_syn(syn.mark.time, host),
        };
        if is_again {
            self.syn_came_again(syn);
        }
    }

    /// The SYN-ACK echoes a SYN that the capture does not show: there was an earlier one.
    pub(super) fn echoes_earlier_syn(&mut self, from: Side, syn_ack: &Segment) -> bool {
        let Some(first) = self.opening.syns.of(from.peer()).first() else { return false };
        let echo = syn_ack.timestamps().map_or(0, |stamps| stamps.echo);
        let is_earlier = first.timestamp.is_some_and(|value| {
            echo > 0 && newer(value, echo) && value.wrapping_sub(echo) < LONGEST_ATTEMPT
        });
        let me = self.sides.of_mut(from.peer());
        if is_earlier
            && let Some(entry) = me.entries_mut().first_mut()
            && entry.cause == Cause::SentSyn
        {
            (entry.cause, entry.certainty) = (Cause::SentSynAgain, Certainty::Inferred);
            entry.corrected_by = Some(syn_ack.frame);
        }
        is_earlier
    }

    fn syn_came_again(&mut self, syn: Attempt) {
        let own = self.sides.client.entries_mut().first_mut();
        if let Some(entry) = own.filter(|entry| entry.cause == Cause::SentSyn) {
            entry.cause = Cause::SentSynAgain;
            entry.certainty = entry.certainty.min(Certainty::Inferred);
        }
        // The echo tells which one the server had taken.
        if syn.timestamp.is_none() {
            let taken = self.sides.server.entries_mut().iter_mut().find(|entry| {
                entry.state == State::SynReceived && entry.frame == Some(syn.mark.frame)
            });
            if let Some(entry) = taken {
                entry.certainty = entry.certainty.min(Certainty::Inferred);
            }
        }
    }
}
