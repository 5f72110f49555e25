//! Paths and methods: which row a request asks for.

use super::field::Field;
use super::{Call, Row, rows};
use std::fmt;

/// A request that asks for a row.
#[derive(Debug)]
pub struct Route {
    /// Its method. Where it is `GET`, `HEAD` is taken too, but for an upgrade.
    pub method: Method,
    /// Its path.
    pub path: &'static [Segment],
    /// The parameters that its query may have.
    pub query: &'static [Field],
}

/// A segment of a path.
#[derive(Debug, Clone, Copy)]
pub enum Segment {
    /// It is this.
    Is(&'static str),
    /// It is the value of this field.
    Of(Field),
}

/// The methods that there are; they are told apart by case (RFC 9110 §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    const ALL: [Self; 4] = [Self::Get, Self::Post, Self::Put, Self::Delete];

    /// As a request has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl Route {
    fn is_at(&self, segments: &[&str]) -> bool {
        let is_so = |(is, segment): (&Segment, &&str)| match is {
            Segment::Is(text) => text == segment,
            Segment::Of(_) => true,
        };
        self.path.len() == segments.len() && self.path.iter().zip(segments).all(is_so)
    }

    /// Whether `path`, as it stands in a request, is this one, which has no fields.
    pub(super) fn is_path(&self, path: &str) -> bool {
        let mut segments = path.split('/').skip(1);
        let is_next =
            |segment: &Segment| matches!(segment, Segment::Is(text) if segments.next() == Some(*text));
        self.path.iter().all(is_next) && segments.next().is_none()
    }

    /// Its path with the fields in braces.
    pub fn template(&self) -> String {
        let mut text = String::new();
        for segment in self.path {
            text.push('/');
            match segment {
                Segment::Is(name) => text.push_str(name),
                Segment::Of(field) => text.extend(["{", field.name, "}"]),
            }
        }
        text
    }

    /// The fields that its path has.
    pub fn fields_of_path(&self) -> impl Iterator<Item = &Field> {
        self.path.iter().filter_map(|segment| match segment {
            Segment::Is(_) => None,
            Segment::Of(field) => Some(field),
        })
    }
}

/// What a path and a method lead to.
#[derive(Debug)]
pub enum Found {
    /// A request of this row.
    Route(&'static Row, &'static Route),
    /// The path has other methods: these, as `Allow` lists them (RFC 9110 §10.2.1).
    OtherMethods(String),
    /// Nothing is there.
    Nothing,
}

/// What `method` at the segments of a path asks for.
pub fn find(method: &str, segments: &[&str]) -> Found {
    // The root has one segment, which is empty.
    let mut here = rows().flat_map(|row| row.routes.iter().map(move |route| (row, route)));
    let mut is_there = false;
    let found = here.find(|(row, route)| {
        let is_here = route.is_at(segments);
        is_there |= is_here;
        is_here && takes(row, route, method)
    });
    match found {
        Some((row, route)) => Found::Route(row, route),
        None if is_there => Found::OtherMethods(allow(segments)),
        None => Found::Nothing,
    }
}

fn takes(row: &Row, route: &Route, method: &str) -> bool {
    // An upgrade has no HEAD (RFC 6455 §4.1).
    let has_head = route.method == Method::Get && !matches!(row.call, Call::Link);
    route.method.as_str() == method || (has_head && method == "HEAD")
}

fn allow(segments: &[&str]) -> String {
    let mut list = Vec::new();
    for method in Method::ALL.iter().flat_map(|method| match method {
        Method::Get => ["GET", "HEAD"].as_slice(),
        Method::Post => &["POST"],
        Method::Put => &["PUT"],
        Method::Delete => &["DELETE"],
    }) {
        let mut routes = rows().flat_map(|row| row.routes.iter().map(move |route| (row, route)));
        if routes.any(|(row, route)| route.is_at(segments) && takes(row, route, method)) {
            list.push(*method);
        }
    }
    list.join(", ")
}

/// The paths of the API, in a sentence.
pub fn paths() -> String {
    let mut paths: Vec<String> = Vec::new();
    for route in rows().flat_map(|row| row.routes) {
        let path = route.template();
        if !paths.contains(&path) && path != "/" {
            paths.push(path);
        }
    }
    let (api, beside): (Vec<String>, Vec<String>) =
        paths.into_iter().partition(|path| path.starts_with("/v1/"));
    format!("the API is at {}, and beside it are {}", api.join(", "), beside.join(", "))
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.template())
    }
}
