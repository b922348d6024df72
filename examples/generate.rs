//! Writes a generated capture, for benches and for comparisons with other tools.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use tcpautopsy::testkit::{Format, Shape, generate, split};

/// Writes a generated capture.
#[derive(Parser)]
struct Arguments {
    /// What happens in the capture.
    #[arg(long, default_value = "mix", value_parser = PossibleValuesParser::new(Shape::NAMES))]
    shape: String,
    /// Number of frames.
    #[arg(long)]
    packets: u64,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Captured bytes of each frame at most.
    #[arg(long, default_value_t = 262_144)]
    snaplen: u32,
    /// The file's format.
    #[arg(long, default_value = "pcap",
          value_parser = PossibleValuesParser::new(["pcap", "pcap-ns", "pcapng"]))]
    format: String,
    /// Write files of so many frames, into the folder OUTPUT.
    #[arg(long, value_name = "FRAMES", conflicts_with = "format")]
    per_file: Option<usize>,
    /// Where the capture is written.
    #[arg(short, long)]
    output: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let shape = Shape {
        format: Format::named(&arguments.format).context("no such format")?,
        snaplen: arguments.snaplen,
        ..Shape::named(&arguments.shape).context("no such shape")?
    };
    let cannot_create = || format!("cannot create {}", arguments.output.display());
    let totals = if let Some(frames) = arguments.per_file {
        let mut capture = Vec::new();
        let totals = generate(shape, arguments.packets, arguments.seed, &mut capture)?;
        fs::create_dir_all(&arguments.output).with_context(cannot_create)?;
        for (file, index) in split(&capture, frames).zip(0..) {
            fs::write(arguments.output.join(format!("{index:06}.pcap")), file)?;
        }
        totals
    } else {
        let mut out = File::create(&arguments.output).with_context(cannot_create)?;
        generate(shape, arguments.packets, arguments.seed, &mut out)?
    };
    anstream::eprintln!(
        "{} frames, {} segments, {} connections, {} bytes",
        totals.frames,
        totals.segments,
        totals.connections,
        totals.bytes
    );
    Ok(())
}
