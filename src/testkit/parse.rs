//! Reads a scenario: directives, blocks, and the clock that runs through its lines.
//!
//! Everything that the text can make grow is limited by a constant here or on [`Scenario`].

mod segment_line;

use std::collections::BTreeMap;

use super::cursor::{Cursor, ScenarioError};
use super::expand::{Variable, expand};
use super::file::Format;
use super::frame::Link;
use super::icmp::IcmpEvent;
use super::scenario::{Event, Flow, Head, Overwrite, Scenario, What};
use crate::stamp::{Span, Time};
use crate::tcp::{Endpoint, Seq};

/// Longest line of a scenario in bytes.
const MAX_LINE: usize = 4_096;
/// Deepest nesting of `repeat` blocks.
const MAX_DEPTH: usize = 4;
/// Most iterations of one block.
const MAX_REPEAT: i64 = 100_000;
/// Most lines executed, all iterations counted.
const MAX_STEPS: usize = 4_000_000;
/// Bytes of one `frame` line or `overwrite` directive.
const MAX_RAW: usize = 2_000;
/// `2026-01-02T03:04:05Z`
const DEFAULT_START: Time = Time::from_nanos(1_767_323_045_000_000_000);
/// The snaplen that current capture programs write.
const DEFAULT_SNAPLEN: u32 = 262_144;
const DEFAULT_CLIENT_ISN: Seq = Seq(1_000_000);
const DEFAULT_SERVER_ISN: Seq = Seq(2_000_000);

/// Parses and expands the whole text; packets are not numbered yet.
pub(super) fn scenario(text: &str) -> Result<Scenario, ScenarioError> {
    let title = title(text)?;
    let (nodes, _) = block(&mut lines(text)?.into_iter(), None, 0)?;
    let mut reader = Reader::new();
    reader.run(&nodes)?;
    let mut events = reader.events;
    // Stable: events of the same time keep the order of the text.
    events.sort_by_key(|event| event.at);
    Ok(Scenario { title, head: reader.head, events })
}

fn title(text: &str) -> Result<String, ScenarioError> {
    let first = text.lines().next().unwrap_or_default();
    match first.strip_prefix("# ").map(str::trim) {
        Some(title) if !title.is_empty() => Ok(title.to_owned()),
        _ => Err(ScenarioError {
            line: 1,
            column: 1,
            message: "the first line is `# ` and what the scenario verifies".into(),
        }),
    }
}

/// A line without its comment, and its number from 1.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    number: u32,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn cursor(&self) -> Cursor<'a> {
        Cursor::new(self.text, self.number, &[])
    }
}

fn lines(text: &str) -> Result<Vec<Line<'_>>, ScenarioError> {
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(text.lines()) {
        let line = Line { number, text: text.split('#').next().unwrap_or_default().trim_end() };
        if line.text.len() > MAX_LINE {
            return Err(line.cursor().error(format!("a line of more than {MAX_LINE} bytes")));
        }
        if !line.text.is_empty() {
            lines.push(line);
        }
    }
    Ok(lines)
}

#[derive(Debug)]
enum Node<'a> {
    Line(Line<'a>),
    Repeat { header: Line<'a>, body: Vec<Node<'a>> },
}

/// Reads lines up to the `}` of the block that `opened` began, or to the end of the text.
fn block<'a>(
    lines: &mut impl Iterator<Item = Line<'a>>,
    opened: Option<Line<'a>>,
    depth: usize,
) -> Result<(Vec<Node<'a>>, bool), ScenarioError> {
    let mut nodes = Vec::new();
    while let Some(line) = lines.next() {
        let mut cursor = line.cursor();
        if cursor.take('}') {
            cursor.require_end()?;
            if opened.is_none() {
                return Err(line.cursor().error("`}` without a block"));
            }
            return Ok((nodes, true));
        }
        if cursor.take_word("repeat") {
            if depth == MAX_DEPTH {
                return Err(cursor.error(format!("blocks nested deeper than {MAX_DEPTH}")));
            }
            let (body, _) = block(lines, Some(line), depth + 1)?;
            nodes.push(Node::Repeat { header: line, body });
        } else {
            nodes.push(Node::Line(line));
        }
    }
    match opened {
        Some(line) => Err(line.cursor().error("the block has no `}`")),
        None => Ok((nodes, false)),
    }
}

/// What a `repeat` line asks for.
struct Repeat {
    count: i64,
    every: Option<Span>,
    variable: Option<String>,
}

/// What lines inside a block may change, and what is as before behind it.
#[derive(Clone, Debug)]
struct Scope {
    client: Option<Endpoint>,
    server: Option<Endpoint>,
    client_isn: Seq,
    server_isn: Seq,
    flows: BTreeMap<String, Flow>,
}

/// Executes lines: keeps the clock and the flows, and collects events.
struct Reader {
    head: Head,
    events: Vec<Event>,
    scope: Scope,
    /// Time of the latest line, from the start.
    clock: Span,
    variables: Vec<Variable>,
    steps: usize,
    bytes: usize,
}

impl Reader {
    fn new() -> Self {
        Self {
            head: Head {
                start: DEFAULT_START,
                format: Format::Pcap,
                link: Link::Ethernet,
                snaplen: DEFAULT_SNAPLEN,
                truncate: 0,
                overwrites: Vec::new(),
                sysctls: Vec::new(),
                limit: None,
            },
            events: Vec::new(),
            scope: Scope {
                client: None,
                server: None,
                client_isn: DEFAULT_CLIENT_ISN,
                server_isn: DEFAULT_SERVER_ISN,
                flows: BTreeMap::new(),
            },
            clock: Span::ZERO,
            variables: Vec::new(),
            steps: 0,
            bytes: 0,
        }
    }

    fn run(&mut self, nodes: &[Node<'_>]) -> Result<(), ScenarioError> {
        for node in nodes {
            match node {
                Node::Line(line) => self.with_expanded(*line, Self::line)?,
                Node::Repeat { header, body } => {
                    let repeat =
                        self.with_expanded(*header, |_, mut cursor| repeat(&mut cursor))?;
                    self.repeat(&repeat, body)?;
                }
            }
        }
        Ok(())
    }

    fn repeat(&mut self, repeat: &Repeat, body: &[Node<'_>]) -> Result<(), ScenarioError> {
        let outside = self.scope.clone();
        let mut begin = self.clock;
        for value in 0..repeat.count {
            if let Some(name) = &repeat.variable {
                self.variables.push(Variable { name: name.clone(), value });
            }
            if let Some(every) = repeat.every {
                self.clock = begin;
                begin = begin + every;
            }
            self.run(body)?;
            if repeat.variable.is_some() {
                self.variables.pop();
            }
            self.scope.clone_from(&outside);
        }
        Ok(())
    }

    /// Calls `then` with the line after its `{...}` were replaced.
    fn with_expanded<T>(
        &mut self,
        line: Line<'_>,
        then: impl FnOnce(&mut Self, Cursor<'_>) -> Result<T, ScenarioError>,
    ) -> Result<T, ScenarioError> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(line.cursor().error(format!("more than {MAX_STEPS} lines executed")));
        }
        // The brace that opens a block is no expression.
        let text = line.text.strip_suffix('{').unwrap_or(line.text);
        if !text.contains('{') {
            return then(self, line.cursor());
        }
        let mut expanded = expand(text, line.number, &self.variables)?;
        if text.len() < line.text.len() {
            expanded.text.push('{');
        }
        then(self, Cursor::new(&expanded.text, line.number, &expanded.origins))
    }

    fn line(&mut self, mut cursor: Cursor<'_>) -> Result<(), ScenarioError> {
        if cursor.take('+') {
            self.clock = self.clock + cursor.seconds()?;
            return self.timed(cursor);
        }
        if cursor.take('@') {
            self.clock = cursor.seconds()?;
            return self.timed(cursor);
        }
        let name_at = cursor.clone();
        match cursor.word() {
            "client" => self.scope.client = Some(cursor.endpoint()?),
            "server" => self.scope.server = Some(cursor.endpoint()?),
            "isn" => {
                if cursor.take_word("client") {
                    self.scope.client_isn = Seq(cursor.number("a sequence number")?);
                } else {
                    cursor.require_word("server")?;
                    self.scope.server_isn = Seq(cursor.number("a sequence number")?);
                }
            }
            "flow" => self.flow(&mut cursor)?,
            "gap" => self.clock = self.clock + cursor.seconds()?,
            "start" => self.head.start = start(&mut cursor)?,
            "format" => {
                let at = cursor.clone();
                let name = cursor.word();
                self.head.format = Format::named(name)
                    .ok_or_else(|| at.error("the formats are pcap, pcap-ns and pcapng"))?;
            }
            "link" => {
                if cursor.take_word("raw") {
                    self.head.link = Link::Raw;
                } else if cursor.take_word("ethernet") {
                    self.head.link = Link::Ethernet;
                } else {
                    return Err(cursor.error("the links are ethernet and raw"));
                }
            }
            "snaplen" => {
                cursor.skip_blanks();
                let at = cursor.offset();
                self.head.snaplen = cursor.number("a snaplen in bytes")?;
                if self.head.snaplen == 0 {
                    return Err(cursor.error_at(at, "a snaplen of 0"));
                }
            }
            "limit" => self.head.limit = Some(cursor.number("a number of connections")?),
            "truncate" => self.head.truncate = cursor.number("a number of bytes")?,
            "overwrite" => self.head.overwrites.push(Overwrite {
                frame: cursor.number("a frame number")?,
                offset: cursor.number("an offset in the record")?,
                bytes: cursor.hex(MAX_RAW)?,
            }),
            "sysctl" => {
                let name = cursor.token().to_owned();
                let value = cursor.rest().trim().to_owned();
                if name.is_empty() || value.is_empty() {
                    return Err(cursor.error("expected `sysctl NAME VALUE`"));
                }
                self.head.sysctls.push((name, value));
                return Ok(());
            }
            word => {
                let message = format!("`{word}` is no directive, and no time begins the line");
                return Err(name_at.error(message));
            }
        }
        cursor.require_end()
    }

    fn flow(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ScenarioError> {
        let name = cursor.word().to_owned();
        if name.is_empty() {
            return Err(cursor.error("expected the flow's name"));
        }
        cursor.require_word("client")?;
        let client = cursor.endpoint()?;
        cursor.require_word("server")?;
        let at = cursor.clone();
        let server = cursor.endpoint()?;
        let mut flow =
            Flow { client, server, client_isn: DEFAULT_CLIENT_ISN, server_isn: DEFAULT_SERVER_ISN };
        require_one_family(&flow, &at)?;
        while cursor.take_word("isn") {
            if cursor.take_word("client") {
                flow.client_isn = Seq(cursor.number("a sequence number")?);
            } else {
                cursor.require_word("server")?;
                flow.server_isn = Seq(cursor.number("a sequence number")?);
            }
        }
        self.scope.flows.insert(name, flow);
        Ok(())
    }

    /// A line that begins with a time: a raw frame, an ICMP error or a segment.
    fn timed(&mut self, mut cursor: Cursor<'_>) -> Result<(), ScenarioError> {
        let (what, clock_error) = if cursor.take_word("icmp") {
            let flow = self.flow_of_line(&mut cursor)?;
            (What::Icmp(Box::new(IcmpEvent::parse(&mut cursor, flow)?)), Span::ZERO)
        } else if cursor.take_word("frame") {
            let bytes = cursor.hex(MAX_RAW)?;
            self.count_bytes(bytes.len(), &cursor)?;
            cursor.require_end()?;
            (What::Frame(bytes), Span::ZERO)
        } else {
            let flow = self.flow_of_line(&mut cursor)?;
            let (segment, clock_error) = segment_line::segment(&mut cursor, flow)?;
            self.count_bytes(segment.len, &cursor)?;
            (What::Segment(Box::new(segment)), clock_error)
        };
        if self.events.len() == Scenario::MAX_FRAMES {
            return Err(cursor.error(format!("more than {} frames", Scenario::MAX_FRAMES)));
        }
        self.events.push(Event { at: self.clock, clock_error, what });
        Ok(())
    }

    fn flow_of_line(&self, cursor: &mut Cursor<'_>) -> Result<Flow, ScenarioError> {
        let at = cursor.clone();
        let name = cursor.word();
        if !name.is_empty() {
            return self
                .scope
                .flows
                .get(name)
                .copied()
                .ok_or_else(|| at.error(format!("no flow is named `{name}`")));
        }
        let Scope { client: Some(client), server: Some(server), client_isn, server_isn, .. } =
            self.scope
        else {
            return Err(at.error("`client` and `server` must stand before the first segment"));
        };
        let flow = Flow { client, server, client_isn, server_isn };
        require_one_family(&flow, &at)?;
        Ok(flow)
    }

    fn count_bytes(&mut self, bytes: usize, cursor: &Cursor<'_>) -> Result<(), ScenarioError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > Scenario::MAX_BYTES {
            return Err(cursor.error(format!("more than {} bytes in all", Scenario::MAX_BYTES)));
        }
        Ok(())
    }
}

/// `repeat COUNT [every SECONDS] [as NAME] {`
fn repeat(cursor: &mut Cursor<'_>) -> Result<Repeat, ScenarioError> {
    cursor.require_word("repeat")?;
    cursor.skip_blanks();
    let count_at = cursor.offset();
    let count: i64 = cursor.number("a number of repetitions")?;
    if count > MAX_REPEAT {
        return Err(cursor.error_at(count_at, format!("more than {MAX_REPEAT} repetitions")));
    }
    let every = if cursor.take_word("every") { Some(cursor.seconds()?) } else { None };
    let mut variable = None;
    if cursor.take_word("as") {
        let name = cursor.word();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.contains('-') {
            return Err(cursor.error("a variable's name begins with a letter and has no `-`"));
        }
        variable = Some(name.to_owned());
    }
    cursor.require('{')?;
    cursor.require_end()?;
    Ok(Repeat { count, every, variable })
}

/// A time in RFC 3339 that every capture format can hold.
fn start(cursor: &mut Cursor<'_>) -> Result<Time, ScenarioError> {
    let at = cursor.clone();
    cursor
        .token()
        .parse::<jiff::Timestamp>()
        .ok()
        .and_then(|stamp| i64::try_from(stamp.as_nanosecond()).ok())
        .filter(|nanos| (0..i64::from(u32::MAX / 2) * 1_000_000_000).contains(nanos))
        .map(Time::from_nanos)
        .ok_or_else(|| at.error("not a time such as 2026-01-02T03:04:05Z, from 1970 to 2038"))
}

fn require_one_family(flow: &Flow, at: &Cursor<'_>) -> Result<(), ScenarioError> {
    if flow.client.address.is_ipv4() == flow.server.address.is_ipv4() {
        Ok(())
    } else {
        Err(at.error("client and server have addresses of different IP versions"))
    }
}
