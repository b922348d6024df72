//! The obvious way to read a capture: one loop, one map, no threads, nothing given up.
//!
//! Slow and plain on purpose: the pipeline is compared with it, and the kernel with both.

use std::collections::{BTreeMap, BTreeSet};

use tcpautopsy::capture::{Context, Window};
use tcpautopsy::connection::{
    Beginning, Begun, Connection, ConnectionRecord, Mark, Room, TimeWaitBefore,
};
use tcpautopsy::decode::{self, Decoded, Outcome};
use tcpautopsy::flow::{Answers, Horizon, Neighbours, Turn};
use tcpautopsy::settings::Settings;
use tcpautopsy::stamp::{FrameId, Time};
use tcpautopsy::tcp::{Control, Endpoint, Extras, FourTuple, IcmpError, Orientation, Segment};

/// Every connection of a capture file's bytes, in the order in which they began.
pub(crate) fn records(capture: &[u8], settings: &Settings) -> Vec<ConnectionRecord> {
    read(Reference::new(settings, capture), capture)
}

/// The same of connections that are put to sleep after each segment.
pub(crate) fn records_after_naps(capture: &[u8], settings: &Settings) -> Vec<ConnectionRecord> {
    read(Reference { naps: true, ..Reference::new(settings, capture) }, capture)
}

fn answers_in(capture: &[u8]) -> Answers {
    let mut answers = Answers::default();
    for_each_segment(capture, &mut |time, segment| {
        if let Some((tuple, _)) = segment.filter(|(_, it)| it.control() == Control::SynAck) {
            answers.add(tuple.source, time);
        }
    });
    answers
}

fn neighbours_in(capture: &[u8], settings: &Settings) -> Neighbours {
    let mut neighbours = Neighbours::default();
    let mut clock = Time::MIN;
    for_each_segment(capture, &mut |time, segment| {
        clock = clock.max(time);
        let turn = segment.and_then(|(tuple, it)| Turn::of(Horizon::new(clock, 0), tuple, &it));
        neighbours.read(turn);
    });
    neighbours.settle(|_| true, settings);
    neighbours.conclude(clock);
    neighbours
}

fn read(mut reference: Reference<'_>, capture: &[u8]) -> Vec<ConnectionRecord> {
    walk(capture, &mut |time, frame, outcome, decoded| {
        reference.clock = reference.clock.max(time);
        match outcome {
            Outcome::Segment => {
                let segment = Segment { time, frame, ..decoded.segment };
                reference.take(decoded.tuple, &segment, &decoded.extras);
            }
            Outcome::Quote(quote) => {
                reference.quote(quote.tuple, &IcmpError { time, frame, ..quote.error });
            }
            Outcome::Fragment(_) | Outcome::Skip(_) => {}
        }
    });
    reference.finish()
}

/// Shows `take` every frame's time, with its segment if it has one.
pub(crate) fn for_each_segment(
    capture: &[u8],
    take: &mut dyn FnMut(Time, Option<(FourTuple, Segment)>),
) {
    walk(capture, &mut |time, frame, outcome, decoded| {
        let segment = Segment { time, frame, ..decoded.segment };
        let is_segment = matches!(outcome, Outcome::Segment);
        take(time, is_segment.then_some((decoded.tuple, segment)));
    });
}

fn walk(capture: &[u8], take: &mut dyn FnMut(Time, FrameId, &Outcome, &Decoded)) {
    let (mut context, start) = Context::open(capture).expect("a capture file");
    let window = Window { bytes: capture, base: 0, at_end: true };
    let decoding = decode::Settings { tunnels: true, verify_checksums: false };
    let mut decoded = Decoded::default();
    let mut frame = 0;
    context.walk(window, start..capture.len(), &mut |record| {
        frame += 1;
        let outcome =
            decode::decode(record.link, record.data, record.wire_len, &decoding, &mut decoded);
        take(record.time, FrameId::new(0, frame), &outcome, &decoded);
    });
}

/// When the first segment came, and the first one of the first 64 that belongs to no connection that
/// had begun by then.
fn beginning_of(capture: &[u8]) -> (Time, Option<FrameId>) {
    let (mut first, mut open, mut begun) = (None, None, BTreeSet::new());
    let mut rest = 64;
    for_each_segment(capture, &mut |time, segment| {
        let Some((tuple, segment)) = segment.filter(|_| rest > 0 && open.is_none()) else { return };
        let (tuple, _) = tuple.canonical();
        let key = (tuple.source, tuple.destination);
        first.get_or_insert(time);
        rest -= 1;
        match segment.control() {
            Control::Syn => drop(begun.insert(key)),
            Control::Rst => {}
            _ if begun.contains(&key) => {}
            _ => open = Some(segment.frame),
        }
    });
    (first.unwrap_or(Time::MIN), open)
}

struct Reference<'s> {
    settings: &'s Settings,
    /// How the capture began.
    first: Time,
    open: Option<FrameId>,
    answers: Answers,
    neighbours: Neighbours,
    /// Whether connections sleep between their segments.
    naps: bool,
    room: Room,
    clock: Time,
    live: BTreeMap<(Endpoint, Endpoint), Connection>,
    done: Vec<ConnectionRecord>,
}

impl<'s> Reference<'s> {
    fn new(settings: &'s Settings, capture: &[u8]) -> Self {
        let (first, open) = beginning_of(capture);
        Self {
            settings,
            first,
            open,
            answers: answers_in(capture),
            neighbours: neighbours_in(capture, settings),
            naps: false,
            room: Room::new(),
            clock: Time::MIN,
            live: BTreeMap::new(),
            done: Vec::new(),
        }
    }

    fn take(&mut self, tuple: FourTuple, segment: &Segment, extras: &Extras) {
        let (canonical, orientation) = tuple.canonical();
        let forward = orientation == Orientation::Forward;
        let key = (canonical.source, canonical.destination);
        let mut stray = None;
        let mut before = None;
        if let Some(live) = self.live.get_mut(&key) {
            let due = live.deadline();
            if live.is_replaced_by(forward, segment) {
                let mut old = self.live.remove(&key).unwrap();
                stray = old.take_stray_syn(forward, segment);
                let next = stray.as_ref().map_or(segment, |(_, first, _)| first);
                let by = (due > self.clock).then_some(Mark::of(next));
                before = self.end(old, due.min(self.clock), by);
            }
        }
        if let Some((towards, first, options)) = stray {
            let tuple = if towards { canonical } else { canonical.reversed() };
            let settings = self.settings;
            self.begin(key, tuple, towards, &first, before)
                .observe(towards, &first, &options, settings);
        }
        if !self.live.contains_key(&key) {
            self.begin(key, tuple, forward, segment, before);
        }
        let settings = self.settings;
        let live = self.live.get_mut(&key).unwrap();
        live.observe(forward, segment, extras, settings);
        if self.naps {
            let (bytes, tunnels) = live.fall_asleep(&mut self.room).expect("room enough");
            let bytes = bytes.to_vec();
            let awake = Connection::wake(&bytes, tunnels.as_deref(), &mut self.room);
            *live = *awake.expect("as it was");
        }
    }

    fn quote(&mut self, tuple: FourTuple, error: &IcmpError) {
        let (canonical, orientation) = tuple.canonical();
        if let Some(live) = self.live.get_mut(&(canonical.source, canonical.destination)) {
            live.quote(orientation == Orientation::Forward, error, self.settings);
        }
    }

    fn end(
        &mut self,
        mut connection: Connection,
        until: Time,
        by: Option<Mark>,
    ) -> Option<TimeWaitBefore> {
        let turned_away = connection.take_turned_away();
        let neighbours = &self.neighbours;
        let unrepeated = connection.is_unrepeated(self.settings);
        let asked = connection.is_silent(until, self.settings);
        if unrepeated.is_some_and(|(who, sent)| neighbours.lost_listener(who, sent, until)) {
            connection.lost_its_listener();
        } else if asked.is_some_and(|(who, from)| self.answers.is_heard(who, from, until)) {
            connection.heard_listener();
        }
        let asked = connection.may_be_cookie(self.settings);
        let in_vain = |(listener, sent)| self.neighbours.found_no_request(listener, sent, until);
        if asked.is_some_and(in_vain) {
            connection.found_no_request();
        }
        if let Some(syn) = connection.first_syn() {
            let in_traffic = self.open.is_some_and(|open| open < syn.frame);
            let begun = Begun { at: self.first, in_traffic };
            connection.settle_first_syn(begun, self.settings);
        }
        let asked = connection.may_be_crowded_out();
        let found_full =
            |(attempt, from, until)| self.neighbours.found_queue_full(attempt, from, until);
        if asked.is_some_and(found_full) {
            connection.was_crowded_out();
        }
        let asked = connection.may_be_overtaken();
        let has_completed =
            |(listener, from, until)| self.neighbours.has_completed(listener, from, until);
        if asked.is_some_and(has_completed) {
            connection.was_overtaken();
        }
        let waits = |listener| self.neighbours.waits_for_data(listener, until);
        if connection.may_be_deferred().is_some_and(waits) {
            connection.was_deferred();
        }
        for (side, socket, from) in connection.may_lack_bucket(self.settings).into_iter().flatten()
        {
            if self.neighbours.had_no_bucket(socket, from, until) {
                connection.had_no_bucket(side);
            }
        }
        for (side, socket, from, until) in connection.may_be_reset_too_late(self.settings) {
            if self.neighbours.may_lack_bucket(socket, from, until) {
                connection.may_have_had_no_bucket(side);
            }
        }
        let record = connection.finish(until, by, self.settings);
        let (client, server) = (record.client, record.server);
        let time_wait = TimeWaitBefore::of(&record, self.settings);
        self.done.push(record);
        if let Some((forward, syn, extras)) = turned_away {
            let (canonical, _) = FourTuple { source: client, destination: server }.canonical();
            let (id, flow) = (syn.frame.number(), (canonical, Vec::new()));
            let mut attempt = Connection::begun(id, flow, (forward, &syn, &extras), self.settings);
            self.done.push(attempt.finish(until, by, self.settings));
        }
        time_wait
    }

    fn begin(
        &mut self,
        key: (Endpoint, Endpoint),
        tuple: FourTuple,
        forward: bool,
        segment: &Segment,
        before: Option<TimeWaitBefore>,
    ) -> &mut Connection {
        let id = segment.frame.number();
        let beginning = Beginning { id, tuple, forward, tunnel: Vec::new() };
        self.live.entry(key).or_insert_with(|| {
            let mut connection = Connection::new(beginning, segment);
            connection.comes_after(before);
            connection
        })
    }

    fn finish(mut self) -> Vec<ConnectionRecord> {
        while let Some((_, last)) = self.live.pop_first() {
            self.end(last, self.clock, None);
        }
        self.done.sort_by_key(|record| record.id);
        self.done
    }
}
