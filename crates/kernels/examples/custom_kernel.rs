//! A kernel from outside of the workspace: its shader, its table, checked against the reference and
//! chosen by the device like any other row.
//!
//! `cargo run --release -p kernels --example custom_kernel`
//!
//! Another crate needs `kernels` and `reference` in its `Cargo.toml`, and a folder for its shaders.

use kernels::check::{Data, check};
use kernels::grid::Grid;
use kernels::{Gpu, Kernel, Options, Row, Stage, Table, custom, params, shader, shared};
use reference::ops::Relu;
use reference::{Array, Direction, TensorSpec, ops};
use std::error::Error;

params! {
    /// The shader's `Params`.
    struct Params { len: u32 }
}

/// `relu.fwd` in strides: few workgroups, each of which walks through the whole tensor.
static TABLE: Table<Relu> = Table {
    params: |op| Params { len: op.spec.len() as u32 }.bytes(),
    fields: Params::FIELDS,
    rows: &[Kernel {
        id: "relu.fwd.strided",
        direction: Direction::Fwd,
        source: shader!("examples/shaders", "relu/fwd_strided.wgsl"),
        shared: &[shared::GRID],
        overrides: &[("WORKGROUP", 64), ("GROUPS", 32)],
        stages: &[Stage { entry: "main", grid: |_, overrides| Grid::linear(overrides.get("GROUPS")) }],
        ..Kernel::ROW
    }],
};

/// Checks the kernel on every case of `relu`, then runs it; returned are the row that the device
/// chose, the cases, and `y`.
pub async fn run() -> Result<(&'static str, usize, Vec<f32>), Box<dyn Error>> {
    let rows: Vec<&'static dyn Row> = custom(&TABLE);
    let gpu = Gpu::open(&Options { rows: rows.clone(), ..Options::default() }).await?;

    let relu = ops::ALL.iter().find(|entry| entry.name == "relu").ok_or("there is no relu")?;
    let cases = (relu.cases)();
    for case in &cases {
        check(&gpu, rows[0], case, Data::Reals, 1).await?;
    }

    let spec = TensorSpec::plain([5]);
    let op = Relu::new(spec.clone())?;
    let x = gpu.upload(&spec, &Array::Real(vec![-2.0, -1.0, 0.0, 1.0, 2.0]))?;
    let y = gpu.empty(&spec)?;
    let chosen = gpu.select(&op, Direction::Fwd)?.id();
    gpu.run(&op, Direction::Fwd, &[&x, &y])?;
    Ok((chosen, cases.len(), gpu.read(&y).await?.real().to_vec()))
}

/// Prints what came of it.
pub fn main() -> Result<(), Box<dyn Error>> {
    let (row, cases, y) = pollster::block_on(run())?;
    println!("{row}: agrees with the reference on {cases} cases; y = {y:?}");
    Ok(())
}
