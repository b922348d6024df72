//! The `settings` object: profile, settings of hosts and thresholds that were in force.

use schemars::JsonSchema;
use serde::Serialize;

use super::value::{Stamp, nanos};
use crate::analysis::Analysis;
use crate::detect::ThresholdInForce;
use crate::settings::{HostSettings, Network};

/// What was in force in this run.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Settings")]
pub(super) struct SettingsDoc {
    /// `linux`, `windows`, `bsd` or `rfc`.
    profile: &'static str,
    /// Settings of every host that is not listed below.
    default: HostDoc,
    /// Settings that were handed in for single hosts or networks.
    hosts: Vec<NetworkDoc>,
    /// Thresholds of the detectors.
    thresholds: Vec<ThresholdDoc>,
    /// What of the files was to be looked at.
    selection: SelectionDoc,
}

/// What of the files was to be looked at; null for everything.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Selection")]
struct SelectionDoc {
    /// The filter's expression.
    filter: Option<String>,
    /// The first moment of the period.
    from: Option<Stamp>,
    /// The first moment behind it.
    to: Option<Stamp>,
}

impl From<&Analysis> for SettingsDoc {
    fn from(analysis: &Analysis) -> Self {
        let settings = &analysis.settings;
        let hosts = settings.hosts.iter().map(|(address, prefix, host)| NetworkDoc {
            network: Network { address: *address, prefix: *prefix }.to_string(),
            settings: host.into(),
        });
        Self {
            profile: settings.profile.name(),
            default: (&settings.default).into(),
            hosts: hosts.collect(),
            thresholds: analysis.thresholds.iter().map(ThresholdDoc::from).collect(),
            selection: SelectionDoc {
                filter: analysis.selection.filter.clone(),
                from: analysis.selection.from.map(Stamp),
                to: analysis.selection.to.map(Stamp),
            },
        }
    }
}

/// Settings of a network.
#[derive(Debug, Serialize, JsonSchema)]
struct NetworkDoc {
    /// Address and length of the prefix, such as `10.0.0.0/8`.
    network: String,
    /// Its settings.
    settings: HostDoc,
}

/// What governs the sockets of a host; named after the Linux settings, null where unknown.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HostSettings")]
struct HostDoc {
    /// Whether these were read from the host rather than assumed from a profile.
    from_host: bool,
    /// Length of TIME-WAIT.
    time_wait_ns: i64,
    /// `tcp_fin_timeout`.
    fin_timeout_ns: i64,
    /// `tcp_syn_retries`.
    syn_retries: u8,
    /// `tcp_syn_linear_timeouts`.
    syn_linear_timeouts: Option<u8>,
    /// `tcp_synack_retries`.
    synack_retries: u8,
    /// `tcp_rfc1337`.
    rfc1337: bool,
    /// `tcp_max_syn_backlog`.
    max_syn_backlog: Option<u32>,
    /// `net.core.somaxconn`.
    somaxconn: Option<u32>,
    /// `tcp_syncookies`.
    syncookies: Option<u8>,
    /// `tcp_abort_on_overflow`.
    abort_on_overflow: Option<bool>,
    /// `tcp_max_tw_buckets`.
    max_tw_buckets: Option<u32>,
    /// `ip_local_port_range`: first and last ephemeral port.
    local_port_range: [u16; 2],
    /// `tcp_tw_reuse`.
    tw_reuse: Option<u8>,
    /// `tcp_keepalive_time`.
    keepalive_time_ns: i64,
    /// `tcp_keepalive_intvl`.
    keepalive_interval_ns: i64,
    /// `tcp_keepalive_probes`.
    keepalive_probes: u8,
    /// `tcp_retries2`.
    retries2: u8,
}

impl From<&HostSettings> for HostDoc {
    fn from(host: &HostSettings) -> Self {
        Self {
            from_host: host.from_host,
            time_wait_ns: nanos(host.time_wait),
            fin_timeout_ns: nanos(host.fin_timeout),
            syn_retries: host.syn_retries,
            syn_linear_timeouts: host.syn_linear_timeouts,
            synack_retries: host.synack_retries,
            rfc1337: host.rfc1337,
            max_syn_backlog: host.max_syn_backlog,
            somaxconn: host.somaxconn,
            syncookies: host.syncookies,
            abort_on_overflow: host.abort_on_overflow,
            max_tw_buckets: host.max_tw_buckets,
            local_port_range: [host.local_port_range.0, host.local_port_range.1],
            tw_reuse: host.tw_reuse,
            keepalive_time_ns: nanos(host.keepalive_time),
            keepalive_interval_ns: nanos(host.keepalive_interval),
            keepalive_probes: host.keepalive_probes,
            retries2: host.retries2,
        }
    }
}

/// A threshold of a detector.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Threshold")]
struct ThresholdDoc {
    /// The detector's code.
    code: String,
    /// Name within the detector.
    name: &'static str,
    /// The value in force.
    value: i64,
    /// The value without any setting of the user.
    default: i64,
    /// `count`, `ns` or `percent`.
    unit: &'static str,
}

impl From<&ThresholdInForce> for ThresholdDoc {
    fn from(in_force: &ThresholdInForce) -> Self {
        let threshold = in_force.threshold;
        Self {
            code: threshold.code.to_string(),
            name: threshold.name,
            value: in_force.value,
            default: threshold.default,
            unit: threshold.unit.name(),
        }
    }
}
