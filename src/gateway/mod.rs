//! What gannet the server makes of requests and messages: HTTP and JSON in, [`dispatch`](crate::dispatch) commands
//! out, and the answers and events back to JSON. These rooms are pure: bytes and borrowed values in, values and bytes
//! out. They know nothing of sockets, reactors or clocks.

pub mod apps;
pub mod backend_key;
pub mod batch;
pub mod fields;
pub mod identity;
pub mod link_json;
pub mod params;
pub mod refusal;
pub mod render;
pub mod routes;
