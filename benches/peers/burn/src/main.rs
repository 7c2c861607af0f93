//! Trains a job in burn: `burn_peer JOB webgpu|flex`. Run by run.py, which also describes the job.

// The types of wgpu nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod job;
mod network;

use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, RmsPropConfig, SgdConfig};
use burn::tensor::{Device, Int, Tensor};
use job::{Job, Optimizer};
use network::Network;
use serde_json::json;
use std::io::BufRead;
use std::time::Instant;

type Error = Box<dyn std::error::Error>;

/// A network in training.
struct Training {
    device: Device,
    network: Network,
    optimizer: ModuleOptimizer,
    lr: f64,
    smoothing: Option<f32>,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
    batch: usize,
    at: usize,
}

impl Training {
    fn new(job: &Job, device: &Device, dropout: bool) -> Result<Self, Error> {
        let network = Network::new(job, device, dropout)?;
        let (images, labels) = job.images(device)?;
        let (optimizer, lr) = optimizer(&job.optimizer);
        let smoothing = job.smoothing()?;
        Ok(Self { device: device.clone(), network, optimizer, lr, smoothing, images, labels, batch: job.batch, at: 0 })
    }

    /// One step on the next batch; its loss, which stays on the device.
    fn step(&mut self) -> Tensor<1> {
        let range = self.at..self.at + self.batch;
        let x = self.images.clone().slice(range.clone());
        let labels = self.labels.clone().slice(range);
        self.at = (self.at + self.batch) % self.images.dims()[0];
        let loss = CrossEntropyLossConfig::new().with_smoothing(self.smoothing).init(&self.device);
        let loss = loss.forward(self.network.forward(x), labels);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimizer.step(self.lr, self.network.clone(), gradients);
        loss
    }

    /// So many steps, to the end. The loss of the last; of every one goes to `each`.
    fn run(&mut self, steps: usize, mut each: Option<&mut Vec<f32>>) -> Result<f32, Error> {
        let mut last = None;
        for _ in 0..steps {
            let loss = self.step();
            if let Some(each) = &mut each {
                each.push(loss.clone().into_scalar());
            }
            last = Some(loss);
        }
        self.device.sync().map_err(|error| format!("{error:?}"))?;
        Ok(last.map_or(f32::NAN, |loss| loss.into_scalar()))
    }
}

fn optimizer(optimizer: &Optimizer) -> (ModuleOptimizer, f64) {
    let decay = |penalty: f64| (penalty != 0.0).then(|| WeightDecayConfig::new(penalty as f32));
    match *optimizer {
        Optimizer::Sgd { lr, momentum, nesterov, weight_decay } => {
            let momentum = (momentum != 0.0)
                .then(|| MomentumConfig::new().with_momentum(momentum).with_dampening(0.0).with_nesterov(nesterov));
            (SgdConfig::new().with_momentum(momentum).with_weight_decay(decay(weight_decay)).init(), lr)
        }
        Optimizer::Adam { lr, beta1, beta2, eps, weight_decay } => {
            let config = AdamConfig::new().with_beta_1(beta1).with_beta_2(beta2).with_epsilon(eps);
            (config.with_weight_decay(decay(weight_decay)).init(), lr)
        }
        Optimizer::AdamW { lr, beta1, beta2, eps, weight_decay } => {
            let config = AdamWConfig::new().with_beta_1(beta1).with_beta_2(beta2).with_epsilon(eps);
            (config.with_weight_decay(weight_decay as f32).init(), lr)
        }
        Optimizer::RmsProp { lr, alpha, eps, weight_decay, momentum } => {
            let config = RmsPropConfig::new().with_alpha(alpha).with_epsilon(eps).with_momentum(momentum);
            (config.with_weight_decay(decay(weight_decay)).init(), lr)
        }
    }
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(job), Some(backend)) = (arguments.next(), arguments.next()) else {
        return Err("usage: burn_peer JOB webgpu|flex".into());
    };
    let job = Job::read(&job)?;
    let device = match backend.as_str() {
        "webgpu" => Device::webgpu(Default::default()),
        "flex" => Device::flex(),
        other => return Err(format!("no backend {other}; webgpu and flex are built in").into()),
    };
    let device = device.autodiff();
    device.seed(0);

    let mut losses = Vec::new();
    Training::new(&job, &device, false)?.run(job.checked, Some(&mut losses))?;
    let mut training = Training::new(&job, &device, true)?;
    // Compile, allocate, and find out how long a step takes.
    training.run(3, None)?;
    let begin = Instant::now();
    training.run(3, None)?;
    let step = begin.elapsed().as_secs_f64() / 3.0;
    let steps = ((job.seconds / step) as usize).max(5).min(job.steps);
    training.run(steps.min(((5.0 / step) as usize).max(1)), None)?;
    let tuned = if cfg!(feature = "tuned") { ", fusion and autotune" } else { "" };
    let what = format!("burn 0.22.1, {backend}{tuned}");
    let name = match backend.as_str() {
        "flex" => format!("CPU, {} threads", job.threads),
        _ => "the default WebGPU adapter, WGSL".to_owned(),
    };
    println!("{}", json!({ "what": what, "device": name, "losses": losses }));
    for line in std::io::stdin().lock().lines() {
        line?;
        let begin = Instant::now();
        let loss = training.run(steps, None)?;
        println!("{}", json!({ "steps": steps, "seconds": begin.elapsed().as_secs_f64(), "loss": loss }));
    }
    Ok(())
}
