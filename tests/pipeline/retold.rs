//! Lines of SYNs that nothing followed are those of their records, whatever the SYNs look like.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tcpautopsy::analysis::JudgedConnection;
use tcpautopsy::connection::LoneValue;
use tcpautopsy::pipeline::{Keep, Options, Sink, run};
use tcpautopsy::report::{LONE_VALUES, write_connection};
use tcpautopsy::testkit::Scenario;

use super::captures::{options, records, with_records};

/// The lines of all connections, as they come, and how many of them were formatted.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) lines: Vec<Vec<u8>>,
    formatted: AtomicUsize,
}

impl Sink for Written {
    fn format(&self, connection: &JudgedConnection, into: &mut Vec<u8>) {
        self.formatted.fetch_add(1, Ordering::Relaxed);
        write_connection(connection, into);
    }

    fn lone_values(&self) -> &'static [LoneValue] {
        LONE_VALUES
    }

    fn write(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.lines.push(formatted.to_vec());
        Ok(())
    }
}

/// SYNs from everywhere that look the same.
#[derive(Clone, Debug)]
struct Flood {
    /// Prefix of the clients, and the server.
    hosts: (&'static str, &'static str),
    every: &'static str,
    flags: &'static str,
    options: &'static str,
    tos: u8,
    window: u16,
    /// What the numbers of the attempts are multiplied with.
    step: u32,
}

impl Flood {
    fn any() -> impl Strategy<Value = Self> {
        let hosts = prop::sample::select(vec![
            ("10.7.", "203.0.113.9:443"),
            ("198.18.", "10.0.0.1:22"),
            ("2001:db8::7:", "[2001:db8:1::9]:8080"),
            ("2001:db8:f::", "[2001:db8::2]:65535"),
        ]);
        let every = prop::sample::select(vec!["0.000001", "0.00037", "0.09"]);
        let flags = prop::sample::select(vec!["S", "SEW"]);
        let options = prop::sample::select(vec![
            "",
            "<mss 1460>",
            "<mss 64879>",
            "<mss 1440,sackOK,TS val 77 ecr 0,nop,wscale 7>",
            "<mss 1460,nop,nop,sackOK,nop,wscale 7,fastopen,nop,nop>",
            "<mss 1460,raw 30 00813d4f2a9b1c7e5f60,nop,nop>",
        ]);
        let numbers = (any::<u16>(), prop::sample::select(vec![0, 2, 184]), 1_u32..5_000);
        (hosts, every, flags, options, numbers).prop_map(
            |(hosts, every, flags, options, (window, tos, step))| Self {
                hosts,
                every,
                flags,
                options,
                tos,
                window,
                step,
            },
        )
    }

    fn scenario(&self, attempts: u32) -> String {
        let Self { hosts: (prefix, server), every, flags, options, tos, window, step } = self;
        let client = if prefix.contains(':') {
            format!("[{prefix}{{i/97}}:{{i%97+1}}]")
        } else {
            format!("{prefix}{{i/97}}.{{i%97+1}}")
        };
        format!(
            "# {attempts} attempts\nserver {server}\n\nrepeat {attempts} every {every} as i {{\n  client {client}:{{i*7%60000+1}}\n  \
             isn client {{i*{step}}}\n  +0 > {flags} 0:0(0) win {window} {options} tos {tos}\n}}\n"
        )
    }
}

/// The capture with a VLAN tag in each frame.
fn tagged(capture: &[u8]) -> Vec<u8> {
    let tag = |record: &[u8]| {
        let mut tagged = record.to_vec();
        tagged.splice(28..28, [0x81, 0, 0, 12]);
        for at in [8, 12] {
            let length = u32::from_le_bytes(record[at..at + 4].try_into().unwrap()) + 4;
            tagged[at..at + 4].copy_from_slice(&length.to_le_bytes());
        }
        tagged
    };
    let tagged: Vec<Vec<u8>> = records(capture).into_iter().map(tag).collect();
    with_records(capture, tagged.iter().map(Vec::as_slice))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn lines_of_lone_syns_are_those_of_their_records(
        flood in Flood::any(),
        is_tagged in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture");
        let capture = Scenario::parse(&flood.scenario(4_000)).unwrap().compile();
        fs::write(&path, if is_tagged { tagged(&capture) } else { capture }).unwrap();
        let brief = Options { keep: Keep::Flagged, ..options(1, 1 << 30, 1 << 40) };
        let whole = Options { keep: Keep::All, ..brief.clone() };
        let [mut built, mut made] = [Written::default(), Written::default()];
        let inputs = std::slice::from_ref(&path);
        run(inputs, &whole, &mut built, &|_| {}).unwrap();
        run(inputs, &brief, &mut made, &|_| {}).unwrap();
        prop_assert_eq!(made.lines.len(), 4_000);
        let differs = built.lines.iter().zip(&made.lines).find(|(built, made)| built != made);
        prop_assert_eq!(differs, None);
        // A shard formats twenty, and as many again where its clients have given up.
        let formatted = made.formatted.into_inner();
        prop_assert!(formatted < 3_000, "{formatted} lines were formatted");
    }
}
