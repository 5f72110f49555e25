//! Sessions without WebSocket: event streams.

mod events;
