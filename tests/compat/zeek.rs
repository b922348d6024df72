//! conn.log, row for row, against what Zeek 7.0 wrote about the public captures.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::captures::{folder, segments, table};
use super::conn_log;
use tcpautopsy::analysis::JudgedConnection;
use tcpautopsy::compat::zeek::Timers;
use tcpautopsy::decode;
use tcpautopsy::detect::{Detectors, Selection, Thresholds};
use tcpautopsy::flow::{ZeekRow, ZeekRules};
use tcpautopsy::pipeline::{self, Keep, Options, Sink};
use tcpautopsy::report;
use tcpautopsy::settings::Settings;
use tcpautopsy::stamp::Time;
use tcpautopsy::tcp::Side;

/// The columns that are compared.
const COLUMNS: [&str; 10] = [
    "conn_state",
    "history",
    "missed_bytes",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "orig_pkts",
    "orig_ip_bytes",
    "resp_pkts",
    "resp_ip_bytes",
];

/// What names a row.
const KEY: [&str; 5] = ["ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"];

/// The columns that connections have as well.
const OF_CONNECTIONS: [&str; 3] = ["conn_state", "history", "missed_bytes"];

/// With this variable set, every difference is printed.
const EVERY: &str = "TCPAUTOPSY_DIFFERENCES";

type Row = BTreeMap<String, String>;

/// Takes the rows of a run, and what the connections themselves say of Zeek.
#[derive(Default)]
struct Table {
    rows: Vec<u8>,
    connections: Vec<Row>,
}

impl Sink for Table {
    fn format(&self, connection: &JudgedConnection, into: &mut Vec<u8>) {
        let record = &connection.record;
        let zeek = &record.zeek;
        let (originator, responder) = match zeek.originator_side(record.client, record.server) {
            Side::Client => (record.client, record.server),
            Side::Server => (record.server, record.client),
        };
        let micros = zeek.first.nanos().div_euclid(1_000);
        let history = if zeek.history.is_empty() { "-" } else { &zeek.history.to_string() };
        let text = [
            format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000)),
            originator.address.to_canonical().to_string(),
            originator.port.to_string(),
            responder.address.to_canonical().to_string(),
            responder.port.to_string(),
            zeek.conn_state.name().to_owned(),
            history.to_owned(),
            zeek.missed_bytes.to_string(),
        ];
        into.extend_from_slice(text.join(" ").as_bytes());
    }

    fn write(&mut self, formatted: &[u8]) -> io::Result<()> {
        let values = std::str::from_utf8(formatted).unwrap().split(' ').map(String::from);
        let names = KEY.into_iter().chain(OF_CONNECTIONS).map(String::from);
        self.connections.push(names.zip(values).collect());
        Ok(())
    }

    fn wants_zeek_rows(&self) -> bool {
        true
    }

    fn format_zeek_row(&self, row: &ZeekRow, into: &mut Vec<u8>) {
        report::write_zeek_row(row, into);
    }

    fn write_zeek_row(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.rows.extend_from_slice(formatted);
        Ok(())
    }
}

/// The rows of conn.log for one capture, and its connections.
fn rows(file: PathBuf, rules: ZeekRules, verify_checksums: bool) -> (Vec<Row>, Vec<Row>) {
    let settings = Settings::default();
    let detectors = Detectors::new(settings.clone(), Thresholds::default(), &Selection::default());
    let mut options = Options::new(settings, detectors);
    (options.threads, options.keep, options.zeek) = (1, Keep::None, rules);
    options.decode = decode::Settings { verify_checksums, ..decode::Settings::default() };
    let mut sink = Table::default();
    pipeline::run(&[file], &options, &mut sink, &|_| ()).unwrap();
    let rows = String::from_utf8(sink.rows).unwrap();
    let header = report::zeek_header(Time::from_nanos(0));
    let log = format!("{header}{rows}{}", report::zeek_footer(Time::from_nanos(0)));
    (conn_log::parse(&log), sink.connections)
}

/// How many rows and columns agree, and how the others differ.
#[derive(Default)]
struct Score {
    rows: usize,
    found: usize,
    equal: BTreeMap<&'static str, usize>,
    /// Examples of each.
    classes: BTreeMap<&'static str, Vec<String>>,
}

impl Score {
    fn note(&mut self, class: &'static str, example: String) {
        self.classes.entry(class).or_default().push(example);
    }

    /// Compares Zeek's row with ours, which may be missing.
    fn compare(&mut self, theirs: &Theirs<'_>, ours: Option<&Row>, time: Clock, example: &str) {
        self.rows += 1;
        let Some(ours) = ours else {
            let history = theirs["history"];
            return self.note(class_of_missing(theirs, time), format!("{example}: {history}"));
        };
        self.found += 1;
        for column in COLUMNS.into_iter().filter(|column| ours.contains_key(*column)) {
            if theirs[column] == ours[column] {
                *self.equal.entry(column).or_default() += 1;
            } else {
                let class = class_of_difference(column, theirs, time);
                let values = format!("zeek {}, here {}", theirs[column], ours[column]);
                self.note(class, format!("{example}: {column}: {values}"));
            }
        }
    }

    fn share(&self, column: &str) -> f64 {
        let equal = self.equal.get(column).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let share = equal as f64 * 100.0 / self.rows as f64;
        share
    }

    fn print(&self, title: &str) {
        println!("{title}: {} rows, {} found", self.rows, self.found);
        for column in self.equal.keys() {
            println!("  {:7.3} % {column}", self.share(column));
        }
        let shown = if std::env::var_os(EVERY).is_some() { usize::MAX } else { 2 };
        for (class, examples) in &self.classes {
            println!("  {:5} {class}", examples.len());
            examples.iter().take(shown).for_each(|example| println!("        {example}"));
        }
    }
}

type Theirs<'a> = BTreeMap<&'a str, &'a str>;

/// How a capture's time runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Steady,
    /// It jumps by more than a day.
    Jumps,
}

fn clock(file: &Path) -> Clock {
    const DAY: i64 = 86_400_000_000_000;
    let segments = segments(file).unwrap_or_default();
    let jumps = segments
        .windows(2)
        .any(|pair| (pair[1].segment.time.nanos() - pair[0].segment.time.nanos()).abs() > DAY);
    if jumps { Clock::Jumps } else { Clock::Steady }
}

/// Why a row of Zeek's is not there; `docs/compatibility.md` judges each class.
fn class_of_missing(theirs: &Theirs<'_>, clock: Clock) -> &'static str {
    if theirs["history"] == "-" {
        "row: a header that Zeek could not read makes a connection"
    } else if clock == Clock::Jumps {
        "row: the capture's time jumps by more than a day"
    } else {
        "row: other"
    }
}

/// Why a column differs.
fn class_of_difference(column: &str, theirs: &Theirs<'_>, clock: Clock) -> &'static str {
    let is_count = column.ends_with("_pkts") || column.ends_with("_ip_bytes");
    if is_count && theirs["history"].contains('^') {
        "counts: Zeek 7.0 counts the segments before a flip for the wrong side"
    } else if clock == Clock::Jumps {
        "column: the capture's time jumps by more than a day"
    } else if is_count {
        "counts: other"
    } else {
        "column: other"
    }
}

fn key_of(theirs: &Theirs<'_>) -> String {
    ["ts", "orig_h", "orig_p", "resp_h", "resp_p"].map(|name| theirs[name]).join(" ")
}

fn key_of_ours(row: &Row) -> String {
    KEY.map(|name| &*row[name]).join(" ")
}

/// Compares everything that Zeek wrote about whole captures with the rows of conn.log, and with what
/// connections say.
fn compare_runs(folder: &Path, table_name: &str, rules: ZeekRules) -> [Score; 2] {
    let text = std::fs::read_to_string(folder.join("zeek").join(table_name)).unwrap();
    let mut by_path: BTreeMap<&str, Vec<Theirs<'_>>> = BTreeMap::new();
    for row in table(&text) {
        by_path.entry(row["path"]).or_default().push(row);
    }
    let mut scores = [Score::default(), Score::default()];
    for (path, theirs) in by_path {
        let file = folder.join(path);
        let time = clock(&file);
        let (rows, connections) = rows(file, rules, false);
        for (score, ours) in scores.iter_mut().zip([rows, connections]) {
            let mut by_key: BTreeMap<String, Vec<Row>> = BTreeMap::new();
            for row in ours {
                by_key.entry(key_of_ours(&row)).or_default().push(row);
            }
            for row in &theirs {
                let key = key_of(row);
                let list = by_key.get_mut(&key).filter(|list| !list.is_empty());
                let found = list.map(|list| list.remove(0));
                score.compare(row, found.as_ref(), time, &format!("{path} {key}"));
            }
        }
    }
    scores
}

#[test]
fn rows_are_those_of_zeek_when_its_timers_are_a_day_long() {
    let Some(folder) = folder() else { return };
    let [score, connections] = compare_runs(&folder, "run_nosplit.tsv", ZeekRules::default());
    score.print("timers of a day");
    connections.print("connections");
    assert!(score.rows > 16_000, "too few rows: {}", score.rows);
    for (column, floor) in [
        ("conn_state", 99.65),
        ("history", 99.6),
        ("missed_bytes", 99.65),
        ("duration", 99.65),
        ("orig_bytes", 99.65),
        ("resp_bytes", 99.65),
        ("orig_pkts", 99.5),
        ("orig_ip_bytes", 99.4),
        ("resp_pkts", 99.5),
        ("resp_ip_bytes", 99.45),
    ] {
        assert!(score.share(column) >= floor, "{column}: {:.3} %", score.share(column));
    }
    for column in OF_CONNECTIONS {
        let share = connections.share(column);
        assert!(share >= 98.0, "{column} of connections: {share:.3} %");
    }
}

#[test]
fn rows_are_those_of_zeek_with_its_own_timers() {
    let Some(folder) = folder() else { return };
    let rules = ZeekRules { timers: Timers::DEFAULT, ..ZeekRules::default() };
    let [score, _] = compare_runs(&folder, "run_default.tsv", rules);
    score.print("default timers");
    assert!(score.rows > 18_000, "too few rows: {}", score.rows);
    for column in COLUMNS {
        assert!(score.share(column) >= 98.9, "{column}: {:.3} %", score.share(column));
    }
}

#[test]
fn rows_are_those_of_zeeks_own_tests() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("zeek/conn_rows.tsv")).unwrap();
    let mut by_test: BTreeMap<(&str, &str), Vec<Theirs<'_>>> = BTreeMap::new();
    for row in table(&text) {
        if row["usable"] == "yes" && row["proto"] == "tcp" {
            by_test.entry((row["trace"], row["baseline"])).or_default().push(row);
        }
    }
    let mut score = Score::default();
    for ((trace, baseline), theirs) in by_test {
        let file = folder.join("files/zeek+zeek").join(trace);
        let rules = ZeekRules {
            timers: Timers::DEFAULT,
            likely_servers: theirs[0]["cmd_mode"] == "default",
        };
        let verifies = theirs[0]["checksums"] == "verify";
        let time = clock(&file);
        let mut ours: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in rows(file, rules, verifies).0 {
            let key = key_of_ours(&row);
            let (_, tuple) = key.split_once(' ').unwrap();
            ours.entry(tuple.to_owned()).or_default().push(row);
        }
        for row in theirs {
            let key = ["orig_h", "orig_p", "resp_h", "resp_p"].map(|name| row[name]).join(" ");
            let list = ours.get_mut(&key).filter(|list| !list.is_empty());
            let found = list.map(|list| list.remove(0));
            score.compare(&row, found.as_ref(), time, &format!("{baseline} {key}"));
        }
    }
    score.print("Zeek's own tests");
    assert!(score.rows > 1_400, "too few rows: {}", score.rows);
    for column in COLUMNS {
        assert!(score.share(column) >= 99.8, "{column}: {:.3} %", score.share(column));
    }
}
