//! Which network addresses belong to: the one outside of tunnels, or one that tunnels make.
//!
//! Two tenants may use the same addresses. What is added up by address keeps them apart as flows do,
//! with one difference: where a tunnel's identifier names a network, as that of VXLAN, GENEVE and
//! NVGRE does, the outer addresses only say behind which two machines somebody sits, and a service
//! with clients behind many of them is still one service. Elsewhere the outer addresses count.

use std::fmt;
use std::net::IpAddr;

use sha1::{Digest as _, Sha1};

use super::TunnelLayer;

/// A network, by the tunnels around its packets, outermost first. Empty outside of tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Overlay(Box<[OverlayLayer]>);

/// One tunnel around a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OverlayLayer {
    /// Which protocol, as in [`TunnelLayer::kind`].
    pub kind: &'static str,
    /// VNI, key or session, where the protocol has one that both directions share.
    pub id: Option<u64>,
    /// The outer addresses, the lower one first, where the identifier alone names no network.
    pub between: Option<(IpAddr, IpAddr)>,
}

/// Names an overlay in the keys of tables: the first bytes of a hash of what it is, so that it is
/// small and the same in every run. Nothing of it is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OverlayId([u8; 8]);

/// An address, or something else, and the network to which it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Within<T> {
    /// What it is in its network.
    pub at: T,
    /// Which network.
    pub overlay: OverlayId,
}

impl Overlay {
    /// The network inside `tunnel`. `other` is the tunnel of the other direction, where that is
    /// another one: whoever is reached without a tunnel in one direction belongs to the network
    /// outside of tunnels, and two networks that carry one connection are told by the lesser one.
    #[must_use]
    pub fn of(tunnel: &[TunnelLayer], other: Option<&[TunnelLayer]>) -> Self {
        let layers = |tunnel: &[TunnelLayer]| Self(tunnel.iter().map(OverlayLayer::of).collect());
        match other {
            Some(other) => layers(tunnel).min(layers(other)),
            None => layers(tunnel),
        }
    }

    /// Whether it is the network outside of tunnels.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The tunnels, outermost first.
    #[must_use]
    pub const fn layers(&self) -> &[OverlayLayer] {
        &self.0
    }

    /// `10.0.0.2:443`, or `10.0.0.2:443 in vxlan 5`.
    pub fn place(&self, what: impl fmt::Display) -> String {
        if self.is_none() { what.to_string() } else { format!("{what} in {self}") }
    }

    /// Its name in keys.
    #[must_use]
    pub fn id(&self) -> OverlayId {
        if self.is_none() {
            return OverlayId::NONE;
        }
        let mut hash = Sha1::new();
        for layer in &self.0 {
            // Texts differ where layers do, and no text is the beginning of another one.
            hash.update(format!("{layer}\n"));
        }
        let mut id = OverlayId::NONE;
        for (byte, of_hash) in id.0.iter_mut().zip(hash.finalize()) {
            *byte = of_hash;
        }
        id
    }
}

/// `vxlan 5`, `gre 7 between 192.0.2.1 and 192.0.2.2, vxlan 5`.
impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, layer) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { ", " } else { "" })?;
            layer.fmt(f)?;
        }
        Ok(())
    }
}

impl OverlayLayer {
    fn of(layer: &TunnelLayer) -> Self {
        let TunnelLayer { kind, low, high, id } = *layer;
        let names_network = matches!(kind, "vxlan" | "geneve" | "nvgre") && id.is_some();
        Self { kind, id, between: (!names_network).then_some((low, high)) }
    }
}

impl fmt::Display for OverlayLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if let Some(id) = self.id {
            write!(f, " {id}")?;
        }
        if let Some((low, high)) = self.between {
            write!(f, " between {low} and {high}")?;
        }
        Ok(())
    }
}

impl OverlayId {
    /// The network outside of tunnels.
    pub const NONE: Self = Self([0; 8]);
}

impl<T> Within<T> {
    /// `at` in the network outside of tunnels.
    pub const fn no_tunnel(at: T) -> Self {
        Self { at, overlay: OverlayId::NONE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(kind: &'static str, id: Option<u64>, last: u8) -> TunnelLayer {
        let outer = |last: u8| IpAddr::from([192, 0, 2, last]);
        TunnelLayer { kind, low: outer(1), high: outer(last), id }
    }

    fn overlay(layers: &[TunnelLayer]) -> Overlay {
        Overlay::of(layers, None)
    }

    #[test]
    fn an_identifier_that_names_a_network_is_enough_wherever_the_tunnel_ends() {
        let [near, far] = [2, 3].map(|last| overlay(&[layer("vxlan", Some(5), last)]));
        assert_eq!((near.id(), near.to_string()), (far.id(), "vxlan 5".to_owned()));
        assert_ne!(near.id(), overlay(&[layer("vxlan", Some(6), 2)]).id());
        assert_ne!(near.id(), overlay(&[layer("geneve", Some(5), 2)]).id());
    }

    #[test]
    fn elsewhere_the_outer_addresses_tell_networks_apart() {
        let [near, far] = [2, 3].map(|last| overlay(&[layer("gre", Some(5), last)]));
        assert_ne!(near.id(), far.id());
        assert_eq!(near.to_string(), "gre 5 between 192.0.2.1 and 192.0.2.2");
    }

    #[test]
    fn a_direction_without_a_tunnel_takes_the_connection_out_of_tunnels() {
        let tunnel = [layer("gre", None, 2)];
        assert!(Overlay::of(&tunnel, Some(&[])).is_none());
        assert!(Overlay::of(&[], Some(&tunnel)).is_none());
        let (one, other) = ([layer("vxlan", Some(5), 2)], [layer("vxlan", Some(6), 2)]);
        assert_eq!(Overlay::of(&one, Some(&other)), Overlay::of(&other, Some(&one)));
        assert_eq!(Overlay::default().id(), OverlayId::NONE);
    }
}
