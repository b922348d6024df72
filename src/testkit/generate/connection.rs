//! One generated connection: who it is between, what it will do, and its segments.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::plan::{ACK, FIN, FULL_SEGMENT, Legs, Plan, Positions, RESET, SYN_ACK, Step};
use super::tap::Tap;
use crate::stamp::{Span, Time};
use crate::tcp::{Endpoint, Flags, Seq, Side};
use crate::testkit::frame::Packet;
use crate::testkit::random::Random;

/// Clients of a capture; each opens one connection after the other from its ephemeral ports.
const CLIENTS: u64 = 5_000;
const SERVERS: u64 = 64;
/// `ip_local_port_range` of Linux: 32768 to 60999.
const FIRST_PORT: u64 = 32_768;
const PORTS: u64 = 28_232;
/// Window field of both sides; with the scale of 7, 256 KiB.
const WINDOW: u16 = 2_048;
const SCALE: u8 = 7;

/// How the connections of a shape behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    /// Connections alive at once.
    pub(super) concurrent: u32,
    /// Time over which the first ones begin, in microseconds.
    pub(super) ramp_micros: u32,
    /// Longest time from one's end to its successor's begin, in microseconds.
    pub(super) pause_micros: u32,
    /// Frames without TCP per 1,000 segments.
    pub(super) noise_per_mille: u32,
    /// Handshakes that fail, per 1,000.
    failing_per_mille: u32,
    /// Bursts that lose a segment, per 1,000.
    loss_per_mille: u32,
    /// Connections over IPv6, per 1,000.
    ipv6_per_mille: u32,
    /// Most exchanges of a connection; `None`: it never ends.
    exchanges: Option<u32>,
    /// Most segments of a response.
    response_segments: u32,
    /// Longest pause between two exchanges, in microseconds.
    think_micros: u32,
}

impl Profile {
    pub(super) const MIX: Self = Self {
        concurrent: 4_000,
        ramp_micros: 2_000_000,
        pause_micros: 100_000,
        noise_per_mille: 8,
        failing_per_mille: 30,
        loss_per_mille: 25,
        ipv6_per_mille: 80,
        exchanges: Some(6),
        response_segments: 40,
        think_micros: 300_000,
    };
    pub(super) const MIX_SHORT: Self =
        Self { exchanges: Some(2), response_segments: 12, ..Self::MIX };
    pub(super) const FEW_LARGE: Self = Self {
        concurrent: 8,
        ramp_micros: 100_000,
        noise_per_mille: 0,
        failing_per_mille: 0,
        loss_per_mille: 10,
        ipv6_per_mille: 0,
        exchanges: None,
        response_segments: 160,
        think_micros: 200,
        ..Self::MIX
    };
    pub(super) const ELEPHANT: Self = Self { concurrent: 1, ramp_micros: 1, ..Self::FEW_LARGE };
    pub(super) const MANY_SMALL: Self = Self {
        concurrent: 20_000,
        noise_per_mille: 0,
        loss_per_mille: 2,
        exchanges: Some(1),
        response_segments: 2,
        ..Self::MIX
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    Exchange { left: Option<u32> },
    Over,
}

/// What a side's packets carry on from one to the next.
#[derive(Clone, Copy, Debug)]
struct Sender {
    endpoint: Endpoint,
    isn: Seq,
    ip_id: u16,
    timestamp_base: u32,
    last_timestamp: u32,
}

impl Sender {
    fn new(endpoint: Endpoint, random: &mut Random) -> Self {
        let timestamp_base = random.next_u32();
        let [high, low, ..] = random.next_u32().to_be_bytes();
        Self {
            endpoint,
            isn: Seq(random.next_u32()),
            ip_id: u16::from_be_bytes([high, low]),
            timestamp_base,
            last_timestamp: 0,
        }
    }
}

/// A connection that is alive, with what it does next.
#[derive(Debug)]
pub(super) struct Connection {
    profile: &'static Profile,
    client: Sender,
    server: Sender,
    timestamps: bool,
    phase: Phase,
    next: Positions,
    legs: Legs,
    steps: VecDeque<Step>,
    plan_begin: Time,
    plan_end: Time,
    counted: bool,
}

impl Connection {
    /// The connection number `index` of the capture. Its tuple repeats only after 141 million.
    pub(super) fn new(
        profile: &'static Profile,
        index: u64,
        begin: Time,
        random: &mut Random,
    ) -> Self {
        let ipv6 = random.per_mille(profile.ipv6_per_mille);
        let client = Endpoint {
            address: address(1, index % CLIENTS, ipv6),
            port: u16::try_from(FIRST_PORT + index / CLIENTS % PORTS).unwrap_or(u16::MAX),
        };
        let server_number = random.next() % SERVERS;
        let ports = [443, 443, 443, 80, 5432, 8080];
        let port = usize::try_from(random.between(0, 6)).ok().and_then(|i| ports.get(i).copied());
        let server =
            Endpoint { address: address(2, server_number, ipv6), port: port.unwrap_or(443) };
        let legs = Legs {
            client: Span::from_micros(i64::from(random.between(100, 40_000))),
            server: Span::from_micros(i64::from(random.between(30, 1_000))),
        };
        let mut connection = Self {
            profile,
            client: Sender::new(client, random),
            server: Sender::new(server, random),
            timestamps: random.per_mille(800),
            phase: Phase::Handshake,
            next: Positions::default(),
            legs,
            steps: VecDeque::new(),
            plan_begin: begin,
            plan_end: begin,
            counted: false,
        };
        connection.plan(random);
        connection
    }

    /// When the next segment passes the tap; `None` when the connection is over.
    pub(super) fn next_time(&mut self, random: &mut Random) -> Option<Time> {
        while self.steps.is_empty() {
            if self.phase == Phase::Over {
                return None;
            }
            self.plan(random);
        }
        self.steps.front().map(|step| self.plan_begin + step.at)
    }

    /// Sends the next segment through the tap.
    pub(super) fn emit<W: Write>(&mut self, time: Time, tap: &mut Tap<W>) -> io::Result<()> {
        let Some(step) = self.steps.pop_front() else { return Ok(()) };
        if !self.counted {
            self.counted = true;
            tap.count_connection();
        }
        let (sender, peer) = match step.from {
            Side::Client => (&mut self.client, &self.server),
            Side::Server => (&mut self.server, &self.client),
        };
        if step.flags.syn() && step.flags.ack() {
            // Linux sends SYN-ACKs from no socket yet: identification 0.
        } else {
            sender.ip_id = sender.ip_id.wrapping_add(1);
        }
        let millis = u32::try_from((time.nanos() / 1_000_000) & 0xffff_ffff).unwrap_or(0);
        let value = sender.timestamp_base.wrapping_add(millis);
        sender.last_timestamp = value;
        let echo = if step.flags.ack() { peer.last_timestamp } else { 0 };
        let mut options = [0; 40];
        let stamps = (self.timestamps && !step.flags.rst()).then_some([value, echo]);
        let options_len = write_options(&step, peer.isn, stamps, &mut options);
        let packet = Packet {
            source: sender.endpoint,
            destination: peer.endpoint,
            seq: sender.isn.plus(step.seq),
            ack: if step.flags.ack() { peer.isn.plus(step.ack) } else { Seq(0) },
            flags: step.flags,
            window: if step.flags.rst() {
                0
            } else if step.flags.syn() {
                64_240
            } else {
                WINDOW
            },
            urgent: 0,
            options: options.get(..options_len).unwrap_or_default(),
            payload: &[],
            ip_id: if step.flags.syn() && step.flags.ack() { 0 } else { sender.ip_id },
            ttl: if step.from == Side::Client { 57 } else { 64 },
            traffic_class: 0,
            ip_length: None,
            checksum_error: 0,
            checksum_offloaded: false,
        };
        tap.segment(time, &packet, step.len)
    }

    /// Plans the next phase, to begin where the last one ended.
    fn plan(&mut self, random: &mut Random) {
        let mut plan = Plan::new(self.next, self.legs);
        self.phase = match self.phase {
            Phase::Handshake => self.plan_handshake(&mut plan, random),
            Phase::Exchange { left: Some(0) } => {
                plan_close(&mut plan, random);
                Phase::Over
            }
            Phase::Exchange { left } => {
                self.plan_exchange(&mut plan, random);
                Phase::Exchange { left: left.map(|left| left - 1) }
            }
            Phase::Over => Phase::Over,
        };
        let (steps, length, next) = plan.finish();
        self.steps.extend(steps);
        self.next = next;
        self.plan_begin = self.plan_end;
        self.plan_end = self.plan_begin + length;
    }

    fn plan_handshake(&self, plan: &mut Plan, random: &mut Random) -> Phase {
        if random.per_mille(self.profile.failing_per_mille) {
            self.plan_failure(plan, random);
            return Phase::Over;
        }
        plan.send(Side::Client, Flags::SYN, 0);
        plan.wait_for(Side::Server);
        plan.send(Side::Server, SYN_ACK, 0);
        plan.wait_for(Side::Client);
        plan.send(Side::Client, ACK, 0);
        let left = self.profile.exchanges.map(|most| random.between(1, most + 1));
        Phase::Exchange { left }
    }

    /// Refused, unanswered on the classic schedule, or never acknowledged.
    fn plan_failure(&self, plan: &mut Plan, random: &mut Random) {
        let (first, repeated) = match random.between(0, 3) {
            0 => {
                plan.send(Side::Client, Flags::SYN, 0);
                plan.wait_for(Side::Server);
                // The wire carries sequence number 0, whatever the ISN would have been.
                let seq = Seq(0).0.wrapping_sub(self.server.isn.0);
                let at = plan.at;
                let from = Side::Server;
                plan.push(Step { at, from, flags: RESET, seq, ack: 1, len: 0, sack: None });
                return;
            }
            1 => (Side::Client, Flags::SYN),
            _ => {
                plan.send(Side::Client, Flags::SYN, 0);
                plan.wait_for(Side::Server);
                (Side::Server, SYN_ACK)
            }
        };
        let begin = plan.at;
        let ack = plan.next.of(first.peer());
        for second in [0, 1, 3, 7, 15, 31] {
            let at = begin + Span::from_secs(second);
            plan.push(Step { at, from: first, flags: repeated, seq: 0, ack, len: 0, sack: None });
        }
    }

    fn plan_exchange(&self, plan: &mut Plan, random: &mut Random) {
        let think = random.between(50, self.profile.think_micros.max(51));
        plan.wait(Span::from_micros(i64::from(think)));
        plan.send(Side::Client, super::plan::PUSH, random.between(80, FULL_SEGMENT));
        plan.wait_for(Side::Server);
        plan.send(Side::Server, ACK, 0);
        plan.wait(Span::from_micros(i64::from(random.between(20, 3_000))));
        let segments = random.between(1, self.profile.response_segments + 1);
        let bytes = segments * FULL_SEGMENT - random.between(0, FULL_SEGMENT);
        plan.burst(Side::Server, bytes, self.profile.loss_per_mille, random);
    }
}

/// Every way to close, and now and then none.
fn plan_close(plan: &mut Plan, random: &mut Random) {
    let first = if random.per_mille(600) { Side::Client } else { Side::Server };
    let second = first.peer();
    plan.wait(Span::from_micros(i64::from(random.between(50, 50_000))));
    match random.between(0, 100) {
        0..3 => {}
        3..10 => plan.send(first, RESET, 0),
        10..50 => {
            plan.send(first, FIN, 0);
            plan.wait_for(second);
            plan.send(second, ACK, 0);
            plan.wait(Span::from_micros(i64::from(random.between(20, 20_000))));
            plan.send(second, FIN, 0);
            plan.wait_for(first);
            plan.send(first, ACK, 0);
        }
        _ => {
            plan.send(first, FIN, 0);
            plan.wait_for(second);
            plan.send(second, FIN, 0);
            plan.wait_for(first);
            plan.send(first, ACK, 0);
        }
    }
}

/// Writes the options as Linux lays them out; returns their length.
fn write_options(
    step: &Step,
    peer_isn: Seq,
    stamps: Option<[u32; 2]>,
    options: &mut [u8; 40],
) -> usize {
    let mut list: Vec<u8> = Vec::with_capacity(40);
    let stamp_bytes = |list: &mut Vec<u8>| {
        if let Some([value, echo]) = stamps {
            list.extend_from_slice(&[8, 10]);
            list.extend_from_slice(&value.to_be_bytes());
            list.extend_from_slice(&echo.to_be_bytes());
        }
    };
    if step.flags.rst() {
        return 0;
    }
    if step.flags.syn() {
        list.extend_from_slice(&[2, 4, 5, 180]);
        list.extend_from_slice(if stamps.is_some() { &[4, 2] } else { &[1, 1, 4, 2] });
        stamp_bytes(&mut list);
        list.extend_from_slice(&[1, 3, 3, SCALE]);
    } else {
        if stamps.is_some() {
            list.extend_from_slice(&[1, 1]);
            stamp_bytes(&mut list);
        }
        if let Some([left, right]) = step.sack {
            list.extend_from_slice(&[1, 1, 5, 10]);
            list.extend_from_slice(&peer_isn.plus(left).0.to_be_bytes());
            list.extend_from_slice(&peer_isn.plus(right).0.to_be_bytes());
        }
    }
    if let Some(target) = options.get_mut(..list.len()) {
        target.copy_from_slice(&list);
    }
    list.len()
}

/// The host `number` (below 64,516) of the network 10.`network` or of its IPv6 counterpart.
fn address(network: u8, number: u64, ipv6: bool) -> IpAddr {
    let [.., high, low] = ((number / 254) << 8 | (number % 254 + 1)).to_be_bytes();
    if ipv6 {
        let host = u16::from_be_bytes([high, low]);
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, u16::from(network), 0, 0, 0, host))
    } else {
        IpAddr::V4(Ipv4Addr::new(10, network, high, low))
    }
}
