//! The program itself: what it says of its commands, and a server of its own to ask.

use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// What `gannet ARGS` prints.
pub fn prints(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    let output = command.args(args).env_remove("COLUMNS").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "gannet {}: {output:?}", args.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// An argument of a command, as its help has it.
#[derive(Debug, PartialEq)]
pub struct Argument {
    /// `-c, --connections <N>`, or `<MESSAGE>`.
    pub form: String,
    /// What it is.
    pub about: String,
}

/// A command that does something, such as `gannet bench echo`.
#[derive(Default)]
pub struct Leaf {
    pub about: String,
    pub arguments: Vec<Argument>,
}

impl Leaf {
    /// Its flags, short and long, each with whether a value follows.
    pub fn flags(&self) -> BTreeMap<&str, bool> {
        let of = |argument: &'_ Argument| argument.form.contains('<');
        let flags = self.arguments.iter().flat_map(|argument| {
            let words = argument.form.split([' ', ',']).filter(|word| word.starts_with('-'));
            words.map(move |word| (word, of(argument)))
        });
        flags.chain([("-h", false), ("--help", false)]).collect()
    }
}

/// Every command by its words, `["bench", "echo"]`, as `gannet --help` and the help of each command below name them.
pub fn leaves() -> BTreeMap<Vec<String>, Leaf> {
    let (mut leaves, mut open) = (BTreeMap::new(), vec![Vec::<String>::new()]);
    while let Some(path) = open.pop() {
        let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
        args.push("-h");
        let help = prints(&args);
        let below = commands(&help);
        if below.is_empty() {
            leaves.insert(path, leaf(&help));
        } else {
            open.extend(below.into_iter().map(|name| [path.clone(), vec![name]].concat()));
        }
    }
    leaves
}

/// The commands that a help lists, `help` itself left out.
fn commands(help: &str) -> Vec<String> {
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

fn leaf(help: &str) -> Leaf {
    let (about, rest) = help.split_once("\n\nUsage:").unwrap();
    let mut leaf = Leaf { about: about.replace('\n', " "), arguments: Vec::new() };
    // Two spaces or more divide an argument from what it is; a line that is set in further goes on with that.
    let begin =
        Regex::new(r"^ {2,6}((?:-\w, )?--[\w-]+(?: <[^>]+>)?|[<\[][A-Z]+[>\]](?:\.\.\.)?)(?: {2,}(.*))?$")
            .unwrap();
    for line in rest.lines().skip(1) {
        if let Some(found) = begin.captures(line) {
            let about = found.get(2).map_or("", |about| about.as_str());
            leaf.arguments.push(Argument { form: found[1].to_owned(), about: about.to_owned() });
        } else if line.starts_with("      ") {
            let about = &mut leaf.arguments.last_mut().unwrap().about;
            *about = format!("{about} {}", line.trim()).trim().to_owned();
        } else {
            assert!(
                line.is_empty() || line.ends_with(':'),
                "a line of a help that is not understood: {line:?}"
            );
        }
    }
    leaf.arguments.retain(|argument| argument.form != "-h, --help");
    leaf
}

/// A server with all that shows in `/metrics`; killed when it is dropped.
pub struct Server {
    child: Child,
    folder: PathBuf,
    backend: String,
}

impl Server {
    /// Starts it on free ports. `name` is that of the test.
    pub fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gannet-docs-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        prints(&["cert", "self-signed", "--out", folder.to_str().unwrap(), "--force"]);
        // Port 1 has nothing to fetch and no Redis: that they are named is what shows.
        let config = "listen = \"127.0.0.1:0\"\nbackend.listen = \"127.0.0.1:0\"\nreactors = 1\n\
             [tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n\
             [apps.default]\njwks_url = \"http://127.0.0.1:1/jwks.json\"\nmax_sessions = 9\n\
             [cluster]\nredis = [\"redis://127.0.0.1:1\"]\n";
        fs::write(folder.join("gannet.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["serve", "--config"]).arg(folder.join("gannet.toml")).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut banner = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let backend = banner.find_map(|line| Some(line.split_once("http://")?.1.to_owned())).unwrap();
        Self { child, folder, backend }
    }

    /// The body of `GET path`.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.backend).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        body.to_owned()
    }

    /// `/v1/openapi.json`.
    pub fn openapi(&self) -> Value {
        serde_json::from_str(&self.get("/v1/openapi.json")).unwrap()
    }

    /// The families of `/metrics`, each with its labels and the values that these have.
    pub fn families(&self) -> Families {
        let scrape = self.get("/metrics");
        let types = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let mut families: Families = types
            .map(|(name, kind)| (name.to_owned(), Family { kind: kind.to_owned(), ..Family::default() }))
            .collect();
        let label = Regex::new(r#"(\w+)="([^"]*)""#).unwrap();
        for sample in scrape.lines().filter(|line| !line.starts_with('#')) {
            let series = sample.rsplit_once(' ').unwrap().0;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let name = histogram.filter(|name| families.contains_key(*name)).unwrap_or(name);
            let family = families.get_mut(name).unwrap_or_else(|| panic!("{name} has no # TYPE"));
            for found in label.captures_iter(labels) {
                family.labels.entry(found[1].to_owned()).or_default().insert(found[2].to_owned());
            }
        }
        families
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The families of metrics by name.
pub type Families = BTreeMap<String, Family>;

/// What is known of one family.
#[derive(Default)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    pub labels: BTreeMap<String, BTreeSet<String>>,
}
