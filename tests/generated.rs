//! Pages written by the code are current.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use tcpautopsy::testkit::Scenario;

/// Compares a page with what the code writes; `TCPAUTOPSY_BLESS=1` writes it anew.
pub(crate) fn assert_current(page: &str, written: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var_os("TCPAUTOPSY_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, written).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == written, "{page} is stale: run `TCPAUTOPSY_BLESS=1 cargo test`");
}

/// Compares what stands between `<!-- begin NAME -->` and `<!-- end NAME -->` in a page that people
/// write; `TCPAUTOPSY_BLESS=1` writes it anew.
pub(crate) fn assert_part_current(page: &str, name: &str, written: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&begin).expect("the part begins");
    let (kept, after) = rest.split_once(&end).expect("the part ends");
    if std::env::var_os("TCPAUTOPSY_BLESS").is_some() {
        fs::write(&path, format!("{before}{begin}{written}{end}{after}")).unwrap();
        return;
    }
    assert!(kept == written, "{page}, {name}: stale; run `TCPAUTOPSY_BLESS=1 cargo test`");
}

#[test]
fn the_transition_table_is_current() {
    assert_current("docs/transitions.md", &tcpautopsy::connection::as_markdown());
}

/// What the README's command prints, but for the time that reading took.
#[test]
fn the_readme_shows_what_its_command_prints() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpautopsy"));
    command.current_dir(root).args(["analyze", "testdata/story.pcap"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let without_time = |line: &str| line.split(", read in ").next().unwrap_or_default().to_owned();
    let lines: Vec<String> = text.lines().map(without_time).collect();
    assert_part_current("README.md", "story", &format!("```text\n{}\n```\n", lines.join("\n")));
}

/// The first acknowledgment is lost behind the tap; a minute and a half later somebody else is heard.
const LIFE: &str = "\
# An example
client 10.0.0.1:40000
server 10.0.0.2:80
+0.000 > S 0:0(0) win 64240 <mss 1460,nop,nop,sackOK,nop,wscale 7>
+0.020 < S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 7>
+0.001 > . 1:1(0) ack 1 win 502
+1.000 < S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 7>
+0.001 > . 1:1(0) ack 1 win 502
+0.200 > F. 1:1(0) ack 1 win 502
+0.020 < . 1:1(0) ack 2 win 501
+0.300 < F. 1:1(0) ack 2 win 501
+0.001 > . 2:2(0) ack 2 win 502
gap 90
flow other client 10.0.0.3:40000 server 10.0.0.2:80
+0.000 other > S 0:0(0) win 64240 <mss 1460>
";

/// The states that the program tells of a capture's first connection.
#[test]
fn the_page_about_states_shows_what_the_program_tells() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("life.pcap");
    fs::write(&path, Scenario::parse(LIFE).unwrap().compile()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpautopsy"));
    let output = command.args(["analyze", "-q", "-o", "ndjson:-"]).arg(&path).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let record = lines.into_iter().find(|line| line["type"] == "connection").unwrap();
    let mut table =
        "| side | at | state | frame | certainty | cause |\n|---|---|---|---:|---|---|\n"
            .to_owned();
    for side in ["client", "server"] {
        for entry in record["data"]["states"][side].as_array().unwrap() {
            let text = |name: &str| entry[name].as_str().unwrap();
            let at = &text("at")["2026-01-02T03:".len().."2026-01-02T03:04:05.000".len()];
            let frame =
                entry["frame"]["frame"].as_u64().map_or_else(String::new, |it| it.to_string());
            let (state, certainty, cause) = (text("state"), text("certainty"), text("cause"));
            writeln!(table, "| {side} | {at} | {state} | {frame} | {certainty} | {cause} |")
                .unwrap();
        }
    }
    assert_part_current("docs/states.md", "life", &table);
}
