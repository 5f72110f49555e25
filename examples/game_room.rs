//! A game room: players steer dots, the server moves them, and everybody in the room sees the same picture 20 times a
//! second.
//!
//! `cargo run --release --example game_room`, then open <http://127.0.0.1:8080/?room=red&name=ada> in one tab and
//! <http://127.0.0.1:8080/?room=red&name=bob> in another. Arrow keys or WASD steer; a click or a drag is a place to go to.
//! Other addresses than the usual ones: `game_room [PAGE [CLIENTS [BACKEND]]]`, each an address with a port.
//!
//! The reactors only take inputs: [`Door`] parses them and hands them to the one thread that owns the game. That thread
//! ticks, and pushes each room's state through a [`Pusher`]. The state has a conflation key, so that a client which is
//! slow for a while gets the newest state and not all those that it missed. A room is a group of the server: the page
//! names it as it connects (`/ws?user=ada&group=red`), and a push to the group reaches every player in it on every
//! reactor.

use gannet::config::Config;
use gannet::dispatch::{EncodedFrame, PushOptions, Selector, Target};
use gannet::http::{HttpDate, MessageLimits, RequestProgress, RequestReader, Response};
use gannet::protocol::CloseCode;
use gannet::session::{Name, SessionId};
use gannet::{App, ClosedSession, Message, Pusher, Server, Session};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const TICK: Duration = Duration::from_millis(50);
/// The field, in the units of positions; the page scales it to its window.
const WIDTH: f32 = 1600.0;
const HEIGHT: f32 = 900.0;
/// A dot does not leave the field with any part of it.
const MARGIN: f32 = 30.0;
/// Units a second.
const SPEED: f32 = 520.0;
/// Where a client lands that names no room.
const LOBBY: &str = "lobby";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut addresses = std::env::args().skip(1);
    let mut address = |usual: &str| addresses.next().unwrap_or_else(|| usual.into()).parse::<SocketAddr>();
    let pages = TcpListener::bind(address("127.0.0.1:8080")?)?;
    let mut config = Config { listen: address("127.0.0.1:9000")?.into(), ..Config::default() };
    config.backend.listen = address("127.0.0.1:9001")?.into();

    let server = Server::bind(config)?;
    let page = include_str!("game_room.html").replace("{{clients}}", &server.client_addr().to_string());
    let page: &'static str = page.leak();
    println!("play at http://{}/?room=red&name=ada, and in a second tab as bob", pages.local_addr()?);
    println!("the server's own port for backends is http://{}", server.backend_addr());

    let (sender, inputs) = mpsc::channel();
    let pusher = server.pusher();
    thread::Builder::new().name("game".into()).spawn(move || Game::default().run(&inputs, &pusher))?;
    thread::Builder::new().name("pages".into()).spawn(move || serve_pages(&pages, page))?;
    server.run(|_reactor| Box::new(Door { game: sender.clone() }))?;
    Ok(())
}

// ---- between the reactors and the game ----

/// What the game is told; of one session in the order in which it happened.
struct Input {
    session: SessionId,
    what: What,
}

enum What {
    Entered { room: Name, name: String },
    Wants(Move),
    Left,
}

/// What a player wants, until it wants something else.
#[derive(Clone, Copy, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Move {
    /// In this direction; 0, 0 stops.
    Steer { x: f32, y: f32 },
    /// To this place.
    Go { x: f32, y: f32 },
}

/// What a page sends.
#[derive(Deserialize)]
#[serde(untagged)]
enum FromPage {
    Move(Move),
    /// Sent back at once: the page measures the time that takes.
    Ping {
        ping: f64,
    },
}

/// Where sessions come in: one a reactor. It owns nothing of the game and waits for nothing.
struct Door {
    game: Sender<Input>,
}

impl Door {
    fn tell(&self, session: SessionId, what: What) {
        // The game has ended only if the process is about to: then nobody is left to tell.
        let _ = self.game.send(Input { session, what });
    }
}

impl App for Door {
    fn open(&mut self, session: &mut Session<'_>) {
        let room = session.groups().next().cloned();
        let room = room.or_else(|| {
            session.join(LOBBY).ok()?;
            session.groups().next().cloned()
        });
        let Some(room) = room else { return session.close(CloseCode::POLICY_VIOLATION, "no room") };
        let name = session.user().map_or_else(|| "somebody".to_owned(), ToString::to_string);
        self.tell(session.id(), What::Entered { room, name });
    }

    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        match serde_json::from_slice(message.as_bytes()) {
            Ok(FromPage::Move(wanted)) => self.tell(session.id(), What::Wants(wanted)),
            Ok(FromPage::Ping { ping }) => {
                session.send_text(&format!("{{\"type\":\"pong\",\"ping\":{ping}}}"));
            }
            Err(_) => session.close(CloseCode::POLICY_VIOLATION, "not a message of this game"),
        }
    }

    fn close(&mut self, session: &ClosedSession) {
        self.tell(session.id, What::Left);
    }
}

// ---- the game, on a thread of its own ----

#[derive(Default)]
struct Game {
    rooms: HashMap<Name, Room>,
    whereabouts: HashMap<SessionId, Name>,
}

#[derive(Default)]
struct Room {
    tick: u64,
    /// Players that ever came in: the next one's colour and place.
    entered: u16,
    players: BTreeMap<SessionId, Player>,
}

struct Player {
    name: String,
    hue: u16,
    x: f32,
    y: f32,
    wants: Move,
}

/// What a room's players are sent every tick.
#[derive(Serialize)]
#[serde(tag = "type", rename = "state")]
struct State<'a> {
    tick: u64,
    players: Vec<Seen<'a>>,
}

#[derive(Serialize)]
struct Seen<'a> {
    id: String,
    name: &'a str,
    hue: u16,
    x: i32,
    y: i32,
}

impl Game {
    /// Ticks until the server, which has the other ends of `inputs`, is gone.
    fn run(mut self, inputs: &Receiver<Input>, pusher: &Pusher) {
        let mut next_tick = Instant::now();
        loop {
            // A tick that came late does not make the next ones hurry.
            next_tick = (next_tick + TICK).max(Instant::now());
            while let Some(left) = next_tick.checked_duration_since(Instant::now()) {
                match inputs.recv_timeout(left) {
                    Ok(input) => self.apply(input),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            for (name, room) in &mut self.rooms {
                room.step(TICK.as_secs_f32());
                room.show(name, pusher);
            }
        }
    }

    fn apply(&mut self, Input { session, what }: Input) {
        match what {
            What::Entered { room, name } => {
                self.rooms.entry(room.clone()).or_default().enter(session, name);
                self.whereabouts.insert(session, room);
            }
            What::Wants(wanted) => {
                if let Some(player) = self.room_of(session).and_then(|room| room.players.get_mut(&session)) {
                    player.wants = wanted;
                }
            }
            What::Left => {
                if let Some(room) = self.room_of(session) {
                    room.players.remove(&session);
                }
                self.whereabouts.remove(&session);
                self.rooms.retain(|_, room| !room.players.is_empty());
            }
        }
    }

    fn room_of(&mut self, session: SessionId) -> Option<&mut Room> {
        self.rooms.get_mut(self.whereabouts.get(&session)?)
    }
}

impl Room {
    fn enter(&mut self, session: SessionId, name: String) {
        // Steps of the golden angle: neighbours in time are far apart in colour and place.
        let turn = f32::from(self.entered) * 137.5;
        let (sin, cos) = turn.to_radians().sin_cos();
        let (x, y) = (WIDTH / 2.0 + cos * 320.0, HEIGHT / 2.0 + sin * 200.0);
        let (hue, wants) = ((turn as u16 + 195) % 360, Move::Steer { x: 0.0, y: 0.0 });
        self.entered = (self.entered + 1) % 360;
        self.players.insert(session, Player { name, hue, x, y, wants });
    }

    fn step(&mut self, seconds: f32) {
        self.tick += 1;
        self.players.values_mut().for_each(|player| player.step(SPEED * seconds));
    }

    fn show(&self, name: &Name, pusher: &Pusher) {
        let players = self.players.iter().map(|(id, player)| player.seen(*id)).collect();
        let state = State { tick: self.tick, players };
        let json = serde_json::to_string(&state).expect("numbers and strings are JSON");
        let options = PushOptions {
            key: Some("state".into()),
            ttl: Some(Duration::from_secs(1)),
            ..PushOptions::default()
        };
        let room = Target::from(Selector::Group(name.clone()));
        if let Err(error) = pusher.push("default", room, EncodedFrame::text(&json), options) {
            eprintln!("room {name}: {error}");
        }
    }
}

impl Player {
    fn seen(&self, id: SessionId) -> Seen<'_> {
        let (x, y) = (self.x.round() as i32, self.y.round() as i32);
        Seen { id: id.to_string(), name: &self.name, hue: self.hue, x, y }
    }

    fn step(&mut self, reach: f32) {
        let (dx, dy) = match self.wants {
            Move::Steer { x, y } => (x * reach, y * reach),
            Move::Go { x, y } => (x - self.x, y - self.y),
        };
        let distance = dx.hypot(dy);
        // What a page says need not be a number, nor a direction of length one.
        if distance.is_finite() && distance > 0.0 {
            let scale = (reach / distance).min(1.0);
            self.x = (self.x + dx * scale).clamp(MARGIN, WIDTH - MARGIN);
            self.y = (self.y + dy * scale).clamp(MARGIN, HEIGHT - MARGIN);
        }
    }
}

// ---- the page ----

fn serve_pages(listener: &TcpListener, page: &'static str) {
    for stream in listener.incoming().flatten() {
        // Browsers open connections that they may use later: none of them may hold up the others.
        thread::spawn(move || drop(serve_page(stream, page)));
    }
}

fn serve_page(mut stream: TcpStream, page: &'static str) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (limits, mut reader) = (MessageLimits::default(), RequestReader::default());
    let mut buffer = [0; 4096];
    let response = loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => reader.push(&buffer[..count]),
        }
        match reader.read(&limits) {
            Ok(RequestProgress::Head(request)) if request.path == "/" => {
                break Response::new(200, "text/html; charset=utf-8", page.as_bytes());
            }
            Ok(RequestProgress::Head(_)) => break Response::text(404, "the game is at /\n"),
            Ok(_) => {}
            Err(error) => break Response::text(error.status(), error.to_string()),
        }
    };
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let date = HttpDate::from_unix_seconds(since_epoch.as_secs());
    let mut out = Vec::new();
    response.write(false, reader.is_head(), Some(date), &mut out);
    stream.write_all(&out)
}
