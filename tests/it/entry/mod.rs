//! Who is let in, at either port, and what it may do there.

mod brakes;
mod client;
mod health;
mod keys;
mod pages;
pub mod support;
mod tokens;
