//! What was read: the objects of `inputs[]`, and `quality`, the ground that findings stand on.

use schemars::JsonSchema;
use serde::Serialize;

use super::document::MAX_LISTED;
use super::value::{Named, Stamp, nanos};
use crate::analysis::{Analysis, CountedInterface, Input, InputDamage};
use crate::input;
use crate::stamp::Span;
use crate::summary::Evicted;

/// One capture file, as far as it could be read.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Input")]
pub(super) struct InputDoc<'a> {
    /// Path as it was given.
    path: &'a str,
    /// The file format, such as `pcap` or `pcapng`.
    format: &'static str,
    /// `none`, or the compression around the format.
    compression: &'static str,
    /// Link types of the interfaces, by their number in the registry of the tcpdump group.
    link_types: Vec<u32>,
    /// Length of the file as it lies there.
    bytes: u64,
    /// The file as a whole lies outside the period that was to be looked at, as its beginning, its
    /// end and places between them tell, and was not read: nothing of it is counted.
    not_read: bool,
    /// It begins before the end of what was read ahead of it, and could not be merged with that by
    /// time: a file in an archive that came through a pipe, or a capture whose first frames have no
    /// time.
    not_merged: bool,
    /// Frames read.
    frames: u64,
    /// Records that are no frames (a custom block, a system call) but are numbered as such, as
    /// Wireshark does.
    events: u64,
    /// Frames among them that lie outside the period that was to be looked at.
    outside_period: u64,
    /// TCP segments among them that were looked at.
    tcp_segments: u64,
    /// TCP segments that the filter left out.
    left_out: u64,
    /// TCP segments that another file had shown a moment before: two taps saw the same. They count
    /// once.
    seen_elsewhere: u64,
    /// Earliest capture time.
    first_time: Option<Stamp>,
    /// Latest capture time.
    last_time: Option<Stamp>,
    /// Time before the first frame that no file covers; null unless it stands out from the pauses
    /// between frames.
    gap_before_ns: Option<i64>,
    /// What the interfaces counted, where the file says so.
    interfaces: Vec<InterfaceDoc<'a>>,
    /// Records that were odd but readable, by what was odd.
    oddities: Named<u64>,
    /// Frames that are no TCP segment, by reason.
    skipped: Named<u64>,
    /// Damaged places, the first ones.
    damage: Vec<DamageDoc>,
    /// How many damaged places there were in all.
    damage_total: u64,
}

impl<'a> From<&'a Input> for InputDoc<'a> {
    fn from(input: &'a Input) -> Self {
        Self {
            path: &input.path,
            format: input.format,
            compression: input.compression,
            link_types: input.link_types.iter().map(|link| link.0).collect(),
            bytes: input.bytes,
            not_read: input.not_read,
            not_merged: input.not_merged,
            frames: input.frames,
            events: input.events,
            outside_period: input.outside_period,
            left_out: input.left_out,
            seen_elsewhere: input.seen_elsewhere,
            gap_before_ns: input.gap_before.map(Span::nanos),
            interfaces: input.interfaces.iter().map(InterfaceDoc::from).collect(),
            oddities: Named(input.oddities.clone()),
            tcp_segments: input.tcp_segments,
            first_time: input.first_time.map(Stamp),
            last_time: input.last_time.map(Stamp),
            skipped: Named(input.skipped.clone()),
            damage: input.damage.iter().map(DamageDoc::from).collect(),
            damage_total: input.damage_total,
        }
    }
}

/// An interface of a pcapng section and what it counted; null where the file does not say.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CountedInterface")]
struct InterfaceDoc<'a> {
    /// Index of the section in the file, from 0.
    section: u32,
    /// Index of the interface in the section, from 0.
    interface: u32,
    /// Its name.
    name: &'a str,
    /// Packets received.
    received: Option<u64>,
    /// Packets that the interface dropped.
    dropped: Option<u64>,
    /// Packets that passed the capture filter.
    accepted: Option<u64>,
    /// Packets that the operating system dropped.
    os_dropped: Option<u64>,
    /// Packets delivered to the capture program.
    delivered: Option<u64>,
}

impl<'a> From<&'a CountedInterface> for InterfaceDoc<'a> {
    fn from(it: &'a CountedInterface) -> Self {
        let counted = &it.counted;
        Self {
            section: it.section,
            interface: it.interface,
            name: &counted.name,
            received: counted.received,
            dropped: counted.dropped,
            accepted: counted.accepted,
            os_dropped: counted.os_dropped,
            delivered: counted.delivered,
        }
    }
}

/// A place in a file that could not be read.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Damage")]
struct DamageDoc {
    /// What is wrong there.
    kind: &'static str,
    /// Where it begins, in bytes of the uncompressed file.
    offset: u64,
    /// Bytes that were passed over before reading went on.
    skipped_bytes: u64,
    /// Number of the last frame before it, 0 for none.
    after_frame: u64,
}

impl From<&InputDamage> for DamageDoc {
    fn from(damage: &InputDamage) -> Self {
        Self {
            kind: damage.kind,
            offset: damage.offset,
            skipped_bytes: damage.skipped_bytes,
            after_frame: damage.after_frame,
        }
    }
}

/// How far the capture can be trusted.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Quality")]
pub(super) struct Quality {
    /// Every file was read to its end, and nothing in it was damaged.
    intact: bool,
    /// Damaged places in all files.
    damaged_places: u64,
    /// Frames that are no TCP segment, by reason, in all files.
    skipped: Named<u64>,
    /// Payload bytes that were proved to exist and that no captured segment carried.
    missing_bytes: u64,
    /// Segments with a wrong TCP checksum, of those that were verified.
    bad_checksums: u64,
    /// Segments whose TCP checksum was verified: all at the beginning of each file, then a sample.
    verified_checksums: u64,
    /// Wrong checksums that hold what a host leaves to its network card (offload).
    unfinished_checksums: u64,
    /// State entries that were left out because a timeline was full.
    states_dropped: u64,
    /// Connections in which both sides were captured and bytes are missing.
    lossy_connections: u64,
    /// Connections of which only one side was captured, though it conversed with the other.
    one_sided_connections: u64,
    /// Packets that the interfaces or the operating system dropped, where the files say it.
    interface_drops: Option<u64>,
    /// Frames whose time lies before that of the frame ahead of them, in the same file.
    clock_steps: u64,
    /// The largest of these steps back.
    largest_clock_step_ns: i64,
    /// Segments of whose TCP header the snaplen cut something off.
    cut_headers: u64,
    /// Segments that the tap delivered more than once, every time after the first.
    duplicate_frames: u64,
    /// What did not fit the bounds of the summaries.
    evicted: EvictedTables,
    /// What the limits of memory cost.
    shed: ShedDoc,
    /// What is known, and counts everywhere, but is not listed in this report.
    unlisted: Unlisted,
}

/// Connections whose record ends before they did, since a limit of memory was reached.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Shed")]
struct ShedDoc {
    /// Attempts to connect that had not come through when they were let go.
    handshakes: u64,
    /// Other connections.
    connections: u64,
}

/// What a report leaves out to stay readable.
#[derive(Debug, Serialize, JsonSchema)]
struct Unlisted {
    /// Listeners with fewer connections than those listed.
    listeners: usize,
    /// Hosts with fewer connections than those listed.
    hosts: usize,
}

/// What did not fit the bounds of the summaries.
#[derive(Debug, Serialize, JsonSchema)]
struct EvictedTables {
    /// Listeners.
    listeners: EvictedDoc,
    /// Hosts.
    hosts: EvictedDoc,
    /// Pairs of a client and a service.
    pairs: EvictedDoc,
}

/// What a table had to let go.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Evicted")]
struct EvictedDoc {
    /// Entries that left.
    entries: u64,
    /// Connections that those entries stood for.
    connections: u64,
}

impl From<Evicted> for EvictedDoc {
    fn from(evicted: Evicted) -> Self {
        Self { entries: evicted.entries, connections: evicted.connections }
    }
}

impl From<&Analysis> for Quality {
    fn from(analysis: &Analysis) -> Self {
        let Analysis { inputs, summary, .. } = analysis;
        let totals = &summary.totals;
        let sum = |value: fn(&input::Quality) -> u64| -> u64 {
            inputs.iter().map(|input| value(&input.quality)).sum()
        };
        let damaged_places = inputs.iter().map(|input| input.damage_total).sum();
        Self {
            intact: damaged_places == 0,
            damaged_places,
            skipped: Named(skipped(inputs)),
            missing_bytes: totals.missing_bytes.client + totals.missing_bytes.server,
            bad_checksums: sum(|quality| quality.checksums.wrong.count),
            verified_checksums: sum(|quality| quality.checksums.verified),
            unfinished_checksums: sum(|quality| quality.checksums.unfinished),
            states_dropped: totals.states_dropped,
            lossy_connections: totals.ground.lossy.connections,
            one_sided_connections: totals.ground.one_sided.connections,
            interface_drops: inputs
                .iter()
                .filter_map(|input| Some(input.quality.interfaces?.dropped))
                .reduce(|one, other| one + other),
            clock_steps: sum(|quality| quality.clock.steps),
            largest_clock_step_ns: inputs
                .iter()
                .map(|input| nanos(input.quality.clock.largest))
                .max()
                .unwrap_or(0),
            cut_headers: sum(|quality| quality.cut_headers.count) + cut_headers(inputs),
            duplicate_frames: totals.ground.copies,
            evicted: EvictedTables {
                listeners: summary.listeners_evicted().into(),
                hosts: summary.hosts_evicted().into(),
                pairs: summary.pairs_evicted().into(),
            },
            shed: ShedDoc {
                handshakes: summary.shed.handshakes,
                connections: summary.shed.connections,
            },
            unlisted: Unlisted {
                listeners: summary.listeners_kept().saturating_sub(MAX_LISTED),
                hosts: summary.hosts_kept().saturating_sub(MAX_LISTED),
            },
        }
    }
}

/// Segments of which too little was left by the snaplen.
fn cut_headers(inputs: &[Input]) -> u64 {
    let skipped = inputs.iter().flat_map(|input| &input.skipped);
    skipped.filter(|(reason, _)| *reason == "cut_tcp_header").map(|(_, count)| count).sum()
}

/// Skipped frames of all inputs by reason, the most frequent first, then by name.
pub(super) fn skipped(inputs: &[Input]) -> Vec<(&'static str, u64)> {
    let mut sums: Vec<(&'static str, u64)> = Vec::new();
    for (reason, count) in inputs.iter().flat_map(|input| &input.skipped) {
        match sums.iter_mut().find(|(known, _)| known == reason) {
            Some((_, sum)) => *sum += count,
            None => sums.push((reason, *count)),
        }
    }
    sums.sort_by(|(one, a), (other, b)| b.cmp(a).then(one.cmp(other)));
    sums
}
