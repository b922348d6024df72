//! A first look at everything that may be read: what is a capture, which of them are the same file,
//! and in which order they come.
//!
//! Every file is opened once, and many at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::plan::{Plan, Shelf, look};
use super::{PipelineError, Unreadable};
use crate::capture::Identity;

/// Inputs that are looked at by one thread: more of them would only be started.
const FEW: usize = 32;

/// What may be an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is; `-` is standard input.
    pub path: PathBuf,
    /// It lies in a folder that was named: it counts only if it is a capture.
    pub may_be_other: bool,
}

/// The inputs of a run, and the order in which they are to be read.
#[derive(Debug)]
pub struct Survey {
    pub(super) plan: Plan,
    identities: BTreeSet<Identity>,
    passed_over: u64,
}

impl From<&Path> for Candidate {
    /// Something that was named, and has to be a capture.
    fn from(path: &Path) -> Self {
        Self { path: path.to_owned(), may_be_other: false }
    }
}

impl Survey {
    /// Looks at the head of every candidate, on so many threads; 0 for one per core. A file that
    /// has several names counts once, under the first of them.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn of(candidates: &[Candidate], threads: usize) -> Result<Self, PipelineError> {
        let shelf = Shelf::default();
        let looked: Vec<_> = if candidates.len() <= FEW {
            let mut head = Vec::new();
            candidates.iter().map(|it| look(&it.path, it.may_be_other, &mut head, &shelf)).collect()
        } else {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let look =
                |head: &mut Vec<u8>, it: &Candidate| look(&it.path, it.may_be_other, head, &shelf);
            pool.install(|| candidates.par_iter().map_init(Vec::new, look).collect())
        };
        let mut survey =
            Self { plan: Plan::default(), identities: BTreeSet::new(), passed_over: 0 };
        survey.plan.inputs.reserve(candidates.len());
        let mut refused = BTreeMap::new();
        for (candidate, looked) in candidates.iter().zip(looked) {
            match looked {
                Ok((None, _)) => survey.passed_over += 1,
                Ok((Some(planned), identity)) => {
                    if survey.identities.insert(identity) {
                        survey.plan.add(planned);
                    }
                }
                Err(error) => drop(refused.insert(&candidate.path, error)),
            }
        }
        for (path, error) in refused {
            survey.plan.refuse(Unreadable::new(&path.to_string_lossy(), 0, &error));
        }
        survey.plan.sort();
        Ok(survey)
    }

    /// There is nothing to be read, nor anything that could not be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plan.inputs.is_empty() && self.refused() == 0
    }

    /// What can be read, in the order in which it will be.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.plan.inputs.iter().rev().map(|planned| planned.path.as_path())
    }

    /// How many candidates cannot be read.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.plan.unreadable.len() as u64 + self.plan.unreadable_more
    }

    /// Candidates that are no captures, and did not have to be.
    #[must_use]
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Whether a path names one of the inputs.
    #[must_use]
    pub fn holds(&self, path: &Path) -> bool {
        self.identities.contains(&Identity::of(path))
    }
}
