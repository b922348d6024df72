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

#[test]
fn the_transition_table_is_current() {
    assert_current("docs/transitions.md", &tcpautopsy::connection::as_markdown());
}
