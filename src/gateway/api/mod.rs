//! Bytes and borrowed values in, [`dispatch`](crate::dispatch) values out, and back: requests, commands, answers, events.
//! Pure: nothing here knows a socket, a reactor or who is connected.

pub mod batch;
pub mod bearer;
pub mod binary;
pub mod coming_back;
pub mod credentials;
pub mod heard;
pub mod identity;
pub mod json;
pub mod over_http;
pub mod own;
pub mod params;
pub mod refusal;
pub mod render;
pub mod responses;
pub mod routes;
