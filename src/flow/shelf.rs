//! Byte strings of many lengths, one behind the other on pages: a shard's connections asleep.
//!
//! By itself each would take a block of the allocator's next larger size, and touch memory of its own.
//! A page that is left half empty is cleared: what is still on it moves to the one that is being filled,
//! so that all pages together take twice what they hold at most.

use std::ops::Range;

/// Strings, each with the number of its owner in front of it.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pages: Vec<Page>,
    /// Pages that hold nothing.
    empty: Vec<u32>,
    /// The page that is being filled.
    open: Option<u32>,
}

#[derive(Debug, Default)]
struct Page {
    bytes: Vec<u8>,
    /// How many of them are in use.
    held: usize,
}

/// Where a string lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    page: u32,
    start: u16,
    len: u16,
}

/// Bytes of an owner's number, and of a string's length behind it.
const OWNER: usize = size_of::<u32>();
const HEAD: usize = OWNER + size_of::<u16>();

impl Shelf {
    /// Bytes of a page: a size that the allocator has.
    const PAGE: usize = 16 << 10;

    /// Puts a string down; none where it is too long for a page.
    pub(super) fn put(&mut self, owner: u32, bytes: &[u8]) -> Option<Spot> {
        let len = u16::try_from(bytes.len()).ok()?;
        let whole = HEAD + bytes.len();
        if whole > Self::PAGE {
            return None;
        }
        let number = self.page_with_room(whole);
        let page = self.pages.get_mut(number as usize)?;
        let start = u16::try_from(page.bytes.len()).ok()?;
        page.bytes.extend_from_slice(&owner.to_le_bytes());
        page.bytes.extend_from_slice(&len.to_le_bytes());
        page.bytes.extend_from_slice(bytes);
        page.held += whole;
        Some(Spot { page: number, start, len })
    }

    /// The string that lies there.
    pub(super) fn get(&self, spot: Spot) -> &[u8] {
        let page = self.pages.get(spot.page as usize);
        page.and_then(|page| page.bytes.get(spot.range())).unwrap_or_default()
    }

    /// Takes a string away. If that leaves a page half empty, its number comes back, for
    /// [`Shelf::owners`] to be asked and what is theirs to be moved.
    pub(super) fn take(&mut self, spot: Spot) -> Option<u32> {
        let page = self.pages.get_mut(spot.page as usize)?;
        page.held = page.held.saturating_sub(HEAD + usize::from(spot.len));
        if self.open == Some(spot.page) {
            return None;
        }
        let is_sparse = page.held < Self::PAGE / 2;
        let is_cleared = self.clear_if_empty(spot.page);
        (is_sparse && !is_cleared).then_some(spot.page)
    }

    /// Gives back the memory of a page that holds nothing; says whether it is one.
    fn clear_if_empty(&mut self, number: u32) -> bool {
        let page = self.pages.get_mut(number as usize).filter(|page| page.held == 0);
        page.is_some_and(|page| {
            *page = Page::default();
            self.empty.push(number);
            true
        })
    }

    /// Who had put a string on a page, and where: some of these may have been taken away.
    pub(super) fn owners(&self, number: u32) -> Vec<(u32, Spot)> {
        let bytes = self.pages.get(number as usize).map_or(&[][..], |page| &page.bytes);
        let (mut rest, mut owners) = (bytes, Vec::new());
        while let Some((owner, behind)) = rest.split_first_chunk()
            && let Some((len, behind)) = behind.split_first_chunk()
        {
            let len = u16::from_le_bytes(*len);
            let start = u16::try_from(bytes.len() - rest.len()).unwrap_or(u16::MAX);
            owners.push((u32::from_le_bytes(*owner), Spot { page: number, start, len }));
            rest = behind.get(usize::from(len)..).unwrap_or_default();
        }
        owners
    }

    /// Moves a string to the page that is being filled.
    pub(super) fn move_on(&mut self, owner: u32, spot: Spot) -> Option<Spot> {
        let bytes = self.get(spot).to_vec();
        let moved = self.put(owner, &bytes);
        self.take(spot);
        moved
    }

    /// A page with room for so many bytes.
    fn page_with_room(&mut self, whole: usize) -> u32 {
        let page = self.open.and_then(|open| self.pages.get(open as usize));
        if let (Some(open), Some(page)) = (self.open, page)
            && page.bytes.len() + whole <= Self::PAGE
        {
            return open;
        }
        if let Some(open) = self.open.take() {
            // Nothing will be taken from it any more that could tell that it is empty.
            self.clear_if_empty(open);
        }
        let number = self.empty.pop().unwrap_or_else(|| {
            self.pages.push(Page::default());
            u32::try_from(self.pages.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(page) = self.pages.get_mut(number as usize) {
            page.bytes.reserve_exact(Self::PAGE);
        }
        self.open = Some(number);
        number
    }
}

impl Spot {
    /// Where the string lies on its page.
    fn range(self) -> Range<usize> {
        let start = usize::from(self.start) + HEAD;
        start..start + usize::from(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A string that tells its owner.
    fn string(owner: u32) -> Vec<u8> {
        let len = 300 + owner as usize % 500;
        owner.to_le_bytes().into_iter().cycle().take(len).collect()
    }

    /// Takes a string away, and moves what has to move.
    fn take(shelf: &mut Shelf, spots: &mut [Option<Spot>], owner: usize) {
        let Some(left) = shelf.take(spots[owner].take().unwrap()) else { return };
        for (owner, spot) in shelf.owners(left) {
            if spots[owner as usize] == Some(spot) {
                spots[owner as usize] = shelf.move_on(owner, spot);
            }
        }
    }

    fn held(shelf: &Shelf) -> usize {
        shelf.pages.iter().map(|page| page.bytes.capacity()).sum()
    }

    #[test]
    fn what_is_left_is_found_and_takes_twice_its_bytes_at_most() {
        let mut shelf = Shelf::default();
        let mut spots: Vec<_> = (0..4_000).map(|owner| shelf.put(owner, &string(owner))).collect();
        for step in [2, 3, 5] {
            for owner in (0..4_000).filter(|owner| owner % step == 0) {
                if spots[owner].is_some() {
                    take(&mut shelf, &mut spots, owner);
                }
            }
            let mut left = 0;
            for (owner, spot) in (0..).zip(&spots) {
                let Some(spot) = spot else { continue };
                assert_eq!(shelf.get(*spot), string(owner));
                left += HEAD + string(owner).len();
            }
            assert!(held(&shelf) <= 2 * left + 2 * Shelf::PAGE, "{} for {left}", held(&shelf));
        }
        for owner in 0..4_000 {
            if spots[owner].is_some() {
                take(&mut shelf, &mut spots, owner);
            }
        }
        assert!(held(&shelf) <= Shelf::PAGE);
        assert!(shelf.put(0, &[0; Shelf::PAGE]).is_none());
    }
}
