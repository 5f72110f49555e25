//! What a slow client sees under each policy: a live server, four clients that read 20 messages a second of 100 for four
//! seconds and then as fast as they can, and a picture of which message each of them read when.
//!
//! `cargo run --release --example slow_reader > docs/images/slow-reader.svg`

use std::error::Error;
use std::fmt::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use gannet::config::{AppConfig, Config, Slow, SlowPolicy};
use gannet::dispatch::{EncodedFrame, PushOptions, Selector, Target};
use gannet::{Pusher, Relay, Server};
use socket2::{Domain, Socket, Type};
use tungstenite::Message;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const PER_SECOND: u32 = 100;
const PUBLISHED_FOR: Duration = Duration::from_secs(6);
const SLOW_FOR: Duration = Duration::from_secs(4);
/// Between two messages, while a client is slow.
const PAUSE: Duration = Duration::from_millis(50);
/// Large, so that the socket buffers of the two kernels hold few of them, and the outbox the rest.
const PAYLOAD: usize = 256 * 1024;
/// What an outbox holds: half a second of messages.
const OUTBOX_MESSAGES: usize = 50;

/// The app of each panel, its policy, whether its pushes have a key, and what stands above the panel.
const PANELS: [(&str, SlowPolicy, bool, &str); 4] = [
    ("close", SlowPolicy::Close, false, "close: all in order, then 4003"),
    ("oldest", SlowPolicy::DropOldest, false, "drop-oldest: the newest half second, with gaps"),
    ("newest", SlowPolicy::DropNewest, false, "drop-newest: no gap before the queue is full"),
    ("key", SlowPolicy::Close, true, "key=: the newest, as soon as the socket takes it"),
];

/// What one client saw: seconds since the start and the number of the message; and when it was closed, and why.
#[derive(Default)]
struct Seen {
    messages: Vec<(f64, u32)>,
    closed: Option<(f64, u16)>,
}

fn main() -> Outcome<()> {
    let mut config = Config { reactors: Some(1), ..Config::default() };
    config.listen.set_port(0);
    config.backend.listen.set_port(0);
    config.limits.outbox_messages = OUTBOX_MESSAGES;
    config.limits.outbox_bytes = 64 << 20;
    for (app, normal, _, _) in PANELS {
        let slow = Slow { normal, ..Slow::default() };
        config.apps.insert(app.to_owned(), AppConfig { slow, ..AppConfig::default() });
    }
    let server = Server::bind(config)?;
    let (address, pusher, stopper) = (server.client_addr(), server.pusher(), server.stopper());
    let server = thread::spawn(move || server.run(|_| Box::new(Relay)));
    let clients: Vec<_> = PANELS.iter().map(|(app, ..)| connect(address, app)).collect::<Outcome<_>>()?;
    let start = Instant::now();
    let readers: Vec<_> =
        clients.into_iter().map(|client| thread::spawn(move || read(client, start))).collect();
    let published = publish(&pusher, start)?;
    // The Close frames go behind what waits, so that every reader comes to an end and has it all.
    stopper.stop();
    let seen = readers.into_iter().map(|reader| reader.join().map_err(|_| "a reader panicked")?);
    let seen = seen.collect::<Outcome<Vec<Seen>>>()?;
    server.join().map_err(|_| "the server panicked")??;
    for ((_, _, _, title), seen) in PANELS.iter().zip(&seen) {
        eprintln!("{title}: {} messages, closed: {:?}", seen.messages.len(), seen.closed);
    }
    print!("{}", picture(&published, &seen)?);
    Ok(())
}

/// Publishes to all four at an even pace; gives the seconds since the start and the numbers.
fn publish(pusher: &Pusher, start: Instant) -> Outcome<Vec<(f64, u32)>> {
    let mut published = Vec::new();
    let mut number: u32 = 0;
    while start.elapsed() < PUBLISHED_FOR {
        if start.elapsed() * PER_SECOND < Duration::from_secs(u64::from(number)) {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let mut payload = vec![b' '; PAYLOAD];
        let digits = number.to_string();
        payload[..digits.len()].copy_from_slice(digits.as_bytes());
        let frame = EncodedFrame::binary(&payload);
        published.push((start.elapsed().as_secs_f64(), number));
        for (app, _, has_key, _) in PANELS {
            let options = PushOptions { key: has_key.then(|| "state".into()), ..PushOptions::default() };
            pusher.push(app, Target::from(Selector::All), frame.clone(), options)?;
        }
        number += 1;
    }
    Ok(published)
}

type Client = tungstenite::WebSocket<std::net::TcpStream>;

/// A client with a small receive buffer, so that what it has not read waits at the server.
fn connect(address: SocketAddr, app: &str) -> Outcome<Client> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_recv_buffer_size(128 * 1024)?;
    socket.connect(&address.into())?;
    let (mut client, _) =
        tungstenite::client(format!("ws://{address}/ws/{app}"), std::net::TcpStream::from(socket))
            .map_err(|error| error.to_string())?;
    client.read()?;
    Ok(client)
}

fn read(mut client: Client, start: Instant) -> Outcome<Seen> {
    let mut seen = Seen::default();
    loop {
        let message = client.read();
        let now = start.elapsed().as_secs_f64();
        match message {
            Ok(Message::Binary(payload)) => {
                let number = payload.split(|byte| *byte == b' ').next().unwrap_or_default();
                seen.messages.push((now, std::str::from_utf8(number)?.parse()?));
            }
            Ok(Message::Close(frame)) => {
                seen.closed = frame.map(|frame| (now, frame.code.into())).filter(|(_, code)| *code != 1001);
            }
            Ok(_) => {}
            Err(_) => return Ok(seen),
        }
        if start.elapsed() < SLOW_FOR {
            thread::sleep(PAUSE);
        }
    }
}

/// Four panels with common axes: the published line in grey, what was read as dots.
fn picture(published: &[(f64, u32)], seen: &[Seen]) -> Result<String, std::fmt::Error> {
    const WIDTH: f64 = 400.0;
    const HEIGHT: f64 = 240.0;
    const LEFT: f64 = 52.0;
    const TOP: f64 = 34.0;
    const RIGHT: f64 = 12.0;
    const BOTTOM: f64 = 40.0;
    let seconds = PUBLISHED_FOR.as_secs_f64() + 0.6;
    let numbers = f64::from(PER_SECOND) * PUBLISHED_FOR.as_secs_f64();
    let x = |second: f64| LEFT + second / seconds * (WIDTH - LEFT - RIGHT);
    let y = |number: f64| HEIGHT - BOTTOM - number / numbers * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#222\" role=\"img\" \
         aria-label=\"Which message a slow client read when, under each policy\">\n\
         <rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
        2.0 * WIDTH,
        2.0 * HEIGHT
    );
    for (index, ((_, _, _, title), seen)) in PANELS.iter().zip(seen).enumerate() {
        let (column, row) = ((index % 2) as f64, (index / 2) as f64);
        writeln!(svg, "<g transform=\"translate({} {})\">", column * WIDTH, row * HEIGHT)?;
        writeln!(svg, "<text x=\"{LEFT}\" y=\"20\" font-weight=\"bold\">{title}</text>")?;
        for second in 0..=6 {
            let at = x(f64::from(second));
            writeln!(svg, "<path stroke=\"#ddd\" d=\"M{at:.1} {TOP}V{}\"/>", HEIGHT - BOTTOM)?;
            writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{second} s</text>",
                HEIGHT - 22.0
            )?;
        }
        for number in [0, 200, 400, 600] {
            let at = y(f64::from(number));
            writeln!(svg, "<path stroke=\"#ddd\" d=\"M{LEFT} {at:.1}H{}\"/>", WIDTH - RIGHT)?;
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{number}</text>",
                LEFT - 6.0,
                at + 4.0
            )?;
        }
        let slow = SLOW_FOR.as_secs_f64();
        writeln!(
            svg,
            "<path stroke=\"#e69f00\" stroke-dasharray=\"4 3\" d=\"M{0:.1} {TOP}V{1}\"/>\
             <text x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\" font-size=\"10\">reads fast from here</text>",
            x(slow),
            HEIGHT - BOTTOM,
            HEIGHT - 8.0
        )?;
        let line: Vec<String> = published
            .iter()
            .step_by(10)
            .map(|(second, number)| format!("{:.1},{:.1}", x(*second), y(f64::from(*number))))
            .collect();
        writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"#999\" stroke-width=\"1.5\" points=\"{}\"/>",
            line.join(" ")
        )?;
        let mut dots = String::new();
        for (second, number) in &seen.messages {
            write!(dots, "M{:.1} {:.1}h0", x(*second), y(f64::from(*number)))?;
        }
        writeln!(
            svg,
            "<path stroke=\"#0072b2\" stroke-width=\"2.4\" stroke-linecap=\"round\" d=\"{dots}\"/>"
        )?;
        if let Some((second, code)) = seen.closed {
            let last = seen.messages.last().map_or(0.0, |(_, number)| f64::from(*number));
            writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#d55e00\" font-weight=\"bold\">× {code}</text>",
                x(second) - 3.0,
                y(last) + 4.0
            )?;
        }
        writeln!(svg, "</g>")?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}
