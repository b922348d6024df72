//! The settings of the hosts in a capture, as far as they are known: a profile's defaults, or what
//! `sysctl -a` printed on the host.
//!
//! The connection's timers and the detectors' advice read them. Knows nothing of TCP's life.

mod sysctl;

pub use sysctl::SysctlError;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::stamp::Span;

/// Which operating system's timers are assumed where nothing better is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Linux, current kernels.
    #[default]
    Linux,
    /// Windows: TIME-WAIT 120 s.
    Windows,
    /// BSD and macOS: TIME-WAIT is 2 x `net.inet.tcp.msl`, 30 s.
    Bsd,
    /// RFC 9293: TIME-WAIT is 2 x MSL, 240 s.
    Rfc,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Linux, Self::Windows, Self::Bsd, Self::Rfc];

    /// `linux`, `windows`, `bsd` or `rfc`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Windows => "windows",
            Self::Bsd => "bsd",
            Self::Rfc => "rfc",
        }
    }
}

/// What governs the sockets of one host. Fields are named after the Linux settings
/// (`net.ipv4.tcp_...`); units are noted where they are not counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// Length of TIME-WAIT. On Linux fixed at 60 s when the kernel is compiled.
    pub time_wait: Span,
    /// `tcp_fin_timeout`: how long an orphaned socket stays in FIN-WAIT-2.
    pub fin_timeout: Span,
    /// `tcp_syn_retries`.
    pub syn_retries: u8,
    /// `tcp_syn_linear_timeouts`: how many SYN retransmissions come at even distances before the
    /// exponential ones; none: unknown, to be taken from the wire.
    pub syn_linear_timeouts: Option<u8>,
    /// `tcp_synack_retries`.
    pub synack_retries: u8,
    /// `tcp_rfc1337`: a RST does not end TIME-WAIT.
    pub rfc1337: bool,
    /// `tcp_max_syn_backlog`, where known.
    pub max_syn_backlog: Option<u32>,
    /// `net.core.somaxconn`, where known.
    pub somaxconn: Option<u32>,
    /// `tcp_syncookies`, where known.
    pub syncookies: Option<u8>,
    /// `tcp_window_scaling`.
    pub window_scaling: bool,
    /// `tcp_sack`.
    pub sack: bool,
    /// `tcp_abort_on_overflow`, where known.
    pub abort_on_overflow: Option<bool>,
    /// `tcp_max_tw_buckets`, where known.
    pub max_tw_buckets: Option<u32>,
    /// `ip_local_port_range`: first and last ephemeral port.
    pub local_port_range: (u16, u16),
    /// `tcp_tw_reuse`, where known.
    pub tw_reuse: Option<u8>,
    /// `tcp_keepalive_time`.
    pub keepalive_time: Span,
    /// `tcp_keepalive_intvl`.
    pub keepalive_interval: Span,
    /// `tcp_keepalive_probes`.
    pub keepalive_probes: u8,
    /// `tcp_retries2`.
    pub retries2: u8,
    /// `tcp_rto_max_ms`: the longest step of a retransmission schedule.
    pub rto_max: Span,
    /// Whether these were read from the host rather than assumed from a profile.
    pub from_host: bool,
}

impl HostSettings {
    /// Whether the host is known to be Linux: what is given of it, no other system has.
    #[must_use]
    pub const fn is_linux(&self) -> bool {
        self.syncookies.is_some()
    }

    /// The defaults of an operating system (kernel documentation, networking/ip-sysctl).
    #[must_use]
    pub const fn of_profile(profile: Profile) -> Self {
        let time_wait = match profile {
            Profile::Linux | Profile::Bsd => Span::from_secs(60),
            Profile::Windows => Span::from_secs(120),
            Profile::Rfc => Span::from_secs(240),
        };
        Self {
            time_wait,
            fin_timeout: Span::from_secs(60),
            syn_retries: 6,
            syn_linear_timeouts: None,
            synack_retries: 5,
            rfc1337: false,
            max_syn_backlog: None,
            somaxconn: None,
            syncookies: None,
            window_scaling: true,
            sack: true,
            abort_on_overflow: None,
            max_tw_buckets: None,
            local_port_range: (32_768, 60_999),
            tw_reuse: None,
            keepalive_time: Span::from_secs(7_200),
            keepalive_interval: Span::from_secs(75),
            keepalive_probes: 9,
            retries2: 15,
            rto_max: Span::from_secs(120),
            from_host: false,
        }
    }
}

/// The settings in force for a whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The profile behind the defaults.
    pub profile: Profile,
    /// For every host not listed below.
    pub default: HostSettings,
    /// Per network: address, prefix length in bits, settings. The longest prefix wins.
    pub hosts: Vec<(IpAddr, u8, HostSettings)>,
}

/// A host or a network as typed: `10.0.0.7`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address; bits behind the prefix do not count.
    pub address: IpAddr,
    /// Length of the prefix in bits: 32 or 128 for a single host.
    pub prefix: u8,
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
            None => longest,
        };
        if prefix > longest { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The text names neither a host nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl Default for Settings {
    fn default() -> Self {
        Self::of_profile(Profile::Linux)
    }
}

impl Settings {
    /// The defaults of `profile` for every host.
    #[must_use]
    pub const fn of_profile(profile: Profile) -> Self {
        Self { profile, default: HostSettings::of_profile(profile), hosts: Vec::new() }
    }

    /// Whether a host may answer with SYN cookies when its SYN queue is full.
    #[must_use]
    pub fn may_bake(&self) -> bool {
        self.all().any(|host| host.syncookies == Some(1))
    }

    /// Whether it is known of a host how many sockets it may have in TIME-WAIT.
    #[must_use]
    pub fn limits_time_wait(&self) -> bool {
        self.all().any(|host| host.max_tw_buckets.is_some())
    }

    /// Those of the hosts that are known, and the default ones.
    fn all(&self) -> impl Iterator<Item = &HostSettings> {
        self.hosts.iter().map(|(_, _, host)| host).chain([&self.default])
    }

    /// The settings of the host with `address`.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> &HostSettings {
        self.hosts
            .iter()
            .filter(|(network, prefix, _)| contains(*network, *prefix, address))
            .max_by_key(|(_, prefix, _)| *prefix)
            .map_or(&self.default, |(_, _, settings)| settings)
    }
}

/// Whether `address` lies in the network; an IPv4 network holds no IPv6 address.
fn contains(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let differing = network.to_bits() ^ address.to_bits();
            differing.leading_zeros() >= u32::from(prefix.min(32))
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let differing = network.to_bits() ^ address.to_bits();
            differing.leading_zeros() >= u32::from(prefix.min(128))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_parsed_within_the_length_of_their_family() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert_eq!((network.prefix, network.to_string().as_str()), (8, "10.0.0.0/8"));
        assert_eq!("::1".parse::<Network>().unwrap().prefix, 128);
        for wrong in ["10.0.0.0/33", "web01", "10.0.0.0/", "::/129", ""] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_longest_prefix_decides() {
        let mut settings = Settings::default();
        let with = |retries| HostSettings { synack_retries: retries, ..settings.default.clone() };
        let (wide, narrow) = (with(1), with(2));
        settings.hosts.push(("10.0.0.0".parse().unwrap(), 8, wide));
        settings.hosts.push(("10.0.0.7".parse().unwrap(), 32, narrow));
        let retries = |text: &str| settings.of(text.parse().unwrap()).synack_retries;
        assert_eq!([retries("10.0.0.7"), retries("10.1.0.7"), retries("::1")], [2, 1, 5]);
    }
}
