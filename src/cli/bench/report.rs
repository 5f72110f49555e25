//! `gannet bench report`: runs laid over one another on a page of their own, without anything from elsewhere; or the plot
//! of their latencies alone.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::error::BenchError;
use super::plot::{Across, Chart, Series, escaped};
use super::result::{PERCENTILES, RunResult, Slot};
use super::table::{number, percentile_name};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222;\
    background:#fff}table{border-collapse:collapse;margin:1em 0;font-variant-numeric:tabular-nums}th,td{padding:.25em \
    .8em;border-bottom:1px solid #ddd;text-align:right}th:first-child,td:first-child{text-align:left}svg{max-width:100%;\
    height:auto}.wide{overflow-x:auto}td,th{white-space:nowrap}.note{color:#666;overflow-wrap:anywhere}";

/// Results on one page with plots
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Results of --json
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// The page; a name that ends in .svg gets the plot of the latencies alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs `gannet bench report`.
pub fn run(args: &ReportArgs) -> Result<(), BenchError> {
    let results: Result<Vec<_>, _> = args.results.iter().map(|path| RunResult::load(path)).collect();
    write(&results?, &args.out)
}

/// Writes the page, or the plot, to `out`.
pub fn write(results: &[RunResult], out: &Path) -> Result<(), BenchError> {
    let is_svg = out.extension().is_some_and(|extension| extension == "svg");
    let text = if is_svg { latency_chart(results).to_svg() } else { page(results) };
    std::fs::write(out, text).map_err(|error| BenchError::File { path: out.to_owned(), error })
}

fn page(results: &[RunResult]) -> String {
    let mut shapes: Vec<&str> = results.iter().map(|result| result.shape.as_str()).collect();
    shapes.dedup();
    let title = format!("gannet bench: {}", shapes.join(", "));
    let title = escaped(&title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n"
    );
    let charts = [latency_chart(results), over_time_chart(results)];
    // A run without latencies has nothing to draw.
    for chart in charts.iter().filter(|chart| chart.series.iter().any(|series| !series.points.is_empty())) {
        html.push_str(&chart.to_svg());
    }
    latency_table(&mut html, results);
    figure_table(&mut html, results);
    for (result, name) in results.iter().zip(names(results)) {
        let settings: Vec<String> =
            result.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let machine = &result.machine;
        let about = format!(
            "{name}: {} {}; {}; {}, {} cores, {}",
            result.shape,
            result.target,
            settings.join(", "),
            machine.cpu,
            machine.cores,
            machine.kernel
        );
        // A string takes everything, here and below.
        let _ = writeln!(html, "<p class=\"note\">{}</p>", escaped(&about));
        if let Some(why) = &result.broken {
            let _ = writeln!(html, "<p class=\"note\">{} ended early: {}</p>", escaped(&name), escaped(why));
        }
    }
    html.push_str("</body>\n</html>\n");
    html
}

/// What to call each run. Those with one label, such as two of the same server, are told apart by what they are, and by their
/// number.
fn names(results: &[RunResult]) -> Vec<String> {
    let count =
        |is_same: &dyn Fn(&RunResult) -> bool| results.iter().filter(|result| is_same(result)).count();
    let name = |(number, result): (usize, &RunResult)| {
        let is_namesake = |other: &RunResult| other.label == result.label;
        let is_twin = |other: &RunResult| is_namesake(other) && other.shape == result.shape;
        match (count(&is_namesake), count(&is_twin)) {
            (1, _) => result.label.clone(),
            (_, 1) => format!("{} {}", result.label, result.shape),
            _ => format!("{} {} #{}", result.label, result.shape, number + 1),
        }
    };
    results.iter().enumerate().map(name).collect()
}

fn latency_chart(results: &[RunResult]) -> Chart<'static> {
    let names = names(results);
    let series = |(colour, result): (usize, &RunResult)| {
        let latency = result.latencies.first()?;
        let name = format!("{} ({} of {})", names[colour], latency.name, number(latency.count as f64));
        // The last point, the longest of all, is at no finite place on this axis.
        let finite = latency.percentiles.iter().filter(|point| point.p < 100.0);
        let points = finite.map(|point| (point.p, point.us)).collect();
        Some(Series { name, colour, is_dashed: false, points })
    };
    Chart {
        title: "Latency by percentile",
        x_label: "percentile",
        y_label: "µs",
        across: Across::Percentile,
        series: results.iter().enumerate().filter_map(series).collect(),
    }
}

fn over_time_chart(results: &[RunResult]) -> Chart<'static> {
    let (mut lines, names) = (Vec::new(), names(results));
    for (colour, result) in results.iter().enumerate() {
        let mut add = |which: &str, is_dashed, value: fn(&Slot) -> f64| {
            let points = result.over_time.iter().map(|slot| (slot.at_s, value(slot))).collect();
            lines.push(Series { name: format!("{} {which}", names[colour]), colour, is_dashed, points });
        };
        add("p50", false, |slot| slot.p50_us);
        add("p99", true, |slot| slot.p99_us);
    }
    Chart {
        title: "Latency over time",
        x_label: "seconds",
        y_label: "µs",
        across: Across::Linear,
        series: lines,
    }
}

fn latency_table(html: &mut String, results: &[RunResult]) {
    if results.iter().all(|result| result.latencies.is_empty()) {
        return;
    }
    html.push_str("<div class=\"wide\"><table>\n<tr><th>µs</th><th>mean</th>");
    PERCENTILES.iter().for_each(|p| html.push_str(&format!("<th>{}</th>", percentile_name(*p))));
    html.push_str("</tr>\n");
    for (result, run) in results.iter().zip(names(results)) {
        for latency in &result.latencies {
            let name = escaped(&format!("{run}: {}", latency.name));
            let _ = write!(html, "<tr><td>{name}</td><td>{}</td>", number(latency.mean_us));
            for p in PERCENTILES {
                let _ = write!(html, "<td>{}</td>", latency.at(p).map_or("–".to_owned(), number));
            }
            html.push_str("</tr>\n");
        }
    }
    html.push_str("</table></div>\n");
}

fn figure_table(html: &mut String, results: &[RunResult]) {
    html.push_str("<div class=\"wide\"><table>\n<tr><th></th>");
    names(results).iter().for_each(|name| html.push_str(&format!("<th>{}</th>", escaped(name))));
    html.push_str("</tr>\n");
    let mut names: Vec<(&str, &str)> = Vec::new();
    for figure in results.iter().flat_map(|result| &result.figures) {
        let name = (figure.name.as_str(), figure.unit.as_str());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for (name, unit) in names {
        let _ = write!(html, "<tr><td>{}</td>", escaped(&format!("{name} {unit}")));
        for result in results {
            let figure = result.figures.iter().find(|figure| figure.name == name && figure.unit == unit);
            let _ = write!(html, "<td>{}</td>", figure.map_or("–".to_owned(), |figure| number(figure.value)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::sample;
    use super::*;

    #[test]
    fn a_page_stands_alone_and_has_every_run() {
        let html = page(&[sample("left & <first>", 1), sample("right", 2)]);
        for outside in ["src=", "href=", "<script", "url(", "@import"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert_eq!(html.matches("<svg").count(), 2);
        // A line a run for the percentiles, two for the time.
        assert_eq!(html.matches("<polyline").count(), 2 + 4);
        assert!(html.contains("left &amp; &lt;first&gt;") && !html.contains("<first>"));
        assert!(html.contains("<td>11</td>"), "the second run's CPU");
        assert!(html.contains("a &lt;fast&gt; one, 2 cores, Linux 6"));
    }

    #[test]
    fn a_run_without_latencies_has_a_page_too() {
        let mut idle = sample("idle", 1);
        idle.latencies.clear();
        idle.over_time.clear();
        let html = page(&[idle]);
        assert!(html.contains("lost connections"));
        assert!(!html.contains("<svg"), "an empty plot");
    }

    #[test]
    fn runs_of_one_label_have_names_of_their_own() {
        let (one, two, mut idle, mut other) =
            (sample("h:1", 1), sample("h:1", 2), sample("h:1", 1), sample("h:2", 1));
        (idle.shape, other.shape) = ("idle".to_owned(), "idle".to_owned());
        let runs = [one, two, idle, other];
        assert_eq!(names(&runs), ["h:1 echo #1", "h:1 echo #2", "h:1 idle", "h:2"]);
        let html = page(&runs);
        for name in ["h:1 echo #1 p50", "h:1 echo #2 p50", "h:1 echo #2: round trip", "<th>h:1 idle</th>"] {
            assert!(html.contains(name), "{name}");
        }
    }

    #[test]
    fn a_wide_table_stays_on_the_page() {
        let runs: Vec<RunResult> = (0..30).map(|number| sample(&format!("run {number}"), 1)).collect();
        let html = page(&runs);
        assert_eq!(html.matches("<table>").count(), html.matches("<div class=\"wide\"><table>").count());
        assert!(html.contains(".wide{overflow-x:auto}"));
    }

    #[test]
    fn the_name_says_what_is_written() {
        let dir = std::env::temp_dir();
        for (extension, start) in [("svg", "<svg "), ("html", "<!doctype html>")] {
            let path = dir.join(format!("gannet-bench-report-{}.{extension}", std::process::id()));
            write(&[sample("a", 1)], &path).unwrap();
            assert!(std::fs::read_to_string(&path).unwrap().starts_with(start));
            std::fs::remove_file(&path).unwrap();
        }
    }
}
