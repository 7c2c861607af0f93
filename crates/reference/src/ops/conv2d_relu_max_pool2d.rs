//! 2-D convolution, ReLU and 2-D max pooling in one.

use super::conv2d;
use super::{Conv2d, Conv2dRelu, Conv2dWeightBias, MaxPool2d, MaxPool2dRelu, chain};
use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, Window, wrong_arguments,
};
use std::sync::Arc;

/// `y, argmax = max_pool2d(relu(conv2d(x, weight, bias)))`: what [`Conv2d`], [`super::Relu`] and then
/// [`MaxPool2d`] compute; `dweight` and `dbias` of it, from `dy`, `argmax` and `y`: what [`MaxPool2dRelu`] and then
/// [`Conv2dWeightBias`] compute on the way back.
///
/// - Shapes: `x`, `weight`, `bias` and their gradients those of [`Conv2d`], `y` and `argmax` those of [`MaxPool2d`].
/// - Writes: `y`, `argmax`, `dweight`, `dbias`, all `=`.
/// - Numerics: those of the three. Where two sums of a window are equal but for rounding, `argmax` may differ from
///   that of another order of summation.
/// - Errors: a pooling of other images than the convolution gives.
/// - Source: the chain of the three, fused so that nothing is written at full size, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2dReluMaxPool2d {
    /// The convolution.
    pub conv: Conv2d,
    /// The pooling of what it gives.
    pub pool: MaxPool2d,
}

impl Conv2dReluMaxPool2d {
    /// Of a convolution and the pooling of its `y`.
    pub fn new(conv: Conv2d, pool: MaxPool2d) -> Result<Self, Error> {
        let [given, taken] = [chain::spec(&conv, Direction::Fwd, "y"), chain::spec(&pool, Direction::Fwd, "x")];
        if given != taken {
            return Err(Error::Mismatch {
                op: Self::NAME,
                what: "what `pool` takes".into(),
                got: taken.to_string(),
                expected: format!("what `conv` gives, {given}"),
            });
        }
        Ok(Self { conv, pool })
    }
}

impl Contract for Conv2dReluMaxPool2d {
    const NAME: &'static str = "conv2d_relu_max_pool2d";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdWeight];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => {
                let inputs = Contract::signature(&self.conv, direction).into_iter().take(3);
                inputs.chain(Contract::signature(&self.pool, direction).into_iter().skip(1)).collect()
            }
            Direction::BwdWeight => {
                let pooled = |name| chain::spec(&self.pool, Direction::Fwd, name);
                vec![
                    Arg::read("x", chain::spec(&self.conv, direction, "x")),
                    Arg::read("dy", pooled("y")),
                    Arg::read("argmax", pooled("argmax")),
                    Arg::read("y", pooled("y")),
                    Arg::write("dweight", chain::spec(&self.conv, direction, "dweight")),
                    Arg::write("dbias", chain::spec(&self.conv, Direction::BwdBias, "dbias")),
                ]
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
        match (direction, inputs) {
            (Direction::Fwd, inputs) => {
                let mut positive = chain::between(&self.conv, direction, "y");
                Conv2dRelu { conv: self.conv.clone() }.compute(direction, inputs, &mut [&mut positive])?;
                self.pool.compute(direction, &[&positive], outputs)
            }
            (Direction::BwdWeight, [x, dy, argmax, y]) => {
                let pool = MaxPool2dRelu { pool: self.pool.clone() };
                let mut whole = chain::between(&self.conv, direction, "dy");
                pool.compute(Direction::BwdInput, &[dy, argmax, y], &mut [&mut whole])?;
                Conv2dWeightBias { conv: self.conv.clone() }.compute(direction, &[x, &whole], outputs)
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.conv, direction)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Fwd => {
                let relu = chain::spec(&self.conv, direction, "y").len() as u64;
                Contract::flops(&self.conv, direction) + relu + Contract::flops(&self.pool, direction)
            }
            _ => {
                let pool = MaxPool2dRelu { pool: self.pool.clone() };
                let gradients = Conv2dWeightBias { conv: self.conv.clone() };
                Contract::flops(&pool, Direction::BwdInput) + Contract::flops(&gradients, direction)
            }
        }
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            // So that equal sums are equal on every device, and `argmax` can be compared exactly.
            "x" | "weight" | "bias" => Domain::Coarse,
            _ => Contract::domain(&self.pool, arg),
        }
    }
}

/// The pooling of a convolution's output.
fn fuse(conv: Conv2d, h: Window, w: Window) -> Result<Conv2dReluMaxPool2d, Error> {
    let x = [conv.n, conv.c_out, conv.h.size_out, conv.w.size_out];
    Conv2dReluMaxPool2d::new(conv, MaxPool2d::new(x, h, w)?)
}

/// Pooling by halves around every tile edge, and other windows over other convolutions.
pub fn cases() -> Vec<Case> {
    let w = Window::new;
    let halves = w(2).stride(2);
    let mut cases = Cases::default();
    let mut add = |name: &str, x: [usize; 4], c_out: usize, conv: [Window; 2], pool: [Window; 2]| {
        let op = Conv2d::new(x, c_out, conv[0], conv[1]).and_then(|conv| fuse(conv, pool[0], pool[1]));
        cases.add(name, op);
    };
    for (name, [n, c_in, size, c_out, k, pad]) in [
        ("lenet5-conv1", [2, 1, 28, 6, 5, 4]),
        ("lenet5-conv2", [2, 6, 16, 16, 5, 2]),
        ("depth-conv1", [2, 1, 28, 32, 3, 1]),
        ("depth-conv2", [2, 32, 14, 64, 3, 1]),
        ("depth-conv3", [1, 64, 7, 128, 3, 1]),
    ] {
        add(name, [n, c_in, size, size], c_out, [w(k).pad(pad); 2], [halves; 2]);
    }
    // One window, rows and columns left over, a batch above a power of two.
    add("1x1", [1, 1, 1, 1], 1, [w(1); 2], [w(1); 2]);
    add("one-window", [1, 4, 2, 2], 4, [w(1); 2], [halves; 2]);
    add("left-over", [3, 4, 7, 9], 8, [w(3).pad(1); 2], [halves; 2]);
    add("left-over-down", [2, 8, 5, 6], 12, [w(2).pad(1), w(3).pad(1)], [halves; 2]);
    add("batch-65", [65, 4, 4, 6], 4, [w(3).pad(1); 2], [halves; 2]);
    // The convolution's axes differ.
    add("asymmetric", [3, 5, 11, 9], 13, [w(3).stride(2).pad(1), w(2)], [halves; 2]);
    add("asymmetric-vec4", [3, 4, 9, 14], 12, [w(2), w(3).stride(2).pad(1)], [halves; 2]);
    add("dilated-vec4", [2, 8, 11, 9], 8, [w(3).dilation(2).pad(1), w(2).dilation(3).pad(2)], [halves; 2]);
    add("pad-over-kernel", [2, 4, 3, 2], 8, [w(2).pad(5), w(3).stride(2).pad(7)], [halves; 2]);
    // Channels in twos.
    for (c_in, c_out, w_in, k_w) in [(2, 10, 8, 3), (6, 12, 17, 5), (10, 14, 7, 4), (6, 16, 5, 2)] {
        let name = format!("pairs-{c_in}-{c_out}");
        add(&name, [2, c_in, 5, w_in], c_out, [w(2).pad(1), w(k_w).pad(k_w / 2)], [halves; 2]);
    }
    // One channel in whole vec4s of pixels, wherever in a vec4 the kernel begins.
    for pad in 0..=5 {
        let name = format!("one-channel-pad-{pad}");
        add(&name, [2, 1, 5, 12], 12 + 4 * pad, [w(3).pad(1), w(5).pad(pad)], [halves; 2]);
    }
    add("one-channel-narrow", [3, 1, 7, 4], 20, [w(4).stride(2).pad(2), w(3).pad(1)], [halves; 2]);
    // Other windows than halves.
    add("thirds", [2, 4, 9, 7], 8, [w(3).pad(1), w(1)], [w(3).stride(3), w(2).stride(2)]);
    add("overlapping", [2, 3, 8, 9], 5, [w(3).pad(1); 2], [w(3).stride(2).pad(1), w(4).stride(3).pad(2)]);
    add("dilated-pool", [2, 4, 8, 9], 4, [w(1), w(2)], [w(2).dilation(3).stride(2), w(2).dilation(2)]);
    add("halves-padded", [2, 4, 7, 6], 4, [w(2); 2], [halves.pad(1); 2]);
    // Around the widths that kernels tile by; eight windows are a tile's rows.
    for c in [3, 4, 5, 8, 16, 17, 31, 32, 33, 36, 60, 64, 65, 68] {
        add(&format!("tile-{c}"), [1, 4, 4, 6], c, [w(2), w(3).pad(1)], [halves; 2]);
        add(&format!("depth-{c}"), [1, c, 2, 4], 4, [w(1), w(3).pad(1)], [halves; 2]);
    }
    for windows in [7, 8, 9, 15, 16, 17, 31, 33] {
        add(&format!("windows-{windows}"), [1, 4, 2, 2 * windows], 64, [w(1); 2], [halves; 2]);
        add(&format!("windows-{windows}-down"), [1, 4, 2 * windows, 3], 4, [w(1); 2], [halves; 2]);
    }
    cases.0
}

/// Poolings of something else.
pub fn errors() -> Vec<ErrorCase> {
    let made = |x: [usize; 4]| {
        let w = Window::new(2);
        Conv2dReluMaxPool2d::new(Conv2d::new([2, 3, 5, 6], 4, w, w)?, MaxPool2d::new(x, w, w)?)
    };
    let case = |name, x| ErrorCase::new(name, made(x), ErrorKind::Mismatch, "pool");
    vec![
        case("another batch", [3, 4, 4, 5]),
        case("the channels that go in", [2, 3, 4, 5]),
        case("another height", [2, 4, 5, 5]),
        case("another width", [2, 4, 4, 6]),
    ]
}

/// Any convolution that [`Conv2d`] draws, two in five each in whole vec4s and in strips, with any pooling of up to 4 x 4, half of
/// them by halves.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let conv = match random.below(5) {
        0 | 1 => chain::conv2d_in_strips(random),
        2 | 3 => chain::conv2d_in_vec4s(random),
        _ => conv2d::random(random),
    }?;
    let conv = conv.as_any().downcast_ref::<Conv2d>()?.clone();
    let halves = Window::new(2).stride(2);
    let [h, w] = if random.one_in(2) {
        [halves; 2]
    } else {
        [(); 2].map(|()| Window::new(random.between(1, 4)).stride(random.between(1, 3)))
    };
    Some(Arc::new(fuse(conv, h, w).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums 3, -1, 2, 5 in the first window, nothing above 0 in the second: the first element is taken.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let halves = Window::new(2).stride(2);
        let op = fuse(Conv2d::new([1, 1, 2, 4], 1, Window::new(1), Window::new(1))?, halves, halves)?;
        let x = Array::Real(vec![2.0, -2.0, -4.0, -1.0, 1.0, 4.0, -1.0, -5.0]);
        let [weight, bias] = [1.0, 1.0].map(|value| Array::Real(vec![value]));
        let (mut y, mut argmax) = (Array::Real(vec![0.0; 2]), Array::Index(vec![0; 2]));
        op.run_f64(Direction::Fwd, &[&x, &weight, &bias], &mut [&mut y, &mut argmax])?;
        assert_eq!((y.real(), argmax.index()), (&[5.0, 0.0][..], &[5, 2][..]));
        Ok(())
    }

    /// A kernel of two columns over the image 1 2 3 4 5; windows of two outputs each. The first hands 10 to its second
    /// output, the second has nothing above 0.
    #[test]
    fn backward_by_hand() -> Result<(), Error> {
        let op = fuse(
            Conv2d::new([1, 1, 1, 5], 1, Window::new(1), Window::new(2))?,
            Window::new(1),
            Window::new(2).stride(2),
        )?;
        let [x, dy, y] = [vec![1.0, 2.0, 3.0, 4.0, 5.0], vec![10.0, 7.0], vec![3.0, 0.0]].map(Array::Real);
        let argmax = Array::Index(vec![1, 2]);
        let (mut dweight, mut dbias) = (Array::Real(vec![0.0; 2]), Array::Real(vec![0.0]));
        op.run_f64(Direction::BwdWeight, &[&x, &dy, &argmax, &y], &mut [&mut dweight, &mut dbias])?;
        assert_eq!((dweight.real(), dbias.real()), (&[20.0, 30.0][..], &[10.0][..]));
        Ok(())
    }
}
