//! The Prometheus text format, version 0.0.4: families and samples. Knows nothing of what they count.

use std::fmt::{Display, Write};

/// Appends families to a text.
pub struct Text<'a> {
    out: &'a mut String,
}

impl<'a> Text<'a> {
    pub(super) fn new(out: &'a mut String) -> Self {
        Self { out }
    }

    /// Starts a family: all its samples follow, before another starts.
    pub(super) fn family(&mut self, name: &str, help: &str, kind: &str) {
        let help = help.trim();
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { "{" } else { "," };
            self.out.extend([before, label, "=\""]);
            self.escaped(text);
            self.out.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        self.line(format_args!("{close} {value}"));
    }

    /// A gauge with one sample and no labels.
    pub(super) fn single(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, "gauge");
        self.sample(name, &[], value);
    }

    /// The value of a label: the name of an app may hold what ends one.
    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str("\\n"),
                character => self.out.push(character),
            }
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.out, "{line}").expect("writing to a String does not fail");
    }
}
