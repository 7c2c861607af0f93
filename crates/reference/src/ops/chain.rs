//! What fused operations share. Their reference is the chain of the operations they stand for.

use super::{Conv2d, Dense};
use crate::cases::Case;
use crate::{Array, Contract, Direction, Operation, Random, Real, TensorSpec, Window};
use std::sync::Arc;

/// What a random problem has in all of its arguments, at most.
const MOST_ELEMENTS: usize = 65_536;

/// The shape of an argument of one of the operations.
pub(super) fn spec(op: &impl Contract, direction: Direction, name: &str) -> TensorSpec {
    let arg = op.signature(direction).into_iter().find(|arg| arg.name == name);
    arg.map_or_else(|| TensorSpec::plain([0]), |arg| arg.spec)
}

/// Zeros for what one operation of a chain writes and the next reads.
pub(super) fn between<T: Real>(op: &impl Contract, direction: Direction, name: &str) -> Array<T> {
    Array::zeros(&spec(op, direction, name))
}

/// The cases of an operation that take at most `flops`, each as part of a chain.
pub(super) fn cases<A: Contract, B: Contract>(
    of: Vec<Case>,
    direction: Direction,
    flops: u64,
    fuse: impl Fn(&A) -> Option<B>,
) -> Vec<Case> {
    let fused = |case: Case| {
        let op = case.op.as_any().downcast_ref::<A>()?;
        let small = Contract::flops(op, direction) <= flops;
        Some(Case::new(case.name, fuse(op).filter(|_| small)?))
    };
    of.into_iter().filter_map(fused).collect()
}

/// A random problem of an operation as part of a chain.
pub(super) fn random<A: Contract, B: Contract>(
    draw: impl Fn(&mut Random) -> Option<Arc<dyn Operation>>,
    random: &mut Random,
    fuse: impl Fn(&A) -> Option<B>,
) -> Option<Arc<dyn Operation>> {
    let op = draw(random)?;
    let op = fuse(op.as_any().downcast_ref::<A>()?)?;
    let args = B::DIRECTIONS.iter().flat_map(|&direction| Contract::signature(&op, direction));
    let small = args.map(|arg| arg.spec.len()).sum::<usize>() <= MOST_ELEMENTS;
    if small { Some(Arc::new(op)) } else { None }
}

/// A small convolution whose channels are whole vec4s, for kernels that take no others.
pub(super) fn conv2d_in_vec4s(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let [c_in, c_out] = [4 * random.between(1, 4), 4 * random.between(1, 16)];
    let [h_in, w_in] = [random.between(2, 7), random.between(2, 7)];
    let [h, w] = [(); 2].map(|()| {
        let kernel = random.between(1, 3);
        Window::new(kernel).pad(random.between(0, kernel / 2)).dilation(random.choose([1, 1, 2]))
    });
    let h = h.stride(random.choose([1, 1, 2]));
    let op = Conv2d::new([random.between(1, 2), c_in, h_in, w_in], c_out, h, w).ok()?;
    if Contract::flops(&op, Direction::Fwd) <= 600_000 { Some(Arc::new(op)) } else { None }
}

/// A small convolution for kernels that go over strips of pixels: its channels come in twos; or there is one, and few or
/// lines of whole vec4s.
pub(super) fn conv2d_in_strips(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let kind = random.choose([0, 1, 2, 2]);
    let (c_in, c_out) = match kind {
        0 => (2 * random.between(1, 4), 2 * random.between(4, 9)),
        1 => (1, 4 * random.between(3, 9)),
        _ => (1, random.between(1, 8)),
    };
    let [h_in, w_in] = [random.between(1, 7), random.between(1, 17)];
    let w_in = if kind == 1 { w_in.next_multiple_of(4) } else { w_in };
    let h = Window::new(random.between(1, 5)).pad(random.between(0, 3)).stride(random.choose([1, 1, 2]));
    let w = Window::new(random.between(1, 5)).pad(random.between(0, 5));
    let op = Conv2d::new([random.between(1, 2), c_in, h_in, w_in], c_out, h, w).ok()?;
    if Contract::flops(&op, Direction::Fwd) <= 600_000 { Some(Arc::new(op)) } else { None }
}

/// A small layer whose features are whole vec4s, for kernels that take no others.
pub(super) fn dense_in_vec4s(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let [features_in, features_out] = [4 * random.between(1, 16), 4 * random.between(1, 16)];
    Some(Arc::new(Dense::new(random.between(1, 65), features_in, features_out).ok()?))
}
