//! The detectors from outside: their pages, and scenarios from capture bytes to findings.

mod pages;
