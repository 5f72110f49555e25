//! A line chart as SVG: several series over one another, linear or logarithmic, readable on light and on dark. It knows
//! nothing of what it plots.

use std::fmt::Write;

/// Fills for series, told apart by people who see few colours.
pub const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#6b6b6b"];
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 56.0;
/// Of a row of the legend.
const LEGEND_ROW: f64 = 18.0;

/// How values lie along the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Across {
    /// Evenly.
    Linear,
    /// Percentiles, evenly in the logarithm of 1/(1-p): every nine more takes as much room.
    Percentile,
}

/// A chart whose vertical axis is logarithmic.
#[derive(Debug, Clone)]
pub struct Chart<'a> {
    /// Above it.
    pub title: &'a str,
    /// Of the horizontal axis.
    pub x_label: &'a str,
    /// Of the vertical axis.
    pub y_label: &'a str,
    /// The horizontal axis.
    pub across: Across,
    /// The lines.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// Which of [`COLOURS`]; larger ones begin anew.
    pub colour: usize,
    /// Whether it is drawn with gaps.
    pub is_dashed: bool,
    /// Its points, from left to right; those that are not above 0 are left out.
    pub points: Vec<(f64, f64)>,
}

impl Across {
    fn position(self, x: f64) -> f64 {
        match self {
            Self::Linear => x,
            // 100 has no place on such an axis: it is drawn where all but a millionth is.
            Self::Percentile => -(1.0 - (x / 100.0).min(0.999_999)).log10(),
        }
    }

    fn ticks(self, to: f64) -> Vec<(f64, String)> {
        match self {
            Self::Percentile => {
                let names = ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
                let median = (self.position(50.0), "50 %".to_owned());
                let ticks = names.iter().enumerate().map(|(at, name)| (at as f64, (*name).to_owned()));
                ticks.chain([median]).filter(|(at, _)| *at <= to).collect()
            }
            Self::Linear => {
                let step = round_step(to / 8.0);
                (0..=8)
                    .map(|at| f64::from(at) * step)
                    .take_while(|at| *at <= to)
                    .map(|at| (at, trimmed(at)))
                    .collect()
            }
        }
    }
}

impl Chart<'_> {
    /// An SVG element that stands alone.
    pub fn to_svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points).filter(|(_, y)| *y > 0.0);
        let right = points().map(|(x, _)| self.across.position(*x)).fold(0.0, f64::max);
        let right = if right > 0.0 { right } else { 1.0 };
        let low = points().map(|(_, y)| y.log10()).fold(f64::INFINITY, f64::min);
        let high = points().map(|(_, y)| y.log10()).fold(f64::NEG_INFINITY, f64::max);
        let (low, high) =
            if low.is_finite() { (low.floor(), high.ceil().max(low.floor() + 1.0)) } else { (0.0, 1.0) };
        let x = |at: f64| LEFT + at / right * (WIDTH - LEFT - RIGHT);
        let y = |at: f64| TOP + (high - at) / (high - low) * (HEIGHT - TOP - BOTTOM);

        let height = HEIGHT + LEGEND_ROW * self.series.len() as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{}\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n",
            escaped(self.title)
        );
        text(&mut svg, (WIDTH / 2.0, 22.0), "middle", self.title);
        for (at, name) in self.across.ticks(right) {
            line(&mut svg, (x(at), y(low)), (x(at), y(high)));
            text(&mut svg, (x(at), y(low) + 18.0), "middle", &name);
        }
        for (at, name) in logarithmic_ticks(low, high) {
            line(&mut svg, (x(0.0), y(at)), (x(right), y(at)));
            if let Some(name) = name {
                text(&mut svg, (LEFT - 8.0, y(at) + 4.0), "end", &name);
            }
        }
        text(&mut svg, (WIDTH / 2.0, HEIGHT - 16.0), "middle", self.x_label);
        let _ = write!(svg, "<g transform=\"translate(18 {}) rotate(-90)\">", (TOP + HEIGHT - BOTTOM) / 2.0);
        text(&mut svg, (0.0, 0.0), "middle", self.y_label);
        svg.push_str("</g>\n");
        for (number, series) in self.series.iter().enumerate() {
            let place = |(px, py): &(f64, f64)| (x(self.across.position(*px)), y(py.log10()));
            let places = series.points.iter().filter(|(_, y)| *y > 0.0).map(place);
            series.draw(&mut svg, places, HEIGHT + LEGEND_ROW * number as f64);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Series {
    fn draw(&self, svg: &mut String, places: impl Iterator<Item = (f64, f64)>, legend: f64) {
        let colour = COLOURS[self.colour % COLOURS.len()];
        let dashes = if self.is_dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        let stroke = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}");
        let points: Vec<String> = places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let name = escaped(&self.name);
        let _ = writeln!(
            svg,
            "<polyline {stroke} points=\"{}\"><title>{name}</title></polyline>",
            points.join(" ")
        );
        let _ = writeln!(svg, "<path {stroke} d=\"M{LEFT} {legend}h24\"/>");
        text(svg, (LEFT + 32.0, legend + 4.0), "start", &self.name);
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(svg, "<path stroke=\"#ddd\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>");
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let (x, y) = at;
    let text = escaped(text);
    let _ =
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222\">{text}</text>");
}

/// A line at 1, 2 and 5 of each power of ten; those of the power, or all if there are few, have a name.
fn logarithmic_ticks(low: f64, high: f64) -> Vec<(f64, Option<String>)> {
    let is_short = high - low <= 2.0;
    let mut ticks = Vec::new();
    for power in low as i32..=high as i32 {
        for factor in [1.0, 2.0, 5.0] {
            let value = factor * 10_f64.powi(power);
            if value.log10() <= high + 1e-9 {
                ticks.push((value.log10(), (factor == 1.0 || is_short).then(|| trimmed(value))));
            }
        }
    }
    ticks
}

/// The next of 1, 2, 5, 10, 20 … that is not less.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-9).log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * 0.999);
    factor.unwrap_or(10.0) * power
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text as it may stand in HTML and SVG, in elements and in attributes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(across: Across, points: &[(f64, f64)]) -> String {
        let series = Series { name: "a <b>".to_owned(), colour: 9, is_dashed: true, points: points.to_vec() };
        Chart { title: "t & u", x_label: "x", y_label: "y", across, series: vec![series] }.to_svg()
    }

    #[test]
    fn every_nine_takes_as_much_room() {
        let at = |p| Across::Percentile.position(p);
        assert_eq!(at(0.0), 0.0);
        for (p, nines) in [(90.0, 1.0), (99.0, 2.0), (99.9, 3.0), (100.0, 6.0)] {
            assert!((at(p) - nines).abs() < 1e-6, "{p}");
        }
    }

    #[test]
    fn points_lie_within_the_axes_and_text_is_escaped() {
        let svg = chart(Across::Percentile, &[(0.0, 12.0), (50.0, 90.0), (99.9, 5000.0), (99.99, 0.0)]);
        assert!(svg.contains("t &amp; u") && svg.contains("a &lt;b&gt;") && svg.contains(COLOURS[1]));
        let points = svg.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let points: Vec<(f64, f64)> = points
            .split(' ')
            .map(|point| point.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        assert_eq!(points.len(), 3);
        assert_eq!((points[0].0, points[2].0), (LEFT, WIDTH - RIGHT));
        assert!(points.iter().all(|(_, y)| (TOP..=HEIGHT - BOTTOM).contains(y)));
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1));
    }

    #[test]
    fn nothing_to_plot_is_no_failure() {
        for across in [Across::Linear, Across::Percentile] {
            for points in [&[][..], &[(0.0, 0.0)], &[(0.0, 1.0)], &[(5.0, 1e9)]] {
                let svg = chart(across, points);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }

    #[test]
    fn steps_are_round() {
        let table = [(0.3, 0.5), (1.0, 1.0), (1.25, 2.0), (3.0, 5.0), (7.0, 10.0), (15.0, 20.0)];
        for (least, step) in table {
            assert!((round_step(least) - step).abs() < 1e-9, "{least}");
        }
    }
}
