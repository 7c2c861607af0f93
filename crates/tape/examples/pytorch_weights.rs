//! Weights from PyTorch: a small convolutional network, whose `state_dict` was saved as safetensors
//! by `pytorch_weights.py` beside this file, gives the same logits here.
//!
//! `cargo run --release -p tape --example pytorch_weights`

use kernels::{Gpu, Options};
use reference::{Array, TensorSpec, Window};
use safetensors::SafeTensors;
use std::error::Error;
use tape::{Device, Tape, Var};

/// What PyTorch saved: the parameters under their own names, a batch `x`, and its `logits`.
const FILE: &[u8] = include_bytes!("pytorch_weights.safetensors");

/// The numbers of one tensor.
fn numbers(file: &SafeTensors<'_>, name: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let tensor = file.tensor(name)?;
    if tensor.dtype() != safetensors::Dtype::F32 {
        return Err(format!("`{name}` is {:?}, expected F32", tensor.dtype()).into());
    }
    Ok(tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

/// Runs the network; returned is the largest difference from PyTorch's logits.
pub async fn compare(device: &Device) -> Result<f32, Box<dyn Error>> {
    let file = SafeTensors::deserialize(FILE)?;
    let tape = Tape::new(device);
    // Outside of the GPU layouts are PyTorch's: nothing is transposed here.
    let load = |name: &str| -> Result<Var, Box<dyn Error>> {
        let spec = match *file.tensor(name)?.shape() {
            [n, c, h, w] if name == "x" => TensorSpec::image(n, c, h, w),
            [c_out, c_in, k_h, k_w] => TensorSpec::filter(c_out, c_in, k_h, k_w),
            [out, features] => TensorSpec::linear(out, features),
            ref shape => TensorSpec::plain(shape),
        };
        Ok(tape.constant(&device.upload(&spec, Array::Real(numbers(&file, name)?))?))
    };
    let (same, halves) = (Window::new(3).pad(1), Window::new(2).stride(2));
    let hidden = tape.conv2d(&load("x")?, &load("conv1.weight")?, &load("conv1.bias")?, same, same)?;
    let hidden = tape.max_pool2d(&tape.relu(&hidden)?, halves, halves)?;
    let logits = tape.dense(&tape.flatten(&hidden)?, &load("fc1.weight")?, &load("fc1.bias")?)?;
    let got = device.read(logits.tensor()).await?;
    let expected = numbers(&file, "logits")?;
    if got.len() != expected.len() {
        return Err(format!("{} logits, PyTorch gave {}", got.len(), expected.len()).into());
    }
    let differences = got.real().iter().zip(&expected).map(|(got, expected)| (got - expected).abs());
    Ok(differences.fold(0.0, f32::max))
}

/// On the GPU; `Device::Reference` would do without.
pub fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::Gpu(pollster::block_on(Gpu::open(&Options::default()))?);
    println!("largest difference from PyTorch's logits: {:.1e}", pollster::block_on(compare(&device))?);
    Ok(())
}
