//! Configurations and figures of the server under test.

use crate::support::{Backend, DEADLINE};
use std::time::Instant;

/// Whether the server knows the keys that came with the repairs. With `false` the tests run against a server from before
/// them, where each must fail.
const HAS_NEW_KEYS: bool = true;

/// A configuration: the lines `common`, and the lines `new` where the server knows them. Each line is a whole `key = value`.
pub fn config(common: &str, new: &str) -> String {
    match HAS_NEW_KEYS {
        true => format!("{common}\n{new}\n"),
        false => common.to_owned(),
    }
}

/// The sum of a family's samples with `label`, over the reactors; `None` where there is no such sample.
pub fn metric(backend: &mut Backend, family: &str, label: &str) -> Option<u64> {
    let reply = backend.request("GET", "/metrics");
    let text = String::from_utf8(reply.body).unwrap();
    let samples = text.lines().filter_map(|line| line.strip_prefix(family));
    let values = samples.filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(label));
    values
        .map(|rest| rest.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .reduce(|sum, value| sum + value)
}

/// Looks until `enough` says so.
pub fn await_until(what: &str, mut enough: impl FnMut() -> bool) {
    let started = Instant::now();
    while !enough() {
        assert!(started.elapsed() < DEADLINE, "{what} did not come about in {DEADLINE:?}");
    }
}
