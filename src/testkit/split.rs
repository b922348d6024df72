//! Cuts a generated capture into many files, as a capture program that rotates its files does.

/// Length of a pcap file header.
const FILE_HEADER: usize = 24;

/// Length of a record's header in a pcap file, and where in it the length of the data stands.
const RECORD_HEADER: usize = 16;
const LENGTH_AT: usize = 8;

/// The files that a pcap capture in this machine's byte order makes with so many frames in each.
pub fn split(capture: &[u8], frames: usize) -> impl Iterator<Item = Vec<u8>> {
    let (header, mut rest) = capture.split_at_checked(FILE_HEADER).unwrap_or((capture, &[]));
    std::iter::from_fn(move || {
        let (mut end, mut count) = (0, 0);
        while count < frames
            && let Some(length) = record_length(rest.get(end..)?)
        {
            (end, count) = (end + length, count + 1);
        }
        let (file, later) = rest.split_at_checked(end).filter(|(file, _)| !file.is_empty())?;
        rest = later;
        Some([header, file].concat())
    })
}

fn record_length(rest: &[u8]) -> Option<usize> {
    let length = rest.get(LENGTH_AT..)?.first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    Some(RECORD_HEADER + length).filter(|length| *length <= rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Shape, generate};

    #[test]
    fn the_files_hold_the_same_frames_in_the_same_order() {
        let mut capture = Vec::new();
        generate(Shape::named("mix").unwrap(), 250, 1, &mut capture).unwrap();
        let files: Vec<Vec<u8>> = split(&capture, 100).collect();
        assert_eq!(files.len(), 3);
        let (header, records) = capture.split_at(FILE_HEADER);
        assert!(files.iter().all(|file| file.starts_with(header)));
        let joined: Vec<&[u8]> = files.iter().map(|file| &file[FILE_HEADER..]).collect();
        assert_eq!(joined.concat(), records);
    }
}
