//! Who does pieces of work: one after the other, or many at the same time.
//!
//! Tables of totals are put together by ranges of their keys, which know nothing of one another. How
//! many of them are worked on at once is the caller's affair.

/// Does pieces of work that know nothing of one another.
pub trait Hands {
    /// What `work` makes of each of the pieces, in their order.
    fn each<T: Send, R: Send>(&self, pieces: Vec<T>, work: impl Fn(T) -> R + Sync + Send)
    -> Vec<R>;
}

/// Does one piece after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneHand;

impl Hands for OneHand {
    fn each<T: Send, R: Send>(
        &self,
        pieces: Vec<T>,
        work: impl Fn(T) -> R + Sync + Send,
    ) -> Vec<R> {
        pieces.into_iter().map(work).collect()
    }
}
