//! Lines of SYNs that nothing followed: of those that look the same, each is made of one text.
//!
//! Such lines differ in few values. The text comes from whoever formats all lines: it is that of a SYN
//! that stands nowhere else (a [`stranger`]), cut where what is told of it alone is found again. What is
//! made of it is held against the ordinary line before it is used, and if they differ, all lines are
//! formatted. Knows nothing of any output format.

use super::Sink;
use crate::analysis::JudgedConnection;
use crate::connection::{Begun, LoneSyn, LoneValue, Mark};
use crate::flow::{Lone, LoneKind};
use crate::stamp::{FrameId, Time};
use crate::tcp::Endpoint;

/// Kinds of which the latest is remembered: in one flood those whose checksum was looked at, those whose client
/// has the lower address, and the others.
const KINDS: usize = 4;

/// SYNs that look the same, as long as their kind is remembered, before a text is made of their line: it costs what
/// ten lines cost.
const ALIKE: u32 = 16;

/// Bytes of the values of one SYN at most; where they take more, each line is formatted.
const ROOM: usize = 1 << 10;

/// What lines of SYNs that nothing followed are made of, in one shard.
#[derive(Debug, Default)]
pub(super) struct Retold {
    /// One for each of a few kinds.
    latest: Vec<Latest>,
}

/// The latest such SYN.
#[derive(Debug)]
struct Latest {
    kind: LoneKind,
    judged: JudgedConnection,
    /// How many before looked like it.
    alike: u32,
    template: Option<Template>,
}

impl Retold {
    /// Appends the line of a SYN of which no detector says anything.
    // Perf: a flood, NDJSON of every attempt. Building a record takes 2,300 instructions, judging and adding
    // it up 4,500, formatting it 14,000.
    pub(super) fn write(
        &mut self,
        lone: &Lone<'_>,
        begun: Option<Begun>,
        sink: &dyn Sink,
        into: &mut Vec<u8>,
    ) {
        let kind = lone.kind(begun);
        let is_alike = |latest: &&mut Latest| {
            latest.kind == kind && latest.judged.record.tunnel == lone.tunnel
        };
        if let Some(latest) = self.latest.iter_mut().find(is_alike) {
            return latest.write_next(&lone.syn, sink, into);
        }
        let judged = JudgedConnection { record: lone.record(begun), findings: Vec::new() };
        sink.format(&judged, into);
        if self.latest.len() == KINDS {
            self.latest.remove(0);
        }
        self.latest.push(Latest { kind, judged, alike: 0, template: None });
    }
}

impl Latest {
    /// Appends the line of another one that looks the same.
    fn write_next(&mut self, syn: &LoneSyn, sink: &dyn Sink, into: &mut Vec<u8>) {
        self.alike = self.alike.saturating_add(1);
        if self.alike == ALIKE {
            self.template = Template::of(syn, &mut self.judged, sink);
        }
        let before = into.len();
        let filled = self.template.as_mut().and_then(|template| template.fill(syn, into));
        if filled.is_none() {
            into.truncate(before);
            syn.retell(&mut self.judged.record);
            sink.format(&self.judged, into);
        }
    }
}

/// A line without what it says of one SYN alone.
#[derive(Debug)]
struct Template {
    text: Vec<u8>,
    holes: Vec<Hole>,
    /// The values that stand in it.
    values: Vec<Told>,
    /// Where the values are put before they are copied.
    room: Box<[u8]>,
}

/// A place where a value stands.
#[derive(Clone, Copy, Debug)]
struct Hole {
    /// How much of the text comes before it.
    at: usize,
    /// Index of its value.
    value: usize,
}

/// A value, and where in the room it is.
#[derive(Clone, Copy, Debug)]
struct Told {
    value: LoneValue,
    begin: usize,
    end: usize,
}

impl Template {
    /// What lines of SYNs that look like this one are made of; none where that would not give their lines.
    fn of(syn: &LoneSyn, judged: &mut JudgedConnection, sink: &dyn Sink) -> Option<Self> {
        let told = |value: &LoneValue| Told { value: *value, begin: 0, end: 0 };
        let values: Vec<Told> = sink.lone_values().iter().map(told).collect();
        if values.is_empty() {
            return None;
        }
        let stranger = stranger(syn);
        let mut template =
            Self { text: Vec::new(), holes: Vec::new(), values, room: vec![0; ROOM].into() };
        template.put(&stranger)?;
        let (mut line, mut made) = (Vec::new(), Vec::new());
        stranger.retell(&mut judged.record);
        sink.format(judged, &mut line);
        template.cut(&line);
        template.drop_unused();
        line.clear();
        syn.retell(&mut judged.record);
        sink.format(judged, &mut line);
        template.fill(syn, &mut made)?;
        (line == made).then_some(template)
    }

    /// Takes a line apart, the values of which are in the room.
    fn cut(&mut self, line: &[u8]) {
        let Self { text, holes, values, room } = self;
        let text_of = |told: &Told| room.get(told.begin..told.end).filter(|it| !it.is_empty());
        let texts: Vec<&[u8]> = values.iter().map(|it| text_of(it).unwrap_or(b"\0")).collect();
        let mut rest = line;
        while let Some((first, behind)) = rest.split_first() {
            let mut starts = texts.iter();
            let stands = |it: &&[u8]| it.first() == Some(first) && rest.starts_with(it);
            if let Some(value) = starts.position(stands) {
                holes.push(Hole { at: text.len(), value });
                rest = texts.get(value).and_then(|it| rest.get(it.len()..)).unwrap_or(&[]);
            } else {
                text.push(*first);
                rest = behind;
            }
        }
    }

    /// Lets go of values that the line does not tell.
    fn drop_unused(&mut self) {
        let Self { holes, values, .. } = self;
        for index in (0..values.len()).rev() {
            if holes.iter().all(|hole| hole.value != index) {
                values.remove(index);
                let later = holes.iter_mut().filter(|hole| hole.value > index);
                later.for_each(|hole| hole.value -= 1);
            }
        }
    }

    /// Puts the values of a SYN in the room, if there is enough.
    fn put(&mut self, syn: &LoneSyn) -> Option<()> {
        let mut begin = 0;
        for told in &mut self.values {
            let length = (told.value)(syn, self.room.get_mut(begin..)?)?;
            (told.begin, told.end) = (begin, begin + length);
            begin = told.end;
        }
        Some(())
    }

    /// Appends the line of a SYN.
    fn fill(&mut self, syn: &LoneSyn, into: &mut Vec<u8>) -> Option<()> {
        self.put(syn)?;
        let mut begin = 0;
        for hole in &self.holes {
            into.extend_from_slice(self.text.get(begin..hole.at)?);
            let told = self.values.get(hole.value)?;
            into.extend_from_slice(self.room.get(told.begin..told.end)?);
            begin = hole.at;
        }
        into.extend_from_slice(self.text.get(begin..)?);
        Some(())
    }
}

/// A SYN that looks like `syn` and of which each value is found in a text, since it stands nowhere else.
fn stranger(syn: &LoneSyn) -> LoneSyn {
    const fn endpoint(host: u16, port: u16) -> Endpoint {
        let address = std::net::Ipv6Addr::new(0x3fff, 0xd1ed, 0x57a6, 0x1e5, 0, 0xbeef, 7, host);
        Endpoint { address: std::net::IpAddr::V6(address), port }
    }
    const LOW: Endpoint = endpoint(0x1d7b, 64_879);
    const HIGH: Endpoint = endpoint(0xe94d, 63_977);
    const DAY: i64 = 86_400_000_000_000;
    // In 2261, 2257 and 2251.
    let time = |days: i64, nanos| Time::from_nanos(days * DAY + nanos);
    // Who of both is the lower one is part of what they look like.
    let (client, server) = if syn.client <= syn.server { (LOW, HIGH) } else { (HIGH, LOW) };
    LoneSyn {
        id: u64::MAX - 0x1_d5f3_97a1,
        client,
        server,
        mark: Mark {
            time: time(102_665, 70_123_456_789_013),
            frame: FrameId::new(0xfd_31b7, 0xe9_5c27_d163),
        },
        ip_bytes: u64::MAX - 0x7_3a91_6e5d,
        known_until: time(104_929, 5_987_654_321_087),
        gives_up: time(106_543, 43_210_987_654_329),
        ..*syn
    }
}
