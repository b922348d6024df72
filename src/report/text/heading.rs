//! The head of the summary: what was read, and how connections were opened and closed.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::human::{bytes, count, counted, file, period, share, span};
use super::page::{Page, Piece};
use super::{Detail, TextOptions};
use crate::analysis::{Analysis, Input};
use crate::connection::{CloseOutcome, HandshakeOutcome, State};
use crate::report::input::skipped;
use crate::stamp::Time;
use crate::summary::{Hands, Host};
use crate::tcp::{Side, Within};

/// Sockets of one host in one state from which on the heading names them.
const MANY: u64 = 10;

/// The states of which it names the host with the most sockets.
const PEAKS: [State; 4] = [State::SynReceived, State::CloseWait, State::FinWait2, State::TimeWait];

/// Hosts whose sockets are looked at in a row.
const TOGETHER: usize = 64;

/// Reasons for skipping frames, and damaged places, that a line names.
const NAMED: usize = 3;

pub(super) fn write(
    page: &mut Page,
    analysis: &Analysis,
    options: &TextOptions,
    hands: &impl Hands,
) {
    let full = options.detail == Detail::Full;
    what_was_read(page, analysis, options);
    if full && analysis.inputs.len() > 1 {
        files(page, &analysis.inputs);
    }
    selection(page, analysis);
    gaps(page, &analysis.inputs, full);
    damage(page, &analysis.inputs, full);
    skips(page, &analysis.inputs, full);
    if analysis.summary.totals.connections == 0 {
        nothing(page, &analysis.inputs);
    } else {
        outcomes(page, analysis, full);
        peaks(page, analysis, hands);
        traffic(page, analysis);
    }
}

fn what_was_read(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let inputs = &analysis.inputs;
    let lead = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"), "   ");
    let mut items = vec![page.plain(source(inputs))];
    if let Some((first, last)) = capture_period(inputs) {
        items.push(page.plain(period(first, last)));
    }
    page.items(&page.bold(lead), &items);
    let sum = |value: fn(&Input) -> u64| inputs.iter().map(value).sum();
    let mut read = format!(
        "{}, {}, {}",
        counted(sum(|input| input.frames), "frame"),
        counted(sum(|input| input.tcp_segments), "TCP segment"),
        counted(analysis.summary.totals.connections, "connection"),
    );
    if let Some(elapsed) = options.elapsed {
        read.push_str(", read in ");
        read.push_str(&span(elapsed));
    }
    page.paragraph(&page.plain(""), &read);
}

/// `incident/ (3 files, pcapng)`, `web.pcap (pcap)`.
fn source(inputs: &[Input]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for input in inputs {
        let compression = Some(input.compression).filter(|name| *name != "none");
        for kind in [Some(input.format), compression].into_iter().flatten() {
            if !kind.is_empty() && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    let kinds = kinds.join(", ");
    match inputs {
        [] => "no input".to_owned(),
        [input] => format!("{} ({kinds})", file(&input.path)),
        [first, rest @ ..] => {
            let files = counted(inputs.len() as u64, "file");
            match shared_folder(&first.path, rest) {
                Some(folder) => format!("{folder} ({files}, {kinds})"),
                None => format!("{files} ({kinds})"),
            }
        }
    }
}

/// The folder in which all files are, or below which, if that says anything.
fn shared_folder<'a>(first: &'a str, rest: &[Input]) -> Option<&'a str> {
    let folder_of = |path: &'a str| path.get(..=path.rfind('/')?);
    let mut folder = folder_of(first)?;
    for input in rest {
        while !input.path.starts_with(folder) {
            folder = folder_of(folder.strip_suffix('/')?)?;
        }
    }
    Some(folder).filter(|folder| *folder != "/")
}

/// From the first frame to the last one of all inputs.
pub(super) fn capture_period(inputs: &[Input]) -> Option<(Time, Time)> {
    let first = inputs.iter().filter_map(|input| input.first_time).min()?;
    let last = inputs.iter().filter_map(|input| input.last_time).max()?;
    Some((first, last))
}

fn files(page: &mut Page, inputs: &[Input]) {
    for input in inputs {
        let mut items = vec![
            page.plain(&input.path),
            page.plain(bytes(input.bytes)),
            page.plain(counted(input.frames, "frame")),
            page.plain(counted(input.tcp_segments, "TCP segment")),
        ];
        if input.seen_elsewhere > 0 {
            let seen = counted(input.seen_elsewhere, "segment");
            items.push(page.plain(format!("{seen} seen by another tap too")));
        }
        if let (Some(first), Some(last)) = (input.first_time, input.last_time) {
            items.push(page.plain(period(first, last)));
        }
        page.items(&page.dim(" file        "), &items);
    }
}

/// What was looked at, where that is not everything.
fn selection(page: &mut Page, analysis: &Analysis) {
    let chosen = &analysis.selection;
    let sum = |value: fn(&Input) -> u64| analysis.inputs.iter().map(value).sum();
    if let Some(filter) = &chosen.filter {
        let left_out = counted(sum(|input| input.left_out), "TCP segment");
        page.paragraph(&page.bold("filter   "), &format!("{filter}: {left_out} left out"));
    }
    let from = chosen.from.map(|from| format!("from {from}"));
    let to = chosen.to.map(|to| format!("before {to}"));
    let bounds: Vec<String> = from.into_iter().chain(to).collect();
    if !bounds.is_empty() {
        let outside = counted(sum(|input| input.outside_period), "frame");
        let unread = analysis.inputs.iter().filter(|input| input.not_read).count() as u64;
        let unread = match unread {
            0 => String::new(),
            _ => format!("; {} outside as a whole, not read", counted(unread, "file")),
        };
        let text = format!("{}: {outside} outside{unread}", bounds.join(", "));
        page.paragraph(&page.bold("period   "), &text);
    }
}

/// Times between files that none of them covers.
fn gaps(page: &mut Page, inputs: &[Input], full: bool) {
    let found = || inputs.iter().filter_map(|input| Some((input, input.gap_before?)));
    let shown = if full { usize::MAX } else { NAMED };
    for (input, gap) in found().take(shown) {
        let first = input.first_time.unwrap_or_default();
        let text = format!("{} before {}, until {first}", span(gap), input.path);
        page.paragraph(&page.bold("gap      "), &text);
    }
    let more = found().count().saturating_sub(shown);
    if more > 0 {
        let text = format!("{} (-v lists them)", counted(more as u64, "more gap"));
        page.paragraph(&page.bold("gap      "), &text);
    }
}

fn damage(page: &mut Page, inputs: &[Input], full: bool) {
    let total: u64 = inputs.iter().map(|input| input.damage_total).sum();
    let listed =
        inputs.iter().flat_map(|input| input.damage.iter().map(move |place| (input, place)));
    let shown = if full { usize::MAX } else { NAMED };
    let mut told = 0;
    for (input, place) in listed.take(shown) {
        told += 1;
        let text = format!(
            "{}: {} at byte {}, after frame {}; {} passed over",
            file(&input.path),
            place.kind,
            count(place.offset),
            count(place.after_frame),
            bytes(place.skipped_bytes),
        );
        page.paragraph(&page.bold("damaged  "), &text);
    }
    if total > told {
        let hint = if full { "" } else { " (-v lists more)" };
        let text = format!("{}{hint}", counted(total - told, "more place"));
        page.paragraph(&page.bold("damaged  "), &text);
    }
}

fn skips(page: &mut Page, inputs: &[Input], full: bool) {
    let reasons = skipped(inputs);
    let total: u64 = reasons.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return;
    }
    let shown = if full { reasons.len() } else { NAMED };
    let mut named: Vec<_> = reasons
        .iter()
        .take(shown)
        .map(|(reason, frames)| format!("{} {reason}", count(*frames)))
        .collect();
    if reasons.len() > shown {
        named.push("... (-v for all)".to_owned());
    }
    let text = format!("{}: {}", counted(total, "frame"), named.join(", "));
    page.paragraph(&page.plain("skipped "), &text);
}

fn nothing(page: &mut Page, inputs: &[Input]) {
    let frames: u64 = inputs.iter().map(|input| input.frames).sum();
    let segments: u64 = inputs.iter().map(|input| input.tcp_segments).sum();
    let chosen: u64 = inputs.iter().map(|input| input.left_out + input.outside_period).sum();
    let text = match (frames, segments) {
        (0, _) => "The capture holds no frame.",
        (_, 0) if chosen > 0 => "No TCP segment was chosen.",
        (_, 0) => "The capture holds no TCP segment.",
        _ => "No connection could be made out of the TCP segments.",
    };
    page.blank();
    page.paragraph(&page.plain(""), text);
}

fn outcomes(page: &mut Page, analysis: &Analysis, full: bool) {
    let totals = &analysis.summary.totals;
    page.blank();
    let handshakes = HandshakeOutcome::ALL.iter();
    let handshakes = handshakes.map(|of| (handshake_text(*of), totals.with_handshake(*of)));
    counts(page, " handshake   ", handshakes);
    // What never opened has not stayed open.
    let unopened = [HandshakeOutcome::HalfOpen, HandshakeOutcome::Unanswered].iter();
    let unopened: u64 = unopened.map(|of| totals.with_handshake(*of)).sum();
    let unopened = unopened.min(totals.with_close(CloseOutcome::Open));
    let closes = CloseOutcome::ALL.iter().map(|of| match of {
        CloseOutcome::Open => (close_text(*of), totals.with_close(*of) - unopened),
        _ => (close_text(*of), totals.with_close(*of)),
    });
    counts(page, " close       ", closes.chain([("never opened", unopened)]));
    if full {
        for side in Side::BOTH {
            let states = totals.final_states.of(side);
            let ends = State::ALL.iter().map(|state| (state.name(), states.of(*state)));
            let lead = format!(" {:<12}", format!("{} in", side.name()));
            counts(page, &lead, ends.chain([("unknown", states.unknown())]));
        }
    }
}

/// The most sockets that one host had in each state at the same time, where that is a number to
/// look at: `SYN-RECEIVED 292 (10.0.0.2:443)`.
fn peaks(page: &mut Page, analysis: &Analysis, hands: &impl Hands) {
    // No host has more sockets than connections.
    let hosts = analysis.summary.hosts_if(|_, connections| connections >= MANY, hands);
    let most = hands.each(hosts.chunks(TOGETHER).collect(), |hosts| {
        PEAKS.map(|state| hosts.iter().filter_map(|host| most_of(host, state)).max())
    });
    let items: Vec<Piece> = PEAKS
        .into_iter()
        .enumerate()
        .filter_map(|(index, state)| {
            let of_state = most.iter().filter_map(|most| *most.get(index)?);
            let (number, Reverse(address)) = of_state.max()?;
            let overlay = analysis.summary.overlay(address.overlay);
            let host = overlay.place(address.at);
            (number >= MANY)
                .then(|| page.plain(format!("{} {} ({host})", state.name(), count(number))))
        })
        .collect();
    if !items.is_empty() {
        page.items(&page.dim(" at once     "), &items);
    }
}

/// How many sockets a host had in a state at most, and which host it is: of several, the first counts.
fn most_of(
    (address, host): &(Within<IpAddr>, &Host),
    state: State,
) -> Option<(u64, Reverse<Within<IpAddr>>)> {
    Some((host.concurrency.peak(state)?.count, Reverse(*address)))
}

fn counts(page: &mut Page, lead: &str, counts: impl Iterator<Item = (&'static str, u64)>) {
    let items: Vec<Piece> = counts
        .filter(|(_, number)| *number > 0)
        .map(|(name, number)| page.plain(format!("{name} {}", count(number))))
        .collect();
    page.items(&page.dim(lead), &items);
}

fn traffic(page: &mut Page, analysis: &Analysis) {
    let totals = &analysis.summary.totals;
    let payload = totals.payload_bytes.client + totals.payload_bytes.server;
    if payload == 0 {
        return;
    }
    let again = totals.retransmitted_bytes.client + totals.retransmitted_bytes.server;
    let missing = totals.missing_bytes.client + totals.missing_bytes.server;
    let mut items = vec![
        page.plain(format!("from clients {}", bytes(totals.payload_bytes.client))),
        page.plain(format!("from servers {}", bytes(totals.payload_bytes.server))),
    ];
    if again > 0 {
        items.push(page.plain(format!("sent again {}", share(again, payload))));
    }
    if missing > 0 {
        items.push(page.plain(format!("never captured {}", bytes(missing))));
    }
    page.items(&page.dim(" payload     "), &items);
}

fn handshake_text(outcome: HandshakeOutcome) -> &'static str {
    match outcome {
        HandshakeOutcome::HalfOpen => "half-open",
        HandshakeOutcome::FastOpen => "fast open",
        HandshakeOutcome::Midstream => "before the capture",
        other => other.name(),
    }
}

fn close_text(outcome: CloseOutcome) -> &'static str {
    match outcome {
        CloseOutcome::HalfClosed => "half-closed",
        CloseOutcome::FinUnacknowledged => "FIN unacknowledged",
        CloseOutcome::TimedOut => "timed out",
        CloseOutcome::Open => "open at the end",
        other => other.name(),
    }
}
