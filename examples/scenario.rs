//! Compiles scenario files to captures: `scenario FILE.tcp... DIRECTORY`.
//!
//! Each capture is written to DIRECTORY under its folder's and its own name, so that it can be
//! opened with any other tool.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result};
use tcpautopsy::testkit::Scenario;

fn main() -> Result<()> {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let directory = arguments.pop().context("usage: scenario FILE.tcp... DIRECTORY")?;
    fs::create_dir_all(&directory)?;
    for argument in &arguments {
        let path = Path::new(argument);
        let text = fs::read_to_string(path).with_context(|| argument.clone())?;
        let capture = Scenario::parse(&text).with_context(|| argument.clone())?.compile();
        let name = |path: Option<&Path>| {
            let stem = path.and_then(Path::file_stem).unwrap_or_default();
            stem.to_string_lossy().into_owned()
        };
        let file = format!("{}-{}.pcap", name(path.parent()), name(Some(path)));
        fs::write(Path::new(&directory).join(file), capture)?;
    }
    Ok(())
}
