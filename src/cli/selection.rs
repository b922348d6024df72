//! `--filter`, `--from`, `--to`: what of a capture to look at.

use anyhow::bail;

use crate::filter::Filter;
use crate::pipeline::{Moment, Options, Period};

/// What of a capture to look at.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// Look only at these TCP segments, in the manner of tcpdump: host, net, port, portrange, src,
    /// dst, ip, ip6, vlan, and, or, not, parentheses (docs/filter.md)
    #[arg(long, value_name = "EXPR")]
    filter: Option<Filter>,
    /// Look only at frames from this time on: RFC 3339 (UTC without a zone), seconds since 1970, or
    /// +5m after the first frame
    #[arg(long, value_name = "TIME")]
    from: Option<Moment>,
    /// Look only at frames before this time
    #[arg(long, value_name = "TIME")]
    to: Option<Moment>,
}

impl Arguments {
    /// Takes the choices over.
    ///
    /// # Errors
    /// When the period ends before it begins.
    pub(super) fn apply(&self, options: &mut Options) -> anyhow::Result<()> {
        let is_empty = match (self.from, self.to) {
            (Some(Moment::At(from)), Some(Moment::At(to))) => from >= to,
            (Some(Moment::AfterStart(from)), Some(Moment::AfterStart(to))) => from >= to,
            _ => false,
        };
        if is_empty {
            bail!("--from is not before --to: no frame can lie between them");
        }
        options.filter.clone_from(&self.filter);
        options.period = Period { from: self.from, to: self.to };
        Ok(())
    }
}
