//! Where a server listens: several addresses, names, both families. At each place a player gets what is pushed at
//! each other one.

mod tcp;

use gannet::config::{Endpoint, Listen};

/// `listen` as a configuration has it.
fn listen(texts: &[&str]) -> Listen {
    texts.iter().map(|text| text.parse::<Endpoint>().unwrap()).collect()
}
