//! How far a kernel may be from the reference: the one place that says so.

/// A per-element bound `|got - expected| <= atol + rtol * |expected|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Absolute part.
    pub atol: f64,
    /// Relative part.
    pub rtol: f64,
}

impl Tolerance {
    /// Bit for bit (up to the sign of zero).
    pub const EXACT: Self = Self { atol: 0.0, rtol: 0.0 };

    /// The bound for an element that `terms` rounded `f32` terms of magnitude up to `scale` reach.
    ///
    /// A sum of K terms in any order is off by at most K units in the last place of its partial
    /// sums. Those of random terms in `[-1, 1]` grow like `sqrt(K)/3`, and the roundings add like a
    /// random walk too, so that `eps * K * scale` is already several times what a correct kernel
    /// shows, while one missing or doubled term is off by about `scale`. The constant 16 covers what
    /// is done to the sum afterwards (a division, a square root, an exponential).
    pub fn for_terms(terms: usize, scale: f64) -> Self {
        let eps = f64::from(f32::EPSILON);
        Self { atol: eps * (terms as f64 + 16.0) * scale, rtol: 16.0 * eps }
    }

    /// The bound for an element that is stored as f16 afterwards, compared with the rounded reference: a number that may
    /// be off may be rounded to the other side, which is one unit in the last place of its 11 digits, or of the smallest
    /// numbers.
    pub fn and_rounded_to_f16(self) -> Self {
        let [unit, smallest] = [-10, -24].map(|exponent| 2.0_f64.powi(exponent));
        Self { atol: self.atol + smallest, rtol: self.rtol + unit }
    }

    /// The bound for an element that is made of others of magnitude up to `value`, which are stored as f16 in between: some
    /// may be rounded to the other side, and count a few times.
    pub fn and_made_of_f16(self, value: f64) -> Self {
        Self { atol: self.atol + 4.0 * 2.0_f64.powi(-10) * value, rtol: self.rtol }
    }

    /// The bound for mean and sum of squared distances of `count` such elements of magnitude up to `value`, if no such sum
    /// is more than `sum`. An element that is off by `d` moves the square of its distance by `d` times twice the distance, and
    /// the distances are `sqrt(count * sum)` together at most.
    pub fn of_moments(self, count: usize, value: f64, sum: f64) -> Self {
        let off = self.atol + self.rtol * value;
        let count = count as f64;
        Self { atol: off + 2.0 * off * (count * sum).sqrt() + count * off * off, rtol: 32.0 * f64::from(f32::EPSILON) }
    }

    /// Whether `got` is acceptable. NaN never is, unless both are; an infinity must be matched.
    pub fn accepts(&self, got: f64, expected: f64) -> bool {
        if got.is_nan() || expected.is_nan() {
            return got.is_nan() && expected.is_nan();
        }
        if got.is_infinite() || expected.is_infinite() {
            return got == expected;
        }
        (got - expected).abs() <= self.atol + self.rtol * expected.abs()
    }
}

#[cfg(test)]
mod tests {
    use super::Tolerance;

    #[test]
    fn nan_and_infinity_never_pass_for_numbers() {
        let loose = Tolerance { atol: 1e30, rtol: 1.0 };
        assert!(!loose.accepts(f64::NAN, 1.0));
        assert!(!loose.accepts(1.0, f64::NAN));
        assert!(!loose.accepts(f64::INFINITY, 1.0));
        assert!(!loose.accepts(f64::INFINITY, f64::NEG_INFINITY));
        assert!(loose.accepts(f64::INFINITY, f64::INFINITY));
    }

    #[test]
    fn one_step_of_f16_is_accepted_and_not_two() {
        let bound = Tolerance { atol: 0.0, rtol: 1e-6 }.and_rounded_to_f16();
        // From 1 to 2 they are 2^-10 apart, at 0 2^-24.
        let [step, smallest] = [-10, -24].map(|exponent| 2.0_f64.powi(exponent));
        assert!(bound.accepts(1.0 + step, 1.0) && !bound.accepts(1.0 + 2.0 * step, 1.0));
        assert!(bound.accepts(smallest, 0.0) && !bound.accepts(2.0 * smallest, 0.0));
    }

    #[test]
    fn moments_may_be_off_as_far_as_their_elements() {
        // Of 0, 1, 2, ...: every element is off by 1e-3 to that side which moves the sum most.
        let (count, off) = (32, 1e-3);
        let moments = |elements: &[f64]| {
            let mean = elements.iter().sum::<f64>() / count as f64;
            (mean, elements.iter().map(|element| (element - mean).powi(2)).sum::<f64>())
        };
        let exact: Vec<f64> = (0..count).map(f64::from).collect();
        let moved: Vec<f64> = exact.iter().map(|element| element + off * (element - 15.5).signum()).collect();
        let ((_, expected), (_, got)) = (moments(&exact), moments(&moved));
        let bound = Tolerance { atol: off, rtol: 0.0 }.of_moments(32, 31.0, expected);
        assert!(bound.accepts(got, expected) && !bound.accepts(expected + 2.0 * (got - expected), expected));
        // A missing element is more than that.
        assert!(!bound.accepts(moments(&exact[..31]).1, expected));
    }

    #[test]
    fn exact_means_exact() {
        assert!(Tolerance::EXACT.accepts(0.0, -0.0));
        assert!(!Tolerance::EXACT.accepts(1.0, 1.0 + f64::EPSILON));
    }
}
