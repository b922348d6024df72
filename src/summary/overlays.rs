//! The networks whose addresses are in the tables of totals: what their names in keys stand for.
//!
//! Empty where nothing travels in tunnels, and never fuller than the tables: what no table names any
//! more is forgotten.

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::tcp::{Overlay, OverlayId, TunnelLayer};

/// Overlays by their names in keys; their order never reaches an output.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlays {
    known: HashMap<OverlayId, Overlay, RandomState>,
    /// The tunnels of the last connection inside of any, and what they make.
    last: Option<(Vec<TunnelLayer>, OverlayId)>,
}

impl Overlays {
    /// The name of the network inside `tunnel`, and in the other direction inside `other`.
    pub(super) fn name(
        &mut self,
        tunnel: &[TunnelLayer],
        other: Option<&[TunnelLayer]>,
    ) -> OverlayId {
        if tunnel.is_empty() {
            return OverlayId::NONE;
        }
        let last = self.last.as_ref().filter(|(last, _)| other.is_none() && last == tunnel);
        if let Some((_, id)) = last {
            return *id;
        }
        let overlay = Overlay::of(tunnel, other);
        let id = overlay.id();
        if !overlay.is_none() {
            self.known.insert(id, overlay);
            self.last = other.is_none().then(|| (tunnel.to_vec(), id));
        }
        id
    }

    /// What a name stands for.
    pub(super) fn of(&self, id: OverlayId) -> Overlay {
        self.known.get(&id).cloned().unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Forgets all but those that are `named`.
    pub(super) fn keep(&mut self, named: impl Iterator<Item = OverlayId>) {
        let named: HashSet<OverlayId, RandomState> = named.collect();
        self.known.retain(|id, _| named.contains(id));
        self.last = None;
    }

    /// Takes over all that another one knows.
    pub(super) fn learn(&mut self, other: &Self) {
        for (id, overlay) in &other.known {
            self.known.entry(*id).or_insert_with(|| overlay.clone());
        }
    }
}
