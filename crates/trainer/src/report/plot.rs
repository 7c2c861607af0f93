//! Curves as SVG. Colours and dashes come from the page's style sheet, so that they follow its light and dark scheme.

use super::ReportError;
use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// Kinds of lines that the style sheet tells apart: seven colours in four dashes.
pub const STYLES: usize = 28;

/// Size in CSS pixels. Drawn [`FINE`] times as large, because coordinates are whole numbers.
const SIZE: (u32, u32) = (480, 300);
const FINE: u32 = 4;

/// Marks are drawn on a curve of at most so many points.
const MARKED: usize = 40;

/// A value beyond this is none that training gives, and has no place on an axis.
const LARGEST: f64 = 1e15;

/// Labels of the y axis, about.
const LABELS: usize = 6;

/// A figure with curves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plot {
    /// Under the x axis.
    pub x_label: &'static str,
    /// Whether values are shares of 1, shown as percentages.
    pub percent: bool,
    /// In the order of drawing.
    pub curves: Vec<Curve>,
}

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is.
    pub label: String,
    /// Which of the [`STYLES`].
    pub style: usize,
    /// In order.
    points: Vec<(f64, f64)>,
    /// Drawn thin, without marks, and cut off rather than setting the range of the axis.
    pub faint: bool,
}

impl Curve {
    /// A curve through these points, without those that no axis could hold.
    pub fn new(label: &str, style: usize, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let possible = |(x, y): &(f64, f64)| x.abs() <= LARGEST && y.abs() <= LARGEST;
        let points = points.into_iter().filter(possible).collect();
        Self { label: label.to_owned(), style, points, faint: false }
    }

    /// Drawn thin.
    pub fn faint(self) -> Self {
        Self { faint: true, ..self }
    }

    /// The points that are drawn.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }
}

impl Plot {
    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.curves.iter().all(|curve| curve.points.is_empty())
    }

    /// An `<svg>` element.
    pub fn svg(&self) -> Result<String, ReportError> {
        let mut text = String::new();
        let backend = SVGBackend::with_string(&mut text, (SIZE.0 * FINE, SIZE.1 * FINE));
        self.draw(&backend.into_drawing_area()).map_err(|error| ReportError::Draw(error.to_string()))?;
        Ok(styled(text, self.curves.iter().map(|curve| curve.style)))
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let fine = |pixels: u32| pixels * FINE;
        let (x, y) = (self.x_range(), self.y_range());
        let mut chart = ChartBuilder::on(area)
            .margin(fine(6))
            .margin_right(fine(14))
            .x_label_area_size(fine(42))
            .y_label_area_size(fine(if self.percent { 54 } else { 46 }))
            .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
        // The SVG backend divides by 1.24.
        let font = ("sans-serif", f64::from(fine(14)) * 1.24).into_font().color(&INK);
        let whole = |x: &f64| if x.fract().abs() < 1e-9 { format!("{x:.0}") } else { String::new() };
        let factor = if self.percent { 100.0 } else { 1.0 };
        let digits = digits(&RangedCoordf64::from(y.0..y.1).key_points(LABELS), factor);
        let unit = if self.percent { " %" } else { "" };
        let y_label = |y: &f64| format!("{:.digits$}{unit}", factor * y);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(FINE))
            .axis_style(INK.stroke_width(FINE))
            .set_all_tick_mark_size(fine(5))
            .x_labels(8)
            .y_labels(LABELS)
            .x_label_formatter(&whole)
            .y_label_formatter(&y_label)
            .label_style(font.clone())
            .axis_desc_style(font)
            .x_desc(self.x_label)
            .draw()?;
        for curve in &self.curves {
            let color = sentinel(curve.style);
            let width = if curve.faint { FINE } else { 5 * FINE / 2 };
            let points = curve.points.iter().map(|&(x, value)| (x, value.clamp(y.0, y.1)));
            chart.draw_series(LineSeries::new(points.clone(), color.stroke_width(width)))?;
            if !curve.faint && curve.points.len() <= MARKED {
                let (small, large) = (fine(3) as i32, fine(5) as i32);
                chart.draw_series(points.map(|point| {
                    // A shape for each of the first curves, so that colour is not all that tells them apart.
                    let outline: Vec<(i32, i32)> = match curve.style % 4 {
                        0 => (0..16)
                            .map(|i| std::f64::consts::TAU * f64::from(i) / 16.0)
                            .map(|angle| (f64::from(small) * 1.2 * angle.cos(), f64::from(small) * 1.2 * angle.sin()))
                            .map(|(x, y)| (x.round() as i32, y.round() as i32))
                            .collect(),
                        1 => vec![(0, -large), (large, small), (-large, small)],
                        2 => vec![(0, -large), (large, 0), (0, large), (-large, 0)],
                        _ => vec![(-small, -small), (small, -small), (small, small), (-small, small)],
                    };
                    EmptyElement::at(point) + Polygon::new(outline, color.filled())
                }))?;
            }
        }
        area.present()
    }

    fn x_range(&self) -> (f64, f64) {
        let (low, high) = range(self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0));
        if low == high { (low - 1.0, high + 1.0) } else { (low, high) }
    }

    fn y_range(&self) -> (f64, f64) {
        let values = |faint: bool| {
            let curves = self.curves.iter().filter(move |curve| curve.faint == faint);
            curves.flat_map(|curve| &curve.points).map(|point| point.1)
        };
        let (mut low, mut high) = range(values(false));
        let mut faint: Vec<f64> = values(true).collect();
        faint.sort_by(f64::total_cmp);
        if let (Some(&least), Some(&most)) = (faint.first(), faint.get(faint.len().saturating_sub(1) * 49 / 50)) {
            // Rare peaks do not press everything else down.
            (low, high) = if values(false).next().is_some() { (low.min(least), high.max(most)) } else { (least, most) };
        }
        let pad = if low == high { 0.05_f64.max(low.abs() * 0.05) } else { 0.06 * (high - low) };
        let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        let ceiling = if self.percent && high <= 1.0 { 1.0 } else { f64::INFINITY };
        ((low - pad).max(floor), (high + pad).min(ceiling))
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// Decimals that show these values exactly.
fn digits(values: &[f64], factor: f64) -> usize {
    let exact = |digits: i32| {
        let scale = factor * 10_f64.powi(digits);
        values.iter().all(|value| ((value * scale).round() - value * scale).abs() < 1e-6)
    };
    (0..6).find(|digits| exact(*digits)).unwrap_or(6) as usize
}

const INK: RGBColor = RGBColor(1, 0, 0);
const GRID: RGBColor = RGBColor(2, 0, 0);

/// Stands for a style until [`styled`] replaces it by a class.
fn sentinel(style: usize) -> RGBColor {
    RGBColor(3, 0, (style % STYLES) as u8)
}

/// Replaces colours by classes of the page's style sheet, and fixed sizes by the page's.
fn styled(mut svg: String, styles: impl Iterator<Item = usize>) -> String {
    let mut replace = |attribute: &str, RGBColor(red, green, blue): RGBColor, class: &str| {
        let color = format!("{attribute}=\"#{red:02X}{green:02X}{blue:02X}\"");
        svg = svg.replace(&color, &format!("class=\"{class}\""));
    };
    replace("fill", INK, "text");
    replace("stroke", INK, "axis");
    replace("stroke", GRID, "grid");
    for style in styles {
        replace("stroke", sentinel(style), &format!("line {}", class(style)));
        replace("fill", sentinel(style), &format!("mark {}", class(style)));
    }
    let (width, height) = (SIZE.0 * FINE, SIZE.1 * FINE);
    let head = format!("<svg viewBox=\"0 0 {width} {height}\" aria-hidden=\"true\">");
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    (head + body).replace(" opacity=\"1\"", "").replace(" \"/>", "\"/>")
}

/// The classes of a style: its colour and its dash.
pub fn class(style: usize) -> String {
    format!("c{} d{}", style % 7, style % 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(style: usize, points: &[(f64, f64)]) -> Curve {
        Curve::new("train", style, points.iter().copied())
    }

    fn plot(curves: Vec<Curve>) -> Plot {
        Plot { x_label: "epoch", percent: false, curves }
    }

    #[test]
    fn a_plot_is_svg_without_colours_of_its_own() {
        let svg = plot(vec![curve(0, &[(1.0, 2.0), (2.0, 1.0)]), curve(8, &[(1.0, 3.0), (2.0, 2.5)])]).svg().unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let count = |class: &str| document.descendants().filter(|node| node.attribute("class") == Some(class)).count();
        assert_eq!((count("line c0 d0"), count("mark c0 d0")), (1, 2));
        assert_eq!((count("line c1 d0"), count("mark c1 d0")), (1, 2));
        assert!(count("text") > 4 && count("grid") > 2);
        assert!(!svg.contains('#') && !svg.contains("http"), "{svg}");
    }

    #[test]
    fn the_range_is_that_of_the_curves() {
        let mut plot = plot(vec![curve(0, &[(1.0, 2.0), (3.0, 1.0)])]);
        assert_eq!((plot.x_range(), plot.y_range()), ((1.0, 3.0), (0.94, 2.06)));
        let mut points = vec![(0.0, 100.0)];
        points.extend((1..100).map(|x| (f64::from(x) / 100.0, 3.0)));
        plot.curves.push(Curve { faint: true, ..curve(1, &points) });
        assert_eq!((plot.x_range(), plot.y_range()), ((0.0, 3.0), (0.88, 3.12)));
        plot.percent = true;
        plot.curves = vec![curve(0, &[(1.0, 0.99), (2.0, 1.0)])];
        assert_eq!(plot.y_range().1, 1.0);
    }

    #[test]
    fn labels_have_the_decimals_they_need() {
        assert_eq!(digits(&[0.2, 0.4], 1.0), 1);
        assert_eq!(digits(&[0.2, 0.25], 1.0), 2);
        assert_eq!(digits(&[0.8, 0.85, 0.9], 100.0), 0);
        assert_eq!(digits(&[0.925, 0.93], 100.0), 1);
        assert_eq!(digits(&[], 1.0), 0);
    }

    #[test]
    fn little_data_is_no_error() {
        for points in [&[][..], &[(1.0, 0.0)], &[(1.0, 0.5)], &[(0.0, 1e15), (1e15, -1e15)], &[(0.0, 1e-300)]] {
            for percent in [true, false] {
                Plot { percent, ..plot(vec![curve(2, points)]) }.svg().unwrap();
            }
        }
        assert!(plot(vec![curve(2, &[])]).is_empty());
        assert!(plot(vec![curve(2, &[(0.0, f64::NAN), (f64::MAX, 0.0), (0.0, -f64::MAX)])]).is_empty());
    }

    #[test]
    fn every_style_is_another() {
        let classes: std::collections::BTreeSet<String> = (0..STYLES).map(class).collect();
        assert_eq!(classes.len(), STYLES);
    }
}
