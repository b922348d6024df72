//! Names of ports: the few that people type.
//!
//! From the Service Name and Transport Protocol Port Number Registry of IANA. Fixed, so that the
//! same expression means the same on every machine.

/// The port that a service listens on.
pub(super) fn port(name: &str) -> Option<u16> {
    Some(match name {
        "ftp-data" => 20,
        "ftp" => 21,
        "ssh" => 22,
        "telnet" => 23,
        "smtp" => 25,
        "domain" => 53,
        "http" => 80,
        "kerberos" => 88,
        "pop3" => 110,
        "imap" => 143,
        "bgp" => 179,
        "ldap" => 389,
        "https" => 443,
        "microsoft-ds" => 445,
        "submission" => 587,
        "ldaps" => 636,
        "imaps" => 993,
        "pop3s" => 995,
        "ms-sql-s" => 1433,
        "mysql" => 3306,
        "postgresql" => 5432,
        "redis" => 6379,
        _ => return None,
    })
}
