//! A figure with its text alternative and its legend.

use super::ReportError;
use super::plot::{Curve, Plot, class};

/// A figure as the page shows it.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Above the figure.
    pub title: String,
    /// The drawing.
    pub svg: String,
    /// What the drawing shows, in words.
    pub alternative: String,
    /// Classes and label of each kind of line.
    pub legend: Vec<Legend>,
}

/// An entry of a legend.
#[derive(Clone, Debug)]
pub struct Legend {
    /// Of the line, and of the mark on it.
    pub class: String,
    /// What it is.
    pub label: String,
    /// Whether the line is thin and has no marks.
    pub faint: bool,
    /// The outline of the mark, around (18, 8).
    pub mark: &'static str,
}

impl Chart {
    /// `None` if there is nothing to draw.
    pub fn new(title: &str, plot: &Plot) -> Result<Option<Self>, ReportError> {
        if plot.is_empty() {
            return Ok(None);
        }
        let drawn: Vec<&Curve> = plot.curves.iter().filter(|curve| !curve.points().is_empty()).collect();
        let words: Vec<String> = drawn.iter().filter(|curve| !curve.faint).map(|curve| words(curve, plot)).collect();
        let legend = drawn.iter().map(|curve| Legend {
            class: class(curve.style),
            label: curve.label.clone(),
            faint: curve.faint,
            mark: ["M18 4a4 4 0 1 0 .01 0z", "M18 3l5 8h-10z", "M18 3l5 5-5 5-5-5z", "M15 5h6v6h-6z"][curve.style % 4],
        });
        Ok(Some(Self {
            title: title.to_owned(),
            svg: plot.svg()?,
            alternative: format!("Curves: {} by {}. {}", title.to_lowercase(), plot.x_label, words.join(" ")),
            legend: legend.collect(),
        }))
    }
}

/// What a curve does: where it begins, ends, and is at its best.
fn words(curve: &Curve, plot: &Plot) -> String {
    let number = |value: f64| if plot.percent { format!("{:.1} %", 100.0 * value) } else { format!("{value:.3}") };
    let (Some(first), Some(last)) = (curve.points().first(), curve.points().last()) else { return String::new() };
    let at = |point: &(f64, f64)| format!("{} at {} {}", number(point.1), plot.x_label, point.0);
    if curve.points().len() == 1 {
        return format!("{}: {}.", curve.label, at(first));
    }
    let better = |a: &(f64, f64), b: &(f64, f64)| if plot.percent { b.1 > a.1 } else { b.1 < a.1 };
    let best = curve.points().iter().fold(first, |best, point| if better(best, point) { point } else { best });
    format!("{}: from {} to {}, best {}.", curve.label, at(first), at(last), at(best))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_told_in_words() {
        let curve = Curve::new("test", 2, [(1.0, 0.5), (2.0, 0.75), (3.0, 0.7)]);
        let plot = Plot { x_label: "epoch", percent: true, curves: vec![curve] };
        let chart = Chart::new("Accuracy", &plot).unwrap().unwrap();
        assert_eq!(
            chart.alternative,
            "Curves: accuracy by epoch. test: from 50.0 % at epoch 1 to 70.0 % at epoch 3, best 75.0 % at epoch 2."
        );
        assert_eq!(chart.legend[0].class, "c2 d2");
        assert!(Chart::new("Loss", &Plot::default()).unwrap().is_none());
    }
}
