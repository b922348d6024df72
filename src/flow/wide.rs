//! The flows of a batch that do not fit into a [`Packed`](super::Packed): IPv6, or inside a tunnel.

use super::bucket::index_of;
use super::identity::Flow;
use crate::tcp::{FourTuple, TunnelLayer};

/// Wide flows by index. The same flow may have several.
#[derive(Debug)]
pub(super) struct WideFlows {
    flows: Vec<WideFlow>,
    layers: Vec<TunnelLayer>,
    /// Which flow each of these numbers was met with last.
    met: Box<[u32; Self::MET]>,
}

#[derive(Clone, Copy, Debug)]
struct WideFlow {
    tuple: FourTuple,
    first_layer: u32,
    layers: u32,
}

impl Default for WideFlows {
    fn default() -> Self {
        Self { flows: Vec::new(), layers: Vec::new(), met: Box::new([0; Self::MET]) }
    }
}

impl WideFlows {
    const MET: usize = 256;

    /// Empties the list and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.flows.clear();
        self.layers.clear();
    }

    /// Some flow is inside a tunnel.
    pub(super) const fn has_tunnels(&self) -> bool {
        !self.layers.is_empty()
    }

    /// The flow with this index.
    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<Flow<'_>> {
        let flow = self.flows.get(index as usize)?;
        Some(Flow::Wide(flow.tuple, self.layers_of(flow)))
    }

    /// The index of a canonical flow, which is not listed again if it was the last one to be met with
    /// this `number`, which flows seldom share.
    #[expect(clippy::cast_possible_truncation, reason = "a few bits of a hash")]
    pub(super) fn index(&mut self, tuple: FourTuple, tunnel: &[TunnelLayer], number: u64) -> u32 {
        let place = number as usize % Self::MET;
        let met = self.met.get(place).copied().unwrap_or(0);
        let same = |flow: &WideFlow| {
            // Perf: most are in no tunnel, and nothing is compared then.
            let is_in = match (flow.layers, tunnel) {
                (0, tunnel) => tunnel.is_empty(),
                (_, []) => false,
                (_, tunnel) => self.layers_of(flow) == tunnel,
            };
            is_in && flow.tuple == tuple
        };
        if self.flows.get(met as usize).is_some_and(same) {
            return met;
        }
        let index = index_of(self.flows.len());
        let flow = self.listed(tuple, tunnel);
        self.flows.push(flow);
        if let Some(met) = self.met.get_mut(place) {
            *met = index;
        }
        index
    }

    /// The flow as it is listed: the tunnel of the last one need not be listed again.
    fn listed(&mut self, tuple: FourTuple, tunnel: &[TunnelLayer]) -> WideFlow {
        let layers = index_of(tunnel.len());
        let last = self.flows.last().filter(|last| self.layers_of(last) == tunnel);
        let first_layer = last.map_or(index_of(self.layers.len()), |last| last.first_layer);
        if last.is_none() {
            self.layers.extend_from_slice(tunnel);
        }
        WideFlow { tuple, first_layer, layers }
    }

    fn layers_of(&self, flow: &WideFlow) -> &[TunnelLayer] {
        let from = flow.first_layer as usize;
        self.layers.get(from..from + flow.layers as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Endpoint;

    fn tuple(port: u16) -> FourTuple {
        let endpoint =
            |last, port| Endpoint { address: [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into(), port };
        FourTuple { source: endpoint(1, port), destination: endpoint(2, 443) }
    }

    #[test]
    fn a_flow_that_comes_again_is_not_listed_again_and_is_found_with_its_tunnel() {
        let layer = |id| TunnelLayer {
            kind: "vxlan",
            low: [192, 0, 2, 1].into(),
            high: [192, 0, 2, 2].into(),
            id: Some(id),
        };
        let tunnels = [vec![], vec![layer(1)], vec![layer(1), layer(2)]];
        let mut flows = WideFlows::default();
        let mut seen = Vec::new();
        for round in 0..3 {
            for port in 0..100 {
                let tunnel = &tunnels[usize::from(port) % 3];
                let index = flows.index(tuple(port), tunnel, port.into());
                assert_eq!(flows.get(index), Some(Flow::Wide(tuple(port), tunnel)));
                seen.push(index);
                assert_eq!(flows.flows.len(), if round == 0 { seen.len() } else { 100 });
            }
        }
        assert_eq!(seen[..100], seen[200..]);
    }

    #[test]
    fn flows_that_share_a_number_are_told_apart() {
        let mut flows = WideFlows::default();
        let indices = [1, 2, 1].map(|port| flows.index(tuple(port), &[], 7));
        for (index, port) in indices.into_iter().zip([1, 2, 1]) {
            assert_eq!(flows.get(index), Some(Flow::Wide(tuple(port), &[])));
        }
        flows.clear();
        assert_eq!(flows.get(0), None);
    }
}
