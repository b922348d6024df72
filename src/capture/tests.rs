//! Tests of the walk over whole files: features one by one, then properties, then public captures.

mod build;
mod classic;
mod ng;
mod plain;
mod properties;
mod public;

use super::*;

/// Everything that a walk tells, without borrows, to compare walks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    records: Vec<Kept>,
    damage: DamageList,
    oddities: Oddities,
    statistics: Statistics,
    events: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    time: Option<i64>,
    link: u32,
    data: Vec<u8>,
    wire_len: u32,
    offset: u64,
    interface: u32,
    fcs_len: u8,
    direction: Direction,
}

impl Seen {
    fn keep(records: &mut Vec<Kept>, record: &Record<'_>) {
        records.push(Kept {
            time: record.timed.then(|| record.time.nanos()),
            link: record.link.0,
            data: record.data.to_vec(),
            wire_len: record.wire_len,
            offset: record.offset,
            interface: record.interface,
            fcs_len: record.fcs_len,
            direction: record.direction,
        });
    }

    /// Adds the next range's walk and its records.
    fn join(&mut self, walk: &Walk, records: Vec<Kept>) {
        assert_eq!(walk.records, records.len() as u64);
        self.damage.absorb(&walk.damage, self.records.len() as u64);
        self.records.extend(records);
        self.oddities += walk.oddities;
        self.statistics.extend(walk.statistics.clone());
        self.events += walk.events;
    }

    fn times(&self) -> Vec<Option<i64>> {
        self.records.iter().map(|record| record.time).collect()
    }

    fn lengths(&self) -> Vec<(usize, u32)> {
        self.records.iter().map(|record| (record.data.len(), record.wire_len)).collect()
    }

    fn harm(&self) -> Vec<(DamageKind, u64, u64, u64)> {
        let places = self.damage.listed().iter();
        places.map(|it| (it.kind, it.offset, it.skipped, it.frame)).collect()
    }
}

/// Walks a whole file at once.
fn serial(bytes: &[u8]) -> Seen {
    let (mut context, start) = Context::open(&bytes[..bytes.len().min(Context::HEAD)]).unwrap();
    let window = Window { bytes, base: 0, at_end: true };
    let mut records = Vec::new();
    let walk =
        context.walk(window, start..bytes.len(), &mut |record| Seen::keep(&mut records, record));
    assert!(!walk.needs_more);
    assert_eq!(walk.end, bytes.len());
    let mut seen = Seen::default();
    seen.join(&walk, records);
    seen
}
