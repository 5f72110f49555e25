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
    height:auto}.note{color:#666}";

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
    html.push_str(&latency_chart(results).to_svg());
    html.push_str(&over_time_chart(results).to_svg());
    latency_table(&mut html, results);
    figure_table(&mut html, results);
    for result in results {
        let settings: Vec<String> =
            result.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let machine = &result.machine;
        let about = format!(
            "{}: {} {}; {}; {}, {} cores, {}",
            result.label,
            result.shape,
            result.target,
            settings.join(", "),
            machine.cpu,
            machine.cores,
            machine.kernel
        );
        // A string takes everything, here and below.
        let _ = writeln!(html, "<p class=\"note\">{}</p>", escaped(&about));
    }
    html.push_str("</body>\n</html>\n");
    html
}

fn latency_chart(results: &[RunResult]) -> Chart<'static> {
    let series = |(colour, result): (usize, &RunResult)| {
        let latency = result.latencies.first()?;
        let name = format!("{} ({} of {})", result.label, latency.name, number(latency.count as f64));
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
    let mut lines = Vec::new();
    for (colour, result) in results.iter().enumerate() {
        let mut add = |which: &str, is_dashed, value: fn(&Slot) -> f64| {
            let points = result.over_time.iter().map(|slot| (slot.at_s, value(slot))).collect();
            lines.push(Series { name: format!("{} {which}", result.label), colour, is_dashed, points });
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
    html.push_str("<table>\n<tr><th>µs</th><th>mean</th>");
    PERCENTILES.iter().for_each(|p| html.push_str(&format!("<th>{}</th>", percentile_name(*p))));
    html.push_str("</tr>\n");
    for result in results {
        for latency in &result.latencies {
            let name = escaped(&format!("{}: {}", result.label, latency.name));
            let _ = write!(html, "<tr><td>{name}</td><td>{}</td>", number(latency.mean_us));
            for p in PERCENTILES {
                let _ = write!(html, "<td>{}</td>", latency.at(p).map_or("–".to_owned(), number));
            }
            html.push_str("</tr>\n");
        }
    }
    html.push_str("</table>\n");
}

fn figure_table(html: &mut String, results: &[RunResult]) {
    html.push_str("<table>\n<tr><th></th>");
    results.iter().for_each(|result| html.push_str(&format!("<th>{}</th>", escaped(&result.label))));
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
    html.push_str("</table>\n");
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
        assert!(page(&[idle]).contains("lost connections"));
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
