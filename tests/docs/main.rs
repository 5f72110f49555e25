//! Holds the documents to the program, both ways: every key, variable, metric, route, operation, code, command and flag
//! that exists stands in docs/, and what docs/ names in such a form exists. Links lead somewhere.
//!
//! What exists is asked of the program itself: its `--help`, its schema, `/metrics` and `/v1/openapi.json` of a server of
//! its own. The tables that are made of rows in the source are held to them by tests beside the rows
//! (`ops::reference`, `config::reference_tests`); here they are the measure for all other pages.
#![cfg(feature = "cli")]

mod commands;
mod keys;
mod links;
mod metrics;
mod page;
mod program;
mod wire;

use std::fmt::Write;

/// What a test has found, all of it at once.
#[derive(Default)]
struct Findings(String);

impl Findings {
    /// Something is wrong at `place`; `what` says what to add, or to correct, and where.
    fn add(&mut self, place: impl std::fmt::Display, what: impl std::fmt::Display) {
        writeln!(self.0, "{place}: {what}").unwrap();
    }

    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "\n\n{}", self.0);
    }
}
