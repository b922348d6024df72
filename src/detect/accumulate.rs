//! Hits of connection detectors, grouped by what they are about, so that ten thousand connections
//! with one trouble are one finding.
//!
//! A group keeps counts, extremes and the smallest ids: nothing that depends on the order in which
//! hits came or accumulators were merged. Groups are bounded like every table of totals; a shard hands on
//! what it has as soon as that is a few groups, and which ones leave the table of the run follows from the
//! order of the connections.

use std::cmp::Reverse;

use super::rule::{Hit, Point, Spot};
use crate::certainty::Certainty;
use crate::connection::ConnectionRecord;
use crate::finding::Finding;
use crate::stamp::{FrameId, Time};
use crate::summary::{Distinct, Entry, Evicted, Merge, Order, Table, is_due};
use crate::tcp::{IcmpError, Overlay};

/// What connection detectors found in one shard, or in several after a merge.
#[derive(Clone, Debug)]
pub struct Accumulator {
    /// One table per rule, in the order of the registry; begun where a rule has a hit. Groups lie in
    /// boxes, since a table is half empty as a rule.
    rules: Vec<Table<GroupKey, Box<Group>>>,
    /// Groups of one detector that are kept.
    limit: usize,
    /// A detector has as many groups as a shard keeps.
    is_full: bool,
    /// What goes to the accumulator of the run, in its order.
    handed: Vec<Handed>,
}

/// The groups of a rule that a shard handed on.
#[derive(Clone, Debug)]
struct Handed {
    order: Order,
    rule: usize,
    groups: Table<GroupKey, Box<Group>>,
}

impl Default for Accumulator {
    fn default() -> Self {
        Self::with_limit(Self::MAX_GROUPS)
    }
}

/// What a group is about: variant and subject.
pub(super) type GroupKey = (&'static str, Point);

impl Accumulator {
    /// Groups of one detector that are kept; between two clearances there may be twice as many.
    pub const MAX_GROUPS: usize = 4_096;
    /// Groups of one detector with which a shard hands on what it has.
    const MANY: usize = 16;
    /// Bytes that a group takes with its share of the table, about: measured on archives, where most
    /// have few hits.
    const GROUP: u64 = 700;
    /// Detectors that find something at very many places, as a rule.
    const BUSY_RULES: u64 = 6;

    /// One that keeps `limit` groups of each detector.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self { rules: Vec::new(), limit, is_full: false, handed: Vec::new() }
    }

    /// How many groups of each detector may be kept if those of the run may take `memory` bytes in all,
    /// with what each of `shards` shards has before it hands that on; not more than by default.
    #[must_use]
    pub fn limit_within(memory: u64, shards: usize) -> usize {
        let groups = memory / Self::GROUP / Self::BUSY_RULES;
        let rest = groups.saturating_sub((Self::MANY * shards) as u64);
        usize::try_from(rest / 2).unwrap_or(usize::MAX).clamp(256, Self::MAX_GROUPS)
    }

    /// Hands on the groups of a rule that has as many as a shard keeps; the last connection stands at
    /// `order`.
    pub fn hand_on(&mut self, order: Order) {
        if !std::mem::take(&mut self.is_full) {
            return;
        }
        for (rule, table) in self.rules.iter_mut().enumerate() {
            if table.len() >= Self::MANY {
                self.handed.push(Handed { order, rule, groups: std::mem::take(table) });
            }
        }
    }

    /// Takes over what shards handed on before `mark`, since nothing earlier can come any more, or all of
    /// it.
    pub fn take_over<'a>(
        &mut self,
        shards: impl Iterator<Item = &'a mut Self>,
        mark: Option<Order>,
    ) {
        let mut due = Vec::new();
        for shard in shards {
            let later = shard.handed.iter().position(|handed| !is_due(handed.order, mark));
            due.extend(shard.handed.drain(..later.unwrap_or(shard.handed.len())));
        }
        // A connection is of one shard.
        due.sort_by_key(|handed| handed.order);
        let limit = self.limit;
        for Handed { rule, groups, .. } in due {
            if let Some(own) = self.table(rule) {
                own.absorb(groups, limit);
            }
        }
    }

    /// Adds what another shard found.
    pub fn merge(&mut self, other: Self) {
        self.merge_all(vec![other]);
    }

    /// Adds what other shards found, in their order.
    pub fn merge_all(&mut self, mut others: Vec<Self>) {
        let limit = self.limit;
        let rules = others.iter().map(|other| other.rules.len()).max().unwrap_or(0);
        for rule in 0..rules {
            let tables = others.iter_mut().filter_map(|other| other.rules.get_mut(rule));
            if let Some(own) = self.table(rule) {
                own.gather(tables.map(std::mem::take), limit);
            }
        }
    }

    /// Whether nothing was found.
    pub(super) const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn add(&mut self, rule: usize, hit: &Hit, record: &ConnectionRecord) {
        let limit = self.limit;
        if let Some(table) = self.table(rule) {
            table.entry((hit.variant, hit.point), limit).add(hit, record);
            let is_full = table.len() >= Self::MANY;
            self.is_full |= is_full;
        }
    }

    /// The groups of a rule, by variant and subject.
    pub(super) fn groups(&self, rule: usize) -> Vec<(GroupKey, &Group)> {
        let sorted = self.rules.get(rule).map(|table| table.sorted(self.limit));
        sorted.into_iter().flatten().map(|(key, group)| (key, &**group)).collect()
    }

    /// What did not fit the bound of a rule's groups.
    pub(super) fn evicted(&self, rule: usize) -> Evicted {
        self.rules.get(rule).map_or_else(Evicted::default, |table| table.evicted(self.limit))
    }

    fn table(&mut self, rule: usize) -> Option<&mut Table<GroupKey, Box<Group>>> {
        if self.rules.len() <= rule {
            self.rules.resize_with(rule + 1, Table::default);
        }
        self.rules.get_mut(rule)
    }
}

/// Connections with the same trouble at the same place.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// What it is about; set by the first hit.
    pub(super) key: Option<GroupKey>,
    /// What the network in its key is; set by the first hit.
    overlay: Overlay,
    pub(super) count: u64,
    pub(super) first: Time,
    pub(super) last: Time,
    /// The weakest certainty among them.
    pub(super) certainty: Certainty,
    /// How many the capture's end cut off.
    pub(super) ongoing: u64,
    /// Highest measure, id of its connection, its frame; the earliest connection among equals.
    pub(super) worst: Option<(i64, Reverse<u64>, FrameId)>,
    /// Sum of the measures.
    pub(super) total: i64,
    /// The smallest ids of connections, each with its frame.
    samples: Vec<(u64, FrameId)>,
    classes: Vec<(u32, u64)>,
    /// Different clients.
    pub(super) clients: Distinct,
    /// The first ICMP error about an attempt of theirs; most groups have none.
    icmp: Option<Box<IcmpError>>,
    /// Connections among them in which some bytes were never captured.
    pub(super) lossy: u64,
    /// Connections among them in which one side was never captured.
    pub(super) one_sided: u64,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            key: None,
            overlay: Overlay::default(),
            count: 0,
            first: Time::MAX,
            last: Time::MIN,
            certainty: Certainty::Observed,
            ongoing: 0,
            worst: None,
            total: 0,
            samples: Vec::new(),
            classes: Vec::new(),
            clients: Distinct::default(),
            icmp: None,
            lossy: 0,
            one_sided: 0,
        }
    }
}

impl Group {
    /// Classes that are told apart; higher ones count as the highest.
    pub(super) const MAX_TALLIES: u32 = 31;

    pub(super) fn add(&mut self, hit: &Hit, record: &ConnectionRecord) {
        if self.key.is_none() {
            self.key = Some((hit.variant, hit.point));
            self.overlay = record.overlay();
        }
        self.count += 1;
        self.first = self.first.min(hit.first);
        self.last = self.last.max(hit.last);
        self.certainty = self.certainty.min(hit.certainty);
        self.ongoing += u64::from(hit.ongoing);
        self.worst = self.worst.max(Some((hit.measure, Reverse(record.id), hit.frame)));
        self.total = self.total.saturating_add(hit.measure);
        self.classify(hit.class, 1);
        self.sample((record.id, hit.frame));
        self.clients.add(record.client.address);
        self.blame(record.handshake.icmp_error);
        let (client, server) = (&record.traffic.client, &record.traffic.server);
        self.lossy += u64::from(client.missing_bytes + server.missing_bytes > 0);
        self.one_sided += u64::from(client.segments == 0 || server.segments == 0);
    }

    /// The highest measure.
    pub(super) fn worst_measure(&self) -> i64 {
        self.worst.map_or(0, |(measure, _, _)| measure)
    }

    /// How many hits were of this class.
    pub(super) fn of_class(&self, class: u32) -> u64 {
        self.classes.iter().find(|(other, _)| *other == class).map_or(0, |(_, count)| *count)
    }

    /// How many hits were of each class, by class.
    pub(super) fn classes(&self) -> &[(u32, u64)] {
        &self.classes
    }

    /// Where and when, with the worst frame first and then the earliest ones.
    pub(super) fn spot(&self, (variant, point): GroupKey) -> Spot {
        let worst = self.worst.map(|(_, _, frame)| frame);
        let mut frames: Vec<_> = worst.into_iter().collect();
        for (_, frame) in &self.samples {
            if !frames.contains(frame) && frames.len() < Finding::MAX_FRAMES {
                frames.push(*frame);
            }
        }
        Spot {
            variant,
            subject: point.subject(),
            overlay: self.overlay.clone(),
            first: self.first,
            last: self.last,
            count: self.count,
            frames,
        }
    }

    /// The smallest ids of its connections.
    pub(super) fn connections(&self) -> Vec<u64> {
        self.samples.iter().map(|(id, _)| *id).collect()
    }

    /// The first ICMP error about an attempt of theirs.
    pub(super) fn icmp(&self) -> Option<IcmpError> {
        self.icmp.as_deref().copied()
    }

    fn blame(&mut self, error: Option<IcmpError>) {
        let Some(error) = error else { return };
        if self.icmp.as_ref().is_none_or(|known| error.frame < known.frame) {
            self.icmp = Some(Box::new(error));
        }
    }

    fn classify(&mut self, class: u32, count: u64) {
        let class = class.min(Self::MAX_TALLIES);
        match self.classes.binary_search_by_key(&class, |(class, _)| *class) {
            Ok(place) => {
                if let Some((_, sum)) = self.classes.get_mut(place) {
                    *sum += count;
                }
            }
            Err(place) => {
                // Most groups have one class and one connection.
                if self.classes.is_empty() {
                    self.classes.reserve_exact(1);
                }
                self.classes.insert(place, (class, count));
            }
        }
    }

    fn sample(&mut self, sample: (u64, FrameId)) {
        let full = self.samples.len() >= Finding::MAX_CONNECTIONS;
        if full && self.samples.last().is_some_and(|last| sample >= *last) {
            return;
        }
        if let Err(place) = self.samples.binary_search(&sample) {
            if self.samples.is_empty() {
                self.samples.reserve_exact(1);
            }
            self.samples.insert(place, sample);
            self.samples.truncate(Finding::MAX_CONNECTIONS);
        }
    }
}

impl Entry for Box<Group> {
    fn weight(&self) -> u64 {
        self.count
    }
}

impl Merge for Box<Group> {
    fn merge(&mut self, other: Self) {
        let other = *other;
        self.blame(other.icmp());
        if self.key.is_none() {
            (self.key, self.overlay) = (other.key, other.overlay);
        }
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.certainty = self.certainty.min(other.certainty);
        self.ongoing += other.ongoing;
        self.worst = self.worst.max(other.worst);
        self.total = self.total.saturating_add(other.total);
        self.clients.merge(&other.clients);
        self.lossy += other.lossy;
        self.one_sided += other.one_sided;
        for (class, count) in other.classes {
            self.classify(class, count);
        }
        for sample in other.samples {
            self.sample(sample);
        }
    }
}
