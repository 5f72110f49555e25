//! What the program makes of its own commands: completions and manual pages.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::{gannet, text};

#[test]
fn bash_completes_commands_and_flags() {
    let script = gannet(&["completions", "bash"]);
    assert_eq!(script.status.code(), Some(0));
    let complete = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let (word, before) = (words[words.len() - 1], words[words.len() - 2]);
        let ask = format!(
            "{}\nCOMP_WORDS=({line}); COMP_CWORD={}; _gannet gannet '{word}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            text(&script.stdout),
            words.len() - 1
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-s"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut bash = bash.spawn().unwrap();
        bash.stdin.take().unwrap().write_all(ask.as_bytes()).unwrap();
        let output = bash.wait_with_output().unwrap();
        text(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("gannet heal"), ["health"]);
    assert!(complete("gannet push --re").contains(&"--receipt".to_owned()));
    assert_eq!(complete("gannet push --receipt wr"), ["written"]);
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = gannet(&["completions", shell]);
        assert!(script.status.success() && text(&script.stdout).contains("health"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = std::env::temp_dir().join(format!("gannet-cli-{}-man", std::process::id()));
    let written = gannet(&["man", folder.to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let page = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(page("gannet.1").contains(".SH SUBCOMMANDS") && page("gannet.1").contains("Exit codes"));
    assert!(page("gannet-bench-echo.1").contains("\\-\\-connections"));
    assert!(page("gannet-health.1").starts_with(".ie"));
    assert!(!folder.join("gannet-help.1").exists());
    let pages = fs::read_dir(&folder).unwrap().count();
    fs::remove_dir_all(&folder).unwrap();

    let all = gannet(&["man", "-"]);
    assert_eq!(text(&all.stdout).matches("\n.TH gannet").count(), pages);
    let refused = gannet(&["man", "/dev/null/man"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).starts_with("gannet: cannot write /dev/null/man: "));
}
