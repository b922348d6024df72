//! One run of the laboratory: the kernel's transitions, the captures of both hosts, the settings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tcpautopsy::connection::{ConnectionRecord, Entry, State};
use tcpautopsy::settings::{HostSettings, Profile, Settings};
use tcpautopsy::tcp::{Endpoint, Flags, FourTuple, Segment, Side};

use crate::reference;

/// Both hosts of every run.
pub(crate) const HOSTS: [&str; 2] = ["client", "server"];

/// How a transition shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// The host's own capture holds the segment behind it.
    Wire,
    /// A timer of known length ran out.
    Timer,
    /// Nothing shows it.
    Invisible,
}

/// One state change of a socket, as the kernel itself told it.
#[derive(Debug, Clone)]
pub(crate) struct Transition {
    pub(crate) incarnation: u64,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) at: i64,
    pub(crate) tag: Tag,
    /// Known from polling only, so less exactly.
    pub(crate) polled: bool,
    /// The frame of the own host's capture that is behind it.
    pub(crate) frame: Option<u64>,
    /// The laboratory found that the other end's capture lacks what shows it.
    pub(crate) hidden_at_other_end: bool,
}

/// A socket: its host, its own and its peer's address and port.
pub(crate) type Socket = (String, String, String);

/// A run's folder.
pub(crate) struct Run {
    pub(crate) name: String,
    folder: PathBuf,
    truth: Value,
}

/// A capture, taken apart.
pub(crate) struct Capture {
    pub(crate) records: Vec<ConnectionRecord>,
    /// Segments with their frame numbers, in the order of capture.
    segments: BTreeMap<u64, (FourTuple, Segment)>,
    /// Frames that a raw socket sent in the name of one of the hosts.
    forged: BTreeSet<u64>,
    /// Time of its last frame: what came later it cannot show.
    pub(crate) last: i64,
}

/// Where the recorded runs are.
pub(crate) fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kernel")
}

/// The captures of both hosts of every recorded run, with their paths.
pub(crate) fn recorded_captures() -> impl Iterator<Item = (String, Vec<u8>)> {
    let paths = runs(&recorded()).into_iter().flat_map(|run| run.captures());
    paths.map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
}

/// The runs below `root`, sorted by name.
pub(crate) fn runs(root: &Path) -> Vec<Run> {
    let mut found: Vec<Run> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let text = fs::read_to_string(folder.join("truth.json")).ok()?;
            let truth = serde_json::from_str(&text).expect("truth.json is JSON");
            let name = folder.file_name()?.to_str()?.to_owned();
            Some(Run { name, folder, truth })
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

impl Run {
    /// Where the captures of both hosts are.
    pub(crate) fn captures(&self) -> [PathBuf; 2] {
        HOSTS.map(|host| self.folder.join(format!("{host}.pcap")))
    }

    /// Whether the scenario does the same each time; the others lose and reorder at random.
    pub(crate) fn is_deterministic(&self) -> bool {
        self.truth["deterministic"].as_bool().unwrap_or(true)
    }

    /// The settings of both hosts, as `--sysctl` would be given them.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::of_profile(Profile::Linux);
        for host in HOSTS {
            let text = fs::read_to_string(self.folder.join(format!("{host}.sysctl"))).unwrap();
            let known = HostSettings::of_profile(Profile::Linux).with_sysctl(&text).unwrap();
            for address in self.truth["hosts"][host]["addresses"].as_array().unwrap() {
                let address: IpAddr = address.as_str().unwrap().parse().unwrap();
                let bits = if address.is_ipv4() { 32 } else { 128 };
                settings.hosts.push((address, bits, known.clone()));
            }
        }
        settings
    }

    /// Whether `address` is one of `host`'s.
    pub(crate) fn has_address(&self, host: &str, address: IpAddr) -> bool {
        rows(&self.truth["hosts"][host]["addresses"])
            .filter_map(|it| it.as_str()?.parse::<IpAddr>().ok())
            .any(|own| own == address)
    }

    /// The kernel's transitions by socket, one incarnation after the other. Two sockets of one
    /// port pair may overlap by microseconds: the new one is in SYN-SENT before the old one's
    /// TIME-WAIT is taken out of the table.
    pub(crate) fn transitions(&self) -> BTreeMap<Socket, Vec<Transition>> {
        let hidden: Vec<_> = rows(&self.truth["impossible_at_other_end"]).map(key).collect();
        let mut all: BTreeMap<Socket, Vec<Transition>> = BTreeMap::new();
        for row in rows(&self.truth["transitions"]) {
            let (host, local, remote, incarnation, to) = key(row);
            let hidden_at_other_end = hidden.contains(&key(row));
            let tag = match row["tag"].as_str() {
                Some("wire") => Tag::Wire,
                Some("timer") => Tag::Timer,
                Some("invisible") => Tag::Invisible,
                other => panic!("{}: a transition is tagged {other:?}", self.name),
            };
            all.entry((host, local, remote)).or_default().push(Transition {
                incarnation,
                from: text(row, "from"),
                to,
                at: row["at_ns"].as_i64().unwrap(),
                tag,
                polled: row["source"] == "poll",
                frame: row["frame"].as_u64(),
                hidden_at_other_end,
            });
        }
        for list in all.values_mut() {
            list.sort_by_key(|it| (it.incarnation, it.at));
        }
        all
    }

    /// The capture that was taken at `host`, and what the tool makes of it.
    pub(crate) fn capture(&self, host: &str) -> Capture {
        let bytes = fs::read(self.folder.join(format!("{host}.pcap"))).unwrap();
        let records = reference::records(&bytes, &self.settings());
        let mut segments = BTreeMap::new();
        let mut last = i64::MIN;
        reference::for_each_segment(&bytes, &mut |time, segment| {
            last = last.max(time.nanos());
            if let Some((tuple, segment)) = segment {
                segments.insert(segment.frame.number(), (tuple, segment));
            }
        });
        let forged = rows(&self.truth["forged"][host]).filter_map(Value::as_u64).collect();
        Capture { records, segments, forged, last }
    }
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_default().to_owned()
}

fn key(row: &Value) -> (String, String, String, u64, String) {
    let incarnation = row["incarnation"].as_u64().unwrap_or(1);
    (text(row, "host"), text(row, "local"), text(row, "remote"), incarnation, text(row, "to"))
}

impl Capture {
    /// The tool's states of the endpoint `local` towards `remote`, over all incarnations.
    pub(crate) fn entries(&self, local: &str, remote: &str) -> Vec<Entry> {
        let mut all = Vec::new();
        for record in &self.records {
            for side in Side::BOTH {
                let (own, peer) = (record.endpoint(side), record.endpoint(side.peer()));
                let states = record.states.of(side);
                // A port where nobody listens has no socket.
                let is_any = states.iter().any(|entry| entry.state != State::Closed);
                if is_any && own.to_string() == local && peer.to_string() == remote {
                    all.extend_from_slice(states);
                }
            }
        }
        all
    }

    /// Every endpoint that the tool knows, each with its peer.
    pub(crate) fn endpoints(&self) -> BTreeSet<(Endpoint, Endpoint)> {
        let both = |record: &ConnectionRecord| {
            let (client, server) = (record.client, record.server);
            [(client, server), (server, client)]
        };
        self.records.iter().flat_map(both).collect()
    }

    /// Whether `entry` of the endpoint `local` comes from a segment that somebody else sent in its
    /// name: nothing that its kernel could confirm.
    pub(crate) fn is_forged(&self, local: &str, entry: &Entry) -> bool {
        entry.frame.is_some_and(|frame| {
            let source = self.segment(frame.number()).map(|it| it.0.source.to_string());
            self.forged.contains(&frame.number()) && source.as_deref() == Some(local)
        })
    }

    /// The segment in a frame.
    fn segment(&self, frame: u64) -> Option<&(FourTuple, Segment)> {
        self.segments.get(&frame)
    }

    /// When the segment in `frame` was seen.
    pub(crate) fn time_of(&self, frame: u64) -> Option<i64> {
        self.segment(frame).map(|it| it.1.time.nanos())
    }

    /// How long the segment in `frame` of `other` was on its way between the two captures: the
    /// distance of the nearest sighting of the same segment here, of those that are no nearer than
    /// the path is long (RSTs without timestamps are all alike). What `local` sent is seen here later
    /// than there, and what it received sooner.
    pub(crate) fn delay_of(&self, other: &Self, frame: u64, local: &str) -> Option<i64> {
        let (tuple, wanted) = other.segment(frame)?;
        let forward = if tuple.source.to_string() == local { 1 } else { -1 };
        let distances = |wanted: &Segment| -> Vec<i64> {
            let alike: Vec<&Segment> = self
                .segments
                .values()
                .filter(|it| it.0 == *tuple && same(&it.1, wanted))
                .map(|it| &it.1)
                .collect();
            // Without timestamps, IP identifications tell a repetition.
            let is_it = |it: &Segment| wanted.ip_id != 0 && it.ip_id == wanted.ip_id;
            let any = alike.iter().any(|it| is_it(it));
            let those = alike.into_iter().filter(|it| !any || is_it(it));
            let all: Vec<i64> =
                those.map(|it| (it.time.nanos() - wanted.time.nanos()) * forward).collect();
            let possible: Vec<i64> = all.iter().copied().filter(|it| *it >= 0).collect();
            if possible.is_empty() { all.into_iter().map(i64::abs).collect() } else { possible }
        };
        let all = distances(wanted);
        let least = if wanted.flags.rst() && all.len() > 1 {
            let with_stamps =
                |it: &&(FourTuple, Segment)| it.0 == *tuple && it.1.timestamps().is_some();
            let clear = other.segments.values().filter(with_stamps);
            clear.filter_map(|it| distances(&it.1).into_iter().min()).min()
        } else {
            None
        };
        let possible = all.iter().filter(|it| **it >= least.unwrap_or(0) / 10 * 9).min();
        possible.or_else(|| all.iter().min()).copied()
    }
}

/// Whether two captures hold one segment (a big one may have been cut on the way).
fn same(one: &Segment, other: &Segment) -> bool {
    let control = |segment: &Segment| {
        let flags = segment.flags;
        (flags.syn(), flags.rst(), flags.fin(), flags.contains(Flags::ACK))
    };
    control(one) == control(other)
        && one.ack == other.ack
        && one.seq_end() == other.seq_end()
        && one.timestamps().map(|it| it.value) == other.timestamps().map(|it| it.value)
}
