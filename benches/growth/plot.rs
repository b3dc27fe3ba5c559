//! Plots as SVG: lines over two logarithmic axes, with points, a grid at the powers of ten, and names at the ends of the lines.
//!
//! Nothing else: no scales that are linear, no bars. Colours have enough contrast on white and on dark pages.

use std::fmt::Write;

/// A line of a plot.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A plot of lines.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) across: &'static str,
    pub(crate) up: &'static str,
    pub(crate) lines: Vec<Line>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Left, right, top and bottom margins.
const MARGINS: (f64, f64, f64, f64) = (80.0, 190.0, 40.0, 55.0);
const COLOURS: [&str; 4] = ["#3b7dd8", "#d2691e", "#2e9d5b", "#a05cc0"];

/// The powers of ten between which all values lie.
#[derive(Clone, Copy)]
struct Decades {
    first: i32,
    last: i32,
}

impl Decades {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let logs: Vec<f64> = values.map(f64::log10).collect();
        let first = logs.iter().copied().fold(f64::INFINITY, f64::min).floor() as i32;
        let last = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil() as i32;
        Self { first, last: last.max(first + 1) }
    }

    /// From 0 to 1.
    fn place(self, value: f64) -> f64 {
        (value.log10() - f64::from(self.first)) / f64::from(self.last - self.first)
    }
}

impl Plot {
    /// The plot as a document. What is not positive has no place on it.
    pub(crate) fn svg(&self) -> String {
        let shown = |line: &Line| -> Vec<(f64, f64)> {
            line.points.iter().copied().filter(|(x, y)| *x > 0.0 && *y > 0.0).collect()
        };
        let points: Vec<(f64, f64)> = self.lines.iter().flat_map(shown).collect();
        let (across, up) = (Decades::of(points.iter().map(|it| it.0)), Decades::of(points.iter().map(|it| it.1)));
        let (left, right, top, bottom) = MARGINS;
        let x = |value: f64| left + across.place(value) * (WIDTH - left - right);
        let y = |value: f64| HEIGHT - bottom - up.place(value) * (HEIGHT - top - bottom);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
        );
        let mut put = |element: String| svg.push_str(&(element + "\n"));
        put(text(
            (left, top - 16.0),
            "start",
            &format!("<tspan font-size=\"15\" font-weight=\"bold\">{}</tspan>", self.title),
        ));
        put(text(((left + WIDTH - right) / 2.0, HEIGHT - 12.0), "middle", self.across));
        let middle = (top + HEIGHT - bottom) / 2.0;
        put(format!("<g transform=\"translate(18 {middle}) rotate(-90)\">{}</g>", text((0.0, 0.0), "middle", self.up)));
        for power in across.first..=across.last {
            let at = x(10_f64.powi(power));
            put(format!("<path d=\"M{at:.1} {top}V{:.1}\" stroke=\"#dddddd\"/>", HEIGHT - bottom));
            put(text((at, HEIGHT - bottom + 18.0), "middle", &number(power)));
        }
        for power in up.first..=up.last {
            let at = y(10_f64.powi(power));
            put(format!("<path d=\"M{left} {at:.1}H{:.1}\" stroke=\"#dddddd\"/>", WIDTH - right));
            put(text((left - 8.0, at + 4.0), "end", &number(power)));
        }
        let mut labels: Vec<f64> = Vec::new();
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let points = shown(line);
            let Some(last) = points.last() else { continue };
            let mut path = String::new();
            for (place, (across, up)) in points.iter().enumerate() {
                // Writing to a text does not fail.
                let _ = write!(path, "{}{:.1} {:.1}", if place == 0 { 'M' } else { 'L' }, x(*across), y(*up));
                put(format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>", x(*across), y(*up)));
            }
            put(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
            // Names that would lie on each other are moved apart.
            let mut label = y(last.1) + 4.0;
            while labels.iter().any(|other| (other - label).abs() < 14.0) {
                label += 14.0;
            }
            labels.push(label);
            let place = (WIDTH - right + 10.0, label);
            put(text(place, "start", &format!("<tspan fill=\"{colour}\">{}</tspan>", line.name)));
        }
        svg + "</svg>\n"
    }
}

fn text((x, y): (f64, f64), anchor: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#333333\">{words}</text>")
}

/// A power of ten in digits.
fn number(power: i32) -> String {
    match power {
        0..3 => format!("{}", 10_u64.pow(power.unsigned_abs())),
        3..6 => format!("{},000", 10_u64.pow(power.unsigned_abs() - 3)),
        6.. => format!("{} million", 10_u64.pow(power.unsigned_abs() - 6)),
        _ => format!("{:.*}", power.unsigned_abs() as usize, 10_f64.powi(power)),
    }
}
