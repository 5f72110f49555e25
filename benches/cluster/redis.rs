//! A Redis of the bench's own, and what measures it without gannet: blocking sockets of this process, and `redis-benchmark`.

use crate::Failure;
use crate::arrivals::{self, Arrivals};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Commands that `redis-benchmark` sends at once; a reactor sends as many at the most.
pub const BATCH: u32 = 128;

/// A running `redis-server` that keeps nothing on disk; killed when it is dropped.
pub struct Redis {
    port: u16,
    child: Child,
}

impl Redis {
    pub fn start() -> Result<Self, Failure> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            // A subscriber of the bench that is behind for a moment is to be measured, not cut off.
            .args(["--client-output-buffer-limit", "pubsub", "0", "0", "0"])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server: {error}"))?;
        let redis = Self { port, child };
        let until = Instant::now() + Duration::from_secs(10);
        while redis.ask(&["PING"]).is_err() {
            if Instant::now() > until {
                return Err("redis-server does not answer".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(redis)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn connect(&self) -> Result<Bare, Failure> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Bare { stream: BufReader::new(stream), buffer: Vec::new() })
    }

    fn ask(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut bare = self.connect()?;
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
        bare.send(&arguments)?;
        let line = bare.line()?;
        let Some(length) = line.strip_prefix('$') else { return Ok(line) };
        Ok(String::from_utf8_lossy(bare.exactly(length.parse::<usize>()? + 2)?).into_owned())
    }

    /// A field of INFO.
    fn field(&self, section: &str, name: &str) -> Result<f64, Failure> {
        let text = self.ask(&["INFO", section])?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.ok_or("INFO lacks a field")?.trim().parse()?)
    }

    /// CPU time that it has used, in seconds.
    pub fn cpu_s(&self) -> Result<f64, Failure> {
        Ok(self.field("cpu", "used_cpu_user")? + self.field("cpu", "used_cpu_sys")?)
    }

    pub fn memory_bytes(&self) -> Result<f64, Failure> {
        self.field("memory", "used_memory")
    }

    /// How many PUBLISH a second `redis-benchmark` gets done with so many at once, on one connection.
    pub fn benchmark(&self, channel: &str, payload: &str, count: u64) -> Result<f64, Failure> {
        let output = Command::new("redis-benchmark")
            .args(["-p", &self.port.to_string(), "-c", "1", "-P", &BATCH.to_string()])
            .args(["-n", &count.to_string(), "--csv", "publish", channel, payload])
            .output()
            .map_err(|error| format!("redis-benchmark: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().last().ok_or("redis-benchmark says nothing")?;
        let rate = line.rsplit_once("publish").and_then(|(_, rest)| rest.split('"').nth(2));
        Ok(rate.ok_or_else(|| format!("redis-benchmark: {line}"))?.parse()?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Nothing can be done about one that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command as it is written.
fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        out.extend(format!("${}\r\n", argument.len()).into_bytes());
        out.extend(*argument);
        out.extend(b"\r\n");
    }
    out
}

/// As many PUBLISH as `redis-benchmark` sends at once.
pub fn batch(channel: &str, payload: &[u8]) -> Vec<u8> {
    command(&[b"PUBLISH", channel.as_bytes(), payload]).repeat(BATCH as usize)
}

/// A blocking connection, RESP2.
pub struct Bare {
    stream: BufReader<TcpStream>,
    buffer: Vec<u8>,
}

impl Bare {
    pub fn send(&mut self, arguments: &[&[u8]]) -> Result<(), Failure> {
        Ok(self.stream.get_mut().write_all(&command(arguments))?)
    }

    /// Publishes what `redis-benchmark` cannot, since it has bytes of 0, and as that does: so many messages at once, then their replies.
    pub fn publish_batch(&mut self, batch: &[u8]) -> Result<(), Failure> {
        self.stream.get_mut().write_all(batch)?;
        // :1 each
        self.exactly(4 * BATCH as usize).map(drop)
    }

    /// Waits without a bound for what comes next.
    pub fn wait_for_ever(&self) -> Result<(), Failure> {
        Ok(self.stream.get_ref().set_read_timeout(None)?)
    }

    /// The next so many bytes.
    pub fn exactly(&mut self, length: usize) -> Result<&[u8], Failure> {
        self.buffer.resize(length, 0);
        self.stream.read_exact(&mut self.buffer)?;
        Ok(&self.buffer)
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> Result<String, Failure> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        line.truncate(line.strip_suffix(b"\r\n").ok_or("Redis has closed the connection")?.len());
        Ok(String::from_utf8(line)?)
    }

    /// Subscribes, and waits until that is confirmed.
    pub fn subscribe(&mut self, channels: &[&[u8]]) -> Result<(), Failure> {
        let arguments: Vec<&[u8]> = [&b"SUBSCRIBE"[..]].into_iter().chain(channels.iter().copied()).collect();
        self.send(&arguments)?;
        for _ in channels {
            // *3, $9, subscribe, $…, the channel, :…
            for _ in 0..6 {
                self.line()?;
            }
        }
        Ok(())
    }

    /// The payload of the next message.
    pub fn payload(&mut self) -> Result<Vec<u8>, Failure> {
        // *3, $7, message, $…, the channel
        for _ in 0..5 {
            self.line()?;
        }
        let length: usize = self.line()?.trim_start_matches('$').parse()?;
        Ok(self.exactly(length + 2)?[..length].to_vec())
    }

    /// Ends the connection when Redis knows that it ends.
    pub fn quit(mut self) -> Result<(), Failure> {
        self.send(&[b"QUIT"])?;
        self.line().map(drop)
    }
}

/// One connection that publishes and some that subscribe, each with a thread of its own.
pub struct BarePair {
    publisher: Bare,
    subscribers: Vec<Arrivals>,
    channel: String,
}

impl BarePair {
    /// For payloads of so many bytes.
    pub fn connect(
        redis: &Redis,
        channel: &str,
        subscribers: usize,
        payload: usize,
    ) -> Result<Self, Failure> {
        let length = message_length(channel, payload);
        let mut all = Vec::new();
        for _ in 0..subscribers {
            let mut bare = redis.connect()?;
            bare.subscribe(&[channel.as_bytes()])?;
            let stream = bare.stream.get_ref().try_clone()?;
            all.push(Arrivals::of(stream, move || bare.exactly(length).map(drop))?);
        }
        Ok(Self { publisher: redis.connect()?, subscribers: all, channel: channel.to_owned() })
    }

    /// From the write of a PUBLISH until each subscriber has read the message; the reply is read after that.
    pub fn publish(&mut self, payload: &[u8]) -> Result<Duration, Failure> {
        let start = Instant::now();
        self.publisher.send(&[b"PUBLISH", self.channel.as_bytes(), payload])?;
        let took = arrivals::last(&mut self.subscribers)?.saturating_duration_since(start);
        let reply = self.publisher.line()?;
        assert_eq!(reply, format!(":{}", self.subscribers.len()));
        Ok(took)
    }
}

/// How long a message of a subscriber is, RESP2.
pub fn message_length(channel: &str, payload: usize) -> usize {
    let head = format!("*3\r\n$7\r\nmessage\r\n${}\r\n{channel}\r\n${payload}\r\n", channel.len());
    head.len() + payload + 2
}

/// A subscriber that reads all it gets on a thread, and counts it by its length, until Redis ends or the other side is [closed](Drain::end).
pub struct Drain {
    count: Arc<AtomicU64>,
    stream: TcpStream,
    thread: JoinHandle<()>,
}

impl Drain {
    /// Of messages with a payload of so many bytes.
    pub fn start(redis: &Redis, channel: &str, payload: usize) -> Result<Self, Failure> {
        let mut bare = redis.connect()?;
        bare.subscribe(&[channel.as_bytes()])?;
        bare.wait_for_ever()?;
        let stream = bare.stream.get_ref().try_clone()?;
        let length = message_length(channel, payload) as u64;
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let thread = thread::spawn(move || {
            let (mut buffer, mut bytes) = (vec![0; 1 << 18], 0);
            while let Ok(read @ 1..) = bare.stream.read(&mut buffer) {
                bytes += read as u64;
                counted.store(bytes / length, Ordering::Relaxed);
            }
        });
        Ok(Self { count, stream, thread })
    }

    pub fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub fn end(self) -> Result<(), Failure> {
        self.stream.shutdown(std::net::Shutdown::Both)?;
        self.thread.join().map_err(|_| "a subscriber panicked".into())
    }
}
