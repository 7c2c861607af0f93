//! One operation on the GPU: a dense layer, on the kernel that fits this adapter best.
//!
//! `cargo run --release -p kernels --example one_launch`

use kernels::{Error, Gpu, Options};
use reference::ops::Dense;
use reference::{Array, Direction, Operation};

/// Two samples of three features to two; returned are the row that ran and `y`.
pub async fn dense() -> Result<(&'static str, Vec<f32>), Error> {
    let gpu = Gpu::open(&Options::default()).await?;
    let op = Dense::new(2, 3, 2)?;
    // Tensors are in PyTorch's layouts; upload and read-back convert.
    let values = [
        vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],  // x
        vec![1.0, 0.0, 0.0, 0.0, 1.0, -1.0], // weight, [out, in]
        vec![0.5, 0.0],                      // bias
        vec![0.0; 4],                        // y
    ];
    let mut tensors = Vec::new();
    for (arg, values) in op.signature(Direction::Fwd).iter().zip(values) {
        tensors.push(gpu.upload(&arg.spec, &Array::Real(values))?);
    }
    gpu.run(&op, Direction::Fwd, &tensors.iter().collect::<Vec<_>>())?;
    let y = gpu.read(&tensors[3]).await?;
    Ok((gpu.select(&op, Direction::Fwd)?.id(), y.real().to_vec()))
}

/// Prints both.
pub fn main() -> Result<(), Error> {
    let (row, y) = pollster::block_on(dense())?;
    println!("{row}: y = {y:?}");
    Ok(())
}
