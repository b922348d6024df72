//! Help, lists and pages.

use super::Desk;
use crate::generated::assert_current;

#[test]
fn the_help_says_what_there_is() {
    let desk = Desk::new();
    let (code, out, _) = desk.run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("Exit codes: 0 clean"), "{out}");
    insta::assert_snapshot!("program", out);
    insta::assert_snapshot!("analyze", desk.stdout(&["analyze", "--help"]));
}

#[test]
fn nothing_typed_is_answered_with_the_help() {
    let (code, _, errors) = Desk::new().run(&[]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("Usage: tcpautopsy"), "{errors}");
}

#[test]
fn a_detector_is_explained_by_code_or_name_in_any_case() {
    let desk = Desk::new();
    let page = desk.stdout(&["explain", "TCP101"]);
    assert!(page.starts_with("# TCP101 syn_flood\n") && page.contains("min_half_open"), "{page}");
    for asked in ["tcp101", "syn_flood", "SYN-FLOOD"] {
        assert_eq!(desk.stdout(&["explain", asked]), page);
    }
}

#[test]
fn every_detector_is_listed_within_the_width_of_a_log() {
    let list = Desk::new().stdout(&["detectors"]);
    for rule in tcpautopsy::detect::RULES {
        assert!(list.contains(&format!("{}  {} ", rule.code, rule.name)), "{}", rule.name);
    }
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
}

#[test]
fn completions_know_the_commands() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = desk.run(&["completions", shell]);
        assert_eq!(code, Some(0), "{shell}");
        assert!(script.contains("analyze") && script.contains("fail-on"), "{shell}");
    }
}

#[test]
fn the_reference_of_the_json_formats_is_current() {
    assert_current("docs/json.md", &tcpautopsy::report::reference());
}
