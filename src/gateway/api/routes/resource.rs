//! The paths of the backend port, and the methods of each. Knows nothing of parameters.

/// What a path names; names and ids as they stand in it, percent-decoded and unchecked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    Push,
    Batch,
    Group(&'a str),
    GroupMembers(&'a str),
    GroupMove(&'a str),
    Sessions,
    Session(&'a str),
    SessionUser(&'a str),
    SessionTags(&'a str),
    User(&'a str),
    Link,
    Stats,
    Metrics,
    Health,
    Ready,
    Console,
}

impl<'a> Resource<'a> {
    /// The paths, for a person to read.
    pub const PATHS: &'static str = "the API is at /v1/push, /v1/batch, /v1/groups/{group}, /v1/sessions, \
        /v1/users/{user}, /v1/stats, /v1/link, and beside it are /metrics, /healthz and /readyz";

    /// What the segments of a path name.
    pub fn find(segments: &[&'a str]) -> Option<Self> {
        match *segments {
            [] | [""] => Some(Self::Console),
            ["metrics"] => Some(Self::Metrics),
            ["healthz"] => Some(Self::Health),
            ["readyz"] => Some(Self::Ready),
            ["v1", "push"] => Some(Self::Push),
            ["v1", "batch"] => Some(Self::Batch),
            ["v1", "groups", group] => Some(Self::Group(group)),
            ["v1", "groups", group, "members"] => Some(Self::GroupMembers(group)),
            ["v1", "groups", group, "move"] => Some(Self::GroupMove(group)),
            ["v1", "sessions"] => Some(Self::Sessions),
            ["v1", "sessions", session] => Some(Self::Session(session)),
            ["v1", "sessions", session, "user"] => Some(Self::SessionUser(session)),
            ["v1", "sessions", session, "tags"] => Some(Self::SessionTags(session)),
            ["v1", "users", user] => Some(Self::User(user)),
            ["v1", "link"] => Some(Self::Link),
            ["v1", "stats"] => Some(Self::Stats),
            _ => None,
        }
    }

    /// Its methods, as `Allow` lists them (RFC 9110 §10.2.1).
    pub fn allow(self) -> &'static str {
        match self {
            Self::Push | Self::Batch | Self::GroupMove(_) => "POST",
            Self::GroupMembers(_) | Self::SessionTags(_) => "POST, DELETE",
            Self::Group(_) | Self::Session(_) => "GET, HEAD, DELETE",
            Self::SessionUser(_) => "PUT",
            Self::User(_) => "DELETE",
            Self::Sessions | Self::Stats | Self::Metrics | Self::Health | Self::Ready | Self::Console => {
                "GET, HEAD"
            }
            // An upgrade is a GET (RFC 6455 §4.1).
            Self::Link => "GET",
        }
    }

    /// Whether `method` is one of its methods; methods are told apart by case (RFC 9110 §9.1).
    pub fn allows(self, method: &str) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method)
    }
}
