//! SYN-ACKs that the timers of listeners sent again, and what they say of those that were not.
//!
//! Linux sends all the SYN-ACKs again that are due in one step of its timer wheel, the latest first. So
//! what is due and older ones are sent again before it has no socket to send it from (SYN cookies).

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::stamp::{Span, Time};
use crate::tcp::Endpoint;

/// One step of the wheel sends as quickly as that.
const AT_ONCE: Span = Span::from_millis(1);

/// The first timer runs out after 1 s, at the earliest (RFC 6298 2.1), counted in ticks of 4 ms or
/// less; the second one not before 3 s.
pub(super) const DUE: Span = Span::from_millis(1_004);
pub(super) const SECOND: Span = Span::from_millis(1_900);

/// A timer of 1 s is late by less than 64 ms or 8 ticks of 10 ms.
pub(super) const OVERDUE: Span = Span::from_millis(1_100);

/// By listener: when its timers ran out, and when the oldest of what was sent again then had been sent
/// before.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    bursts: HashMap<Endpoint, Vec<(Time, Time)>, RandomState>,
    count: usize,
}

impl Repeats {
    /// Bursts that are remembered: what comes beyond tells nothing.
    const MAX: usize = 1 << 17;

    /// A SYN-ACK of `listener` that was sent at `before` is sent again.
    pub(super) fn add(&mut self, listener: Endpoint, at: Time, before: Time) {
        let bursts = self.bursts.entry(listener).or_default();
        match bursts.last_mut() {
            Some((last, oldest)) if at.since(*last) < AT_ONCE => *oldest = before.min(*oldest),
            _ if self.count < Self::MAX => {
                bursts.push((at, before));
                self.count += 1;
            }
            _ => {}
        }
    }

    /// Whether a SYN-ACK of `sent` that was not sent again until `until` has no socket behind it.
    pub(super) fn left_out(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        let bursts = self.bursts.get(&listener).map_or(&[][..], Vec::as_slice);
        let due = bursts.partition_point(|(at, _)| at.since(sent) < DUE);
        let tells = |(at, oldest): &(Time, Time)| {
            let is_first = at.since(*oldest) < SECOND;
            at.since(sent) > OVERDUE || (is_first && *oldest < sent)
        };
        bursts.iter().skip(due).take_while(|(at, _)| *at <= until).any(tells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: Endpoint =
        Endpoint { address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port: 80 };

    fn at(millis: i64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn what_is_due_and_not_sent_again_before_older_ones_has_no_socket() {
        let mut repeats = Repeats::default();
        repeats.add(WEB, at(1_020), at(9));
        repeats.add(WEB, at(1_020), at(3));
        let left_out = |sent, until| repeats.left_out(WEB, at(sent), at(until));
        assert!(left_out(10, 1_020));
        assert!(!left_out(10, 1_019), "not known yet");
        assert!(!left_out(17, 1_020), "not due yet");
        assert!(!left_out(2, 1_020), "its turn may come");
        assert!(!repeats.left_out(Endpoint { port: 81, ..WEB }, at(10), at(2_000)));
    }

    #[test]
    fn any_repetition_long_after_it_was_due_tells() {
        let mut repeats = Repeats::default();
        repeats.add(WEB, at(3_040), at(1_020));
        assert!(repeats.left_out(WEB, at(1_900), at(4_000)));
        assert!(!repeats.left_out(WEB, at(2_030), at(4_000)), "older ones with another timer");
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut repeats = Repeats::default();
        for nth in 0..=i64::try_from(Repeats::MAX).unwrap() {
            repeats.add(WEB, at(nth * 2), at(nth * 2 - 1_000));
        }
        assert_eq!(repeats.count, Repeats::MAX);
    }
}
