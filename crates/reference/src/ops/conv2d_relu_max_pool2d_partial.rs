//! The gradients of a convolution's weights and bias behind ReLU and pooling, before they are added up.

use super::conv2d_relu_max_pool2d;
use super::{Conv2d, Conv2dReluMaxPool2d, Conv2dWeightBiasPartial, MaxPool2d, MaxPool2dRelu, chain};
use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, Window, wrong_arguments,
};
use std::sync::Arc;

/// `partials` and `bias_partials` of [`Conv2dWeightBiasPartial`], whose `dy` is what [`MaxPool2dRelu`] makes of the pooled one.
///
/// - Shapes: `x` that of [`Conv2d`], `dy`, `argmax` and `y` those of what [`MaxPool2d`] gives, `partials` and `bias_partials` as in
///   [`Conv2dWeightBiasPartial`].
/// - Writes: `partials`, `bias_partials`, both `=`.
/// - Numerics: those of the two.
/// - Errors: those of [`Conv2dReluMaxPool2d`]; `partials` past [`crate::MAX_ELEMENTS`].
/// - Source: the first half of the gradients of [`Conv2dReluMaxPool2d`]; the optimiser's update adds the splits
///   ([`super::SplitSum`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2dReluMaxPool2dPartial {
    whole: Conv2dReluMaxPool2d,
    sums: Conv2dWeightBiasPartial,
}

impl Conv2dReluMaxPool2dPartial {
    /// See [`Conv2dReluMaxPool2d::new`].
    pub fn new(conv: Conv2d, pool: MaxPool2d) -> Result<Self, Error> {
        Self::of(Conv2dReluMaxPool2d::new(conv, pool).map_err(|error| error.of(Self::NAME))?)
    }

    /// Those of this convolution, ReLU and pooling.
    pub fn of(whole: Conv2dReluMaxPool2d) -> Result<Self, Error> {
        let sums = Conv2dWeightBiasPartial::of(whole.conv.clone()).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { whole, sums })
    }

    /// The convolution, ReLU and pooling.
    pub fn whole(&self) -> &Conv2dReluMaxPool2d {
        &self.whole
    }
}

impl Contract for Conv2dReluMaxPool2dPartial {
    const NAME: &'static str = "conv2d_relu_max_pool2d_partial";
    const DIRECTIONS: &'static [Direction] = &[Direction::BwdWeight];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let read = Contract::signature(&self.whole, direction).into_iter().take(4);
        read.chain(Contract::signature(&self.sums, direction).into_iter().skip(2)).collect()
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs) {
            (Direction::BwdWeight, [x, dy, argmax, y]) => {
                let pool = MaxPool2dRelu { pool: self.whole.pool.clone() };
                let mut spread = chain::between(&pool, Direction::BwdInput, "dx");
                pool.compute(Direction::BwdInput, &[dy, argmax, y], &mut [&mut spread])?;
                self.sums.compute(direction, &[x, &spread], outputs)
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.sums, direction)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(&self.whole, direction)
    }

    fn domain(&self, arg: &str) -> Domain {
        Contract::domain(&self.whole, arg)
    }
}

/// Those of the whole, without the costliest, and sums that are split.
pub fn cases() -> Vec<Case> {
    let part = |whole: &Conv2dReluMaxPool2d| Conv2dReluMaxPool2dPartial::of(whole.clone()).ok();
    let mut cases = Cases(chain::cases(conv2d_relu_max_pool2d::cases(), Direction::BwdWeight, 1_000_000, part));
    let (w, halves) = (Window::new, Window::new(2).stride(2));
    for (name, x, c_out, k_h, k_w) in [
        ("splits", [3, 2, 33, 31], 5, 2, 3),
        ("splits-short", [3, 1, 37, 29], 20, 1, 1),
        ("splits-direct", [2, 1, 41, 35], 6, 3, 4),
        // 5 splits of 17 lines, of which the last has 15.
        ("splits-shorter-at-the-end", [1, 1, 85, 66], 3, 3, 3),
        // 15 splits of 2 lines, of which the last 2 have none.
        ("splits-empty-at-the-end", [1, 1, 26, 602], 2, 1, 3),
    ] {
        let op = Conv2d::new(x, c_out, w(k_h), w(k_w)).and_then(|conv| {
            let pool = MaxPool2d::new([conv.n, c_out, conv.h.size_out, conv.w.size_out], halves, halves)?;
            Conv2dReluMaxPool2dPartial::new(conv, pool)
        });
        cases.add(name, op);
    }
    cases.0
}

/// Poolings of other images, and too many splits.
pub fn errors() -> Vec<ErrorCase> {
    let new = |x, c_out, kernel, pooled| {
        let pool = MaxPool2d::new(pooled, Window::new(2), Window::new(2))?;
        Conv2dReluMaxPool2dPartial::new(Conv2d::new(x, c_out, Window::new(kernel), Window::new(kernel))?, pool)
    };
    vec![
        ErrorCase::new("other size", new([1, 1, 4, 5], 1, 1, [1, 1, 4, 4]), ErrorKind::Mismatch, "pool"),
        ErrorCase::new("other batch", new([2, 1, 4, 5], 1, 1, [1, 1, 4, 5]), ErrorKind::Mismatch, "pool"),
        ErrorCase::new("other channels", new([1, 1, 4, 5], 3, 1, [1, 2, 4, 5]), ErrorKind::Mismatch, "pool"),
        // The weights are not, but their splits are.
        ErrorCase::new(
            "partials past i32",
            new([32, 1 << 12, 18, 18], 1 << 12, 5, [32, 1 << 12, 14, 14]),
            ErrorKind::TooLarge,
            "partials",
        ),
    ]
}

/// Any that [`Conv2dReluMaxPool2d`] draws.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    chain::random(conv2d_relu_max_pool2d::random, random, |whole: &Conv2dReluMaxPool2d| {
        Conv2dReluMaxPool2dPartial::of(whole.clone()).ok()
    })
}
