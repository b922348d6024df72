//! What a TCP segment says: sequence numbers, flags, options, tuples.
//!
//! Pure values with no history. Everything that a segment means *in its connection* is decided in
//! [`connection`](crate::connection).

mod flags;
mod icmp;
mod options;
mod overlay;
mod pieces;
mod segment;
mod seq;
mod sides;
mod tuple;

pub use flags::{Control, Flags};
pub use icmp::{IcmpError, IcmpMeaning};
pub use options::{Extras, SackBlock, SackBlocks, SynOptions, Timestamps};
pub use overlay::{Overlay, OverlayId, OverlayLayer, Within};
pub use pieces::Part;
pub use segment::{Marks, Segment};
pub use seq::Seq;
pub use sides::Sides;
pub use tuple::{Endpoint, FourTuple, Orientation, Side, TunnelLayer};
