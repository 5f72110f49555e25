//! Several nodes as one server: what they tell each other over Redis.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "core's bus, which sends and receives it, is not there yet")
)]
pub mod command;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "core's bus, which sends and receives it, is not there yet")
)]
pub mod message;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "core's bus, which sends and receives it, is not there yet")
)]
pub mod part;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "core's bus, which sends and receives it, is not there yet")
)]
pub mod push;
