//! Frames that are no TCP: ARP requests and UDP datagrams.

use std::io::{self, Write};

use super::tap::Tap;
use crate::stamp::Time;
use crate::testkit::frame::{Link, fold, sum};
use crate::testkit::random::Random;

/// Length of the UDP payload in bytes: a short DNS query.
const UDP_PAYLOAD: u8 = 32;

/// Records one such frame; without Ethernet it is always UDP.
pub(super) fn emit<W: Write>(time: Time, random: &mut Random, tap: &mut Tap<W>) -> io::Result<()> {
    let [.., host] = random.next_u32().to_be_bytes();
    let mut frame = Vec::with_capacity(74);
    if tap.link() == Link::Ethernet {
        let arp = random.per_mille(200);
        frame.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 10, 3, 0, host]);
        if arp {
            frame.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 10, 3, 0, host]);
            frame.extend_from_slice(&[10, 3, 0, host, 0, 0, 0, 0, 0, 0, 10, 3, 0, 1]);
            return tap.frame(time, &frame);
        }
        frame.extend_from_slice(&[8, 0]);
    }
    push_datagram(host, &mut frame);
    tap.frame(time, &frame)
}

fn push_datagram(host: u8, frame: &mut Vec<u8>) {
    let addresses = [10, 3, 0, host, 10, 3, 0, 53];
    let udp_len = 8 + u16::from(UDP_PAYLOAD);
    let mut ip = vec![0x45, 0, 0, 28 + UDP_PAYLOAD, 0, 0, 0x40, 0, 64, 17, 0, 0];
    ip.extend_from_slice(&addresses);
    let checksum = !fold(sum(&ip));
    frame.extend_from_slice(ip.get(..10).unwrap_or_default());
    frame.extend_from_slice(&checksum.to_be_bytes());
    frame.extend_from_slice(&addresses);

    let mut udp = vec![0x90, host, 0, 53];
    udp.extend_from_slice(&udp_len.to_be_bytes());
    let payload = [b'q'; UDP_PAYLOAD as usize];
    let total = sum(&addresses) + 17 + u64::from(udp_len) + sum(&udp) + sum(&payload);
    udp.extend_from_slice(&(!fold(total)).to_be_bytes());
    frame.extend_from_slice(&udp);
    frame.extend_from_slice(&payload);
}
