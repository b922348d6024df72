//! Archives of captures, and what else lies in them.

use super::Desk;

/// A tar archive of files with these names and contents.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in members {
        let mut header = [0; 512];
        let mut put =
            |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(124, &format!("{:011o}", content.len()));
        put(148, "        0ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(header);
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

#[test]
fn of_an_archive_as_of_a_folder_only_the_captures_count() {
    let desk = Desk::new();
    let capture = std::fs::read(desk.refused("web.pcap")).unwrap();
    desk.write("all.tar", tar(&[("README", b"taken on monday"), ("a/web.pcap", &capture)]));
    let (code, out, errors) = desk.run(&["analyze", "all.tar", "-v"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("all.tar:a/web.pcap") && out.contains("TCP105"), "{out}");
    assert_eq!(errors, "tcpautopsy: warning: files in archives that are no captures: 1\n");
}

#[test]
fn an_archive_without_a_capture_is_an_error() {
    let desk = Desk::new();
    desk.write("none.tar", tar(&[("README", b"taken on monday"), ("empty", b"")]));
    let (code, _, errors) = desk.run(&["analyze", "none.tar"]);
    assert_eq!(
        (code, &*errors),
        (Some(2), "tcpautopsy: error: reading none.tar: no capture in it\n")
    );
}

#[test]
fn a_capture_that_cannot_be_read_in_an_archive_is_an_error_with_its_name() {
    let desk = Desk::new();
    let capture = std::fs::read(desk.refused("web.pcap")).unwrap();
    let members: &[(&str, &[u8])] = &[("old.cap", b"GMBU\0\x02\x01\0"), ("web.pcap", &capture)];
    desk.write("all.tar", tar(members));
    let (code, out, errors) = desk.run(&["analyze", "all.tar"]);
    assert_eq!(code, Some(2));
    assert!(out.contains("TCP105"), "{out}");
    assert!(errors.starts_with("tcpautopsy: error: reading all.tar:old.cap: "), "{errors}");
}

#[test]
fn names_in_an_archive_cannot_control_the_terminal() {
    let desk = Desk::new();
    desk.write("evil.tar", tar(&[("\u{1b}[2Jx.cap", b"GMBU\0\x02\x01\0")]));
    let (_, out, errors) = desk.run(&["analyze", "evil.tar"]);
    assert!(!out.contains('\u{1b}') && !errors.contains('\u{1b}'), "{errors}");
    assert!(errors.contains("evil.tar:\u{FFFD}[2Jx.cap"), "{errors}");
}

/// The directions of a connection as two taps see them, each in two files of which the later one
/// comes first by its name: members that overlap, and out of order.
fn taps() -> Vec<(String, Vec<u8>)> {
    let whole = super::capture(super::CLEAN);
    let (head, mut rest) = whole.split_at(24);
    let mut files = vec![head.to_vec(); 4];
    let mut number = 0;
    while !rest.is_empty() {
        let length = 16 + u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, behind) = rest.split_at(length);
        let is_client = record[16 + 29] == 1;
        files[usize::from(is_client) * 2 + usize::from(number < 4)].extend_from_slice(record);
        (rest, number) = (behind, number + 1);
    }
    let names = ["b-1.pcap", "b-2.pcap", "a-1.pcap", "a-2.pcap"];
    names.into_iter().map(str::to_owned).zip(files).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// What the report says but for the names of files.
fn told(desk: &Desk, input: &str) -> serde_json::Value {
    let (code, out, errors) =
        desk.run(&["analyze", input, "--json", "--connections", "all", "--no-progress"]);
    assert_eq!((code, &*errors), (Some(0), ""), "{input}");
    let mut report: serde_json::Value = serde_json::from_str(&out).unwrap();
    for file in report["inputs"].as_array_mut().unwrap() {
        for field in ["path", "compression", "bytes"] {
            file[field].take();
        }
    }
    report
}

#[test]
fn files_in_an_archive_are_put_in_order_and_merged_like_files_in_a_folder() {
    let desk = Desk::new();
    let taps = taps();
    for (name, bytes) in &taps {
        desk.write(&format!("folder/{name}"), bytes);
    }
    let members: Vec<(&str, &[u8])> =
        taps.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let packed: Vec<Vec<u8>> = taps.iter().map(|(_, bytes)| gzip(bytes)).collect();
    let packed: Vec<(&str, &[u8])> =
        taps.iter().zip(&packed).map(|((name, _), bytes)| (&**name, &**bytes)).collect();
    desk.write("all.tar", tar(&members));
    desk.write("all.tar.gz", gzip(&tar(&members)));
    desk.write("packed.tar", tar(&packed));
    let expected = told(&desk, "folder");
    assert_eq!(expected["summary"]["connections"], 1);
    assert_eq!(expected["connections"][0]["close"]["outcome"], "graceful");
    for archive in ["all.tar", "all.tar.gz", "packed.tar"] {
        assert_eq!(told(&desk, archive), expected, "{archive}");
    }
}

#[test]
fn an_archive_through_a_pipe_is_read_as_it_comes_and_says_so() {
    let desk = Desk::new();
    let taps = taps();
    let members: Vec<(&str, &[u8])> =
        taps.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let mut command = desk.program(&["analyze", "-", "--json", "--no-progress"]);
    let output = command.write_stdin(tar(&members)).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let files = report["inputs"].as_array().unwrap();
    let told: Vec<bool> = files.iter().map(|it| it["not_merged"].as_bool().unwrap()).collect();
    assert_eq!(told, [false, true, true, true]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("could not be merged (unpack the archive): 3"), "{errors}");
}

#[test]
fn an_archive_that_is_cut_says_where_and_gives_what_it_has() {
    let desk = Desk::new();
    let capture = std::fs::read(desk.refused("web.pcap")).unwrap();
    let whole = tar(&[("a.pcap", &capture), ("b.pcap", &capture)]);
    // In the second member, behind its first record.
    let cut = 512 + capture.len().next_multiple_of(512) + 512 + 100;
    for (name, bytes, end) in [
        ("cut.tar", whole[..cut].to_vec(), "cut.tar:b.pcap"),
        ("cut.tar.gz", gzip(&whole[..cut]), "cut.tar.gz"),
    ] {
        desk.write(name, bytes);
        let (code, out, errors) = desk.run(&["analyze", name, "--json", "--no-progress"]);
        assert_eq!(code, Some(2), "{errors}");
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        let frames = |index: usize| report["inputs"][index]["frames"].as_u64();
        assert_eq!((frames(0), frames(1)), (Some(2), Some(1)), "{name}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(end) && errors.contains("the archive ends inside"), "{errors}");
    }
}
