//! Settings of hosts, as `sysctl -a` prints them, on arbitrary text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpautopsy::settings::{HostSettings, Profile};

fuzz_target!(|text: &str| {
    let _ = HostSettings::of_profile(Profile::Linux).with_sysctl(text);
});
