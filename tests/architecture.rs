//! The house rules that the compiler does not check: ranks of modules, fences around crates, and
//! the shape of files.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the lowest rank to the highest; a module uses only what stands before its row.
const RANKS: [&[&str]; 10] = [
    &["compact", "near"],
    &["groups", "stamp", "certainty"],
    &["tcp", "settings"],
    &["compat", "filter"],
    &["capture", "connection", "finding"],
    &["input", "threshold", "decode", "flow", "summary"],
    &["detect"],
    &["analysis"],
    &["pipeline", "report"],
    &["cli"],
];

/// Crates and the only modules that may use them.
const FENCES: [(&str, &[&str]); 8] = [
    ("pcap_file", &["capture"]),
    ("etherparse", &["decode"]),
    ("rayon", &["pipeline"]),
    ("prefetch_index", &["near"]),
    ("hashbrown", &["flow", "summary"]),
    ("serde_json", &["report", "cli"]),
    ("clap", &["cli"]),
    ("anyhow", &["cli"]),
];

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let module = inside.components().next().unwrap().as_os_str().to_str().unwrap();
                let module = module.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                files.push((module, path, text));
            }
        }
    }
    assert!(files.len() > 30, "the sources were not found");
    files
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

/// The part of a file before its tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

#[test]
fn a_module_uses_only_lower_ranks() {
    let mut broken = Vec::new();
    for (module, path, text) in sources() {
        let Some(own) = rank(&module) else { continue };
        if path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        for line in production(&text).lines().filter(|line| !line.trim_start().starts_with("//")) {
            for used in line.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if used != module && rank(&used).is_some_and(|other| other >= own) {
                    broken.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "a higher or equal rank is used:\n{}", broken.join("\n"));
}

#[test]
fn every_module_has_a_rank() {
    for (module, path, _) in sources() {
        let outside = ["lib", "main", "testkit"].contains(&module.as_str());
        assert!(outside || rank(&module).is_some(), "{} has no rank", path.display());
    }
}

#[test]
fn crates_stay_behind_their_fences() {
    let mut broken = Vec::new();
    for (module, path, text) in sources() {
        for (name, allowed) in FENCES {
            let used = production(&text).lines().any(|line| {
                !line.trim_start().starts_with("//") && line.contains(&format!("{name}::"))
            });
            let free = ["testkit", "main"].contains(&module.as_str());
            if used && !free && !allowed.contains(&module.as_str()) && !path.ends_with("tests.rs") {
                broken.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A reader finds a part by the question that it answers, so every part stands in the map, and no other.
#[test]
fn the_maps_of_large_modules_name_every_part() {
    for module in ["connection", "flow"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{module}.rs"));
        let text = fs::read_to_string(path).unwrap();
        let rows = text.lines().filter(|line| line.starts_with("//! | ") && line.contains('`'));
        let mut told: Vec<_> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
        let parts = text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        let mut parts: Vec<_> = parts.filter(|part| *part != "tests").collect();
        told.sort_unstable();
        parts.sort_unstable();
        assert!(parts.len() > 10, "the parts of {module} were not found");
        assert_eq!(told, parts, "the map at the head of src/{module}.rs");
    }
}

#[test]
fn files_open_with_what_they_are_and_stay_small() {
    let mut broken = Vec::new();
    for (_, path, text) in sources() {
        if !text.starts_with("//!") {
            broken.push(format!("{}: does not open with a module comment", path.display()));
        }
        let lines = production(&text).lines().count();
        let tests =
            path.ends_with("tests.rs") || path.components().any(|p| p.as_os_str() == "tests");
        if lines > 500 && !tests {
            broken.push(format!("{}: {lines} lines of production code", path.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
