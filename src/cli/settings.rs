//! `--profile` and `--sysctl`: the settings of the hosts in a capture.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::settings::{HostSettings, Network, NetworkError, Profile, Settings};

/// Whose timers to assume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileName {
    /// Linux: TIME-WAIT 60 s
    #[default]
    Linux,
    /// Windows: TIME-WAIT 120 s
    Windows,
    /// BSD and macOS: TIME-WAIT 60 s
    Bsd,
    /// RFC 9293: TIME-WAIT 240 s
    Rfc,
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Linux => Self::Linux,
            ProfileName::Windows => Self::Windows,
            ProfileName::Bsd => Self::Bsd,
            ProfileName::Rfc => Self::Rfc,
        }
    }
}

/// `FILE`, or `HOST=FILE` for one address or network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SysctlFile {
    of: Option<Network>,
    path: PathBuf,
}

/// Why an argument names no file of settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SysctlFileError {
    #[error(transparent)]
    Host(#[from] NetworkError),
    #[error("no file is named")]
    NoFile,
}

impl FromStr for SysctlFile {
    type Err = SysctlFileError;

    fn from_str(text: &str) -> Result<Self, SysctlFileError> {
        let (of, path) = match text.split_once('=') {
            // A file's name may hold an equals sign as well.
            Some((of, path)) if !Path::new(text).exists() => (Some(of.parse()?), path),
            _ => (None, text),
        };
        if path.is_empty() {
            return Err(SysctlFileError::NoFile);
        }
        Ok(Self { of, path: path.into() })
    }
}

/// The profile's defaults, with what the files say in their place.
///
/// What one file sets for every host holds also in the networks of the other files, unless those
/// say otherwise.
pub(super) fn resolve(profile: ProfileName, files: &[SysctlFile]) -> anyhow::Result<Settings> {
    let mut settings = Settings::of_profile(profile.into());
    for file in files.iter().filter(|file| file.of.is_none()) {
        settings.default = read(&settings.default, &file.path)?;
    }
    for file in files {
        if let Some(Network { address, prefix }) = file.of {
            let host = read(&settings.default, &file.path)?;
            settings.hosts.push((address, prefix, host));
        }
    }
    Ok(settings)
}

fn read(base: &HostSettings, path: &Path) -> anyhow::Result<HostSettings> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    base.with_sysctl(&text).with_context(|| format!("in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Span;

    #[test]
    fn a_file_for_every_host_is_the_ground_of_those_for_some() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let all = write("all=hosts", "net.ipv4.tcp_fin_timeout = 30\n");
        let web = write("web", "net.ipv4.tcp_synack_retries = 2\n");
        let files = [format!("10.0.0.0/8={web}"), all].map(|text| text.parse().unwrap());
        let settings = resolve(ProfileName::Linux, &files).unwrap();
        let host = settings.of("10.1.2.3".parse().unwrap());
        assert_eq!((host.synack_retries, host.fin_timeout), (2, Span::from_secs(30)));
        assert_eq!(settings.default.synack_retries, 5);
    }

    #[test]
    fn a_host_that_is_no_address_is_refused_by_name() {
        let error = "web01=/nowhere/sysctl".parse::<SysctlFile>().unwrap_err();
        assert!(error.to_string().contains("\"web01\" is neither an address"), "{error}");
    }

    #[test]
    fn a_host_without_a_file_is_refused() {
        for text in ["10.0.0.2=", ""] {
            assert_eq!(text.parse::<SysctlFile>(), Err(SysctlFileError::NoFile), "{text}");
        }
    }
}
