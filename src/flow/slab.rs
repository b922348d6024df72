//! Values with stable indexes whose places are used again.
//!
//! Kept in pages, so that growing never copies what is there nor doubles the memory at once.

use crate::near;

/// A growing set of values, each known by an index until it is taken out.
#[derive(Debug)]
pub(super) struct Slab<T> {
    pages: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Slab<T> {
    /// How many values a page holds: a power of two, fewer of large ones, since the last page of
    /// every shard is half empty as a rule.
    const PAGE: usize = if size_of::<Option<T>>() > 1_024 { 16 } else { 256 };

    pub(super) const fn new() -> Self {
        Self { pages: Vec::new(), free: Vec::new(), len: 0 }
    }

    /// How many values there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many places there are: every index is below that.
    pub(super) fn places(&self) -> u32 {
        let last = self.pages.last().map_or(0, Vec::len);
        u32::try_from(self.pages.len().saturating_sub(1) * Self::PAGE + last).unwrap_or(u32::MAX)
    }

    /// Stores a value, at the place that was freed last if there is one.
    #[inline]
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if let Some(index) = self.free.pop() {
            if let Some(place) = self.place(index) {
                *place = Some(value);
            }
            return index;
        }
        if self.pages.last().is_none_or(|page| page.len() == Self::PAGE) {
            self.pages.push(Vec::with_capacity(Self::PAGE));
        }
        let before = (self.pages.len() - 1) * Self::PAGE;
        let within = self.pages.last_mut().map_or(0, |page| {
            page.push(Some(value));
            page.len() - 1
        });
        u32::try_from(before + within).unwrap_or(u32::MAX)
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        self.pages.get(index / Self::PAGE)?.get(index % Self::PAGE)?.as_ref()
    }

    /// Asks the memory for a place, and for its end where it may lie in the next line.
    #[inline]
    pub(super) fn prefetch(&self, index: u32) {
        let index = index as usize;
        if let Some(page) = self.pages.get(index / Self::PAGE) {
            let place = index % Self::PAGE;
            near::element(page, place);
            if size_of::<Option<T>>() > near::LINE {
                near::element(page, place + 1);
            }
        }
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.place(index)?.as_mut()
    }

    /// Takes the value out and frees its place.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let value = self.place(index)?.take()?;
        self.free.push(index);
        self.len -= 1;
        Some(value)
    }

    /// Every value with its index, in the order of the indexes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let places = self.pages.iter().flatten();
        (0..).zip(places).filter_map(|(index, place)| Some((index, place.as_ref()?)))
    }

    fn place(&mut self, index: u32) -> Option<&mut Option<T>> {
        let index = index as usize;
        self.pages.get_mut(index / Self::PAGE)?.get_mut(index % Self::PAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_places_are_used_again_and_others_stay() {
        let mut slab = Slab::new();
        let indexes: Vec<u32> = (0..600).map(|value| slab.insert(value)).collect();
        assert_eq!(slab.remove(indexes[300]), Some(300));
        assert_eq!((slab.remove(indexes[300]), slab.len()), (None, 599));
        assert_eq!(slab.insert(-1), indexes[300]);
        assert_eq!((slab.get(indexes[300]), slab.get(indexes[599])), (Some(&-1), Some(&599)));
        assert_eq!(slab.iter().count(), 600);
    }
}
