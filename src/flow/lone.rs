//! A SYN that nothing followed, as it leaves its shard: in brief, and its record for whoever wants that.
//!
//! Of a flood the records differ in little. One is built as any connection's is; those of SYNs that look the
//! same are made of it ([`LoneSyn::retell`]). A test holds them against those that are built.

use super::embryo::{Embryo, Looks};
use super::observer::{Ending, Moment};
use crate::connection::{Beginning, Begun, ConnectionRecord, LoneSyn, State};
use crate::settings::{HostSettings, Settings};
use crate::tcp::{FourTuple, TunnelLayer};

/// A SYN that nothing followed.
#[derive(Debug)]
pub struct Lone<'a> {
    /// What a summary needs of it.
    pub syn: LoneSyn,
    /// The tunnel around it.
    pub tunnel: &'a [TunnelLayer],
    /// When it left the shard.
    pub at: Moment,
    /// Why.
    pub ending: Ending,
    pub(super) embryo: &'a Embryo,
    pub(super) tuple: FourTuple,
    pub(super) forward: bool,
    pub(super) settings: &'a Settings,
}

/// All of a [`Lone`] that its record depends on and [`LoneSyn::retell`] does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoneKind {
    looks: Looks,
    client_state: State,
    may_be_repeated: bool,
}

impl Lone<'_> {
    /// What kind of record it has, in a capture that begun so.
    #[must_use]
    pub fn kind(&self, begun: Option<Begun>) -> LoneKind {
        let client: &HostSettings = self.settings.of(self.syn.client.address);
        let may_hide = |begun: Begun| begun.may_hide_syn(self.syn.mark.time, client);
        LoneKind {
            looks: self.embryo.looks(),
            client_state: self.syn.client_state,
            may_be_repeated: begun.is_some_and(may_hide),
        }
    }

    /// Its record, built as any connection's.
    #[must_use]
    pub fn record(&self, begun: Option<Begun>) -> ConnectionRecord {
        let Self { syn, tunnel, embryo, tuple, forward, settings, .. } = *self;
        let beginning = Beginning { id: syn.id, tuple, forward, tunnel: tunnel.to_vec() };
        let mut connection = embryo.alone(beginning, settings);
        if let Some(begun) = begun {
            connection.settle_first_syn(begun, settings);
        }
        connection.finish(syn.known_until, None, settings)
    }
}
