//! The detectors from outside: their pages, and scenarios from segments to findings.

mod filters;
mod pages;
mod replay;
mod scenarios;
