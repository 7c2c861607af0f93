//! One operation on the CPU: a convolution and the gradient of its weights.
//!
//! `cargo run --release -p reference --example one_operation`

use reference::ops::Conv2d;
use reference::{Array, Direction, Error, Operation, Window};

/// An edge detector over a 4x4 image that is dark on the left and bright on the right; returned are
/// `y` and `dweight` for an upstream gradient of ones.
pub fn edges() -> Result<[Vec<f32>; 2], Error> {
    // One image of one channel, one filter of 3x3, no padding: `y` is 2x2.
    let op = Conv2d::new([1, 1, 4, 4], 1, Window::new(3), Window::new(3))?;
    let x = Array::Real([0.0_f32, 0.0, 1.0, 1.0].repeat(4));
    let weight = Array::Real([-1.0_f32, 0.0, 1.0].repeat(3));
    let bias = Array::Real(vec![0.0_f32]);
    // The signature says what a direction reads and writes, in which order.
    let mut y = Array::Real(vec![0.0_f32; 4]);
    op.run(Direction::Fwd, &[&x, &weight, &bias], &mut [&mut y])?;
    let dy = Array::Real(vec![1.0_f32; 4]);
    let mut dweight = Array::Real(vec![0.0_f32; 9]);
    op.run(Direction::BwdWeight, &[&x, &dy], &mut [&mut dweight])?;
    Ok([y.real().to_vec(), dweight.real().to_vec()])
}

/// Prints both.
pub fn main() -> Result<(), Error> {
    let [y, dweight] = edges()?;
    println!("y       {y:?}");
    println!("dweight {dweight:?}");
    Ok(())
}
