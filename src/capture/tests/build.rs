//! Capture files put together by hand.

/// Writes numbers in one byte order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) big: bool,
}

pub(super) const LITTLE: Order = Order { big: false };
pub(super) const BIG: Order = Order { big: true };

impl Order {
    pub(super) fn half(self, number: u16) -> [u8; 2] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    pub(super) fn word(self, number: u32) -> [u8; 4] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    pub(super) fn words(self, numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|&number| self.word(number)).collect()
    }

    pub(super) fn long(self, number: u64) -> [u8; 8] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    /// A pcap file header of version 2.4.
    pub(super) fn pcap(self, magic: u32, snaplen: u32, network: u32) -> Vec<u8> {
        self.pcap_version(magic, 4, snaplen, network)
    }

    pub(super) fn pcap_version(self, magic: u32, minor: u16, snaplen: u32, link: u32) -> Vec<u8> {
        let mut file = self.word(magic).to_vec();
        file.extend(self.half(2));
        file.extend(self.half(minor));
        file.extend(self.words(&[0, 0, snaplen, link]));
        file
    }

    /// A pcap record of `kept` bytes.
    pub(super) fn record(self, sec: u32, frac: u32, kept: usize, wire: u32) -> Vec<u8> {
        let mut record = self.words(&[sec, frac, u32::try_from(kept).unwrap(), wire]);
        record.extend(payload(kept));
        record
    }

    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = u32::try_from(body.len() + 12).unwrap();
        [&self.words(&[kind, len]), &body, &self.word(len)[..]].concat()
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let len = u16::try_from(value.len()).unwrap();
        let mut option = [&self.half(code)[..], &self.half(len), value].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    pub(super) fn section(self) -> Vec<u8> {
        let mut body = self.word(0x1a2b_3c4d).to_vec();
        body.extend(self.half(1));
        body.extend(self.half(0));
        body.extend(self.long(u64::MAX));
        self.block(0x0a0d_0d0a, &body)
    }

    pub(super) fn interface(self, link: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
        let body = [&self.half(link)[..], &[0, 0], &self.word(snaplen), options].concat();
        self.block(1, &body)
    }

    /// An enhanced packet block; `ticks` in the interface's unit.
    pub(super) fn packet(self, interface: u32, ticks: u64, kept: usize, wire: u32) -> Vec<u8> {
        self.packet_with(interface, ticks, kept, wire, &[])
    }

    pub(super) fn packet_with(
        self,
        interface: u32,
        ticks: u64,
        kept: usize,
        wire: u32,
        options: &[u8],
    ) -> Vec<u8> {
        let (high, low) = (u32::try_from(ticks >> 32).unwrap(), ticks & 0xffff_ffff);
        let (low, len) = (u32::try_from(low).unwrap(), u32::try_from(kept).unwrap());
        let mut body = self.words(&[interface, high, low, len, wire]);
        body.extend(payload(kept));
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(options);
        self.block(6, &body)
    }
}

/// Bytes that are neither zeros nor a header of anything.
pub(super) fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| 0x80 | u8::try_from(at % 101).unwrap()).collect()
}
