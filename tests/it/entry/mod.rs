//! Who is let in, at either port, and what it may do there.

mod tokens;
