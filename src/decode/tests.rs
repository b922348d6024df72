//! Frames built by hand, layer by layer, and what they decode to.
