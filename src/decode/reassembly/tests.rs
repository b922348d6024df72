//! Fragments in every order, and what contradicts itself.
