//! The first of several things and, bounded, those that came later.

use crate::compact::{Compact, compact};

/// In the order in which they came. Of most there is one: the later ones lie apart.
#[derive(Clone, Debug)]
pub(super) struct Several<T, const MAX_LATER: usize> {
    first: Option<T>,
    later: Option<Box<Later<T>>>,
}

compact!([T: Compact, const MAX_LATER: usize] struct Several<T, MAX_LATER> { first, later });

/// What came after the first.
#[derive(Clone, Debug)]
struct Later<T>(Vec<T>);

compact!([T: Compact] struct Later<T> as (later));

impl<T, const MAX_LATER: usize> Default for Several<T, MAX_LATER> {
    fn default() -> Self {
        Self { first: None, later: None }
    }
}

impl<T, const MAX_LATER: usize> Several<T, MAX_LATER> {
    /// Adds one. Beyond the bound the newest replaces the one before.
    pub(super) fn push(&mut self, one: T) {
        if self.first.is_none() {
            self.first = Some(one);
            return;
        }
        let Later(later) = &mut **self.later.get_or_insert_with(|| Box::new(Later(Vec::new())));
        if later.len() < MAX_LATER {
            later.push(one);
        } else if let Some(last) = later.last_mut() {
            *last = one;
        }
    }

    /// The first one.
    pub(super) const fn first(&self) -> Option<&T> {
        self.first.as_ref()
    }

    /// The latest one.
    pub(super) fn last(&self) -> Option<&T> {
        self.later().last().or(self.first.as_ref())
    }

    /// All that are kept.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.first.iter().chain(self.later())
    }

    /// Whether there is no more than one.
    pub(super) const fn is_at_most_one(&self) -> bool {
        self.later.is_none()
    }

    fn later(&self) -> &[T] {
        self.later.as_ref().map_or(&[], |later| &later.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_the_newest_replaces_the_one_before() {
        let mut several = Several::<u8, 2>::default();
        assert!(several.first().is_none() && several.last().is_none());
        for one in 1..=5 {
            several.push(one);
        }
        assert_eq!(several.all().copied().collect::<Vec<_>>(), [1, 2, 5]);
        assert_eq!((several.first(), several.last()), (Some(&1), Some(&5)));
    }
}
