//! Rectified linear unit.

use crate::cases::Case;
use crate::{Arg, Array, Contract, Direction, Error, Real, TensorSpec, wrong_arguments};

/// `y = max(x, 0)`; `dx = dy` where `y > 0`, else 0.
///
/// - Shapes: `x` and `y` of any one real shape.
/// - Writes: `y`, `dx`, both `=`.
/// - Numerics: exact; a NaN stays a NaN so that divergence is seen.
/// - Errors: an empty tensor, one past [`crate::MAX_ELEMENTS`].
/// - Source: the definition; the derivative at 0 is taken as 0, as in PyTorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relu {
    /// Shape of `x` and of `y`.
    pub spec: TensorSpec,
}

impl Relu {
    /// Over a tensor of this shape.
    pub fn new(spec: TensorSpec) -> Result<Self, Error> {
        spec.check(Self::NAME, "x")?;
        Ok(Self { spec })
    }
}

impl Contract for Relu {
    const NAME: &'static str = "relu";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let spec = || self.spec.clone();
        match direction {
            Direction::Fwd => vec![Arg::read("x", spec()), Arg::write("y", spec())],
            Direction::BwdInput => {
                vec![Arg::read("y", spec()), Arg::read("dy", spec()), Arg::write("dx", spec())]
            }
            _ => vec![],
        }
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        let zero = T::default();
        match (direction, inputs, outputs) {
            (Direction::Fwd, [x], [y]) => {
                for (y, &x) in y.real_mut().iter_mut().zip(x.real()) {
                    // Not `max`, which would turn a NaN into 0.
                    *y = if x < zero { zero } else { x };
                }
            }
            (Direction::BwdInput, [y, dy], [dx]) => {
                let upstream = y.real().iter().zip(dy.real());
                for (dx, (&y, &dy)) in dx.real_mut().iter_mut().zip(upstream) {
                    *dx = if y > zero { dy } else { zero };
                }
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        1
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, _direction: Direction) -> u64 {
        self.spec.len() as u64
    }
}

/// One element, around the workgroup and vector widths, and a layer.
pub fn cases() -> Vec<Case> {
    let plain = [1, 3, 4, 5, 63, 64, 65, 257].map(|len| TensorSpec::plain([len]));
    let images = [TensorSpec::image(3, 6, 32, 32), TensorSpec::image(3, 5, 7, 3)];
    plain
        .into_iter()
        .chain(images)
        .filter_map(|spec| Some(Case::new(spec.to_string(), Relu::new(spec).ok()?)))
        .collect()
}
