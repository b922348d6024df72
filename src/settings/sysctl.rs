//! Reads what `sysctl -a` printed on a host, or a file of `sysctl.conf`'s form.
//!
//! Such text holds a thousand settings, of which few govern a socket's life: the others are passed
//! over, a wrong value of a known one is an error with its line. Does no I/O.

use super::HostSettings;
use crate::stamp::Span;

/// A line of the text that cannot be meant as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SysctlError {
    /// A known setting has a value that it cannot have.
    #[error("line {line}: {key} = {value:?}: expected {expected}")]
    Value {
        /// Number of the line, from 1.
        line: usize,
        /// The setting as written.
        key: String,
        /// Its value as written.
        value: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// The text sets nothing that this program knows.
    #[error("no TCP setting in it; expected the text that `sysctl -a` prints")]
    NothingKnown,
}

impl HostSettings {
    /// These settings with those that `text` names put in their place.
    ///
    /// Understands `key = value` (Linux), `key: value` (BSD) and the forms of `sysctl.conf`:
    /// comments, slashes in keys, a leading minus. A byte order mark before it all is passed over.
    ///
    /// # Errors
    /// A known setting has an impossible value, or there is no known setting at all.
    pub fn with_sysctl(&self, text: &str) -> Result<Self, SysctlError> {
        let mut settings = self.clone();
        let mut known = 0_usize;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let Some((key, value)) = assignment(line) else { continue };
            match settings.assign(&key, value) {
                Assigned::Unknown => {}
                Assigned::Done => known += 1,
                Assigned::Wrong(expected) => {
                    let value = value.to_owned();
                    return Err(SysctlError::Value { line: index + 1, key, value, expected });
                }
            }
        }
        if known == 0 {
            return Err(SysctlError::NothingKnown);
        }
        settings.from_host = true;
        Ok(settings)
    }

    fn assign(&mut self, key: &str, value: &str) -> Assigned {
        match key {
            "net.ipv4.tcp_fin_timeout" => seconds(value, &mut self.fin_timeout),
            "net.ipv4.tcp_syn_retries" => count(value, &mut self.syn_retries),
            "net.ipv4.tcp_syn_linear_timeouts" => {
                optional_count(value, &mut self.syn_linear_timeouts)
            }
            "net.ipv4.tcp_synack_retries" => count(value, &mut self.synack_retries),
            "net.ipv4.tcp_rfc1337" => flag(value, &mut self.rfc1337),
            "net.ipv4.tcp_max_syn_backlog" => number(value, &mut self.max_syn_backlog),
            "net.core.somaxconn" => number(value, &mut self.somaxconn),
            "net.ipv4.tcp_syncookies" => optional_count(value, &mut self.syncookies),
            "net.ipv4.tcp_window_scaling" => switch(value, &mut self.window_scaling),
            "net.ipv4.tcp_sack" => switch(value, &mut self.sack),
            "net.ipv4.tcp_abort_on_overflow" => {
                let mut set = false;
                let assigned = flag(value, &mut set);
                if matches!(assigned, Assigned::Done) {
                    self.abort_on_overflow = Some(set);
                }
                assigned
            }
            "net.ipv4.tcp_max_tw_buckets" => number(value, &mut self.max_tw_buckets),
            "net.ipv4.ip_local_port_range" => port_range(value, &mut self.local_port_range),
            "net.ipv4.tcp_tw_reuse" => optional_count(value, &mut self.tw_reuse),
            "net.ipv4.tcp_keepalive_time" => seconds(value, &mut self.keepalive_time),
            "net.ipv4.tcp_keepalive_intvl" => seconds(value, &mut self.keepalive_interval),
            "net.ipv4.tcp_keepalive_probes" => count(value, &mut self.keepalive_probes),
            "net.ipv4.tcp_retries2" => count(value, &mut self.retries2),
            "net.ipv4.tcp_rto_max_ms" => milliseconds(value, &mut self.rto_max),
            // Milliseconds (tcp(4) of FreeBSD); TIME-WAIT lasts twice as long.
            "net.inet.tcp.msl" => {
                let mut msl = Span::ZERO;
                let assigned = milliseconds(value, &mut msl);
                if matches!(assigned, Assigned::Done) {
                    self.time_wait = msl + msl;
                }
                assigned
            }
            _ => Assigned::Unknown,
        }
    }
}

/// What became of one line.
enum Assigned {
    Done,
    Unknown,
    Wrong(&'static str),
}

/// Key (with dots) and value of a line, if it is an assignment.
fn assignment(line: &str) -> Option<(String, &str)> {
    let line = line.trim().trim_start_matches('-').trim_start();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (key, value) = line.split_once('=').or_else(|| line.split_once(": "))?;
    let key = key.trim();
    let dotted = if key.contains('.') { key.to_owned() } else { key.replace('/', ".") };
    Some((dotted, value.trim()))
}

fn count(value: &str, slot: &mut u8) -> Assigned {
    match value.parse() {
        Ok(parsed) => {
            *slot = parsed;
            Assigned::Done
        }
        Err(_) => Assigned::Wrong("a whole number from 0 to 255"),
    }
}

fn optional_count(value: &str, slot: &mut Option<u8>) -> Assigned {
    let mut parsed = 0;
    let assigned = count(value, &mut parsed);
    if matches!(assigned, Assigned::Done) {
        *slot = Some(parsed);
    }
    assigned
}

fn number(value: &str, slot: &mut Option<u32>) -> Assigned {
    match value.parse() {
        Ok(parsed) => {
            *slot = Some(parsed);
            Assigned::Done
        }
        Err(_) => Assigned::Wrong("a whole number"),
    }
}

fn flag(value: &str, slot: &mut bool) -> Assigned {
    match value {
        "0" => *slot = false,
        "1" => *slot = true,
        _ => return Assigned::Wrong("0 or 1"),
    }
    Assigned::Done
}

/// What is on unless it is 0.
fn switch(value: &str, slot: &mut bool) -> Assigned {
    let mut parsed = 0;
    let assigned = count(value, &mut parsed);
    if matches!(assigned, Assigned::Done) {
        *slot = parsed != 0;
    }
    assigned
}

fn seconds(value: &str, slot: &mut Span) -> Assigned {
    match value.parse::<u32>() {
        Ok(parsed) => {
            *slot = Span::from_secs(i64::from(parsed));
            Assigned::Done
        }
        Err(_) => Assigned::Wrong("a number of seconds"),
    }
}

fn milliseconds(value: &str, slot: &mut Span) -> Assigned {
    match value.parse::<u32>() {
        Ok(parsed) => {
            *slot = Span::from_millis(i64::from(parsed));
            Assigned::Done
        }
        Err(_) => Assigned::Wrong("a number of milliseconds"),
    }
}

fn port_range(value: &str, slot: &mut (u16, u16)) -> Assigned {
    let mut ports = value.split_whitespace().map(str::parse::<u16>);
    match (ports.next(), ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last)), None) if first <= last => {
            *slot = (first, last);
            Assigned::Done
        }
        _ => Assigned::Wrong("two ports, the lower one first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Profile;

    fn parse(text: &str) -> Result<HostSettings, SysctlError> {
        HostSettings::of_profile(Profile::Linux).with_sysctl(text)
    }

    #[test]
    fn the_text_of_sysctl_a_sets_what_it_names_and_nothing_else() {
        let settings = parse(
            "abi.vsyscall32 = 1\n\
             sysctl: permission denied on key 'fs.protected_fifos'\n\
             net.core.somaxconn = 128\n\
             net.ipv4.ip_local_port_range = 1024\t65000\n\
             net.ipv4.tcp_fin_timeout = 30\n\
             net.ipv4.tcp_syncookies = 0\n\
             net.ipv4.tcp_rmem = 4096\t131072\t6291456\n\
             net.ipv4.tcp_abort_on_overflow = 1\n",
        )
        .unwrap();
        let expected = HostSettings {
            somaxconn: Some(128),
            local_port_range: (1024, 65_000),
            fin_timeout: Span::from_secs(30),
            syncookies: Some(0),
            abort_on_overflow: Some(true),
            from_host: true,
            ..HostSettings::of_profile(Profile::Linux)
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn the_forms_of_sysctl_conf_and_of_bsd_are_understood() {
        let settings = parse(
            "# tcp_fin_timeout=1\n-net/ipv4/tcp_fin_timeout=15\r\n; x\nnet.inet.tcp.msl: 15000\n",
        )
        .unwrap();
        assert_eq!(settings.fin_timeout, Span::from_secs(15));
        assert_eq!(settings.time_wait, Span::from_secs(30));
        let marked = parse("\u{feff}net.ipv4.tcp_fin_timeout = 7\n").unwrap();
        assert_eq!(marked.fin_timeout, Span::from_secs(7));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        for (line, expected) in [
            ("net.ipv4.tcp_syn_retries = many", "a whole number from 0 to 255"),
            ("net.ipv4.tcp_syn_retries = 256", "a whole number from 0 to 255"),
            ("net.ipv4.tcp_fin_timeout = -1", "a number of seconds"),
            ("net.ipv4.tcp_rfc1337 = yes", "0 or 1"),
            ("net.ipv4.ip_local_port_range = 60999 32768", "two ports, the lower one first"),
            ("net.ipv4.tcp_max_tw_buckets =", "a whole number"),
        ] {
            let error = parse(&format!("kernel.pid_max = 4194304\n\n{line}\n")).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("line 3: net.ipv4."), "{text}");
            assert!(text.ends_with(expected), "{text}");
        }
    }

    #[test]
    fn a_text_without_any_known_setting_is_refused() {
        assert_eq!(parse("{\"a\": 1}\nkernel.x = 1\n"), Err(SysctlError::NothingKnown));
    }
}
