//! A 28x28 grey canvas that polygons are filled into, antialiased.

use crate::dataset::{PIXELS, SIDE};

/// A point of a drawing: `[x, y]` in pixels from the centre of the image, `y` downwards.
pub(super) type Point = [f32; 2];

/// Scanlines per row of pixels.
const SUBROWS: usize = 2;

/// How a drawing lies on the canvas.
pub(super) struct Pose {
    pub(super) scale: [f32; 2],
    pub(super) shear: f32,
    pub(super) shift: Point,
}

pub(super) struct Canvas {
    pose: Pose,
    shades: [f32; PIXELS],
}

impl Canvas {
    /// A black canvas.
    pub(super) fn new(pose: Pose) -> Self {
        Self { pose, shades: [0.0; PIXELS] }
    }

    /// The picture, row-major.
    pub(super) fn shades(&self) -> impl Iterator<Item = f32> {
        self.shades.iter().copied()
    }

    /// Paints a polygon (even-odd rule) in one shade. Shade 0 cuts a hole.
    pub(super) fn fill(&mut self, polygon: &[Point], shade: f32) {
        self.cover(polygon, |under, coverage| under + (shade - under) * coverage);
    }

    /// Multiplies what is under a polygon, which leaves the background black.
    pub(super) fn tint(&mut self, polygon: &[Point], factor: f32) {
        self.cover(polygon, |under, coverage| under * (1.0 + (factor - 1.0) * coverage));
    }

    /// The polygon and its mirror image.
    pub(super) fn fill_both(&mut self, polygon: &[Point], shade: f32) {
        self.fill(polygon, shade);
        self.fill(&mirrored(polygon), shade);
    }

    /// A line of this width, painted.
    pub(super) fn stroke(&mut self, from: Point, to: Point, width: f32, shade: f32) {
        self.fill(&band(from, to, width), shade);
    }

    /// A line of this width, multiplied.
    pub(super) fn crease(&mut self, from: Point, to: Point, width: f32, factor: f32) {
        self.tint(&band(from, to, width), factor);
    }

    fn cover(&mut self, polygon: &[Point], blend: impl Fn(f32, f32) -> f32) {
        let points: Vec<Point> = polygon.iter().map(|&point| self.place(point)).collect();
        let top = points.iter().fold(SIDE as f32, |y, p| y.min(p[1])).max(0.0) as usize;
        // The cast saturates, so a polygon above the canvas ends at row 0.
        let bottom = points.iter().fold(0.0f32, |y, p| y.max(p[1])) as usize;
        let mut crossings = Vec::with_capacity(8);
        for row in top..(bottom + 1).min(SIDE) {
            let mut coverage = [0.0f32; SIDE];
            for subrow in 0..SUBROWS {
                let y = row as f32 + (subrow as f32 + 0.5) / SUBROWS as f32;
                cross(&points, y, &mut crossings);
                for span in crossings.as_chunks::<2>().0 {
                    add_span(&mut coverage, span[0], span[1]);
                }
            }
            let pixels = &mut self.shades[row * SIDE..][..SIDE];
            for (pixel, covered) in pixels.iter_mut().zip(coverage) {
                if covered > 0.0 {
                    *pixel = blend(*pixel, covered / SUBROWS as f32);
                }
            }
        }
    }

    fn place(&self, [x, y]: Point) -> Point {
        let centre = SIDE as f32 / 2.0;
        [
            centre + self.pose.shift[0] + self.pose.scale[0] * (x + self.pose.shear * y),
            centre + self.pose.shift[1] + self.pose.scale[1] * y,
        ]
    }
}

/// Where the outline crosses this height, from left to right.
fn cross(points: &[Point], y: f32, crossings: &mut Vec<f32>) {
    crossings.clear();
    let Some(&last) = points.last() else {
        return;
    };
    let mut from = last;
    for &to in points {
        // Half-open, so that a corner on the scanline counts once.
        if (from[1] <= y) != (to[1] <= y) {
            crossings.push(from[0] + (to[0] - from[0]) * ((y - from[1]) / (to[1] - from[1])));
        }
        from = to;
    }
    crossings.sort_unstable_by(f32::total_cmp);
}

/// Adds the share of each pixel between `left` and `right`.
fn add_span(coverage: &mut [f32; SIDE], left: f32, right: f32) {
    let left = left.clamp(0.0, SIDE as f32);
    let right = right.clamp(0.0, SIDE as f32);
    let end = (right as usize + 1).min(SIDE);
    for (x, covered) in coverage.iter_mut().enumerate().take(end).skip(left as usize) {
        let x = x as f32;
        *covered += (right.min(x + 1.0) - left.max(x)).max(0.0);
    }
}

/// A line as a rectangle, thickened across its longer direction.
fn band(from: Point, to: Point, width: f32) -> [Point; 4] {
    let half = width / 2.0;
    let steep = (to[1] - from[1]).abs() > (to[0] - from[0]).abs();
    let [dx, dy] = if steep { [half, 0.0] } else { [0.0, half] };
    [[from[0] - dx, from[1] - dy], [to[0] - dx, to[1] - dy], [to[0] + dx, to[1] + dy], [from[0] + dx, from[1] + dy]]
}

fn mirrored(polygon: &[Point]) -> Vec<Point> {
    polygon.iter().map(|&[x, y]| [-x, y]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRAIGHT: Pose = Pose { scale: [1.0, 1.0], shear: 0.0, shift: [0.0, 0.0] };

    fn area(polygon: &[Point]) -> f32 {
        let mut canvas = Canvas::new(STRAIGHT);
        canvas.fill(polygon, 1.0);
        canvas.shades().sum()
    }

    #[test]
    fn coverage_is_area() {
        let square = [[-3.0, -3.0], [3.0, -3.0], [3.0, 3.0], [-3.0, 3.0]];
        assert_eq!(area(&square), 36.0);
        let shifted = square.map(|[x, y]| [x + 0.25, y + 0.5]);
        assert_eq!(area(&shifted), 36.0);
        let triangle = [[-8.0, -8.0], [8.0, 8.0], [-8.0, 8.0]];
        assert!((area(&triangle) - 128.0).abs() < 0.5);
    }

    #[test]
    fn what_is_outside_is_clipped() {
        let everything = [[-99.0, -99.0], [99.0, -99.0], [99.0, 99.0], [-99.0, 99.0]];
        assert_eq!(area(&everything), PIXELS as f32);
        assert_eq!(area(&everything.map(|[x, y]| [x, y + 200.0])), 0.0);
        assert_eq!(area(&everything.map(|[x, y]| [x - 200.0, y])), 0.0);
        assert_eq!(area(&[]), 0.0);
    }
}
