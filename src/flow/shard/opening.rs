//! How connections come into a shard: as an embryo, or with all their state.

use super::{LOOKED_AT, SILENT, Shard, half, key_of, remember};
use crate::connection::{Beginning, Connection, Effects, TimeWaitBefore};
use crate::flow::arrival::Arrival;
use crate::flow::embryo::{Embryos, Hatched};
use crate::flow::observer::Observer;
use crate::flow::table::Slot;
use crate::settings::Settings;
use crate::stamp::{FrameId, Time};
use crate::tcp::{FourTuple, TunnelLayer};

/// So many embryos in one shard are a flood.
const MANY: usize = 2_048;

impl Shard {
    /// Begins a connection on a flow that has none, or had one that left `before` behind.
    pub(super) fn open(
        &mut self,
        arrival: &Arrival<'_>,
        before: Option<TimeWaitBefore>,
        settings: &Settings,
        emit: &mut impl Observer,
    ) {
        // Perf: nothing that is large is copied, see [`Shard::arrive`].
        let Arrival { ref flow, forward, ref segment, clock, .. } = *arrival;
        let plain = before.is_none() && self.limits.embryonic > 0;
        if plain && let Some(options) = Embryos::accepts(arrival) {
            while self.embryos.len() >= self.limits.embryonic {
                self.evict_embryo(clock, settings, emit);
            }
            let key = self.table.claim(flow);
            let index = self.embryos.begin(key, forward, segment, options);
            let Self { table, embryos, live, queue, limits, .. } = self;
            if table.is_full() && embryos.len() >= MANY {
                // A flood: it will not end before there are as many as there may be.
                let more = limits.embryonic.saturating_sub(embryos.len());
                table.reserve(more, |slot| key_of(embryos, live, slot));
            }
            table.bind(key, Slot::embryo(index), |slot| key_of(embryos, live, slot));
            remember(queue, (index, half(segment.frame)), embryos.len(), |(index, frame)| {
                embryos.get(index).is_some_and(|embryo| half(embryo.frame()) == frame)
            });
            return self.tell_embryo(index, arrival, settings, emit);
        }
        let begun = self.begin(arrival, before, settings, emit);
        let begun = begun.and_then(|(index, effects)| Some((self.live.at_hand(index)?, effects)));
        if let Some(told) = begun {
            arrival.tell(told, settings, emit);
        }
    }

    /// Tells of a segment that an embryo holds, if anybody asks.
    pub(super) fn tell_embryo<O: Observer>(
        &self,
        index: u32,
        arrival: &Arrival<'_>,
        settings: &Settings,
        emit: &mut O,
    ) {
        if !O::SEGMENTS {
            return;
        }
        let Some((frame, flow)) = self.origin(index) else { return };
        let replayed = self.embryos.replay(index, emit.name(frame), flow, settings);
        if let Some((connection, effects)) = replayed {
            arrival.tell((&connection, effects), settings, emit);
        }
    }

    /// Begins a connection with all its state.
    pub(super) fn begin(
        &mut self,
        arrival: &Arrival<'_>,
        before: Option<TimeWaitBefore>,
        settings: &Settings,
        emit: &mut impl Observer,
    ) -> Option<(u32, Effects)> {
        let Arrival { id, ref flow, forward, ref segment, extras, clock, .. } = *arrival;
        self.make_room(clock, settings, emit);
        let key = self.table.claim(flow);
        let (canonical, tunnel) = self.table.flow(key)?;
        let tuple = if forward { canonical } else { canonical.reversed() };
        let beginning = Beginning { id, tuple, forward, tunnel };
        let mut connection = Box::new(Connection::new(beginning, segment));
        connection.comes_after(before);
        let effects = connection.observe(forward, segment, extras, settings);
        let hatched = Hatched { connection, id, key, time: segment.time, embryo: None };
        let index = self.install(hatched, clock);
        self.arm(index, clock, segment.time);
        Some((index, effects))
    }

    /// Turns an embryo into a connection with all its state, for a segment after which its timer is set:
    /// by what the embryo held that may lie before the clock, and nothing rings in the past.
    pub(in crate::flow) fn grow(
        &mut self,
        embryo: u32,
        clock: Time,
        settings: &Settings,
        emit: &mut impl Observer,
    ) -> Option<u32> {
        self.make_room(clock, settings, emit);
        let hatched = self.hatch(embryo, settings, emit)?;
        // The clock agreed with every segment of an embryo.
        let due = hatched.connection.deadline().max(hatched.time);
        let index = self.install(hatched, clock);
        if let Some(live) = self.live.get_mut(index) {
            live.due = due;
        }
        Some(index)
    }

    /// An embryo's first frame, its canonical tuple and its tunnel.
    pub(in crate::flow) fn origin(
        &self,
        embryo: u32,
    ) -> Option<(FrameId, (FourTuple, Vec<TunnelLayer>))> {
        let embryo = self.embryos.get(embryo)?;
        Some((embryo.frame(), self.table.flow(embryo.key())?))
    }

    pub(super) fn hatch(
        &mut self,
        embryo: u32,
        settings: &Settings,
        emit: &impl Observer,
    ) -> Option<Hatched> {
        let (frame, flow) = self.origin(embryo)?;
        let spare = self.live.spare();
        self.embryos.hatch(embryo, emit.name(frame), flow, spare, settings)
    }

    fn install(&mut self, hatched: Hatched, clock: Time) -> u32 {
        let Hatched { connection, id, key, embryo, .. } = hatched;
        self.calm_down(clock);
        let index = self.live.insert(connection, id, key);
        let Self { table, embryos, live, .. } = self;
        match embryo {
            Some(embryo) => table.rebind(key, Slot::embryo(embryo), Slot::live(index)),
            None => table.bind(key, Slot::live(index), |slot| key_of(embryos, live, slot)),
        }
        remember(&mut self.candidates, (index, id), self.live.len(), |(index, id)| {
            self.live.get(index).is_some_and(|live| live.id == id)
        });
        index
    }

    /// Puts silent connections to sleep, if many are awake.
    fn calm_down(&mut self, clock: Time) {
        if self.live.awake() > self.limits.awake {
            for _ in 0..LOOKED_AT {
                self.live.turn_hand(clock - SILENT);
            }
        }
    }
}
