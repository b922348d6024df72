//! A segment on its way into its connection.

use super::batch::Batch;
use super::identity::Flow;
use super::observer::{Observer, Placed};
use super::packed::{Kind, Packed};
use super::strip::Strip;
use crate::connection::{Connection, Effects};
use crate::settings::Settings;
use crate::stamp::Time;
use crate::tcp::{Extras, Segment, Side};

/// A segment with all that the shard needs to place it.
pub(super) struct Arrival<'a> {
    pub(super) id: u64,
    pub(super) flow: Flow<'a>,
    pub(super) forward: bool,
    pub(super) segment: Segment,
    pub(super) extras: &'a Extras,
    /// The extras packed, where they came so.
    pub(super) options: Option<u64>,
    pub(super) clock: Time,
}

impl<'a> Arrival<'a> {
    #[expect(clippy::inline_always, reason = "measured: put together where it is read")]
    #[inline(always)]
    pub(super) fn new(from: (&'a Batch, &Strip), packed: &Packed, extras: &'a Extras) -> Self {
        let (batch, strip) = from;
        let [low, high, ports] = packed.flow;
        let mut arrival = Self {
            id: strip.name_of(packed),
            flow: Flow::Narrow([low, high, ports]),
            forward: packed.kind.contains(Kind::FORWARD),
            segment: packed.segment(strip.first),
            extras,
            options: packed.options(),
            clock: batch.clock_at(strip, packed),
        };
        if packed.kind.contains(Kind::WIDE) {
            arrival.flow = batch.wide_flow_of(packed);
        }
        arrival
    }

    /// Tells of the segment, which its connection has observed, if anybody asks.
    #[inline]
    pub(super) fn tell<O: Observer>(
        &self,
        (connection, effects): (&Connection, Effects),
        settings: &Settings,
        emit: &mut O,
    ) {
        if O::SEGMENTS {
            if effects.is_of_next {
                return self.tell_ahead(settings, emit);
            }
            emit.segment(&self.placed((connection, effects)));
        }
    }

    /// Tells of a SYN as of the first segment of a connection that is still to begin.
    fn tell_ahead(&self, settings: &Settings, emit: &mut impl Observer) {
        let flow = (self.flow.tuple(), self.flow.tunnel().to_vec());
        let next =
            Connection::begun(self.id, flow, (self.forward, &self.segment, self.extras), settings);
        emit.segment(&self.placed((&next, Effects::none(Side::Client))));
    }

    fn placed(&self, seen: (&Connection, Effects)) -> Placed<'a> {
        let Self { id, flow, forward, segment, extras, clock, .. } = self;
        Placed::new((*id, *clock, flow.tuple()), (*forward, segment, extras), seen)
    }
}
