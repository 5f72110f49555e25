//! Opening the connections of a load: pipelines and links of the backend port, and players.

use crate::cli::bench::backend::Backend;
use crate::cli::bench::error::BenchError;
use crate::cli::bench::fleet::Fleet;
use crate::cli::bench::pipeline::Pipeline;
use crate::cli::bench::publish::LINK;
use crate::cli::bench::target::Target;
use crate::http::percent_encode;
use crate::link_bin::SUBPROTOCOL;
use crate::protocol::handshake::Request;

/// Handshakes under way at a time while players come.
pub const HANDSHAKES: usize = 32;

/// Opens `count` pipelines.
///
/// # Errors
/// The backend port takes no connection.
pub fn open_pipelines(backend: &Backend, count: usize, fleet: &mut Fleet<'_>) -> Result<(), BenchError> {
    for number in 0..count {
        let stream = backend.connect(number).map_err(BenchError::Publisher)?;
        fleet.add_pipeline(Pipeline::new(stream))?;
    }
    Ok(())
}

/// Begins a link in `slot`.
///
/// # Errors
/// The backend port takes no connection.
pub fn open_link(
    backend: &Backend,
    key: Option<&str>,
    (slot, is_binary): (usize, bool),
    fleet: &mut Fleet<'_>,
) -> Result<(), BenchError> {
    let stream = backend.connect(slot).map_err(BenchError::Publisher)?;
    let bearer = key.map(|key| format!("Bearer {key}"));
    let headers: Vec<_> = bearer.iter().map(|value| ("Authorization", value.as_str())).collect();
    let request = Request {
        host: backend.host(),
        path: "/v1/link",
        subprotocols: &[if is_binary { SUBPROTOCOL } else { LINK }],
        extensions: None,
        headers: &headers,
    };
    fleet.dial(slot, stream, &request)
}

/// The path of the player in `slot`, with `query` behind what it has.
pub fn path_of(target: &Target, slot: usize, query: &str) -> String {
    let path = target.path(slot);
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}{query}")
}

/// The upgrade of a player.
pub fn request_of<'a>(target: &'a Target, path: &'a str) -> Request<'a> {
    Request { host: &target.host, path, subprotocols: &[], extensions: None, headers: &[] }
}

/// A query of parameters and their values.
pub fn query_of<'n>(names: impl IntoIterator<Item = (&'n str, &'n str)>) -> String {
    let mut query = String::new();
    for (parameter, value) in names {
        query.push_str(if query.is_empty() { "" } else { "&" });
        query.push_str(parameter);
        query.push('=');
        percent_encode(value, &mut query);
    }
    query
}
