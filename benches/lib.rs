//! What the benches time: the layers of the Fashion-MNIST networks, at the batch sizes of their
//! reports.

use reference::cases::Case;
use reference::ops::{Conv2d, Dense, MaxPool2d, Relu};
use reference::{Error, TensorSpec, Window};

/// The layers worth timing, named `<network>-<layer>`.
///
/// # Errors
///
/// An impossible layer, which would be a mistake in this list.
pub fn layers() -> Result<Vec<Case>, Error> {
    let same = |kernel: usize, pad: usize| Window::new(kernel).pad(pad);
    let conv = |name: &str, x: [usize; 4], c_out: usize, kernel: usize, pad: usize| {
        Ok(Case::new(name, Conv2d::new(x, c_out, same(kernel, pad), same(kernel, pad))?))
    };
    let dense = |name: &str, n: usize, i: usize, o: usize| Ok(Case::new(name, Dense::new(n, i, o)?));
    let pool = |name: &str, x: [usize; 4]| {
        let halves = Window::new(2).stride(2);
        Ok(Case::new(name, MaxPool2d::new(x, halves, halves)?))
    };
    let relu = |name: &str, [n, c, h, w]: [usize; 4]| Ok(Case::new(name, Relu::new(TensorSpec::image(n, c, h, w))?));
    [
        conv("lenet5-conv1", [32, 1, 28, 28], 6, 5, 4),
        conv("lenet5-conv2", [32, 6, 16, 16], 16, 5, 2),
        dense("lenet5-fc1", 32, 1024, 120),
        dense("lenet5-fc2", 32, 120, 84),
        dense("lenet5-fc3", 32, 84, 10),
        relu("lenet5-relu1", [32, 6, 32, 32]),
        pool("lenet5-pool1", [32, 6, 32, 32]),
        conv("depth2-conv1", [64, 1, 28, 28], 32, 3, 1),
        conv("depth2-conv2", [64, 32, 14, 14], 64, 3, 1),
        dense("depth2-fc1", 64, 3136, 128),
        relu("depth2-relu1", [64, 32, 28, 28]),
        pool("depth2-pool1", [64, 32, 28, 28]),
        conv("depth3-conv3", [64, 64, 7, 7], 128, 3, 1),
        dense("depth3-fc1", 64, 6272, 256),
    ]
    .into_iter()
    .collect()
}
