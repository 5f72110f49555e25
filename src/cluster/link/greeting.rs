//! What a link says first on a new connection, and what it learns, without I/O.
//!
//! One batch asks for RESP3, the login, the database, whether Redis is ready, which process it is, and in a Redis Cluster whether it has
//! the slot. If that process has had a
//! connection of this link before, the link has it killed: Redis may still hold commands of it, which must not be executed
//! after those of the new one.

use super::super::fault::{Fault, FaultKind};
use super::super::resp::{Value, write_command};
use super::route::Route;

/// What Redis says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The number of the connection, as in `CLIENT LIST`.
    pub client_id: i64,
    /// As "7.0.15".
    pub version: Box<str>,
    /// A random text for each start of a Redis process.
    pub run_id: Box<str>,
    /// Whether it is a server of a Redis Cluster.
    pub is_cluster: bool,
    /// Whether it is the same process as that of the last connection which was up.
    pub is_same: bool,
}

/// The greeting as far as it has come.
#[derive(Debug)]
pub struct Introduction {
    next: Step,
    db: u32,
    /// It stands for a part of a Redis Cluster.
    is_part: bool,
    greeting: Greeting,
    /// The connection before, if any.
    before: Option<Greeting>,
}

/// Which answer is the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Hello,
    Select,
    Ping,
    Info,
    Part,
    Kill,
}

impl Introduction {
    /// Begins one, and appends the first batch to `out`. `before` is what Redis said on the last connection that was up.
    pub fn begin(route: &Route, before: Option<&Greeting>, out: &mut Vec<u8>) -> Self {
        let url = route.url();
        let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
        if let Some(password) = url.password() {
            let user = url.user().unwrap_or("default");
            hello.extend([&b"AUTH"[..], user.as_bytes(), password.expose().as_bytes()]);
        }
        hello.extend([&b"SETNAME"[..], b"gannet"]);
        write_command(out, &hello);
        if url.db() != 0 {
            write_command(out, &[b"SELECT", url.db().to_string().as_bytes()]);
        }
        write_command(out, &[b"PING"]);
        write_command(out, &[b"INFO", b"server"]);
        if let Some(key) = route.key() {
            write_command(out, &[b"GET", &key]);
        }
        let greeting = Greeting {
            client_id: 0,
            version: "".into(),
            run_id: "".into(),
            is_cluster: false,
            is_same: false,
        };
        let (db, is_part) = (url.db(), route.is_of_cluster());
        Self { next: Step::Hello, db, is_part, greeting, before: before.cloned() }
    }

    /// Takes the next answer, and appends to `out` what is to be asked then. Gives the greeting when it is complete.
    ///
    /// # Errors
    /// A [`Fault`], after which the connection is of no use.
    pub fn answer(&mut self, answer: &Value, out: &mut Vec<u8>) -> Result<Option<Greeting>, Fault> {
        match (self.next, answer) {
            (Step::Hello, answer) => {
                self.hello(answer)?;
                self.next = if self.db == 0 { Step::Ping } else { Step::Select };
            }
            (Step::Select, Value::Error(error)) => return Err(Fault::answered("SELECT", error)),
            (Step::Select, _) => self.next = Step::Ping,
            // PING is the one harmless command that Redis refuses while it loads. It also refuses it (MISCONF) while it cannot
            // write to its disk, which is no matter of the link.
            (Step::Ping, Value::Error(error)) if error.starts_with("LOADING") => {
                return Err(Fault::answered("PING", error));
            }
            (Step::Ping, _) => self.next = Step::Info,
            (Step::Info, Value::Error(error)) => return Err(Fault::answered("INFO", error)),
            (Step::Info, answer) => {
                self.info(answer)?;
                match self.is_part {
                    true => self.next = Step::Part,
                    false => return Ok(self.end_old_connection(out)),
                }
            }
            // ASK: the slot is on its way to another server, and still here.
            (Step::Part, Value::Error(error)) if !error.starts_with("ASK ") => {
                return Err(Fault::moved(error).unwrap_or_else(|| Fault::answered("GET", error)));
            }
            (Step::Part, _) => return Ok(self.end_old_connection(out)),
            // Without the right to do so, an old connection lives on, which nothing would tell.
            (Step::Kill, Value::Error(error)) if error.starts_with("NOPERM") => {
                return Err(Fault::answered("CLIENT KILL", error));
            }
            // It is gone: killed now, or before (ERR No such client).
            (Step::Kill, _) => return Ok(Some(self.greeting.clone())),
        }
        Ok(None)
    }

    fn hello(&mut self, answer: &Value) -> Result<(), Fault> {
        if let Value::Error(error) = answer {
            return Err(refusal(error));
        }
        let text = |key| answer.field(key).and_then(Value::bytes).map(String::from_utf8_lossy);
        let (Some(Value::Int(id)), Some(version), Some(role), Some(mode)) =
            (answer.field("id"), text("version"), text("role"), text("mode"))
        else {
            return Err(Fault::new(FaultKind::Protocol, "its answer to HELLO is not that of a Redis"));
        };
        if mode == "sentinel" {
            let text = "it is a Sentinel, which has no channels of its own for a bus: name the primary";
            return Err(Fault::new(FaultKind::Replica, text));
        }
        if self.is_part != (mode == "cluster") {
            let text = match self.is_part {
                true => "it is no Redis Cluster: take cluster.shards out of the configuration",
                false => "it is a server of a Redis Cluster: set cluster.shards, 16 for example",
            };
            return Err(Fault::new(FaultKind::Replica, text));
        }
        // A replica of a Redis Cluster says which server is its primary when it is asked for a key.
        if role != "master" && !self.is_part {
            let text = "it is a replica: it would reach only its own subscribers; name the primary";
            return Err(Fault::new(FaultKind::Replica, text));
        }
        (self.greeting.client_id, self.greeting.version) = (*id, version.into());
        self.greeting.is_cluster = mode == "cluster";
        Ok(())
    }

    fn info(&mut self, answer: &Value) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(answer.bytes().unwrap_or_default());
        let run_id = text.lines().find_map(|line| line.strip_prefix("run_id:")).map(str::trim);
        let Some(run_id) = run_id.filter(|run_id| !run_id.is_empty()) else {
            return Err(Fault::new(FaultKind::Protocol, "its answer to INFO has no run_id"));
        };
        self.greeting.is_same = self.before.as_ref().is_some_and(|before| *before.run_id == *run_id);
        self.greeting.run_id = run_id.into();
        Ok(())
    }

    /// Has the last connection killed, if it was to the same process. Gives the greeting where there is none.
    fn end_old_connection(&mut self, out: &mut Vec<u8>) -> Option<Greeting> {
        let Some(old) = self.old_connection() else { return Some(self.greeting.clone()) };
        write_command(out, &[b"CLIENT", b"KILL", b"ID", old.to_string().as_bytes()]);
        self.next = Step::Kill;
        None
    }

    /// The last connection, if it was to the same process.
    fn old_connection(&self) -> Option<i64> {
        self.before.as_ref().filter(|_| self.greeting.is_same).map(|before| before.client_id)
    }
}

/// The fault of an error that answers HELLO, or stands in its place.
fn refusal(error: &str) -> Fault {
    if error.starts_with("NOPROTO") || error.starts_with("ERR unknown command") {
        let text = "it does not know RESP3: use Redis 6 or newer, 7 best";
        return Fault::new(FaultKind::TooOld, text);
    }
    if error.starts_with("ERR max number of clients") {
        return Fault::new(FaultKind::Refused, "it has as many connections as it may: raise its maxclients");
    }
    Fault::answered("HELLO", error)
}
