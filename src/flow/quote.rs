//! ICMP errors on their way to the connection that they quote.

use super::batch::Batch;
use super::observer::Observer;
use super::packed::{Kind, Packed};
use super::shard::Shard;
use super::strip::Strip;
use crate::settings::Settings;

impl Shard {
    /// Hands an ICMP error to the connection that it quotes, if that is remembered. What is over before it
    /// must have ended.
    #[cold]
    pub(super) fn quote(
        &mut self,
        (batch, strip): (&Batch, &Strip),
        packed: &Packed,
        settings: &Settings,
        emit: &mut impl Observer,
    ) {
        let clock = batch.clock_at(strip, packed);
        self.cause = strip.name_of(packed);
        let Some(error) = batch.quote_of(strip, packed) else { return };
        let Some(slot) = self.slot_of(&batch.flow_of(packed)) else { return };
        let index = if slot.is_live() {
            slot.index()
        } else {
            let Some(grown) = self.grow(slot.index(), clock, settings, emit) else { return };
            grown
        };
        let Some((live, connection)) = self.live.wake(index) else { return };
        connection.quote(packed.kind.contains(Kind::FORWARD), &error, settings);
        if live.ticket.take().is_some() {
            self.over_count -= 1;
        }
        self.arm(index, clock, error.time);
    }
}
