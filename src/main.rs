//! The program: hands the command line to the library and returns its exit code.

use std::process::ExitCode;

// Perf: whole runs, docs/performance.md: 12 to 16 % less CPU time than with glibc's, for 3 to 6 %
// more memory. Without huge pages, which made the system's part three times as long and took a
// third more memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tcpautopsy::cli::run(std::env::args_os())
}
