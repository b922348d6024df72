//! snoop and ERF: written by hand here, and by Wireshark's editcap where that is installed.

use super::*;

fn snoop_record(sec: u32, micros: u32, kept: usize, wire: u32) -> Vec<u8> {
    let padded = kept.next_multiple_of(4);
    let words = [wire, u32::try_from(kept).unwrap(), u32::try_from(24 + padded).unwrap(), 0, sec];
    let mut record: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    record.extend(micros.to_be_bytes());
    record.resize(24 + padded, 0x5a);
    record
}

fn snoop(records: &[Vec<u8>]) -> Vec<u8> {
    [&b"snoop\0\0\0\0\0\0\x02\0\0\0\x04"[..], &records.concat()].concat()
}

fn erf_record(
    sec: u32,
    fraction: u32,
    kind: u8,
    further: usize,
    data: usize,
    wire: u16,
) -> Vec<u8> {
    let len = u16::try_from(16 + 8 * further + data).unwrap();
    let mut record = [fraction.to_le_bytes(), sec.to_le_bytes()].concat();
    record.extend([kind | if further > 0 { 0x80 } else { 0 }, 4]);
    record.extend([len.to_be_bytes(), [0, 0], wire.to_be_bytes()].concat());
    for left in (0..further).rev() {
        record.extend([if left > 0 { 0x84 } else { 4 }, 0, 0, 0, 0, 0, 0, 0]);
    }
    record.resize(usize::from(len), 0x5a);
    record
}

const SEC: u32 = 1_500_000_000;
const AT: i64 = SEC as i64 * 1_000_000_000;

#[test]
fn snoop_records_have_times_lengths_and_a_link() {
    let file = snoop(&[snoop_record(SEC, 5, 61, 1514), snoop_record(SEC + 1, 0, 60, 60)]);
    let seen = serial(&file);
    assert_eq!(seen.times(), [Some(AT + 5_000), Some(AT + 1_000_000_000)]);
    assert_eq!(seen.lengths(), [(61, 1514), (60, 60)]);
    assert_eq!((seen.records[0].link, seen.records[1].offset), (1, 16 + 24 + 64));
    assert!(seen.damage.is_empty());
}

#[test]
fn erf_records_are_packets_of_their_type_behind_any_number_of_headers() {
    let records = [
        erf_record(SEC, 1 << 31, 2, 0, 62, 60),
        erf_record(SEC, 1 << 30, 48, 0, 100, 0),
        erf_record(SEC + 1, 0, 2, 3, 62, 1518),
        erf_record(SEC + 1, 0, 27, 0, 32, 0),
        erf_record(SEC + 2, 0, 22, 0, 40, 40),
    ];
    let seen = serial(&records.concat());
    assert_eq!(seen.lengths(), [(60, 60), (60, 1518), (0, 0), (40, 40)]);
    assert_eq!((seen.records[0].link, seen.records[3].link, seen.events), (1, 228, 1));
    assert_eq!(seen.records[0].time, Some(AT + 500_000_000));
    assert!(seen.damage.is_empty());
}

#[test]
fn damage_between_records_is_passed_over_and_told() {
    let good =
        |count: u32| (0..count).map(|at| snoop_record(SEC + at, 0, 60, 60)).collect::<Vec<_>>();
    let mut file = snoop(&good(10));
    file[16 + 2 * 84 + 4] = 0xff;
    let seen = serial(&file);
    assert_eq!(
        (seen.records.len(), seen.harm()),
        (9, vec![(DamageKind::BadRecord, 16 + 168, 84, 2)])
    );
    file.truncate(file.len() - 1);
    assert_eq!(serial(&file).harm().len(), 2);
    let mut erf: Vec<u8> = (0..10).flat_map(|at| erf_record(SEC + at, 0, 2, 0, 62, 60)).collect();
    erf.drain(400..405);
    let seen = serial(&erf);
    // One record lost its header; the nine others are whole.
    assert_eq!((seen.records.len(), seen.harm().len()), (9, 1));
}

#[test]
fn text_is_no_erf() {
    let text = "Not a capture, but long enough to hold a header or two.\n".repeat(2_000);
    for start in 0..60 {
        assert!(Context::open(&text.as_bytes()[start..]).is_err(), "from {start}");
    }
    assert!(Context::open(&vec![0; 70_000]).is_err());
}

/// What editcap writes of a public capture holds the same frames as the capture itself.
#[test]
fn what_editcap_writes_reads_as_what_it_read() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.pcap");
    let records: Vec<u8> =
        (0..20).flat_map(|at| build::LITTLE.record(SEC + at, 7 * at, 80, 80)).collect();
    let whole = [build::LITTLE.pcap(0xa1b2_c3d4, 65_535, 1), records].concat();
    std::fs::write(&source, &whole).unwrap();
    let expected = serial(&whole);
    for format in
        ["snoop", "nsecpcap", "pcapng", "nokiapcap", "modpcap", "rh6_1pcap", "suse6_3pcap"]
    {
        let path = folder.path().join(format);
        let run = std::process::Command::new("editcap")
            .args(["-F", format])
            .args([&source, &path])
            .output();
        let Ok(run) = run else {
            assert!(std::env::var_os("CI").is_none(), "editcap is missing");
            return println!("skipped: editcap is not installed");
        };
        assert!(run.status.success(), "{format}: {}", String::from_utf8_lossy(&run.stderr));
        let seen = serial(&std::fs::read(&path).unwrap());
        assert_eq!(seen.times(), expected.times(), "{format}");
        let data = |seen: &Seen| seen.records.iter().map(|it| it.data.clone()).collect::<Vec<_>>();
        assert_eq!(data(&seen), data(&expected), "{format}");
        assert!(seen.damage.is_empty(), "{format}");
    }
}
