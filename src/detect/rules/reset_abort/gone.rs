//! `fin_wait_2_gone`: the peer's FIN met nothing, since the host had let go of a socket in FIN-WAIT-2.
//!
//! Linux keeps what is left of a closed socket in the same table as those in TIME-WAIT
//! (`tcp_time_wait`): for `tcp_fin_timeout`, or not at all where `tcp_max_tw_buckets` are in use.

use std::net::IpAddr;

use super::is_many;
use crate::connection::{ConnectionRecord, Reset, ResetKind, State};
use crate::detect::accumulate::Group;
use crate::detect::advice::{
    filter_address, filter_endpoint, length, loss_caveat, now, number, setting, text,
};
use crate::detect::rule::{Context, Draft, Hit, Point, Whole};
use crate::detect::words;
use crate::finding::{Advice, Severity};
use crate::settings::HostSettings;
use crate::stamp::Span;
use crate::tcp::{Side, Within};

/// The class of those that were gone before `tcp_fin_timeout` had run out.
const EARLY: u32 = 1;

/// The point is the host that had let go: the listener's, or a client of it. The measure is the time
/// since its FIN was acknowledged, the class whether the timer of orphans can have ended that.
pub(super) fn hit(record: &ConnectionRecord, reset: &Reset, context: &Context<'_>) -> Hit {
    let host = context.settings.of(record.endpoint(reset.by).address);
    let since =
        record.close.fin_acknowledged.of(reset.by).map_or(reset.mark.time, |mark| mark.time);
    let waited = reset.mark.time.since(since);
    Hit {
        variant: ResetKind::FinWait2Gone.name(),
        point: match reset.by {
            Side::Client => Point::pair(record),
            Side::Server => Point::listener(record),
        },
        first: reset.mark.time,
        last: reset.mark.time,
        frame: reset.mark.frame,
        certainty: record.role_certainty,
        measure: waited.nanos(),
        class: if waited < host.fin_timeout { EARLY } else { 0 },
        ongoing: false,
    }
}

pub(super) fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let (variant, point) = group.key?;
    let (address, overlay) = match point {
        Point::Pair(pair) => (pair.at.client, pair.overlay),
        Point::Listener(server) => (server.at.address, server.overlay),
    };
    let host = whole.context.settings.of(address);
    let early = group.of_class(EARLY);
    let sockets = words::counted(group.count, "socket");
    let held = in_time_wait(Within { at: address, overlay }, group, whole).filter(|_| early > 0);
    let mut evidence = vec![
        number("resets", group.count),
        number("before_fin_timeout", early),
        length("longest_wait_ns", Span::from_nanos(group.worst_measure())),
        text("kind", variant),
    ];
    evidence.extend(held.map(|count| number("in_time_wait", count)));
    Some(Draft {
        severity: if is_many(group, whole) { Severity::Notice } else { Severity::Info },
        certainty: group.certainty,
        title: "FINs met a socket that was gone from FIN-WAIT-2".to_owned(),
        summary: format!(
            "{sockets} of {address} had closed and {} gone when the other FIN came{}.",
            if group.count == 1 { "was" } else { "were" },
            when(early, group.count, host),
        ),
        explanation: explanation(early, held, group.count - early),
        evidence,
        advice: advice(early, group.count - early, host),
        display_filter: format!(
            "{} && {} && tcp.flags.reset == 1",
            filter_address(address),
            filter_endpoint(point.server())
        ),
        caveat: loss_caveat(group.lossy, group.count, "data before the RST may be among them."),
    })
}

/// Sockets of the host in TIME-WAIT when it first let go of one: no more than this have a place, if
/// that was for want of places.
fn in_time_wait(host: Within<IpAddr>, group: &Group, whole: &Whole<'_>) -> Option<u64> {
    let sockets = whole.summary.host(host)?.concurrency.of(State::TimeWait)?;
    Some(sockets.at(group.first))
}

fn when(early: u64, all: u64, host: &HostSettings) -> String {
    let timeout = words::span(host.fin_timeout);
    if early == all {
        format!(", before the {timeout} of tcp_fin_timeout")
    } else if early == 0 {
        format!(", {timeout} of tcp_fin_timeout later")
    } else {
        format!(", {} before the {timeout} of tcp_fin_timeout", words::count(early))
    }
}

fn explanation(early: u64, held: Option<u64>, late: u64) -> String {
    let held = held.map_or_else(String::new, |held| {
        format!(" ({} were in TIME-WAIT the first time)", words::count(held))
    });
    let early = if early > 0 {
        format!(
            " Before tcp_fin_timeout that is so when tcp_max_tw_buckets are in use{held}, or when the \
             application set TCP_LINGER2."
        )
    } else {
        String::new()
    };
    let late =
        if late > 0 { " After tcp_fin_timeout it is the other side that closed late." } else { "" };
    format!(
        "The application had closed, and its FIN was acknowledged. What Linux keeps of such a socket \
         lies in the table of those in TIME-WAIT; when the other side's FIN came, it was not there, and \
         a RST answered. No data is lost, but nothing guards the ports.{early}{late}"
    )
}

fn advice(early: u64, late: u64, host: &HostSettings) -> Vec<Advice> {
    let mut all = Vec::new();
    if early > 0 {
        all.push(setting(
            "net.ipv4.tcp_max_tw_buckets",
            "raise",
            None,
            format!(
                "{}About 250 bytes of kernel memory each. `nstat TcpExtTCPTimeWaitOverflow` counts \
                 the sockets that found no place.",
                now(host, host.max_tw_buckets)
            ),
        ));
    }
    if late > 0 {
        all.push(setting(
            "the application that closes late",
            "check",
            None,
            "It should close when it reads the end of the stream; TCP303 names it if it leaks.",
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use crate::connection::ResetKind;
    use crate::detect::tests::Run;
    use crate::finding::{Code, Severity};
    use crate::summary::samples::{open, reset};
    use crate::tcp::Side;

    const CODE: Code = Code(301);

    #[test]
    fn who_is_gone_early_is_tied_to_the_places_and_who_is_gone_late_to_the_other_side() {
        let gone = |n| reset(open(n, 0, 90_000), Side::Client, ResetKind::FinWait2Gone, 80_000);
        let finding = Run::of((0..12).map(gone)).only(CODE);
        assert_eq!((finding.variant, finding.severity), ("fin_wait_2_gone", Severity::Notice));
        assert_eq!(finding.advice.len(), 1);
        assert!(finding.advice[0].setting.contains("tcp_max_tw_buckets"), "{:?}", finding.advice);
        let mut late = gone(1);
        let since = late.close.reset.unwrap().mark.time.nanos() - 70_000_000_000;
        let mut mark = late.close.reset.unwrap().mark;
        mark.time = crate::stamp::Time::from_nanos(since);
        late.close.fin_acknowledged.client = Some(mark);
        let finding = Run::of([late]).only(CODE);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.advice[0].setting.contains("closes late"), "{:?}", finding.advice);
    }
}
