//! A picture of what hot reads take beside blocked readers, as SVG.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What one subject did.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

/// What it did beside so many readers; `None` where it stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) readers: usize,
    pub(crate) median: Option<Duration>,
    pub(crate) p99: Option<Duration>,
}

/// The picture's size, and what its axes leave at the edges.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 56.0;

/// The longest and the shortest time shown, as powers of ten of a millisecond. What stopped is above.
const POWERS: std::ops::RangeInclusive<i32> = -2..=3;

/// One for each curve.
const COLOURS: [&str; 4] = ["#0b6e4f", "#c8102e", "#1f4e9c", "#8a5a00"];

/// Writes it. Numbers of readers stand side by side, times go by powers of ten.
pub(crate) fn write(path: &Path, curves: &[Curve]) -> io::Result<()> {
    fs::write(path, draw(curves))
}

fn draw(curves: &[Curve]) -> String {
    let mut numbers: Vec<_> =
        curves.iter().flat_map(|curve| &curve.points).map(|point| point.readers).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    text(&mut svg, (LEFT, 20.0), "start", "Reading a hot file while others wait for storage that hangs");
    axes(&mut svg, &numbers);
    for ((curve, colour), row) in curves.iter().zip(COLOURS.into_iter().cycle()).zip([1.0, 2.0, 3.0, 4.0]) {
        let places = |time: fn(&Point) -> Option<Duration>| {
            let place = |point: &Point| {
                let column = numbers.iter().position(|number| *number == point.readers).unwrap_or(0);
                (x(column, numbers.len()), time(point).map_or(STOPPED, y))
            };
            curve.points.iter().map(place).collect::<Vec<_>>()
        };
        line(&mut svg, &places(|point| point.p99), colour, "4 3");
        line(&mut svg, &places(|point| point.median), colour, "none");
        let place = (WIDTH - RIGHT - 150.0 * row, 38.0);
        let _ =
            writeln!(svg, "<circle cx=\"{}\" cy=\"{}\" r=\"4\" fill=\"{colour}\"/>", place.0, place.1 - 4.0);
        text(&mut svg, (place.0 + 8.0, place.1), "start", &curve.name);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where what stopped is drawn.
const STOPPED: f64 = TOP - 4.0;

fn axes(svg: &mut String, numbers: &[usize]) {
    let foot = HEIGHT - BOTTOM;
    for power in POWERS {
        let millis = 10_f64.powi(power);
        let at = y(Duration::from_secs_f64(millis / 1e3));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>",
            WIDTH - RIGHT
        );
        text(svg, (LEFT - 8.0, at + 4.0), "end", &format!("{millis} ms"));
    }
    text(svg, (LEFT - 8.0, STOPPED + 4.0), "end", "never");
    for (column, number) in numbers.iter().enumerate() {
        text(svg, (x(column, numbers.len()), foot + 18.0), "middle", &number.to_string());
    }
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    text(
        svg,
        (middle, HEIGHT - 14.0),
        "middle",
        "blocked readers (solid: median, dashed: 99th of a hundred)",
    );
}

fn line(svg: &mut String, places: &[(f64, f64)], colour: &str, dashes: &str) {
    let points: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
        points.join(" ")
    );
    for (x, y) in places {
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

#[expect(clippy::cast_precision_loss, reason = "columns are few")]
fn x(column: usize, columns: usize) -> f64 {
    let step = (WIDTH - LEFT - RIGHT) / columns as f64;
    LEFT + step * (column as f64 + 0.5)
}

fn y(time: Duration) -> f64 {
    let (low, high) = (f64::from(*POWERS.start()), f64::from(*POWERS.end()));
    let power = (time.as_secs_f64() * 1e3).max(f64::MIN_POSITIVE).log10().clamp(low, high);
    let height = HEIGHT - TOP - BOTTOM - 16.0;
    HEIGHT - BOTTOM - (power - low) / (high - low) * height
}
