//! A SYN flood: every SYN from another spoofed source, one listener, optionally answering.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use super::tap::Tap;
use crate::stamp::{Span, Time};
use crate::tcp::{Endpoint, Flags, FourTuple, Seq};
use crate::testkit::frame::Packet;
use crate::testkit::random::Random;

/// How many handshakes the listener keeps half-open; further SYNs get no answer.
const BACKLOG: usize = 1_024;
/// Time between two SYNs: 100,000 a second.
const INTERVAL: Span = Span::from_micros(10);
/// Time from a SYN to its SYN-ACK.
const ANSWER_DELAY: Span = Span::from_micros(4);
/// Seconds from one SYN-ACK to the next, then to the end (Linux, `tcp_synack_retries` = 5).
const RETRIES: [i64; 6] = [1, 2, 4, 8, 16, 32];
const LISTENER: Endpoint = Endpoint { address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), port: 443 };

/// One handshake that the listener keeps.
#[derive(Clone, Copy, Debug)]
struct HalfOpen {
    due: Time,
    source: Endpoint,
    client_isn: Seq,
    server_isn: Seq,
}

/// The attackers and the listener.
#[derive(Debug)]
pub(super) struct Flood {
    clock: Time,
    answered: bool,
    sent: u32,
    /// By retry: within one queue the times never fall, since each waits equally long.
    waiting: [VecDeque<HalfOpen>; RETRIES.len()],
}

impl Flood {
    pub(super) fn new(start: Time, answered: bool) -> Self {
        Self { clock: start, answered, sent: 0, waiting: Default::default() }
    }

    pub(super) fn run<W: Write>(
        mut self,
        packets: u64,
        random: &mut Random,
        tap: &mut Tap<W>,
    ) -> io::Result<()> {
        while tap.totals().frames < packets {
            if let Some((half_open, retry)) = self.retry_due() {
                if retry < RETRIES.len() {
                    self.answer(half_open, retry, tap)?;
                }
                continue;
            }
            let source = Endpoint {
                address: IpAddr::V4(spoofed(self.sent)),
                port: u16::try_from(random.between(1_024, 65_536)).unwrap_or(u16::MAX),
            };
            self.sent = self.sent.wrapping_add(1);
            let client_isn = Seq(random.next_u32());
            self.clock = self.clock + INTERVAL;
            tap.count_connection();
            let syn = Packet { seq: client_isn, window: 1_024, ..packet(source, LISTENER, random) };
            tap.segment(self.clock, &syn, 0)?;
            let kept: usize = self.waiting.iter().map(VecDeque::len).sum();
            if self.answered && kept < BACKLOG && tap.totals().frames < packets {
                let server_isn = Seq(random.next_u32());
                let due = self.clock + ANSWER_DELAY;
                self.answer(HalfOpen { due, source, client_isn, server_isn }, 0, tap)?;
            }
        }
        Ok(())
    }

    /// Takes the earliest handshake whose wait ends before the next SYN, and which retry is due.
    fn retry_due(&mut self) -> Option<(HalfOpen, usize)> {
        let (_, retry) = self
            .waiting
            .iter()
            .zip(1..)
            .filter_map(|(queue, retry)| Some((queue.front()?.due, retry)))
            .min()
            .filter(|&(due, _)| due <= self.clock + INTERVAL)?;
        let queue = self.waiting.get_mut(retry - 1)?;
        Some((queue.pop_front()?, retry))
    }

    fn answer<W: Write>(
        &mut self,
        half_open: HalfOpen,
        retry: usize,
        tap: &mut Tap<W>,
    ) -> io::Result<()> {
        let tuple = FourTuple { source: LISTENER, destination: half_open.source };
        let syn_ack = Packet {
            seq: half_open.server_isn,
            ack: half_open.client_isn.plus(1),
            flags: Flags::SYN | Flags::ACK,
            ttl: 64,
            ..fixed(tuple)
        };
        // Times must not fall: a retry that fell due between two SYNs is recorded at its time.
        self.clock = self.clock.max(half_open.due);
        tap.segment(self.clock, &syn_ack, 0)?;
        let (Some(queue), Some(&seconds)) = (self.waiting.get_mut(retry), RETRIES.get(retry))
        else {
            return Ok(());
        };
        queue.push_back(HalfOpen { due: self.clock + Span::from_secs(seconds), ..half_open });
        Ok(())
    }
}

/// The source number `index`: a permutation of all addresses, so that none repeats in 2^32.
fn spoofed(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(index.wrapping_mul(0x9e37_79b1) ^ 0x5bd1_e995)
}

fn packet(source: Endpoint, destination: Endpoint, random: &mut Random) -> Packet<'static> {
    let [high, low, ttl, _] = random.next_u32().to_be_bytes();
    let ip_id = u16::from_be_bytes([high, low]);
    Packet { ip_id, ttl: 30 + ttl / 4, ..fixed(FourTuple { source, destination }) }
}

fn fixed(tuple: FourTuple) -> Packet<'static> {
    Packet {
        source: tuple.source,
        destination: tuple.destination,
        seq: Seq(0),
        ack: Seq(0),
        flags: Flags::SYN,
        window: 64_240,
        urgent: 0,
        options: &[2, 4, 5, 180],
        payload: &[],
        ip_id: 0,
        ttl: 64,
        traffic_class: 0,
        ip_length: None,
        checksum_error: 0,
        checksum_offloaded: false,
    }
}
