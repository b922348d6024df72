//! The pipeline gives the same bytes however a capture is cut and however many threads there are,
//! and the same connections as the obvious loop.

mod beginnings;
mod captures;
mod cuts;
mod halves;
mod merge;
mod neighbours;
mod offload;
mod oracle;
mod retold;
mod selection;
mod sinks;
mod sleep;
mod turns;
