//! The detectors from outside: their pages, and scenarios from segments to findings.

mod pages;
mod replay;
mod scenarios;
