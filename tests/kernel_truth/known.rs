//! What cannot be known, by name: the run, the place, how many faults, and why.
//!
//! Each entry is checked: a fault more than listed fails the test, and so does one less.

use super::table::Place;

/// Faults that the capture gives no means to avoid.
pub(crate) struct Known {
    run: &'static str,
    place: Place,
    /// How many, over both hosts.
    pub(crate) faults: usize,
    pub(crate) reason: &'static str,
}

impl Known {
    /// Entries that belong to none of `runs`.
    pub(crate) fn without_run(runs: &[&str]) -> Vec<&'static str> {
        KNOWN.iter().map(|it| it.run).filter(|run| !runs.contains(run)).collect()
    }

    /// The entry for a run and a place.
    pub(crate) fn of(run: &str, place: Place) -> Option<&'static Self> {
        KNOWN.iter().find(|it| it.run == run && it.place == place)
    }
}

const KNOWN: &[Known] = &[
    Known {
        run: "deferred_accept",
        place: Place::Own,
        faults: 1,
        reason: "a server that waits for data (TCP_DEFER_ACCEPT) and gets it before its \
                 first timer looks like one that does not wait",
    },
    Known {
        run: "each_frame_eaten_by_server_client_aborts",
        place: Place::Own,
        faults: 1,
        reason: "the last segment is a RST that was lost behind the tap, and \
                 nothing follows it",
    },
    Known {
        run: "thousands_with_loss",
        place: Place::Own,
        faults: 8,
        reason: "the server's firewall ate the final ACK behind the tap, and data came \
                 before the SYN-ACK's timer told",
    },
    Known {
        run: "acknowledged_from_beyond_in_last_ack",
        place: Place::Other,
        faults: 1,
        reason: "the FIN was lost behind the tap, and a third party's segment said otherwise",
    },
    Known {
        run: "words_eaten_and_reset_challenged",
        place: Place::Other,
        faults: 1,
        reason: "from afar an answer to the RST may as well be one to what came before",
    },
    Known {
        run: "cookie_brought_back_and_dialled_again",
        place: Place::Other,
        faults: 2,
        reason: "the network doubled the acknowledgment behind the tap, and the socket that it made says nothing \
                 until it is over",
    },
    Known {
        run: "closes_behind_data_when_the_fin_comes",
        place: Place::Other,
        faults: 5,
        reason: "the server had closed behind data in flight when the FIN came: only at its \
                 own tap does the acknowledgment come at once",
    },
    Known {
        run: "cookies_each_frame_late_client_closes",
        place: Place::Other,
        faults: 3,
        reason: "the segment that brings the cookie back to a closed server was held up \
                 behind the tap: here it left long before the close",
    },
    Known {
        run: "cookies_final_ack_lost",
        place: Place::Other,
        faults: 1,
        reason: "the final ACK was lost behind the tap; the first data, which the \
                 server took instead, looks like any other",
    },
    Known {
        run: "deferred_accept",
        place: Place::Other,
        faults: 1,
        reason: "a server that waits for data (TCP_DEFER_ACCEPT) and gets it before its \
                 first timer looks like one that does not wait",
    },
    Known {
        run: "destroyed_in_closing",
        place: Place::Other,
        faults: 2,
        reason: "the FIN was held back behind the tap and overtaken by the \
                 acknowledgment of the other",
    },
    Known {
        run: "each_frame_eaten_by_server_client_aborts",
        place: Place::Other,
        faults: 1,
        reason: "the last segment is a RST that was lost behind the tap, and \
                 nothing follows it",
    },
    Known {
        run: "fast_open_server_answers_early",
        place: Place::Other,
        faults: 1,
        reason: "both acknowledgments were lost behind the tap, and nothing that the \
                 server sends depends on them",
    },
    Known {
        run: "final_ack_lost_data_completes",
        place: Place::Other,
        faults: 1,
        reason: "the final ACK was lost behind the tap, and data came before the \
                 SYN-ACK's timer told",
    },
    Known {
        run: "old_acknowledgment_in_closing",
        place: Place::Other,
        faults: 1,
        reason: "a third party's FIN looks like the peer's, and what came with it is not \
                 acknowledged again",
    },
    Known {
        run: "orphans_die_in_closing",
        place: Place::Other,
        faults: 4,
        reason: "the FINs cross, and all that is sent then is lost between the \
                 taps: whether the acknowledgment of the FIN came, its receiver \
                 never said",
    },
    Known {
        run: "port_reuse_with_loss",
        place: Place::Other,
        faults: 2,
        reason: "the final ACK was lost behind the tap, and data came before the \
                 SYN-ACK's timer told",
    },
    Known {
        run: "random_lives_2",
        place: Place::Other,
        faults: 1,
        reason: "a RST that was lost behind the tap",
    },
    Known {
        run: "random_lives_3",
        place: Place::Other,
        faults: 14,
        reason: "no timestamps: which of several copies arrived is not told, nor \
                 how long it was on its way; FINs crossed in an order that nothing tells",
    },
    Known {
        run: "random_lives_4",
        place: Place::Other,
        faults: 2,
        reason: "a RST that was lost behind the tap, and no SACK: which of two \
                 copies arrived is not told",
    },
    Known {
        run: "accept_queue_drained_before_the_timer",
        place: Place::Other,
        faults: 1,
        reason: "on a longer way the one copy that was not answered may have been lost, as well \
                 as dropped by a full accept queue",
    },
    Known {
        run: "random_lives_5",
        place: Place::Other,
        faults: 4,
        reason: "no timestamps: which of two SYNs arrived, or which of three SYN-ACKs of \
                 which two were lost",
    },
    Known {
        run: "random_lives_6",
        place: Place::Other,
        faults: 14,
        reason: "neither timestamps nor SACK: which copy arrived, and in which order; a \
                 RST that was lost behind the tap, and one lost before it",
    },
    Known {
        run: "random_lives_7",
        place: Place::Other,
        faults: 3,
        reason: "every acknowledgment of the SYN-ACK was lost, and the capture ends before \
                 that shows",
    },
    Known {
        run: "reset_in_close_wait",
        place: Place::Other,
        faults: 1,
        reason: "what the reset side had received when a third party's RST came, it never \
                 said",
    },
    Known {
        run: "reset_in_last_ack",
        place: Place::Other,
        faults: 2,
        reason: "the FIN that acknowledged the other was lost behind the tap, and a third \
                 party's RST ended what would have told",
    },
    Known {
        run: "reset_in_syn_received",
        place: Place::Other,
        faults: 2,
        reason: "a third party's RST looks like the peer's; the SYN-ACK was lost before \
                 the tap",
    },
    Known {
        run: "scattered_lives",
        place: Place::Other,
        faults: 5,
        reason: "of two acknowledgments of the FIN the later one overtook the other \
                 behind the tap",
    },
    Known {
        run: "second_fin_in_closing",
        place: Place::Other,
        faults: 2,
        reason: "the FIN was held back behind the tap and overtaken by the \
                 acknowledgment of the other",
    },
    Known {
        run: "storm_many_connections",
        place: Place::Other,
        faults: 1,
        reason: "the acknowledgment of the FIN was lost behind the tap, and the peer's \
                 own FIN repeated it before the timer did",
    },
    Known {
        run: "thousands_with_loss",
        place: Place::Other,
        faults: 8,
        reason: "the server's firewall ate the final ACK behind the tap, and data came \
                 before the SYN-ACK's timer told",
    },
];
