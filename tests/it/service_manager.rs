//! Under a service manager: what it is told over its socket (sd_notify(3)), and the unit for systemd.

use crate::support::*;
use gannet::config::Config;
use gannet::{App, Message, Server, Session};
use rustix::process::Signal;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The socket of a service manager.
struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Manager {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gannet-it-{}-{name}.notify", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { path, socket }
    }

    /// The next thing that it is told, the watchdog's included.
    fn next(&self) -> String {
        let mut told = [0; 4096];
        let length = self.socket.recv(&mut told).unwrap();
        String::from_utf8(told[..length].to_vec()).unwrap()
    }

    /// The next thing that is not for the watchdog.
    fn told(&self) -> String {
        std::iter::repeat_with(|| self.next()).find(|told| !told.contains("WATCHDOG=1")).unwrap()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn lines(told: &str) -> Vec<&str> {
    told.lines().collect()
}

#[test]
fn a_manager_is_told_that_the_server_is_ready_reloads_stops_and_turns() {
    let manager = Manager::new("told");
    let server = ServerProcess::start_managed(&manager.path, 100_000, "[limits]\nmax_page = 5");
    assert_eq!(lines(&manager.told()), ["READY=1", "STATUS=players can connect"]);
    server.player("user=ada");
    for _ in 0..3 {
        while !manager.next().contains("WATCHDOG=1") {}
    }
    let reload = |config: &str| {
        fs::write(server.config(), config).unwrap();
        server.signal(Signal::HUP);
        let reloading = manager.told();
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        manager.told()
    };
    assert_eq!(lines(&reload("[limits]\nmax_page = 6")), ["READY=1", "STATUS=players can connect"]);
    let failed = reload("[limits]\nmax_pag = 6");
    assert!(failed.contains("the last reload changed nothing") && failed.contains("max_pag"), "{failed}");
    server.signal(Signal::TERM);
    assert_eq!(lines(&manager.told())[0], "STOPPING=1");
    let (status, said) = server.wait();
    assert!(status.success(), "{said}");
}

/// Answers nothing until it is let go.
struct Stuck {
    is_stuck: Sender<()>,
    let_go: Arc<Mutex<Receiver<()>>>,
}

impl App for Stuck {
    fn message(&mut self, _: &mut Session<'_>, _: Message<'_>) {
        self.is_stuck.send(()).unwrap();
        let _ = self.let_go.lock().unwrap().recv();
    }
}

#[test]
fn a_reactor_that_is_stuck_has_no_pulse() {
    let mut config = Config { reactors: Some(2), ..Config::default() };
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.backend.listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(config).unwrap();
    let (pulse, stopper, client) = (server.pulse(), server.stopper(), server.client_addr());
    let ((stuck, is_stuck), (go, let_go)) = (channel(), channel());
    let let_go = Arc::new(Mutex::new(let_go));
    let app =
        move |_| -> Box<dyn App> { Box::new(Stuck { is_stuck: stuck.clone(), let_go: Arc::clone(&let_go) }) };
    let running = thread::spawn(move || server.run(app));
    let mut player = Player::connect(client, "user=ada");
    assert!(pulse.beats(DEADLINE));
    player.send_text("never answered");
    is_stuck.recv().unwrap();
    assert!(!pulse.beats(Duration::from_millis(300)));
    go.send(()).unwrap();
    assert!(pulse.beats(DEADLINE));
    stopper.stop();
    drop(player);
    running.join().unwrap().unwrap();
    assert!(pulse.beats(DEADLINE), "nothing is stuck where nothing runs");
}

#[test]
fn the_unit_for_systemd_is_one() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/systemd/gannet.service");
    let installed = fs::read_to_string(unit).unwrap();
    assert!(installed.contains("ExecStart=/usr/local/bin/gannet serve "));
    let here = std::env::temp_dir().join(format!("gannet-it-{}", std::process::id()));
    fs::create_dir_all(&here).unwrap();
    let path = here.join("gannet.service");
    fs::write(&path, installed.replace("/usr/local/bin/gannet", env!("CARGO_BIN_EXE_gannet"))).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output();
    fs::remove_dir_all(&here).unwrap();
    let verified = verified.expect("systemd-analyze is missing: apt-get install systemd");
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
}
