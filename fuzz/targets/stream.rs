//! Compressed inputs and archives on arbitrary bytes: no panic, and no more memory or output than a
//! bound allows.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use tcpautopsy::capture::Input;

/// What is taken of one input: a bomb is not unpacked to its end.
const MOST: usize = 4 << 20;

fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("tcpautopsy-fuzz-stream-{}", std::process::id()));
    fs::write(&path, data).expect("a temporary file");
    if let Ok(Input::Stream(mut stream)) = Input::open(&path) {
        let mut piece = vec![0; 64 << 10];
        let mut taken = 0;
        'all: while stream.next_member().is_some() {
            loop {
                let count = stream.fill(&mut piece);
                taken += count;
                if taken > MOST {
                    break 'all;
                }
                if count < piece.len() {
                    break;
                }
            }
        }
    }
});
