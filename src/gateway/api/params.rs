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

/// Parameters with their values, in the order in which an app lists them.
pub type Listed = Vec<(Box<str>, Box<str>)>;

/// Takes the parameters that an app lists out of a query, each of which may be given once: they, and the rest of the query.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::dispatch::ErrorCode::BadRequest) for one that is given twice, and where names and values together
/// have more than `most` bytes.
pub fn take_listed(query: &str, listed: &[Box<str>], most: usize) -> Result<(Listed, String), CommandError> {
    let mut values: Vec<Option<Value<'_>>> = vec![None; listed.len()];
    let mut rest = String::new();
    for part in query.split('&') {
        let pair = pairs(Some(part)).next().transpose()?;
        let index = |name: &str| listed.iter().position(|known| **known == *name);
        match pair.and_then(|(name, value)| Some((index(&name)?, value))) {
            Some((index, value)) => once(&mut values[index], &listed[index], value)?,
            None => {
                rest.push_str(if rest.is_empty() { "" } else { "&" });
                rest.push_str(part);
            }
        }
    }
    let given = listed.iter().zip(values).filter_map(|(name, value)| Some((name.clone(), value?)));
    let taken: Listed = given.map(|(name, value)| (name, value.into_owned().into())).collect();
    let bytes: usize = taken.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > most {
        let message = format!(
            "the parameters that the app keeps have {bytes} bytes with their names, and limits.session_params_bytes is {most}"
        );
        return Err(bad_request(message));
    }
    Ok((taken, rest))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_lists_is_taken_out_of_a_query_and_the_rest_stays_as_it_was() {
        let listed: [Box<str>; 2] = ["version".into(), "lang uage".into()];
        let take = |query: &str| {
            let (taken, rest) =
                take_listed(query, &listed, 24).map_err(|error| error.message.into_string())?;
            Ok::<_, String>((
                taken.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
                rest,
            ))
        };
        let taken = |all: &[&str], rest: &str| {
            Ok((all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>(), rest.to_owned()))
        };
        assert_eq!(take(""), taken(&[], ""));
        assert_eq!(take("user=a+b&tag=%41"), taken(&[], "user=a+b&tag=%41"));
        assert_eq!(take("user=ada&version=1%2E2&tag=t"), taken(&["version=1.2"], "user=ada&tag=t"));
        assert_eq!(take("lang%20uage=de&version="), taken(&["version=", "lang uage=de"], ""));
        assert!(take("version=1&version=2").unwrap_err().contains("version is given twice"));
        assert!(take("version=%").unwrap_err().contains("hex digits"));
        assert!(take(&format!("version={}", "1".repeat(18))).unwrap_err().contains("have 25 bytes"));
    }
}
