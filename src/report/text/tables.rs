//! What only `-v` tells: the busiest listeners, and the settings in force.

use std::cmp::Reverse;

use super::human::count;
use super::page::Page;
use crate::analysis::Analysis;
use crate::connection::State;
use crate::detect::ThresholdInForce;
use crate::settings::Network;
use crate::summary::{Hands, Listener};

/// Listeners in the table.
const LISTENERS: usize = 20;

pub(super) fn write(page: &mut Page, analysis: &Analysis, hands: &impl Hands) {
    listeners(page, analysis, hands);
    settings(page, analysis);
}

/// Address, connections, and the highest number of sockets in each state.
fn listeners(page: &mut Page, analysis: &Analysis, hands: &impl Hands) {
    let mut busiest = analysis.summary.busiest_listeners(LISTENERS, hands);
    if busiest.is_empty() {
        return;
    }
    busiest.sort_by_key(|(endpoint, listener)| (Reverse(listener.totals.connections), *endpoint));
    let mut rows = vec![heads()];
    rows.extend(busiest.iter().map(|(endpoint, listener)| {
        let mut row = vec![analysis.summary.overlay(endpoint.overlay).place(endpoint.at)];
        row.push(count(listener.totals.connections));
        row.push(count(listener.totals.completed));
        row.extend(Listener::STATES.iter().map(|state| {
            listener
                .concurrency
                .peak(*state)
                .map_or_else(|| "-".to_owned(), |peak| count(peak.count))
        }));
        row
    }));
    page.blank();
    table(page, &rows);
    let more = analysis.summary.listeners_kept().saturating_sub(busiest.len());
    if more > 0 {
        let more = count(more as u64);
        page.paragraph(&page.plain(" "), &format!("{more} more listeners (--json)"));
    }
}

fn heads() -> Vec<String> {
    let mut heads = vec!["listener".to_owned(), "conns".to_owned(), "complete".to_owned()];
    heads.extend(Listener::STATES.iter().map(|state| head(*state).to_owned()));
    heads
}

/// The state, short enough for five of them to fit beside an address in 80 columns.
const fn head(state: State) -> &'static str {
    match state {
        State::SynReceived => "SYN-RCVD",
        State::Established => "ESTAB",
        State::CloseWait => "CLOSE-W",
        State::FinWait2 => "FIN-W-2",
        State::TimeWait => "TIME-W",
        other => other.name(),
    }
}

/// The first column to the left, numbers to the right.
fn table(page: &mut Page, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!(" {cell:<width$}") } else { format!("  {cell:>width$}") }
        });
        let line: String = cells.collect();
        page.line(&[page.plain(line)]);
    }
}

fn settings(page: &mut Page, analysis: &Analysis) {
    let settings = &analysis.settings;
    let mut items = vec![page.plain(format!("profile {}", settings.profile.name()))];
    if settings.default.from_host {
        items.push(page.plain("sysctl for every host"));
    }
    for (address, prefix, _) in &settings.hosts {
        let network = Network { address: *address, prefix: *prefix };
        items.push(page.plain(format!("sysctl for {network}")));
    }
    let changed = analysis.thresholds.iter().filter(|threshold| threshold.is_changed());
    items.extend(changed.map(ThresholdInForce::to_string).map(|text| page.plain(text)));
    page.blank();
    page.items(&page.dim(" settings  "), &items);
}
