//! How single values stand in JSON: times, frames, durations, ratios, counts by name.
//!
//! The one place where a float is given its decimals. Knows nothing of what the values mean.

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::writer::SHORT;
use crate::connection::Mark;
use crate::stamp::{FrameId, Rfc3339, Span, Time};
use crate::tcp::{Endpoint, Overlay, Sides};

/// A time: RFC 3339 in UTC with nine digits of the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(pub(super) Time);

impl Serialize for Stamp {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(SHORT, &Inner(self.0))
    }
}

/// A time as text, or its short form.
struct Inner(Time);

impl Serialize for Inner {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(Rfc3339::from(self.0).as_str())
        } else {
            serializer.serialize_i64(self.0.nanos())
        }
    }
}

impl JsonSchema for Stamp {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A time: RFC 3339, UTC, nine digits of the second.",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{9}Z$",
        })
    }
}

/// A length of time in nanoseconds.
pub(super) const fn nanos(span: Span) -> i64 {
    span.nanos()
}

/// A tunnel that makes a network of its own.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NetworkTunnel")]
pub(super) struct OverlayDoc {
    /// The protocol, such as `vxlan`, `gre` or `ipip`.
    kind: &'static str,
    /// VNI, key, TEID or session, where the protocol has one that both directions share.
    id: Option<u64>,
    /// The lower of the two outer addresses; null where `id` alone names the network.
    #[schemars(with = "Option<String>")]
    low: Option<IpAddr>,
    /// The higher of the two outer addresses; null where `id` alone names the network.
    #[schemars(with = "Option<String>")]
    high: Option<IpAddr>,
}

impl OverlayDoc {
    /// The tunnels of a network, outermost first.
    pub(super) fn all(overlay: &Overlay) -> Vec<Self> {
        let layers = overlay.layers().iter();
        let doc = layers.map(|layer| Self {
            kind: layer.kind,
            id: layer.id,
            low: layer.between.map(|(low, _)| low),
            high: layer.between.map(|(_, high)| high),
        });
        doc.collect()
    }
}

/// A frame: the index of its file in `inputs`, and its number there, from 1.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Frame")]
pub(super) struct Frame {
    /// Index of the file in the report's `inputs`.
    file: u32,
    /// Number of the frame in its file as Wireshark counts, from 1.
    frame: u64,
}

impl From<FrameId> for Frame {
    fn from(frame: FrameId) -> Self {
        Self { file: frame.file(), frame: frame.number() }
    }
}

/// When and where something was seen.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Moment")]
pub(super) struct Moment {
    /// Capture time.
    time: Stamp,
    /// The frame.
    frame: Frame,
}

impl From<Mark> for Moment {
    fn from(mark: Mark) -> Self {
        Self { time: Stamp(mark.time), frame: mark.frame.into() }
    }
}

/// An address and a port.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Endpoint")]
pub(super) struct Peer {
    /// IPv4 or IPv6 address.
    #[schemars(with = "String")]
    address: IpAddr,
    /// TCP port.
    port: u16,
}

impl From<Endpoint> for Peer {
    fn from(endpoint: Endpoint) -> Self {
        Self { address: endpoint.address, port: endpoint.port }
    }
}

/// One value for the client and one for the server.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "PerSide_{T}")]
pub(super) struct PerSide<T> {
    /// The client's.
    client: T,
    /// The server's.
    server: T,
}

impl<T> PerSide<T> {
    pub(super) fn of<'a, U>(sides: &'a Sides<U>, mut value: impl FnMut(&'a U) -> T) -> Self {
        Self { client: value(&sides.client), server: value(&sides.server) }
    }
}

/// An object whose keys are names, in the order in which they are listed.
#[derive(Clone, Debug)]
pub(super) struct Named<V>(pub(super) Vec<(&'static str, V)>);

impl<V: Serialize> Serialize for Named<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<V: JsonSchema> JsonSchema for Named<V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<V>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// A share or a rate, with at most three decimals; null where it is no number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio(pub(super) f64);

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rounded = (self.0 * 1_000.0).round() / 1_000.0;
        if rounded.is_finite() {
            serializer.serialize_f64(rounded)
        } else {
            serializer.serialize_none()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_have_three_decimals_and_never_break_the_json() {
        let text = |value| serde_json::to_string(&Ratio(value)).unwrap();
        assert_eq!([text(0.998_04), text(41.0), text(1.0 / 3.0)], ["0.998", "41.0", "0.333"]);
        assert_eq!([text(f64::NAN), text(f64::INFINITY)], ["null", "null"]);
    }

    #[test]
    fn names_keep_their_order() {
        let named = Named(vec![("z", 1), ("a", 2)]);
        assert_eq!(serde_json::to_string(&named).unwrap(), r#"{"z":1,"a":2}"#);
    }
}
