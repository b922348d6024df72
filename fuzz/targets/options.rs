//! TCP options: every byte string says something, and the same thing twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpautopsy::tcp::Extras;

fuzz_target!(|data: &[u8]| {
    let options = data.get(..40).unwrap_or(data);
    let one = Extras::parse(options);
    assert_eq!(one, Extras::parse(options));
    // What stands behind the end of the list says nothing.
    if let Some(end) = options.iter().position(|kind| *kind == 0)
        && options.get(..end).is_some_and(|before| before.iter().all(|kind| *kind == 1))
    {
        assert_eq!(one, Extras::parse(&options[..end]));
    }
});
