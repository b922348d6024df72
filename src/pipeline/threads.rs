//! The threads of a run: they do its work, and then that of whoever writes about it.

use std::sync::Arc;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::summary::Hands;

/// The threads of a run, until nobody has them any more.
#[derive(Clone, Debug)]
pub struct Threads(Arc<ThreadPool>);

impl Threads {
    /// Starts so many threads; one per core for 0.
    pub(super) fn start(count: usize) -> Result<Self, ThreadPoolBuildError> {
        Ok(Self(Arc::new(ThreadPoolBuilder::new().num_threads(count).build()?)))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.current_num_threads()
    }

    /// Does something on one of them, from which it can be spread to all.
    pub(super) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.0.install(work)
    }
}

impl Hands for Threads {
    fn each<T: Send, R: Send>(
        &self,
        pieces: Vec<T>,
        work: impl Fn(T) -> R + Sync + Send,
    ) -> Vec<R> {
        self.install(|| AllHands.each(pieces, work))
    }
}

/// All threads of the run that this one belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct AllHands;

impl Hands for AllHands {
    fn each<T: Send, R: Send>(
        &self,
        pieces: Vec<T>,
        work: impl Fn(T) -> R + Sync + Send,
    ) -> Vec<R> {
        pieces.into_par_iter().with_max_len(1).map(work).collect()
    }
}
