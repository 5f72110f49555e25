//! A bar chart as SVG: for each row, each contender's figure over the first one's.

use std::fmt::Write as _;

/// A row of the chart: what was measured, and each contender's figure; NaN where there is none.
pub struct Row {
    pub about: String,
    pub figures: Vec<f64>,
}

const COLOURS: [&str; 6] = ["#1f77b4", "#ff7f0e", "#7f7f7f", "#2ca02c", "#9467bd", "#8c564b"];
const LABEL_WIDTH: f64 = 230.0;
const BAR_HEIGHT: f64 = 12.0;
const CHART_WIDTH: f64 = 480.0;
/// Bars beyond so many times the first one's length are cut off; the number beside them is not.
const MAX_RATIO: f64 = 10.0;

pub fn svg(title: &str, unit: &str, names: &[&str], rows: &[Row]) -> String {
    let row_height = BAR_HEIGHT * names.len() as f64 + 14.0;
    let height = 60.0 + row_height * rows.len() as f64;
    let width = LABEL_WIDTH + CHART_WIDTH + 110.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\">{title}</text>\n"
    );
    let step = (width - 20.0) / names.len() as f64;
    let mut put = |line: String| writeln!(svg, "{line}").expect("a string takes all");
    for (index, (name, colour)) in names.iter().zip(COLOURS).enumerate() {
        let x = 10.0 + index as f64 * step;
        put(format!("<rect x=\"{x}\" y=\"32\" width=\"10\" height=\"10\" fill=\"{colour}\"/>"));
        put(format!("<text x=\"{}\" y=\"41\">{name}</text>", x + 15.0));
    }
    for (index, row) in rows.iter().enumerate() {
        let top = 56.0 + index as f64 * row_height;
        let middle = top + row_height / 2.0 - 3.0;
        put(format!(
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
            LABEL_WIDTH - 8.0,
            row.about
        ));
        for (bar, (figure, colour)) in row.figures.iter().zip(COLOURS).enumerate() {
            if figure.is_nan() {
                continue;
            }
            let ratio = figure / row.figures[0];
            let y = top + bar as f64 * BAR_HEIGHT;
            let length = ratio.min(MAX_RATIO) / MAX_RATIO * CHART_WIDTH;
            put(format!(
                "<rect x=\"{LABEL_WIDTH}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>",
                BAR_HEIGHT - 2.0
            ));
            let digits = if *figure < 1.0 { 3 } else { 1 };
            put(format!(
                "<text x=\"{:.1}\" y=\"{}\" font-size=\"10\">{figure:.digits$} {unit}, {ratio:.1} ×</text>",
                LABEL_WIDTH + length + 5.0,
                y + BAR_HEIGHT - 3.0
            ));
        }
    }
    svg + "</svg>\n"
}
