//! The parts of a request target. Of query parameters, each is known to its path and given once, unless it may be given
//! several times; anything else is refused by name. Knows nothing of what the parameters mean.

use crate::dispatch::{CommandError, Quoted};
use crate::http::{Query, path_segments};
use crate::ops::bounds::{self, bad_request};
use crate::ops::field::once;
use smallvec::SmallVec;
use std::borrow::Cow;

/// A parameter's value, percent-decoded.
pub type Value<'a> = Cow<'a, str>;

/// The parameters of a query in their order, names and values percent-decoded.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::dispatch::ErrorCode::BadRequest), as an item, for what cannot be decoded.
pub fn pairs(query: Option<&str>) -> impl Iterator<Item = Result<(Value<'_>, Value<'_>), CommandError>> {
    Query::new(query.unwrap_or_default())
        .map(|pair| pair.map_err(|undecodable| bad_request(undecodable.to_string())))
}

/// The segments of a path, percent-decoded.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::dispatch::ErrorCode::BadRequest) for what cannot be decoded.
pub fn segments(path: &str) -> Result<SmallVec<[Value<'_>; 5]>, CommandError> {
    path_segments(path).collect::<Result<_, _>>().map_err(|undecodable| bad_request(undecodable.to_string()))
}

/// The values of the parameters `known`, in that order, each of which may be given once.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::dispatch::ErrorCode::BadRequest) for a parameter that is not in `known`, or given
/// twice.
pub fn single<'q, const N: usize>(
    query: Option<&'q str>,
    known: [&str; N],
) -> Result<[Option<Value<'q>>; N], CommandError> {
    let mut values = [const { None }; N];
    for pair in pairs(query) {
        let (name, value) = pair?;
        match known.iter().position(|known| *known == name) {
            Some(index) => once(&mut values[index], &name, value)?,
            None => return Err(unknown(&name, &known)),
        }
    }
    Ok(values)
}

/// The parameter `name` is none of `known`.
pub fn unknown(name: &str, known: &[&str]) -> CommandError {
    let name = Quoted(name);
    match known {
        [] => bad_request(format!("there is no parameter {name} here, nor any other")),
        _ => bad_request(format!("there is no parameter {name} here; there are {}", known.join(", "))),
    }
}

/// The value that must be there.
pub fn needed<'q>(name: &str, value: Option<Value<'q>>) -> Result<Value<'q>, CommandError> {
    value.ok_or_else(|| bad_request(format!("the parameter {name} is missing")))
}

/// A number: decimal digits.
pub fn number(name: &str, value: Option<Value<'_>>) -> Result<Option<u64>, CommandError> {
    value.map(|value| bounds::number(name, &value)).transpose()
}

/// A switch: `1` or `true`, `0` or `false`; off when it is not given.
pub fn switch(name: &str, value: Option<Value<'_>>) -> Result<bool, CommandError> {
    value.map_or(Ok(false), |value| bounds::switch(name, &value))
}
