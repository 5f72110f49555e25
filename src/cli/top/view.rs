//! The screen of `gannet top`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table};

use super::model::{App, AppOrder, BehindOrder, Link, Model, undelivered};
use super::news::{Behind, Counts, Latency, Reactor};
use crate::cli::table::printable;

/// What the keys do.
pub const KEYS: &str = "\
Keys:
  q, Esc       quit, and so does Ctrl-C
  ?, h         this
  up, down     move over the apps; k and j do so too
  Enter        look at this app alone, or at all again
  a            look at all apps
  s            sort the apps: sessions, behind, pushes, in, name
  o            sort who is behind: bytes, messages, time";

/// Smaller ones have no room for what there is.
const LEAST: (u16, u16) = (70, 18);
/// A panel of reasons has a column of rates from this width on.
const ROOM_FOR_RATES: u16 = 36;
/// Lines of the row of reactors.
const MOST_REACTOR_LINES: u16 = 10;
const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);
/// Of what should not be.
const ALARM: Color = Color::Red;

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, model: &Model, address: &str, now: Instant) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (columns, rows) = LEAST;
        frame.render_widget(Paragraph::new(format!("make the terminal {columns} × {rows} at least")), area);
        return;
    }
    let away = u16::from(model.away_for(now).is_some());
    let figures = (model.tick.reactors.len() as u16 + 3).clamp(6, MOST_REACTOR_LINES);
    let [title, alarm, summary, row, apps, lists, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(away),
        Constraint::Length(3),
        Constraint::Length(figures.min(area.height / 3)),
        Constraint::Fill(2),
        Constraint::Fill(3),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_title(frame, title, model, address);
    if let (Link::Away { why, .. }, Some(time)) = (&model.link, model.away_for(now)) {
        let text = format!(" no answer for {}: {}; trying again", span_of(time), printable(why));
        frame.render_widget(Paragraph::new(text).style(Style::new().bg(ALARM).fg(Color::White)), alarm);
    }
    frame.render_widget(Paragraph::new(summary_of(model)), summary);
    let [reactors, lost, ends] = Layout::horizontal([Constraint::Fill(1); 3]).areas(row);
    draw_reactors(frame, reactors, model);
    draw_counts(frame, lost, model, " Not delivered ", &undelivered(&model.tick), &model.sums.undelivered);
    draw_counts(frame, ends, model, " Refused, closed ", &ends_of(model, false), &ends_of(model, true));
    draw_apps(frame, apps, model);
    let [groups, behind] = Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).areas(lists);
    draw_groups(frame, groups, model);
    draw_behind(frame, behind, model);
    draw_keys(frame, keys, model);
    if model.shows_help {
        draw_help(frame, area);
    }
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, model: &Model, address: &str) {
    let hello = &model.hello;
    let mut words = vec![format!("gannet {}", hello.version), hello.name.clone(), address.to_owned()];
    if hello.pid > 0 {
        words.push(format!("process {}", hello.pid));
        let clock = if model.tick.unix_ms > 0 { model.tick.unix_ms } else { unix_ms() };
        words.push(format!(
            "up {}",
            span_of(Duration::from_millis(clock.saturating_sub(hello.started_unix_ms)))
        ));
    }
    if hello.reactors > 0 {
        words.push(format!("reactors: {}", hello.reactors));
    }
    words.retain(|word| !word.trim().is_empty());
    let words: Vec<String> = words.iter().map(|word| printable(word)).collect();
    let state = match (&model.link, &model.tick.not_ready) {
        (Link::Connecting, _) => "connecting".fg(Color::Yellow),
        (Link::Away { .. }, _) => "away".fg(ALARM).bold(),
        (_, Some(why)) => printable(if why.is_empty() { "not ready" } else { why }).fg(ALARM).bold(),
        (_, None) => "ready".fg(Color::Green),
    };
    let how = if model.link == Link::Polling { "  asked each second" } else { "" };
    let line = Line::from(vec![Span::from(words.join("  ")).bold(), "  ".into(), state, how.dim()]);
    frame.render_widget(Paragraph::new(line), area);
}

fn unix_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
}

/// Three lines about the server, or about the app that is picked.
fn summary_of(model: &Model) -> Vec<Line<'static>> {
    let tick = &model.tick;
    if let Some(picked) = &model.picked {
        let app = model.apps().into_iter().find(|app| app.name == *picked).cloned().unwrap_or_default();
        return vec![
            Line::from(format!("app {}", printable(picked))).bold(),
            gauges_line(&app.gauges, &[("sessions", "sessions"), ("away", "away"), ("behind", "behind")]),
            Line::from(format!("per second  {}", rates_of(&app.rates))),
        ];
    }
    let per_second = |name: &str| (name.to_owned(), tick.per_second(tick.number(name)));
    let mut rates: BTreeMap<String, f64> =
        ["messages_in", "messages_out", "pushes", "opened"].map(per_second).into();
    let sum = |counts: &Counts| tick.per_second(counts.values().sum());
    rates.extend([("closed".to_owned(), sum(&tick.closed)), ("refused".to_owned(), sum(&tick.refused))]);
    let [bytes_in, bytes_out] =
        ["bytes_in", "bytes_out"].map(|name| bytes(tick.per_second(tick.number(name)) as u64));
    let gauges = [
        ("sessions", "sessions"),
        ("away", "away"),
        ("links", "links"),
        ("behind", "behind"),
        ("outbox_messages", "messages wait"),
        ("mailbox_messages", "in mailboxes"),
    ];
    vec![
        gauges_line(&tick.numbers, &gauges),
        Line::from(format!("per second  {}  {bytes_in} in  {bytes_out} out", rates_of(&rates))),
        Line::from(format!(
            "push to written  {}   turn  {}",
            latency(&tick.push_to_write),
            latency(&tick.turn)
        )),
    ]
}

fn gauges_line(gauges: &Counts, names: &[(&str, &str)]) -> Line<'static> {
    let mut spans = Vec::new();
    for (name, says) in names {
        let value = gauges.get(*name).copied().unwrap_or(0);
        let figure = Span::from(grouped(value as f64)).bold();
        spans.push(if *name == "behind" && value > 0 { figure.fg(Color::Yellow) } else { figure });
        spans.push(Span::from(format!(" {says}   ")));
    }
    Line::from(spans)
}

fn rates_of(rates: &BTreeMap<String, f64>) -> String {
    let names = [
        ("messages_in", "messages in"),
        ("messages_out", "out"),
        ("pushes", "pushes"),
        ("queued", "queued"),
        ("opened", "opened"),
        ("closed", "closed"),
        ("refused", "refused"),
    ];
    let told = names.iter().filter_map(|(name, says)| Some((rates.get(*name)?, says)));
    let told: Vec<String> = told.map(|(rate, says)| format!("{} {says}", grouped(*rate))).collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join("  ") }
}

fn latency(latency: &Latency) -> String {
    if latency.p99_us <= 0.0 {
        return "-".to_owned();
    }
    format!(
        "p50 {}  p99 {}  p99.9 {}",
        micros(latency.p50_us),
        micros(latency.p99_us),
        micros(latency.p999_us)
    )
}

fn block(title: String) -> Block<'static> {
    Block::bordered().border_style(Style::new().dim()).title(title)
}

fn draw_reactors(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let block = block(" Reactors ".to_owned());
    if model.tick.reactors.is_empty() {
        frame.render_widget(Paragraph::new("not told by this server").dim().block(block), area);
        return;
    }
    let row = |(number, reactor): (usize, &Reactor)| {
        let busy = format!("{:.0} %", reactor.busy * 100.0);
        let style = if reactor.busy > 0.9 { Style::new().fg(ALARM) } else { Style::new() };
        let cells = [number.to_string(), grouped(reactor.sessions as f64), busy, micros(reactor.turn_p99_us)];
        Row::new(cells).style(style)
    };
    let rows = model.tick.reactors.iter().enumerate().map(row);
    let widths = [Constraint::Length(3), Constraint::Fill(1), Constraint::Length(6), Constraint::Length(10)];
    let head = Row::new(["#", "sessions", "busy", "turn p99"]).style(HEAD);
    frame.render_widget(Table::new(rows, widths).header(head).block(block), area);
}

/// Refusals and ends: of the last tick, or since the program began.
fn ends_of(model: &Model, is_sum: bool) -> Counts {
    let (refused, closed) = match is_sum {
        true => (&model.sums.refused, &model.sums.closed),
        false => (&model.tick.refused, &model.tick.closed),
    };
    let refused = refused.iter().map(|(reason, count)| (format!("refused, {reason}"), *count));
    refused.chain(closed.iter().map(|(code, count)| (format!("closed {code}"), *count))).collect()
}

/// A row a reason: in the last second, and since the program began. The largest are first.
fn draw_counts(frame: &mut Frame<'_>, area: Rect, model: &Model, title: &str, now: &Counts, sums: &Counts) {
    let mut all: Vec<(&String, &u64)> = sums.iter().collect();
    all.sort_by_key(|(_, sum)| std::cmp::Reverse(**sum));
    // Where there is little room, the reasons matter more than how often they come now.
    let rate_width = if area.width < ROOM_FOR_RATES { 0 } else { 8 };
    let rows = all.into_iter().map(|(name, sum)| {
        let rate = model.tick.per_second(now.get(name).copied().unwrap_or(0));
        Row::new([printable(name), grouped(*sum as f64), grouped(rate)])
    });
    let widths = [Constraint::Fill(1), Constraint::Length(8), Constraint::Length(rate_width)];
    let head = Row::new(["", "total", "a second"]).style(HEAD);
    frame.render_widget(Table::new(rows, widths).header(head).block(block(title.to_owned())), area);
}

fn draw_apps(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let apps = model.apps();
    // The cursor stays on the screen.
    let room = usize::from(area.height.saturating_sub(3)).max(1);
    let first = (model.cursor + 1).saturating_sub(room);
    let row = |(number, app): (usize, &&App)| {
        let gauge = |name: &str| grouped(app.gauges.get(name).copied().unwrap_or(0) as f64);
        let rate = |name: &str| grouped(app.rates.get(name).copied().unwrap_or(0.0));
        let mark = if model.picked.as_ref() == Some(&app.name) { "*" } else { " " };
        let cells = [
            format!("{mark}{}", printable(&app.name)),
            gauge("sessions"),
            gauge("away"),
            gauge("behind"),
            rate("opened"),
            rate("refused"),
            rate("messages_in"),
            rate("pushes"),
            rate("queued"),
        ];
        let is_here = number == model.cursor;
        Row::new(cells).style(if is_here { Style::new().reversed() } else { Style::new() })
    };
    let rows = apps.iter().enumerate().skip(first).map(row);
    let mut widths = vec![Constraint::Fill(1)];
    widths.extend([Constraint::Length(9); 8]);
    let order = |order: AppOrder, name: &str| match model.app_order == order {
        true => format!("{name}▾"),
        false => name.to_owned(),
    };
    let head = Row::new([
        format!(" {}", order(AppOrder::Name, "app")),
        order(AppOrder::Sessions, "sessions"),
        "away".to_owned(),
        order(AppOrder::Behind, "behind"),
        "opened/s".to_owned(),
        "refused/s".to_owned(),
        order(AppOrder::In, "in/s"),
        order(AppOrder::Pushes, "pushes/s"),
        "queued/s".to_owned(),
    ]);
    let title = format!(" Apps: {} ", apps.len());
    frame.render_widget(Table::new(rows, widths).header(head.style(HEAD)).block(block(title)), area);
}

fn draw_groups(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let more = if model.has_more_groups { ", of the first 1,000 names " } else { " " };
    let rows = model.groups().map(|group| {
        Row::new([printable(&group.name), grouped(group.sessions as f64), printable(&group.app)])
    });
    let widths = [Constraint::Fill(2), Constraint::Length(9), Constraint::Fill(1)];
    let head = Row::new(["group", "sessions▾", "app"]).style(HEAD);
    let block = block(format!(" Busiest groups{more}"));
    frame.render_widget(Table::new(rows, widths).header(head).block(block), area);
}

fn draw_behind(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let clock = if model.tick.unix_ms > 0 { model.tick.unix_ms } else { unix_ms() };
    let row = |one: &Behind| {
        let since =
            one.since_unix_ms.map(|since| span_of(Duration::from_millis(clock.saturating_sub(since))));
        Row::new([
            printable(&one.session),
            one.user.as_deref().map_or("-".to_owned(), printable),
            grouped(one.messages as f64),
            bytes(one.bytes),
            since.unwrap_or_else(|| "-".to_owned()),
            one.round_trip_us.map_or("-".to_owned(), |us| micros(us as f64)),
        ])
    };
    let order = |order: BehindOrder, name: &str| match model.behind_order == order {
        true => format!("{name}▾"),
        false => name.to_owned(),
    };
    let head = Row::new([
        "session".to_owned(),
        "user".to_owned(),
        order(BehindOrder::Messages, "messages"),
        order(BehindOrder::Bytes, "bytes"),
        order(BehindOrder::Time, "behind"),
        "trip".to_owned(),
    ]);
    let widths = [
        Constraint::Length(16),
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
    ];
    let behind = model.behind();
    let table = Table::new(behind.into_iter().map(row), widths).header(head.style(HEAD));
    frame.render_widget(table.block(block(" Furthest behind ".to_owned())), area);
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let what = model.picked.as_ref().map_or("all apps".to_owned(), |app| format!("app {}", printable(app)));
    let text =
        format!("q quit  ? help  s sort apps  o sort sessions  ↑↓ Enter pick an app  a all     {what}");
    frame.render_widget(Paragraph::new(text).dim(), area);
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (68, KEYS.lines().count() as u16 + 2);
    let at = Rect {
        x: area.width.saturating_sub(width) / 2,
        y: area.height.saturating_sub(height) / 2,
        width: width.min(area.width),
        height: height.min(area.height),
    };
    frame.render_widget(Clear, at);
    frame.render_widget(Paragraph::new(KEYS).block(Block::bordered().title(" gannet top ")), at);
}

/// A number in four digits or so, its thousands apart.
fn grouped(value: f64) -> String {
    let text = if value < 10.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    } else {
        format!("{value:.0}")
    };
    let mut out = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn bytes(count: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1_000.0 && unit + 1 < units.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

fn micros(us: f64) -> String {
    match us {
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 1_000_000.0 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.1} s", us / 1e6),
    }
}

/// A time in its two largest units.
fn span_of(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::super::feed::{Group, News};
    use super::super::news::{Hello, Tick};
    use super::*;

    fn screen(model: &Model, (columns, rows): (u16, u16), now: Instant) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| draw(frame, model, "127.0.0.1:9001", now)).unwrap();
        // The backend of ratatui cannot show a screen without columns.
        if columns == 0 { String::new() } else { terminal.backend().to_string() }
    }

    fn busy() -> Model {
        let mut model = Model::new(None);
        let now = Instant::now();
        let hello = Hello { version: "0.2.0".to_owned(), pid: 7, reactors: 2, ..Hello::default() };
        model.take(News::Hello { hello, has_stream: true }, now);
        let tick = json!({"unix_ms": 90_061_000, "ms": 1_000, "sessions": 48_213, "behind": 1, "pushes": 900,
            "deliveries": {"queued": 10, "expired": 3}, "refused": {"rate": 2}, "closed": {"4003": 1},
            "reactors": {"sessions": [48_000, 213], "busy": [0.31, 0.99], "turn_p99_us": [402.1, 1_500.0]},
            "apps": {"default": {"sessions": 48_000}, "chess\u{1b}": {"sessions": 213, "pushes": 5}}});
        model.take(News::Tick(Tick::of_stream(&tick)), now);
        let group = Group { app: "default".to_owned(), name: "match:1".to_owned(), sessions: 12_345 };
        model.take(News::Groups(vec![group], true), now);
        let behind = json!({"sessions": [{"session": "00a0000000000001", "app": "default", "user": "ada",
            "queued_messages": 200, "queued_bytes": 812_345, "behind_since_unix_ms": 90_000_000, "round_trip_us": 180_000}]});
        model.take(News::Behind(Behind::list(&behind)), now);
        model
    }

    #[test]
    fn everything_has_its_place() {
        let text = screen(&busy(), (120, 36), Instant::now());
        for part in [
            "gannet 0.2.0",
            "process 7",
            "up 1d 1h",
            "48,213 sessions",
            "900 pushes",
            "31 %",
            "1.5 ms",
            "expired",
            "refused, rate",
            "closed 4003",
            "chess\\u{1b}",
            "match:1",
            "12,345",
            "of the first 1,000 names",
            "00a0000000000001",
            "812.3 kB",
            "1m 1s",
            "180.0 ms",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn no_size_and_no_state_is_a_panic() {
        let mut away = busy();
        away.take(News::Away("cannot reach it".to_owned()), Instant::now());
        away.shows_help = true;
        let mut picked = busy();
        picked.picked = Some("nobody's".to_owned());
        for model in [Model::new(None), busy(), away, picked] {
            for size in [(0, 0), (1, 1), (70, 18), (71, 19), (200, 20), (70, 100)] {
                screen(&model, size, Instant::now());
            }
        }
    }

    #[test]
    fn a_server_that_is_away_is_said_and_what_was_known_stays() {
        let (mut model, now) = (busy(), Instant::now());
        model.take(News::Away("cannot reach it".to_owned()), now);
        let text = screen(&model, (120, 36), now + Duration::from_secs(75));
        assert!(text.contains("no answer for 1m 15s: cannot reach it; trying again"), "{text}");
        assert!(text.contains("48,213 sessions"), "{text}");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!([0.0, 9.5, 1_234.6, 12_000_000.0].map(grouped), ["0", "9.5", "1,235", "12,000,000"]);
        assert_eq!([999, 1_000, 1_234_567].map(bytes), ["999 B", "1.0 kB", "1.2 MB"]);
        assert_eq!([61.2, 840.1, 2_100.0, 3e6].map(micros), ["61 µs", "840 µs", "2.1 ms", "3.0 s"]);
    }
}
