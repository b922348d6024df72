//! The finding object: an element of `findings[]`, or an NDJSON line.

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::value::{Frame, Named, OverlayDoc, Ratio, Stamp};
use crate::certainty::Certainty;
use crate::finding::{Advice, Finding, Severity, Subject, Value};

/// Something that went wrong, or is worth knowing.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
pub(super) struct FindingDoc<'a> {
    /// Names the finding within the report.
    id: String,
    /// The same in every run that finds the same trouble at the same place.
    fingerprint: String,
    /// The detector's stable code, such as `TCP101`.
    code: String,
    /// The detector's name, such as `syn_flood`.
    name: &'a str,
    /// Variant within the code, such as a kind of reset; null where there is none.
    variant: Option<&'a str>,
    /// How urgent.
    severity: Severity,
    /// How sure.
    certainty: Certainty,
    /// What it is, in a few words.
    title: &'a str,
    /// The evidence in one line.
    summary: &'a str,
    /// Who it is about.
    subject: SubjectDoc<'a>,
    /// First moment of what was seen.
    first_time: Stamp,
    /// Last moment.
    last_time: Stamp,
    /// How many connections or events it stands for.
    count: u64,
    /// Measured values by name; durations end in `_ns`, series in `_timeline`.
    evidence: Named<ValueDoc<'a>>,
    /// Frames to open, the most telling first.
    frames: Vec<Frame>,
    /// Ids of connections, the first ones.
    connections: &'a [u64],
    /// What happened, and why it matters here.
    explanation: &'a str,
    /// What limits the statement, such as capture loss; null where nothing does.
    caveat: Option<&'a str>,
    /// Settings to look at, the most useful first.
    advice: Vec<AdviceDoc<'a>>,
    /// A Wireshark display filter that shows it.
    display_filter: &'a str,
}

impl<'a> From<&'a Finding> for FindingDoc<'a> {
    fn from(finding: &'a Finding) -> Self {
        let evidence = finding.evidence.iter();
        Self {
            id: finding.id(),
            fingerprint: finding.fingerprint(),
            code: finding.code.to_string(),
            name: finding.name,
            variant: present(finding.variant),
            severity: finding.severity,
            certainty: finding.certainty,
            title: &finding.title,
            summary: &finding.summary,
            subject: SubjectDoc::of(finding),
            first_time: Stamp(finding.first_time),
            last_time: Stamp(finding.last_time),
            count: finding.count,
            evidence: Named(evidence.map(|piece| (piece.name, ValueDoc(&piece.value))).collect()),
            frames: finding.frames.iter().copied().map(Frame::from).collect(),
            connections: &finding.connections,
            explanation: &finding.explanation,
            caveat: present(&finding.caveat),
            advice: finding.advice.iter().map(AdviceDoc::from).collect(),
            display_filter: &finding.display_filter,
        }
    }
}

fn present(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// Who a finding is about.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Subject")]
struct SubjectDoc<'a> {
    /// `capture`, `host`, `listener` or `pair`.
    kind: &'static str,
    /// The subject as people write it.
    label: String,
    /// A file, or the whole capture.
    capture: Option<&'a str>,
    /// The host; of a listener or pair, the server.
    #[schemars(with = "Option<String>")]
    address: Option<IpAddr>,
    /// The server's port.
    port: Option<u16>,
    /// Of a pair, where the connections come from.
    #[schemars(with = "Option<String>")]
    client: Option<IpAddr>,
    /// The tunnels that make the network of these addresses, outermost first.
    tunnel: Vec<OverlayDoc>,
}

impl<'a> SubjectDoc<'a> {
    fn of(finding: &'a Finding) -> Self {
        let empty = Self {
            kind: "",
            label: finding.place(),
            capture: None,
            address: None,
            port: None,
            client: None,
            tunnel: OverlayDoc::all(&finding.overlay),
        };
        match &finding.subject {
            Subject::Capture(name) => Self { kind: "capture", capture: Some(name), ..empty },
            Subject::Host(address) => Self { kind: "host", address: Some(*address), ..empty },
            Subject::Listener(server) => Self {
                kind: "listener",
                address: Some(server.address),
                port: Some(server.port),
                ..empty
            },
            Subject::Pair { client, server } => Self {
                kind: "pair",
                address: Some(server.address),
                port: Some(server.port),
                client: Some(*client),
                ..empty
            },
        }
    }
}

/// A setting to look at.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Advice")]
struct AdviceDoc<'a> {
    /// The setting's full name, or an API.
    setting: &'a str,
    /// `raise`, `lower`, `enable`, `disable`, `set`, `check` or `fix`.
    direction: &'static str,
    /// The value to consider, where one can be named.
    value: Option<&'a str>,
    /// What else it changes, and when not to.
    side_effects: &'a str,
}

impl<'a> From<&'a Advice> for AdviceDoc<'a> {
    fn from(advice: &'a Advice) -> Self {
        Self {
            setting: &advice.setting,
            direction: advice.direction,
            value: advice.value.as_deref(),
            side_effects: &advice.side_effects,
        }
    }
}

/// A measured value.
#[derive(Debug)]
struct ValueDoc<'a>(&'a Value);

impl Serialize for ValueDoc<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Ratio(ratio) => Ratio(*ratio).serialize(serializer),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Time(time) => Stamp(*time).serialize(serializer),
            Value::Flag(set) => serializer.serialize_bool(*set),
            Value::Series(values) => values.serialize(serializer),
            Value::List(words) => words.serialize(serializer),
        }
    }
}

impl JsonSchema for ValueDoc<'_> {
    fn schema_name() -> Cow<'static, str> {
        "EvidenceValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number, a text, a time, yes or no, a series of counts, or words.",
            "type": ["number", "string", "boolean", "array", "null"],
            "items": { "type": ["integer", "string"] },
        })
    }
}
