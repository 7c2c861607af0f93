//! From ONNX operators to our operations: one file per family.
//!
//! What an operator has and ours do not is done here, at the boundary, and noted with the case; what
//! is compared always comes out of an operation of ours.

mod linear;
mod loss;
mod normalise;
mod optimise;
mod pointwise;
mod pool;
mod transpose;
mod window;

use crate::machine::Machine;
use crate::model::Tensor;
use crate::suite::Case;

/// Why a case has no result.
#[derive(Debug)]
pub enum Problem {
    /// It asks for what none of our operations computes.
    Skip(&'static str),
    /// It should have had one.
    Failure(String),
}

impl From<String> for Problem {
    fn from(message: String) -> Self {
        Self::Failure(message)
    }
}

impl From<reference::Error> for Problem {
    fn from(error: reference::Error) -> Self {
        Self::Failure(error.to_string())
    }
}

/// The operator's outputs, in its order.
pub type Outcome = Result<Vec<Tensor>, Problem>;

/// An operator, which of our operations stands for it, and how.
pub struct Operator {
    pub name: &'static str,
    pub ours: &'static str,
    pub run: fn(&Case, &mut Machine) -> Outcome,
}

/// Those whose every test is wanted: they do what our operations do, under other names.
pub const FITTING: &[Operator] = &[
    Operator { name: "Adam", ours: "adam", run: optimise::adam },
    Operator { name: "AveragePool", ours: "avg_pool2d", run: pool::average },
    Operator { name: "BatchNormalization", ours: "batch_norm", run: normalise::batch },
    Operator { name: "Conv", ours: "conv2d", run: window::conv },
    Operator { name: "Flatten", ours: "flatten", run: pointwise::flatten },
    Operator { name: "Gemm", ours: "dense", run: linear::gemm },
    Operator { name: "GlobalAveragePool", ours: "avg_pool2d", run: pool::global_average },
    Operator { name: "GlobalMaxPool", ours: "max_pool2d", run: pool::global_max },
    Operator { name: "LogSoftmax", ours: "softmax_cross_entropy", run: loss::log_softmax },
    Operator { name: "MatMul", ours: "dense", run: linear::matmul },
    Operator { name: "MaxPool", ours: "max_pool2d", run: pool::max },
    Operator { name: "Momentum", ours: "sgd", run: optimise::momentum },
    Operator { name: "NegativeLogLikelihoodLoss", ours: "softmax_cross_entropy", run: loss::negative_log_likelihood },
    Operator { name: "Relu", ours: "relu", run: pointwise::relu },
    Operator { name: "Softmax", ours: "softmax_cross_entropy", run: loss::softmax },
    Operator { name: "SoftmaxCrossEntropyLoss", ours: "softmax_cross_entropy", run: loss::cross_entropy },
];

/// Those that fit in part or by a detour, such as a backward direction. They count by themselves.
pub const FURTHER: &[Operator] = &[
    Operator { name: "ConvTranspose", ours: "conv2d.bwd_input", run: transpose::conv_transpose },
    Operator { name: "Dropout", ours: "dropout", run: pointwise::dropout },
    Operator { name: "MaxUnpool", ours: "max_pool2d.bwd_input", run: transpose::max_unpool },
    Operator { name: "Sum", ours: "accumulate", run: pointwise::sum },
];

/// The only output of an operator that has one.
fn one(dims: impl Into<Vec<usize>>, values: &[f32]) -> Outcome {
    Ok(vec![tensor(dims, values)])
}

fn tensor(dims: impl Into<Vec<usize>>, values: &[f32]) -> Tensor {
    Tensor::real(dims, values.iter().map(|&v| f64::from(v)).collect())
}
