//! The command line from outside: what is printed, what is written, and how the program exits.

mod analyze;
mod archives;
mod conn_log;
mod damage;
mod help;
mod outputs;
mod refusals;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tcpautopsy::testkit::Scenario;

/// A folder of captures that is gone when the test is over.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A server that refuses a connection: one notice.
    fn refused(&self, name: &str) -> PathBuf {
        self.write(name, capture(REFUSED))
    }

    /// A connection without any fault.
    fn clean(&self, name: &str) -> PathBuf {
        self.write(name, capture(CLEAN))
    }

    /// The program, to be run in this folder.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("tcpautopsy").unwrap();
        command.current_dir(self.folder.path()).args(arguments).env_remove("NO_COLOR");
        command
    }

    fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.program(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.program(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

const REFUSED: &str = "# A RST answers the SYN
client 10.0.0.1:40001
server 10.0.0.2:80
+0.000 > S 0:0(0) win 64240 <mss 1460>
+0.001 < R. 0:0(0) ack 1
";

const CLEAN: &str = "# Opened, used and closed
client 10.0.0.1:40002
server 10.0.0.2:443
+0.000 > S 0:0(0) win 64240 <mss 1460>
+0.001 < S. 0:0(0) ack 1 win 65535 <mss 1460>
+0.001 > . 1:1(0) ack 1 win 502
+0.001 > P. 1:101(100) ack 1 win 502
+0.001 < P. 1:201(200) ack 101 win 501
+0.001 > F. 101:101(0) ack 201 win 502
+0.001 < F. 201:201(0) ack 102 win 501
+0.001 > . 102:102(0) ack 202 win 502
";

fn capture(scenario: &str) -> Vec<u8> {
    Scenario::parse(scenario).unwrap().compile()
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
