//! `docs/detectors` is written from the code. `TCPAUTOPSY_BLESS=1 cargo test` writes it anew.

use std::fs;
use std::path::Path;

use tcpautopsy::detect::pages;

#[test]
fn the_pages_of_the_detectors_are_what_the_code_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detectors");
    let update = std::env::var_os("TCPAUTOPSY_BLESS").is_some();
    let pages = pages();
    for (name, page) in &pages {
        let path = folder.join(name);
        if update {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, page).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(&written, page, "{name} is stale; TCPAUTOPSY_BLESS=1 cargo test writes it anew");
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.iter().any(|(page, _)| *page == name), "{name} belongs to no detector");
    }
}
