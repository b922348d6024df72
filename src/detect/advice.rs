//! Pieces from which advice, evidence and display filters are put together.
//!
//! What each setting means is written beside the rule that names it, or here where several do.

use std::net::IpAddr;

use super::words;
use crate::finding::{Advice, Evidence, Value};
use crate::settings::HostSettings;
use crate::stamp::{Span, Time};
use crate::tcp::{Endpoint, Overlay};

/// Evidence that is a whole number.
pub(super) fn number(name: &'static str, value: u64) -> Evidence {
    Evidence { name, value: Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)) }
}

/// Evidence that is a length of time; the name ends in `_ns`.
pub(super) const fn length(name: &'static str, span: Span) -> Evidence {
    Evidence { name, value: Value::Integer(span.nanos()) }
}

/// Evidence that is a moment.
pub(super) const fn moment(name: &'static str, time: Time) -> Evidence {
    Evidence { name, value: Value::Time(time) }
}

/// Evidence in words.
pub(super) fn text(name: &'static str, words: impl Into<String>) -> Evidence {
    Evidence { name, value: Value::Text(words.into()) }
}

/// Evidence that is a share in thousandths.
#[expect(clippy::cast_precision_loss, reason = "thousandths are far below 2^53")]
pub(super) fn share(name: &'static str, permille: u64) -> Evidence {
    Evidence { name, value: Value::Ratio(permille as f64 / 1_000.0) }
}

/// Evidence that is a row of counts.
pub(super) fn series(name: &'static str, values: &[u64]) -> Evidence {
    let values = values.iter().map(|value| i64::try_from(*value).unwrap_or(i64::MAX)).collect();
    Evidence { name, value: Value::Series(values) }
}

/// Evidence in several words, such as names.
pub(super) const fn list(name: &'static str, words: Vec<String>) -> Evidence {
    Evidence { name, value: Value::List(words) }
}

/// A setting to look at.
pub(super) fn setting(
    name: &str,
    direction: &'static str,
    value: Option<String>,
    side_effects: impl Into<String>,
) -> Advice {
    Advice { setting: name.to_owned(), direction, value, side_effects: side_effects.into() }
}

/// `Now 1 on this host. ` where the host's settings were handed in; nothing where they were not.
pub(super) fn now(host: &HostSettings, value: Option<impl ToString>) -> String {
    match value {
        Some(value) if host.from_host => format!("Now {} on this host. ", value.to_string()),
        _ => String::new(),
    }
}

/// `ip.addr == 10.0.0.2 && tcp.port == 443`, or with `ipv6.addr`.
pub(super) fn filter_endpoint(endpoint: Endpoint) -> String {
    format!("{} && tcp.port == {}", filter_address(endpoint.address), endpoint.port)
}

/// `ip.addr == 10.0.0.2`, or with `ipv6.addr`.
pub(super) fn filter_address(address: IpAddr) -> String {
    format!("{}.addr == {address}", family(address))
}

/// `filter`, for packets inside of what makes `overlay`, as far as Wireshark has a name for it.
pub(super) fn filter_within(overlay: &Overlay, filter: String) -> String {
    let layers = overlay.layers().iter().filter_map(|layer| match (layer.kind, layer.id) {
        ("vxlan", Some(id)) => Some(format!("vxlan.vni == {id}")),
        ("geneve", Some(id)) => Some(format!("geneve.vni == {id}")),
        (_, _) => {
            let (low, high) = layer.between?;
            Some(format!("{} && {}", filter_address(low), filter_address(high)))
        }
    });
    let layers: Vec<_> = layers.collect();
    if layers.is_empty() { filter } else { format!("({filter}) && {}", layers.join(" && ")) }
}

/// `ip.src == 10.0.0.2 && tcp.srcport == 443`, or with `ipv6.src`.
pub(super) fn filter_from(endpoint: Endpoint) -> String {
    format!(
        "{}.src == {} && tcp.srcport == {}",
        family(endpoint.address),
        endpoint.address,
        endpoint.port
    )
}

/// `ip.dst == 10.0.0.2 && tcp.dstport == 443`, or with `ipv6.dst`.
pub(super) fn filter_to(endpoint: Endpoint) -> String {
    format!(
        "{}.dst == {} && tcp.dstport == {}",
        family(endpoint.address),
        endpoint.address,
        endpoint.port
    )
}

/// What limits a statement when parts of the traffic were never captured.
pub(super) fn loss_caveat(affected: u64, of: u64, what: &str) -> String {
    if affected == 0 {
        return String::new();
    }
    let affected = words::count(affected);
    format!(
        "In {affected} of {} the capture lacks bytes that were sent: {what}",
        words::counted(of, "connection")
    )
}

const fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "ip",
        IpAddr::V6(_) => "ipv6",
    }
}
