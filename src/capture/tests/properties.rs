//! However a file is cut into ranges and windows, guessed or not, the walk is the serial walk.

use proptest::prelude::*;

use super::build::{BIG, LITTLE, Order, payload};
use super::*;

/// Walks range by range with windows that are `slack` longer than the range, and longer only when
/// the walk asks for it.
fn stepwise(bytes: &[u8], step: usize, slack: usize) -> Seen {
    let (mut context, mut at) = Context::open(&bytes[..bytes.len().min(Context::HEAD)]).unwrap();
    let (mut seen, mut more) = (Seen::default(), 0);
    while at < bytes.len() {
        let end = bytes.len().min(at + step + slack + more);
        let window = Window { bytes: &bytes[at..end], base: at as u64, at_end: end == bytes.len() };
        let limit = step.min(bytes.len() - at);
        let mut records = Vec::new();
        let walk = context.walk(window, 0..limit, &mut |record| Seen::keep(&mut records, record));
        assert!(walk.needs_more || walk.end >= limit);
        assert!(!walk.needs_more || walk.end < limit);
        assert!(!walk.needs_more || more < context.lookahead(), "asks for more without end");
        more = if walk.needs_more && walk.end == 0 { (more * 2).max(16) } else { 0 };
        seen.join(&walk, records);
        at += walk.end;
    }
    seen
}

/// Walks all chunks from guessed starts with the context before them, then verifies in order and
/// walks again what was guessed wrong: what the pipeline does. Also returns how many were right.
fn guessed(bytes: &[u8], chunk: usize, slack: usize) -> (Seen, usize) {
    let (context, start) = Context::open(&bytes[..bytes.len().min(Context::HEAD)]).unwrap();
    let walk_from = |mut context: Context, from: usize, limit: usize| {
        let (mut joined, mut at, mut more) = (Seen::default(), from, 0);
        loop {
            let end = bytes.len().min(limit + slack + more).max(at);
            let window =
                Window { bytes: &bytes[at..end], base: at as u64, at_end: end == bytes.len() };
            let range = 0..limit.saturating_sub(at);
            let mut records = Vec::new();
            let walk = context.walk(window, range, &mut |it| Seen::keep(&mut records, it));
            joined.join(&walk, records);
            at += walk.end;
            more = (more * 2).max(64);
            if !walk.needs_more {
                return (joined, at, context);
            }
        }
    };
    let ends: Vec<usize> =
        (start..bytes.len()).step_by(chunk).skip(1).chain([bytes.len()]).collect();
    let (mut from, mut before, mut right) = (start, context.clone(), 0);
    let mut seen = Seen::default();
    for (index, &limit) in ends.iter().enumerate() {
        let begin = if index == 0 { start } else { ends[index - 1] };
        let end = bytes.len().min(limit + slack);
        let window =
            Window { bytes: &bytes[begin..end], base: begin as u64, at_end: end == bytes.len() };
        let guess = context.guess(window, 0).map(|at| begin + at).filter(|&at| at < limit);
        let (part, at, after) = match guess {
            Some(guess) if guess == from && before == context => {
                right += 1;
                walk_from(context.clone(), guess, limit)
            }
            _ => walk_from(before, from.min(bytes.len()), limit),
        };
        let frames = seen.records.len() as u64;
        seen.damage.absorb(&part.damage, frames);
        seen.records.extend(part.records);
        seen.oddities += part.oddities;
        seen.statistics.extend(part.statistics);
        seen.events += part.events;
        (from, before) = (at, after);
    }
    (seen, right)
}

fn order() -> impl Strategy<Value = Order> {
    any::<bool>().prop_map(|big| if big { BIG } else { LITTLE })
}

fn pcap() -> impl Strategy<Value = Vec<u8>> {
    let magic =
        prop::sample::select(vec![0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_c3d4, 0xa1b2_cd34, 0x1c00_01ab]);
    let record = (0_u32..90_000, 0_u32..1_000_000, 0_usize..300, 0_u32..2_000);
    let records = prop::collection::vec(record, 0..60);
    (order(), magic, records).prop_map(|(order, magic, records)| {
        let mut file = order.pcap(magic, 200, 1);
        if magic == 0x1c00_01ab {
            file.extend(order.word(0));
        }
        for (sec, frac, kept, more) in records {
            let wire = u32::try_from(kept).unwrap() + more;
            let mut record = order.record(1_500_000_000 + sec, frac, kept, wire);
            if magic == 0xa1b2_cd34 {
                record.splice(16..16, [7; 8]);
            }
            file.extend(record);
        }
        file
    })
}

fn block(order: Order) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => (0_u32..3, any::<u32>(), 0_usize..300, 0_u32..2_000).prop_map(
            move |(interface, ticks, kept, more)| {
                let ticks = (0x0005_3000_u64 << 32) | u64::from(ticks);
                order.packet(interface, ticks, kept, u32::try_from(kept).unwrap() + more)
            }
        ),
        2 => (0_u16..300).prop_map(move |link| order.interface(link, 100, &order.option(9, &[9]))),
        1 => (0_usize..50).prop_map(move |len| order.block(0xbad, &payload(len))),
        1 => (0_usize..50).prop_map(move |len| order.block(3, &payload(len))),
        1 => any::<u64>().prop_map(move |drops| {
            let told = order.option(5, &order.long(drops));
            order.block(5, &[order.words(&[0, 0, 0]), told].concat())
        }),
    ]
}

fn ng() -> impl Strategy<Value = Vec<u8>> {
    let section = order().prop_flat_map(|order| {
        prop::collection::vec(block(order), 0..40).prop_map(move |blocks| {
            [order.section(), order.interface(1, 0, &[]), blocks.concat()].concat()
        })
    });
    prop::collection::vec(section, 1..4).prop_map(|sections| sections.concat())
}

#[derive(Clone, Debug)]
enum Mutation {
    Overwrite(prop::sample::Index, Vec<u8>),
    Zero(prop::sample::Index, usize),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Cut(prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    let bytes = || prop::collection::vec(any::<u8>(), 1..40);
    prop_oneof![
        (index(), bytes()).prop_map(|(at, new)| Mutation::Overwrite(at, new)),
        (index(), 1_usize..600).prop_map(|(at, len)| Mutation::Zero(at, len)),
        (index(), 1_usize..600).prop_map(|(at, len)| Mutation::Remove(at, len)),
        (index(), bytes()).prop_map(|(at, new)| Mutation::Insert(at, new)),
        index().prop_map(Mutation::Cut),
    ]
}

/// Applies the mutations behind the first 28 bytes, so that the file still opens.
fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    const KEPT: usize = 28;
    for mutation in mutations {
        if bytes.len() <= KEPT {
            break;
        }
        let len = bytes.len();
        let place = |at: &prop::sample::Index| KEPT + at.index(len - KEPT);
        match mutation {
            Mutation::Overwrite(at, new) => {
                let at = place(at);
                let end = len.min(at + new.len());
                bytes[at..end].copy_from_slice(&new[..end - at]);
            }
            Mutation::Zero(at, count) => {
                let at = place(at);
                bytes[at..len.min(at + count)].fill(0);
            }
            Mutation::Remove(at, count) => {
                let at = place(at);
                bytes.drain(at..len.min(at + count));
            }
            Mutation::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Mutation::Cut(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

fn check(bytes: &[u8], step: usize, slack: usize) -> Result<(), TestCaseError> {
    let whole = serial(bytes);
    let by_steps = stepwise(bytes, step, slack);
    prop_assert_eq!(&by_steps, &whole, "range by range");
    let (by_guesses, _) = guessed(bytes, step, slack);
    prop_assert_eq!(&by_guesses, &whole, "guessed");
    // Every byte behind the header is a record's, a block's, or skipped: none is counted twice.
    prop_assert!(whole.damage.skipped() <= bytes.len() as u64);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn walks_of_arbitrary_bytes_are_the_serial_walk(
        kind in 0_usize..4,
        noise in prop::collection::vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 0..3000),
        step in 1_usize..700,
        slack in 0_usize..100,
    ) {
        let mut bytes = match kind {
            0 => LITTLE.pcap(0xa1b2_c3d4, 0, 1),
            1 => BIG.pcap(0xa1b2_cd34, 0, 249),
            2 => [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat(),
            _ => BIG.section(),
        };
        bytes.extend(noise);
        check(&bytes, step, slack)?;
    }

    #[test]
    fn walks_of_damaged_pcap_files_are_the_serial_walk(
        file in pcap(),
        mutations in prop::collection::vec(mutation(), 0..5),
        step in 1_usize..2000,
        slack in 0_usize..2000,
    ) {
        check(&mutate(file, &mutations), step, slack)?;
    }

    #[test]
    fn walks_of_damaged_pcapng_files_are_the_serial_walk(
        file in ng(),
        mutations in prop::collection::vec(mutation(), 0..5),
        step in 1_usize..2000,
        slack in 0_usize..2000,
    ) {
        check(&mutate(file, &mutations), step, slack)?;
    }

    #[test]
    fn opening_arbitrary_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Context::open(&bytes);
    }
}

#[test]
fn guesses_in_sound_files_are_right() {
    let records = (0..2000).flat_map(|at| LITTLE.record(1_500_000_000 + at, 0, 100, 1500));
    let bytes: Vec<u8> = LITTLE.pcap(0xa1b2_c3d4, 100, 1).into_iter().chain(records).collect();
    let (seen, right) = guessed(&bytes, 10_000, 4_000);
    assert_eq!((seen.records.len(), right), (2000, 24));
    let start = [BIG.section(), BIG.interface(1, 0, &[])].concat();
    let packets = (0..2000).flat_map(|at| BIG.packet(0, at << 32, 100, 1500));
    let bytes: Vec<u8> = start.into_iter().chain(packets).collect();
    let (seen, right) = guessed(&bytes, 10_000, 4_000);
    assert_eq!((seen.records.len(), right), (2000, 27));
}

#[test]
fn what_looks_like_records_behind_the_beginnings_of_records_is_not_taken_for_them() {
    // Four bytes further on each time is the fraction, then come both lengths, then the frame.
    let record = |at: u32| {
        let header = LITTLE.words(&[1_500_000_000, 500_000 + 10 * at, 58, 58]);
        [header, vec![2, 0, 10, 0], vec![7; 54]].concat()
    };
    let records = (0..4000).flat_map(record);
    let bytes: Vec<u8> = LITTLE.pcap(0xa1b2_c3d4, 65_535, 1).into_iter().chain(records).collect();
    let (seen, right) = guessed(&bytes, 10_000, 4_000);
    assert_eq!((seen.records.len(), right), (4000, 30));
}
