//! Rows under the roofline, as a page with a picture for each family of operations.
//!
//! The pictures hold no colours: classes of the page's style sheet stand for them, so that they follow its light and dark
//! scheme. Shapes tell directions apart, colours algorithms; everything shown is also in the table below.

use super::rows::{Timed, notes, roofline_lines, table};
use super::table::short;
use kernels::probe::Roofline;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::fmt::Write;

/// Size in CSS pixels. Drawn [`FINE`] times as large, because coordinates are whole numbers.
const SIZE: (u32, u32) = (520, 360);
const FINE: u32 = 4;

/// Colours of algorithms, `naive` apart.
const COLORS: usize = 7;

const INK: RGBColor = RGBColor(1, 0, 0);
const GRID: RGBColor = RGBColor(2, 0, 0);
const ROOF: RGBColor = RGBColor(4, 0, 0);
const CACHE_ROOF: RGBColor = RGBColor(5, 0, 0);

/// The directions by their shapes.
const SHAPES: [(&str, &str); 5] =
    [("fwd", "●"), ("bwd_input", "▲"), ("bwd_weight", "◆"), ("bwd_bias", "■"), ("update", "▼")];

/// The panels, by what they show.
const PANELS: [(&str, &[&str]); 4] = [
    ("Convolution", &["conv2d"]),
    ("Dense layers", &["dense"]),
    ("Pooling and BatchNorm", &["max_pool2d", "avg_pool2d", "batch_norm"]),
    ("Everything else", &[]),
];

/// A page that needs nothing but itself.
pub fn page(
    head: &[String],
    roofline: &Roofline,
    timed: &[Timed],
) -> Result<String, DrawingAreaErrorKind<std::io::Error>> {
    let mut panels = String::new();
    for (title, _) in PANELS {
        let shown: Vec<&Timed> = timed.iter().filter(|timed| panel(timed) == title && visible(timed)).collect();
        if shown.is_empty() {
            continue;
        }
        let algorithms = algorithms(&shown);
        let svg = svg(roofline, &shown, &algorithms, title)?;
        // Writing to a string does not fail.
        let _ = write!(
            panels,
            "<figure>\n<figcaption><h2>{title}</h2>{}</figcaption>\n{svg}\n</figure>\n",
            legend(&shown, &algorithms)
        );
    }
    let lines = |lines: &[String]| lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect::<String>();
    let hidden = timed.iter().filter(|timed| !visible(timed)).count();
    let hidden = match hidden {
        0 => String::new(),
        _ => {
            format!("<p>{hidden} rows do no arithmetic and so have no place in the pictures; the table has them.</p>\n")
        }
    };
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Kernels under the roofline</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Kernels under the roofline</h1>\n<ul>\n{}</ul>\n\
         <p>A point is one kernel on one layer: arithmetic intensity against speed. The solid roof is what memory and arithmetic \
         allow, the dashed one what the fastest cache allows. Both were measured on this device, the lower of slope and peak \
         counts. Each picture has its own colours; a kernel that stores f16 has that of its fellow in f32, and the words of its \
         point tell them apart.</p>\n<div class=\"panels\">\n{panels}</div>\n{hidden}\
         <h2>What the device can do at best</h2>\n<ul>\n{}</ul>\n\
         <h2>All rows</h2>\n<ul>\n{}</ul>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All rows\">\n{}</div>\n\
         </main>\n</body>\n</html>\n",
        lines(head),
        lines(&roofline_lines(roofline)),
        lines(&notes(timed)),
        table(timed).html(),
    ))
}

/// Rows without arithmetic have no place on a logarithmic axis.
fn visible(timed: &Timed) -> bool {
    timed.measured.flops > 0
}

fn panel(timed: &Timed) -> &'static str {
    let named = PANELS.iter().find(|(_, ops)| ops.contains(&timed.row.op()));
    named.or(PANELS.last()).map_or("", |(title, _)| title)
}

/// The algorithm, however its activations are stored, and whether or not its sums are split besides: so are those of some
/// directions only, and shapes tell these.
fn algorithm(timed: &Timed) -> &'static str {
    bare(timed.row.id().rsplit('.').next().unwrap_or_default(), timed.row.storage().suffix())
}

fn bare<'a>(name: &'a str, stored: &str) -> &'a str {
    let name = name.strip_suffix(stored).unwrap_or(name);
    name.strip_suffix("_split_k").unwrap_or(name)
}

/// The algorithms but `naive`, in the order of their first row.
fn algorithms(timed: &[&Timed]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in timed.iter().map(|timed| algorithm(timed)).filter(|name| *name != "naive") {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn class(name: &str, algorithms: &[&str]) -> String {
    let index = algorithms.iter().position(|algorithm| *algorithm == name);
    // Where there are more algorithms than colours, a ring tells the second of a colour from the first.
    let ring = |index: usize| if index < COLORS { "" } else { " ringed" };
    index.map_or_else(|| "naive".to_owned(), |index| format!("c{}{}", index % COLORS, ring(index)))
}

fn legend(shown: &[&Timed], algorithms: &[&'static str]) -> String {
    let mut names = vec!["naive"];
    names.extend(algorithms.iter().filter(|name| shown.iter().any(|timed| algorithm(timed) == **name)));
    let chips: Vec<String> = names
        .iter()
        .map(|name| format!("<span><i class=\"chip {}\"></i>{}</span>", class(name, algorithms), escape(name)))
        .collect();
    let used = SHAPES.iter().filter(|(name, _)| shown.iter().any(|timed| timed.row.direction().name() == *name));
    let shapes: Vec<String> = used.map(|(name, sign)| format!("<span>{sign} {name}</span>")).collect();
    format!("<p class=\"legend\">{} <b aria-hidden=\"true\">·</b> {}</p>", chips.join(" "), shapes.join(" "))
}

fn svg(
    roofline: &Roofline,
    shown: &[&Timed],
    algorithms: &[&str],
    title: &str,
) -> Result<String, DrawingAreaErrorKind<std::io::Error>> {
    let mut text = String::new();
    let backend = SVGBackend::with_string(&mut text, (SIZE.0 * FINE, SIZE.1 * FINE));
    draw(&backend.into_drawing_area(), roofline, shown, algorithms)?;
    let titles: Vec<String> = in_order(shown)
        .into_iter()
        .map(|timed| {
            format!(
                "{} on {}: {} GFLOP/s, {} % of the roofline, {} x naive",
                timed.row.id(),
                timed.problem,
                short(timed.measured.gflops()),
                timed.percent(),
                short(timed.over_naive)
            )
        })
        .collect();
    let best = shown.iter().max_by(|a, b| a.measured.gflops().total_cmp(&b.measured.gflops()));
    let best = best.map(|timed| {
        format!(
            "; the fastest, {} on {}, reaches {} GFLOP/s",
            timed.row.id(),
            timed.problem,
            short(timed.measured.gflops())
        )
    });
    let label = format!(
        "{title}: {} points below a roof of {} GFLOP/s{}",
        shown.len(),
        short(roofline.peak),
        best.unwrap_or_default()
    );
    Ok(styled(&text, algorithms, &label, &titles))
}

/// Naive first, so that it does not cover what is better.
fn in_order<'a>(shown: &[&'a Timed]) -> Vec<&'a Timed> {
    let (naive, others): (Vec<&Timed>, Vec<&Timed>) =
        shown.iter().copied().partition(|timed| algorithm(timed) == "naive");
    naive.into_iter().chain(others).collect()
}

fn draw<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    roofline: &Roofline,
    shown: &[&Timed],
    algorithms: &[&str],
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let intensity = |timed: &Timed| timed.measured.flops as f64 / timed.measured.bytes as f64;
    let fine = |pixels: u32| pixels * FINE;
    let xs = range(shown.iter().map(|timed| intensity(timed)));
    let ys = range(shown.iter().map(|timed| timed.measured.gflops()).chain([roofline.peak]));
    let mut chart = ChartBuilder::on(area)
        .margin(fine(8))
        .margin_right(fine(16))
        .x_label_area_size(fine(48))
        .y_label_area_size(fine(66))
        .build_cartesian_2d((xs.0..xs.1).log_scale(), (ys.0..ys.1).log_scale())?;
    // The SVG backend divides by 1.24.
    let font = ("sans-serif", f64::from(fine(15)) * 1.24).into_font().color(&INK);
    let number = |value: &f64| short_power(*value);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(FINE))
        .axis_style(INK.stroke_width(FINE))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .label_style(font.clone())
        .axis_desc_style(font)
        .x_desc("floating-point operations per byte")
        .y_desc("GFLOP/s")
        .draw()?;
    let cache = roofline.memory.iter().map(|memory| memory.rate).fold(0.0, f64::max);
    for (bandwidth, color) in [(cache, CACHE_ROOF), (roofline.streaming(), ROOF)] {
        let ridge = (roofline.peak / bandwidth).clamp(xs.0, xs.1);
        let from = xs.0.max(ys.0 / bandwidth);
        let points =
            [from, ridge, xs.1].into_iter().filter(|x| *x >= from).map(|x| (x, (x * bandwidth).min(roofline.peak)));
        chart.draw_series(LineSeries::new(points, color.stroke_width(2 * FINE)))?;
    }
    for timed in in_order(shown) {
        let point = (intensity(timed), timed.measured.gflops());
        let color = sentinel(algorithm(timed), algorithms);
        let outline = outline(timed.row.direction().name());
        chart.draw_series([EmptyElement::at(point) + Polygon::new(outline, color.filled())])?;
    }
    area.present()
}

/// From a power of ten below all values to one above.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.filter(|value| value.is_finite() && *value > 0.0).collect();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    if least > most {
        return (0.1, 10.0);
    }
    let power = |value: f64, round: fn(f64) -> f64| 10_f64.powf(round(value.log10()));
    (power(0.9 * least, f64::floor), power(1.1 * most, f64::ceil))
}

/// A power of ten as people write it; nothing for what lies between.
fn short_power(value: f64) -> String {
    let power = value.log10();
    match (power - power.round()).abs() < 1e-6 {
        true if !(-3.5..=5.5).contains(&power) => format!("{value:.0e}"),
        true if power < 0.0 => format!("{value:.*}", -power.round() as usize),
        true => format!("{value:.0}"),
        false => String::new(),
    }
}

fn outline(direction: &str) -> Vec<(i32, i32)> {
    let fine = FINE as i32;
    let (small, large) = (4 * fine, 6 * fine);
    match direction {
        "fwd" => (0..16)
            .map(|i| std::f64::consts::TAU * f64::from(i) / 16.0)
            .map(|angle| ((f64::from(small) * 1.1 * angle.cos()) as i32, (f64::from(small) * 1.1 * angle.sin()) as i32))
            .collect(),
        "bwd_input" => vec![(0, -large), (large, small), (-large, small)],
        "bwd_weight" => vec![(0, -large), (large, 0), (0, large), (-large, 0)],
        "bwd_bias" => vec![(-small, -small), (small, -small), (small, small), (-small, small)],
        _ => vec![(0, large), (large, -small), (-large, -small)],
    }
}

/// Stands for an algorithm until [`styled`] replaces it by a class.
fn sentinel(algorithm: &str, algorithms: &[&str]) -> RGBColor {
    let index = algorithms.iter().position(|name| *name == algorithm);
    index.map_or(RGBColor(6, 0, 0), |index| RGBColor(3, 0, index as u8))
}

/// Replaces colours by classes, fixed sizes by the page's, and gives every point its figures and the whole its words.
fn styled(svg: &str, algorithms: &[&str], label: &str, titles: &[String]) -> String {
    let mut svg = svg.to_owned();
    let mut replace = |attribute: &str, RGBColor(red, green, blue): RGBColor, class: &str| {
        let color = format!("{attribute}=\"#{red:02X}{green:02X}{blue:02X}\"");
        svg = svg.replace(&color, &format!("class=\"{class}\""));
    };
    replace("fill", INK, "text");
    replace("stroke", INK, "axis");
    replace("stroke", GRID, "grid");
    replace("stroke", ROOF, "roof");
    replace("stroke", CACHE_ROOF, "roof cache");
    replace("fill", sentinel("naive", &[]), "mark naive");
    for name in algorithms {
        replace("fill", sentinel(name, algorithms), &format!("mark {}", class(name, algorithms)));
    }
    let (width, height) = (SIZE.0 * FINE, SIZE.1 * FINE);
    let label = escape(label);
    let mut page = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">");
    let body = svg.split_once('>').map_or("", |(_, body)| body).replace(" opacity=\"1\"", "").replace(" \"/>", "\"/>");
    // Points are the only polygons.
    let mut parts = body.split("<polygon ");
    page += parts.next().unwrap_or_default();
    for (part, title) in parts.zip(titles) {
        let _ = match part.split_once("/>") {
            Some((polygon, rest)) => {
                write!(page, "<polygon {polygon}><title>{}</title></polygon>{rest}", escape(title))
            }
            None => write!(page, "<polygon {part}"),
        };
    }
    page
}

/// Text for HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Okabe and Ito's colours, which people with any colour vision tell apart; darker on light ground, lighter on dark.
const STYLE: &str = "\
:root { --ground: #fff; --ink: #1c1c1e; --faint: #6b6b70; --line: #dcdce0; --naive: #9a9aa0; --roof: #1c1c1e;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #b8860b; --c5: #56b4e9; --c6: #7a4fb5; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #17171a; --ink: #e8e8ec; --faint: #a0a0a8; --line: #3a3a40; --naive: #77777e; --roof: #e8e8ec;
    --c0: #4fa3dc; --c1: #ff8a3d; --c2: #2fc79b; --c3: #e59cc4; --c4: #e6b93c; --c5: #8fd0f7; --c6: #b195ea; }
}
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { line-height: 1.2; } h2 { font-size: 1.15rem; margin: 1.5rem 0 .25rem; }
ul { padding-left: 1.2rem; } li, p { max-width: 75ch; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 1.5rem; }
figure { margin: 0; } figure svg { width: 100%; height: auto; display: block; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; margin: 0; font-size: .85rem; color: var(--faint); }
.legend span { white-space: nowrap; }
.chip { display: inline-block; width: .75em; height: .75em; border-radius: 50%; margin-right: .35em; }
.chip.naive { background: var(--naive); } .mark.naive { fill: var(--naive); }
.chip.c0 { background: var(--c0); } .mark.c0 { fill: var(--c0); }
.chip.c1 { background: var(--c1); } .mark.c1 { fill: var(--c1); }
.chip.c2 { background: var(--c2); } .mark.c2 { fill: var(--c2); }
.chip.c3 { background: var(--c3); } .mark.c3 { fill: var(--c3); }
.chip.c4 { background: var(--c4); } .mark.c4 { fill: var(--c4); }
.chip.c5 { background: var(--c5); } .mark.c5 { fill: var(--c5); }
.chip.c6 { background: var(--c6); } .mark.c6 { fill: var(--c6); }
.mark { fill-opacity: .85; stroke: var(--ground); stroke-width: 3; }
.chip.ringed { box-shadow: 0 0 0 2px var(--ink); } .mark.ringed { stroke: var(--ink); stroke-width: 8; }
.text { fill: var(--ink); } .axis { stroke: var(--faint); } .grid { stroke: var(--line); }
.roof { stroke: var(--roof); fill: none; } .roof.cache { stroke-dasharray: 24 16; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th.number, td.number { text-align: right; } thead th { position: sticky; top: 0; background: var(--ground); }
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ranges_are_whole_powers_of_ten() {
        assert_eq!(range([0.3, 40.0].into_iter()), (0.1, 100.0));
        assert_eq!(range([f64::NAN, 0.0].into_iter()), (0.1, 10.0));
        let (low, high) = range([1.0, 1.0].into_iter());
        assert!(low < 1.0 && high > 1.0);
    }

    #[test]
    fn axes_are_labelled_by_powers_of_ten() {
        assert_eq!([0.01, 1.0, 3.0, 1000.0, 1e6].map(short_power), ["0.01", "1", "", "1000", "1e6"]);
    }

    #[test]
    fn every_algorithm_looks_its_own_way() {
        let algorithms = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        assert_eq!(["a", "h"].map(|name| class(name, &algorithms)), ["c0", "c0 ringed"]);
        let all = || algorithms.iter().chain(&["naive"]);
        let looks: HashSet<String> = all().map(|name| class(name, &algorithms)).collect();
        let color = |name: &&str| {
            let RGBColor(red, green, blue) = sentinel(name, &algorithms);
            [red, green, blue]
        };
        let colors: HashSet<[u8; 3]> = all().map(color).collect();
        assert_eq!((looks.len(), colors.len()), (10, 10));
    }

    #[test]
    fn rows_of_one_algorithm_share_its_name() {
        let names = [("tiled_split_k_f16", "_f16"), ("tiled_f16_x", "_f16_x"), ("tiled_split_k", ""), ("tiled", "")];
        assert_eq!(names.map(|(name, stored)| bare(name, stored)), ["tiled"; 4]);
        assert_eq!(bare("naive_f16", "_f16"), "naive");
    }

    #[test]
    fn points_carry_their_figures_and_no_colours() {
        let svg = "<svg width=\"1\" height=\"1\"><polygon opacity=\"1\" fill=\"#030000\" points=\"1,2 \"/><polygon fill=\"#060000\" points=\"\"/></svg>";
        let styled = styled(svg, &["tiled"], "a \"label\"", &["a < b".to_owned(), "c".to_owned()]);
        assert!(styled.contains("class=\"mark c0\"") && styled.contains("class=\"mark naive\""), "{styled}");
        assert!(styled.contains("<title>a &lt; b</title></polygon>"), "{styled}");
        assert!(styled.contains("aria-label=\"a &quot;label&quot;\"") && !styled.contains('#'), "{styled}");
    }
}
