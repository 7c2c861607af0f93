//! Shorthands for the usual layers: each derives a descriptor from its input's shape and applies
//! it. Nothing else in this crate depends on them; [`Tape::apply`] serves any operation.

use crate::{Error, Tape, Var};
use kernels::Element;
use reference::ops::{
    AvgPool2d, BatchNorm, BatchNormMode, Conv2d, Dense, Dropout, Flatten, FourierFeatures, LogSoftmax, MaxPool2d,
    MultiClassHinge, NllLoss, Relu, SoftmaxCrossEntropy,
};
use reference::{Operation, Window};

impl Tape {
    /// Convolution. `weight` is a filter `[c_out, c_in, k_h, k_w]`; the kernel sizes of the windows
    /// must be its.
    pub fn conv2d(&self, x: &Var, weight: &Var, bias: &Var, h: Window, w: Window) -> Result<Var, Error> {
        let c_out = weight.spec().dims.first().copied().unwrap_or_default();
        let op = Conv2d::new(x.spec().as_nchw(), c_out, h, w)?;
        self.first(op, &[x, weight, bias])
    }

    /// Fully connected layer. `weight` is linear `[out, in]`.
    pub fn dense(&self, x: &Var, weight: &Var, bias: &Var) -> Result<Var, Error> {
        let [n, features_in, ..] = x.spec().as_nchw();
        let features_out = weight.spec().dims.first().copied().unwrap_or_default();
        self.first(Dense::new(n, features_in, features_out)?, &[x, weight, bias])
    }

    /// The same for the last layer: whatever `x` is stored as, the logits are f32.
    pub fn dense_logits(&self, x: &Var, weight: &Var, bias: &Var) -> Result<Var, Error> {
        let [n, features_in, ..] = x.spec().as_nchw();
        let features_out = weight.spec().dims.first().copied().unwrap_or_default();
        let op = Dense::new(n, features_in, features_out)?;
        let wrong = reference::wrong_arguments(op.name(), reference::Direction::Fwd);
        let logits = self.apply_stored(op, &[x, weight, bias], Some(Element::F32))?;
        logits.into_iter().next().ok_or(wrong.into())
    }

    /// Max-pooling.
    pub fn max_pool2d(&self, x: &Var, h: Window, w: Window) -> Result<Var, Error> {
        self.first(MaxPool2d::new(x.spec().as_nchw(), h, w)?, &[x])
    }

    /// Average pooling, padding counted.
    pub fn avg_pool2d(&self, x: &Var, h: Window, w: Window) -> Result<Var, Error> {
        self.first(AvgPool2d::new(x.spec().as_nchw(), h, w)?, &[x])
    }

    /// Batch normalisation. `state` is weight, bias, running mean and running variance; the last
    /// two are updated in training mode.
    pub fn batch_norm(
        &self,
        x: &Var,
        state: [&Var; 4],
        mode: BatchNormMode,
        eps: f32,
        momentum: f32,
    ) -> Result<Var, Error> {
        let op = BatchNorm::new(x.spec().clone(), mode, eps, momentum)?;
        let [weight, bias, running_mean, running_var] = state;
        self.first(op, &[x, weight, bias, running_mean, running_var])
    }

    /// Rectified linear unit.
    pub fn relu(&self, x: &Var) -> Result<Var, Error> {
        self.first(Relu::new(x.spec().clone())?, &[x])
    }

    /// Dropout. `layer` tells the dropout layers of a network apart; `counter` holds step and seed.
    pub fn dropout(&self, x: &Var, counter: &Var, rate: f32, layer: u32) -> Result<Var, Error> {
        self.first(Dropout::new(x.spec().clone(), rate, layer)?, &[x, counter])
    }

    /// Images to features, in PyTorch's order (c, h, w).
    pub fn flatten(&self, x: &Var) -> Result<Var, Error> {
        self.first(Flatten::new(x.spec().as_nchw())?, &[x])
    }

    /// Mean cross-entropy of logits against labels. Returned: the loss, and `[sum of losses, number
    /// of correct predictions]`.
    pub fn softmax_cross_entropy(&self, x: &Var, labels: &Var) -> Result<(Var, Var), Error> {
        self.smoothed_cross_entropy(x, labels, 0.0)
    }

    /// The same with a share of each target spread over all classes.
    pub fn smoothed_cross_entropy(&self, x: &Var, labels: &Var, smoothing: f32) -> Result<(Var, Var), Error> {
        let [n, classes, ..] = x.spec().as_nchw();
        let op = SoftmaxCrossEntropy::new(n, classes)?.with_smoothing(smoothing)?;
        self.loss(op, x, labels)
    }

    /// Mean hinge loss of scores against labels, every wrong class that comes too near counted. Returned:
    /// the same as by [`Tape::softmax_cross_entropy`].
    pub fn multi_class_hinge(&self, x: &Var, labels: &Var) -> Result<(Var, Var), Error> {
        let [n, classes, ..] = x.spec().as_nchw();
        self.loss(MultiClassHinge::new(n, classes)?, x, labels)
    }

    /// Logarithms of softmax probabilities.
    pub fn log_softmax(&self, x: &Var) -> Result<Var, Error> {
        let [n, classes, ..] = x.spec().as_nchw();
        self.first(LogSoftmax::new(n, classes)?, &[x])
    }

    /// Mean negative log-likelihood of log-probabilities against labels. Returned: the same as by
    /// [`Tape::softmax_cross_entropy`].
    pub fn nll_loss(&self, x: &Var, labels: &Var) -> Result<(Var, Var), Error> {
        let [n, classes, ..] = x.spec().as_nchw();
        self.loss(NllLoss::new(n, classes)?, x, labels)
    }

    /// The cosines that make random Fourier features of a random dense layer.
    pub fn fourier_features(&self, x: &Var, scale: f32) -> Result<Var, Error> {
        self.first(FourierFeatures::new(x.spec().clone(), scale)?, &[x])
    }

    /// A loss over one row of scores per sample, and its metrics.
    fn loss(&self, op: impl Operation, x: &Var, labels: &Var) -> Result<(Var, Var), Error> {
        let wrong = reference::wrong_arguments(op.name(), reference::Direction::Fwd);
        let mut outputs = self.apply(op, &[x, labels])?.into_iter();
        outputs.next().zip(outputs.next()).ok_or(wrong.into())
    }

    fn first(&self, op: impl Operation, inputs: &[&Var]) -> Result<Var, Error> {
        let wrong = reference::wrong_arguments(op.name(), reference::Direction::Fwd);
        self.apply(op, inputs)?.into_iter().next().ok_or(wrong.into())
    }
}
