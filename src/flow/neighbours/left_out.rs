//! Whoever found no place, and when: in TIME-WAIT, or in an accept queue.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::stamp::Time;
use crate::tcp::FourTuple;

/// By tuple, in the order of the capture.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    times: HashMap<FourTuple, Vec<Time>, RandomState>,
    count: usize,
}

impl LeftOut {
    /// Times that are remembered: those beyond are taken to have found a place.
    const MAX: usize = 1 << 17;

    /// Remembers one.
    pub(super) fn add(&mut self, tuple: FourTuple, at: Time) {
        if self.count < Self::MAX {
            self.times.entry(tuple).or_default().push(at);
            self.count += 1;
        }
    }

    /// Whether `tuple` found none between two times.
    pub(super) fn has(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        let times = self.times.get(&tuple);
        times.is_some_and(|times| times.iter().any(|time| (from..=until).contains(time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Endpoint;

    #[test]
    fn what_is_remembered_has_a_bound_also_for_one_tuple() {
        let end = |port| Endpoint { address: [10, 0, 0, 1].into(), port };
        let tuple = FourTuple { source: end(1), destination: end(2) };
        let mut left_out = LeftOut::default();
        let at = |nanos: usize| Time::from_nanos(i64::try_from(nanos).unwrap());
        for nanos in 0..=LeftOut::MAX {
            left_out.add(tuple, at(nanos));
        }
        assert!(left_out.has(tuple, at(LeftOut::MAX - 1), Time::MAX));
        assert!(!left_out.has(tuple, at(LeftOut::MAX), Time::MAX));
        assert!(!left_out.has(tuple.reversed(), Time::MIN, Time::MAX));
    }
}
