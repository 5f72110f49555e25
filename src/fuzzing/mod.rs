//! The bodies of the fuzz targets whose rooms are private: each takes any bytes and panics when something is wrong. No
//! public API. Models that look inside a room stand beside it; here is what needs no more than the room's face.
//!
//! The tests replay every body on its corpus, so that what fuzzing found stays found.

mod api;
mod batch;
mod client_params;
mod config;
mod identity;
mod jwks;
mod link_bin;
mod link_json;
mod origin;
mod proxy;
mod request_reader;
mod resp;
mod response_reader;
mod signed_query;
mod token;

use crate::choices::Choices;
use crate::dispatch::Apps;

pub use api::run as api;
pub use batch::run as batch;
pub use client_params::run as client_params;
pub use config::run as config;
pub use identity::run as identity;
pub use jwks::run as jwks;
pub use link_bin::run as link_bin;
pub use link_json::run as link_json;
pub use origin::run as origin;
pub use proxy::run as proxy;
pub use request_reader::run as request_reader;
pub use resp::run as resp;
pub use response_reader::run as response_reader;
pub use signed_query::run as signed_query;
pub use token::run as token;

/// The hub beside a map of sessions that is searched from end to end: a byte for the number of slots and
/// whether hashes collide, then operations.
pub fn hub(data: &[u8]) {
    let mut choices = Choices::new(data);
    let choice = choices.below(8) as usize;
    crate::hub::model::obey(choices.rest(), [2, 6, 40, 250][choice % 4], choice >= 4);
}

/// A door that another process is said to have had.
pub fn carried_door(data: &[u8]) {
    crate::server::alone::carried_door::obey(data);
}

/// A whole server that another process is said to have had.
pub fn carried_world(data: &[u8]) {
    crate::server::alone::carried_world::obey(data);
}

/// The ring of events of a link that may be resumed, beside a list of all that ever came, and its tickets.
pub fn link_ring(data: &[u8]) {
    crate::core::link_ring_model::obey(data);
}

/// What groups remember, beside a list of all that was said.
pub fn memory(data: &[u8]) {
    crate::hub::memory_model::obey(data);
}

/// The outbox beside one list in the order of arrival, with a socket that takes what the input says.
pub fn outbox(data: &[u8]) {
    crate::connection::outbox_model::obey(data);
}

/// The TLS record layer beside rustls: a byte for what is done, then what a client sends, or the state of a session.
#[cfg(feature = "tls")]
pub fn record(data: &[u8]) {
    crate::tls::model::obey(data);
}

/// The slab beside a table of all its slots: a byte for the width of a generation, then operations.
pub fn slab(data: &[u8]) {
    let mut choices = Choices::new(data);
    let obey = match choices.below(4) {
        0 => crate::session::slab_model::obey::<0>,
        1 => crate::session::slab_model::obey::<2>,
        _ => crate::session::slab_model::obey::<22>,
    };
    obey(choices.rest());
}

/// The stream between an old and a new process: any bytes, or a stream that the input makes, whole or harmed.
pub fn upgrade_stream(data: &[u8]) {
    crate::upgrade::model::obey(data);
}

/// A session whose connection is cut again and again: its client reads every message once.
pub fn resume(data: &[u8]) {
    crate::connection::resume_model::obey(data);
}

/// The timer wheel beside a `BTreeMap` of ticks.
pub fn wheel(data: &[u8]) {
    crate::timer::wheel_model::obey(data);
}

fn apps() -> Apps {
    Apps::new(["chess"]).expect("it is a valid name")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    type Body = fn(&[u8]);

    /// Every target by its name, which is also its folder in the corpus.
    const TARGETS: &[(&str, Body)] = &[
        ("api", super::api),
        ("batch", super::batch),
        ("carried_door", super::carried_door),
        ("carried_world", super::carried_world),
        ("client_params", super::client_params),
        ("config", super::config),
        ("hub", super::hub),
        ("identity", super::identity),
        ("jwks", super::jwks),
        ("link_bin", super::link_bin),
        ("link_json", super::link_json),
        ("link_ring", super::link_ring),
        ("memory", super::memory),
        ("origin", super::origin),
        ("outbox", super::outbox),
        ("proxy", super::proxy),
        #[cfg(feature = "tls")]
        ("record", super::record),
        ("request_reader", super::request_reader),
        ("resp", super::resp),
        ("response_reader", super::response_reader),
        ("resume", super::resume),
        ("signed_query", super::signed_query),
        ("slab", super::slab),
        ("token", super::token),
        ("upgrade_stream", super::upgrade_stream),
        ("wheel", super::wheel),
    ];

    #[test]
    fn every_target_passes_on_its_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, body) in TARGETS {
            let mut count = 0;
            for entry in fs::read_dir(corpus.join(name)).unwrap() {
                let path = entry.unwrap().path();
                println!("{}", path.display());
                body(&fs::read(&path).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }

    #[test]
    fn every_target_passes_on_short_inputs() {
        for (_, body) in TARGETS {
            body(&[]);
            for first in 0..=255 {
                body(&[first]);
                body(&[first, 0x81]);
                body(&[0, first, first ^ 0x55, 1]);
            }
        }
    }
}
