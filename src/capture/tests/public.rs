//! Public captures with other tools' counts, where they are at hand.
