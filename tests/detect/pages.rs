//! `docs/detectors` and the README's table of detectors are written from the code.

use std::fs;
use std::path::Path;

use tcpautopsy::detect::{pages, table};

use crate::generated::{assert_current, assert_part_current};

#[test]
fn the_pages_of_the_detectors_are_what_the_code_says() {
    let pages = pages();
    for (name, page) in &pages {
        assert_current(&format!("docs/detectors/{name}"), page);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detectors");
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.iter().any(|(page, _)| *page == name), "{name} belongs to no detector");
    }
}

#[test]
fn the_detectors_in_the_readme_are_those_of_the_code() {
    assert_part_current("README.md", "detectors", &table("docs/detectors/"));
}
