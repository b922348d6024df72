//! Pages written by the code are current.

use std::fs;
use std::path::Path;

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
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tcpautopsy"));
    command.current_dir(root).args(["analyze", "testdata/story.pcap"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let without_time = |line: &str| line.split(", read in ").next().unwrap_or_default().to_owned();
    let lines: Vec<String> = text.lines().map(without_time).collect();
    assert_part_current("README.md", "story", &format!("```text\n{}\n```\n", lines.join("\n")));
}
