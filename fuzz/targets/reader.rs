//! The file readers on arbitrary bytes: no panic, no endless loop, and a walk that is cut anywhere
//! visits the same records and lists the same damage as one walk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpautopsy::capture::{Context, DamageList, Window};

/// A record as far as it matters here: time, link type, offset, bytes kept, bytes on the wire.
type Seen = (i64, u32, u64, usize, u32);

/// Walks the file in ranges of `step` bytes.
fn walk(file: &[u8], step: usize) -> Option<(Vec<Seen>, DamageList)> {
    let (mut context, start) = Context::open(file).ok()?;
    let (mut seen, mut damage) = (Vec::new(), DamageList::default());
    let window = Window { bytes: file, base: 0, at_end: true };
    let mut at = start;
    while at < file.len() {
        let until = at.saturating_add(step).min(file.len());
        let records = seen.len() as u64;
        let walk = context.walk(window, at..until, &mut |record| {
            let time = record.time.nanos();
            seen.push((time, record.link.0, record.offset, record.data.len(), record.wire_len));
        });
        damage.absorb(&walk.damage, records);
        assert!(walk.end > at || walk.needs_more, "a walk that gets nowhere");
        assert!(!walk.needs_more, "nothing is missing, the file ends here");
        at = walk.end;
    }
    Some((seen, damage))
}

fuzz_target!(|data: &[u8]| {
    let Some((step, file)) = data.split_first() else { return };
    let whole = walk(file, usize::MAX);
    let cut = walk(file, usize::from(*step).max(1));
    assert_eq!(whole, cut);
    // Guessing anywhere must not panic.
    if let Ok((context, start)) = Context::open(file) {
        let window = Window { bytes: file, base: 0, at_end: false };
        for from in (start..file.len()).step_by(usize::from(*step).max(16)) {
            let _ = context.guess(window, from);
        }
    }
});
