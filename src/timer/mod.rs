//! Time: the clock, its readings, a time in four bytes, the timer wheel. Knows nothing of what is due.

mod clock;
mod moment;
mod stamp;
mod wheel;

pub use clock::{CarriedClock, Clock};
pub use moment::Moment;
pub use stamp::Stamp;
pub use wheel::Wheel;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use wheel::model as wheel_model;
