//! conn.log against what Zeek 7.0 wrote about the public captures.

use std::collections::BTreeMap;
use std::path::Path;

use super::captures::{folder, segments, table};
use tcpautopsy::compat::zeek::{Columns, Tracker};
use tcpautopsy::tcp::{FourTuple, Orientation};

fn rows(file: &Path) -> Vec<(FourTuple, Columns)> {
    let Some(segments) = segments(file) else { return Vec::new() };
    let mut live: BTreeMap<_, (FourTuple, Tracker)> = BTreeMap::new();
    let mut done = Vec::new();
    for one in &segments {
        let (tuple, orientation) = one.tuple.canonical();
        let forward = orientation == Orientation::Forward;
        let key = (tuple.source, tuple.destination);
        if let Some((_, tracker)) = live.get(&key)
            && tracker.is_replaced_by(&one.segment)
        {
            let (tuple, tracker) = live.remove(&key).unwrap();
            done.push((tuple, tracker.columns()));
        }
        let (_, tracker) =
            live.entry(key).or_insert_with(|| (tuple, Tracker::new(forward, &one.segment)));
        tracker.observe(forward, &one.segment);
    }
    done.extend(live.into_values().map(|(tuple, tracker)| (tuple, tracker.columns())));
    done
}

#[test]
fn prototype() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("zeek/run_nosplit.tsv")).unwrap();
    let mut by_path: BTreeMap<&str, Vec<BTreeMap<&str, &str>>> = BTreeMap::new();
    for row in table(&text) {
        by_path.entry(row["path"]).or_default().push(row);
    }
    let mut classes: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut left: Vec<(String,String)> = Vec::new();
    let (mut total, mut matched) = (0, 0);
    let mut equal: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, theirs) in by_path {
        let mut ours: BTreeMap<String, Vec<BTreeMap<&str, String>>> = BTreeMap::new();
        for (tuple, c) in rows(&folder.join(path)) {
            let (o, r) = if c.originator_is_forward {
                (tuple.source, tuple.destination)
            } else {
                (tuple.destination, tuple.source)
            };
            let micros = c.first.nanos().div_euclid(1000);
            let ts = format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
            let key = format!("{ts} {} {} {} {}", o.address, o.port, r.address, r.port);
            let d = c.duration();
            let dash = |v: u64| if d.is_some() { v.to_string() } else { "-".into() };
            let history = if c.history.is_empty() { "-".into() } else { c.history.to_string() };
            let row = BTreeMap::from([
                ("duration", d.map_or("-".into(), |d| format!("{}.{:06}", d.nanos() / 1_000_000_000, d.nanos() / 1000 % 1_000_000))),
                ("orig_bytes", dash(c.originator.payload_bytes)),
                ("resp_bytes", dash(c.responder.payload_bytes)),
                ("conn_state", c.conn_state.name().into()),
                ("missed_bytes", c.missed_bytes.to_string()),
                ("history", history),
                ("orig_pkts", c.originator.packets.to_string()),
                ("orig_ip_bytes", c.originator.ip_bytes.to_string()),
                ("resp_pkts", c.responder.packets.to_string()),
                ("resp_ip_bytes", c.responder.ip_bytes.to_string()),
            ]);
            ours.entry(key).or_default().push(row);
        }
        for row in theirs {
            total += 1;
            let key = format!("{} {} {} {} {}", row["ts"], row["orig_h"], row["orig_p"], row["resp_h"], row["resp_p"]);
            let mut note = |class: String| {
                classes.entry(class).or_insert_with(|| (0, format!("{path} {key}"))).0 += 1;
            };
            let Some(list) = ours.get_mut(&key).filter(|l| !l.is_empty()) else {
                note("unmatched".into()); eprintln!("UNM {path} {key} {} {} {}", row["history"], row["conn_state"], row["orig_pkts"]);
                continue;
            };
            let mine = list.remove(0);
            matched += 1;
            for (column, value) in &mine {
                if row[column] == value {
                    *equal.entry(column).or_default() += 1;
                } else {
                    note(format!("{column}: zeek {} here {value}", row[column]));
                }
            }
        }
        for (key, list) in ours { for row in list { left.push((path.to_string(), format!("{key} {} {} {}", row["history"], row["conn_state"], row["orig_pkts"]))); } }
    }
    for (p,l) in &left { eprintln!("LEFT {p} {l}"); }
    eprintln!("rows {total} matched {matched}");
    for (c, n) in &equal {
        eprintln!("{c} {n} {:.3} %", *n as f64 * 100.0 / total as f64);
    }
    let mut classes: Vec<_> = classes.into_iter().collect();
    classes.sort_by_key(|(_, (n, _))| std::cmp::Reverse(*n));
    for (c, (n, e)) in classes.iter().take(150) {
        eprintln!("{n:6} {c}    {e}");
    }
}
