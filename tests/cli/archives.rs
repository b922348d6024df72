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
