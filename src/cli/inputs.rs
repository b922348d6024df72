//! `INPUT`: files, folders and patterns become a list of files.
//!
//! What is named must be a capture; of what lies in a folder, only the captures count.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::pipeline::{Candidate, Survey};

/// The name of standard input.
const STDIN: &str = "-";

/// The files that arguments stand for.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// In the order of the arguments; within a folder or a pattern, by name.
    candidates: Vec<Candidate>,
    /// Folders within folders that cannot be listed, and why.
    pub(super) unlisted: Vec<String>,
}

impl Inputs {
    /// Looks up what was typed.
    ///
    /// # Errors
    /// A folder cannot be listed, or a pattern is malformed or fits nothing.
    pub(super) fn find(typed: &[PathBuf]) -> anyhow::Result<Self> {
        let mut inputs = Self::default();
        for path in typed {
            if path.is_dir() {
                inputs.add_folder(path)?;
            } else if path.as_os_str() != STDIN && !path.exists() && is_pattern(path) {
                inputs.add_pattern(path)?;
            } else {
                inputs.add(path);
            }
        }
        Ok(inputs)
    }

    /// Looks at what was found. A file that is named twice counts once.
    ///
    /// # Errors
    /// There is no capture.
    pub(super) fn survey(&self, typed: &[PathBuf], threads: usize) -> anyhow::Result<Survey> {
        let survey = Survey::of(&self.candidates, threads)?;
        if survey.is_empty() {
            let names: Vec<_> = typed.iter().map(|path| path.display().to_string()).collect();
            bail!("no capture in {}", names.join(", "));
        }
        Ok(survey)
    }

    /// What a file is shows when it is opened, and standard input can be opened but once.
    fn add(&mut self, path: &Path) {
        let is_stdin = |path: &Path| path.as_os_str() == STDIN;
        if !is_stdin(path) || !self.candidates.iter().any(|it| is_stdin(&it.path)) {
            self.candidates.push(path.into());
        }
    }

    /// Every capture below the folder. Links to folders are not followed: they may form a circle.
    fn add_folder(&mut self, folder: &Path) -> anyhow::Result<()> {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = entries.with_context(|| format!("listing {}", folder.display()))?;
        entries.sort_by_cached_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type());
            if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
                // What else there is is read all the same.
                if let Err(error) = self.add_folder(&path) {
                    self.unlisted.push(format!("{error:#}"));
                }
            } else if kind.is_ok_and(|kind| kind.is_file()) || path.is_file() {
                self.candidates.push(Candidate { path, may_be_other: true });
            }
        }
        Ok(())
    }

    fn add_pattern(&mut self, pattern: &Path) -> anyhow::Result<()> {
        let shown = pattern.display();
        let text = pattern.to_str().with_context(|| format!("the pattern {shown} is not UTF-8"))?;
        let found = glob::glob(text).with_context(|| format!("the pattern {shown}"))?;
        let mut count = 0_usize;
        for path in found {
            let path = path.with_context(|| format!("the pattern {shown}"))?;
            count += 1;
            if path.is_dir() { self.add_folder(&path)? } else { self.add(&path) }
        }
        if count == 0 {
            bail!("nothing fits the pattern {shown}");
        }
        Ok(())
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A capture without frames.
    const EMPTY_PCAP: [u8; 24] =
        [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        for name in ["b.pcap", "a.pcap", "deep/er/c.cap"] {
            fs::write(folder.path().join(name), EMPTY_PCAP).unwrap();
        }
        fs::write(folder.path().join("notes.txt"), "nothing to see").unwrap();
        fs::write(folder.path().join("empty"), "").unwrap();
        folder
    }

    fn survey(typed: &[PathBuf]) -> Survey {
        Inputs::find(typed).unwrap().survey(typed, 1).unwrap()
    }

    fn names(typed: &[PathBuf], folder: &Path) -> Vec<String> {
        let name = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
        survey(typed).paths().map(name).collect()
    }

    #[test]
    fn a_folder_stands_for_the_captures_below_it() {
        let folder = folder();
        let typed = [folder.path().to_path_buf()];
        assert_eq!(names(&typed, folder.path()), ["a.pcap", "b.pcap", "deep/er/c.cap"]);
        assert_eq!(survey(&typed).passed_over(), 2);
    }

    #[test]
    fn a_capture_in_a_format_that_is_not_read_is_not_passed_over() {
        let folder = folder();
        fs::write(folder.path().join("monitor.cap"), b"GMBU\0\x02\x01\0").unwrap();
        fs::write(folder.path().join("packed.zip"), b"PK\x03\x04\x14\0").unwrap();
        let typed = [folder.path().to_path_buf()];
        assert_eq!(names(&typed, folder.path()).len(), 3);
        assert_eq!(survey(&typed).refused(), 1);
        assert_eq!(survey(&typed).passed_over(), 3);
    }

    #[test]
    #[cfg(unix)]
    fn links_to_a_file_are_that_file() {
        let folder = folder();
        let (file, hard, soft) = ("b.pcap", "hard.pcap", "soft.pcap");
        let path = |name: &str| folder.path().join(name);
        fs::hard_link(path(file), path(hard)).unwrap();
        std::os::unix::fs::symlink(path(file), path(soft)).unwrap();
        let typed = [path(hard), path(file), path(soft)];
        assert_eq!(names(&typed, folder.path()), [hard]);
    }

    #[test]
    fn a_file_named_twice_counts_once() {
        let folder = folder();
        let typed = [folder.path().join("b.pcap"), folder.path().join("*.pcap")];
        assert_eq!(names(&typed, folder.path()), ["a.pcap", "b.pcap"]);
    }

    #[test]
    fn standard_input_named_twice_counts_once() {
        let inputs = Inputs::find(&["-".into(), "/nowhere/x.pcap".into(), "-".into()]).unwrap();
        let paths: Vec<_> =
            inputs.candidates.iter().map(|it| it.path.display().to_string()).collect();
        assert_eq!(paths, ["-", "/nowhere/x.pcap"]);
    }

    #[test]
    fn nothing_to_read_is_an_error_that_names_what_was_typed() {
        let folder = folder();
        let message = |path: &str| {
            let typed = [folder.path().join(path)];
            let survey = Inputs::find(&typed).and_then(|found| found.survey(&typed, 1));
            survey.unwrap_err().to_string()
        };
        assert!(message("*.pcapng").starts_with("nothing fits the pattern "));
        fs::create_dir(folder.path().join("hollow")).unwrap();
        assert!(message("hollow").starts_with("no capture in "));
    }

    #[test]
    fn a_file_that_does_not_exist_is_told_by_the_run() {
        let survey = survey(&[PathBuf::from("/nowhere/x.pcap")]);
        assert_eq!((survey.paths().count(), survey.refused()), (0, 1));
    }
}
