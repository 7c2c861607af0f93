//! Opens the device that the command line asks for.

use crate::cli::{self, DeviceArgs};
use crate::console;
use crate::recipe::Precision;
use crate::summary::Adapter;
use kernels::tuned::{Tuned, TunedError, Tuning};
use kernels::wgpu;
use kernels::{Gpu, Options, Wish};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tape::Device;

/// A table of choices is a few thousand bytes; whoever names a disk image gets an error, not a wait.
const MAX_BYTES: u64 = 1 << 18;

/// Why `--tuned` cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum TuningError {
    /// The file cannot be read.
    #[error("--tuned {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// It is no table of choices.
    #[error("--tuned {}: {error}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: TunedError,
    },
}

impl DeviceArgs {
    /// The adapter wished for.
    pub fn wish(&self) -> Wish {
        let backend = self.backend.map(|backend| match backend {
            cli::Backend::Vulkan => wgpu::Backend::Vulkan,
            cli::Backend::Metal => wgpu::Backend::Metal,
            cli::Backend::Dx12 => wgpu::Backend::Dx12,
            cli::Backend::Gl => wgpu::Backend::Gl,
        });
        Wish { name: self.adapter.clone(), backend }
    }

    /// The table of choices wished for.
    pub fn tuning(&self) -> Result<Tuning, TuningError> {
        match self.tuned.as_deref() {
            None => Ok(Tuning::BuiltIn),
            Some("off") => Ok(Tuning::Off),
            Some(path) => read_tuned(Path::new(path)).map(|table| Tuning::Table(Arc::new(table))),
        }
    }
}

/// Opens a GPU or the CPU reference. `auto` goes on with the reference, and says so, where no adapter is found and none
/// was asked for by name. With `checks`, shaders test every index at run time.
pub async fn open(args: &DeviceArgs, checks: bool) -> anyhow::Result<Device> {
    let tuning = args.tuning()?;
    if args.device == cli::Device::Reference {
        return Ok(Device::Reference);
    }
    match Gpu::open(&Options { wish: args.wish(), checks, tuning, ..Options::default() }).await {
        Ok(gpu) => Ok(Device::Gpu(gpu)),
        Err(error @ kernels::Error::NoAdapter { .. })
            if args.device == cli::Device::Auto && args.adapter.is_none() && args.backend.is_none() =>
        {
            console::message(&format!("{error}. Going on with the CPU reference, which is slower."));
            Ok(Device::Reference)
        }
        Err(error) => Err(error.into()),
    }
}

/// A device has no 16-bit floats.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{adapter} has no 16-bit floats (SHADER_F16), which --precision f16-storage needs; take --precision f32, or --device \
     reference"
)]
pub struct NoF16 {
    /// The adapter's name.
    pub adapter: String,
}

/// Refuses a device that cannot store activations like this.
pub fn require(device: &Device, precision: Precision) -> Result<(), NoF16> {
    match (device, precision) {
        (Device::Gpu(gpu), Precision::F16Storage) if !gpu.features().contains(wgpu::Features::SHADER_F16) => {
            Err(NoF16 { adapter: gpu.info().name.clone() })
        }
        _ => Ok(()),
    }
}

/// By which table of one's own the kernels of a device are chosen, if by one, as an addition to the adapter's name: with
/// another table the bits may be others.
pub fn choices(device: &Device, args: &DeviceArgs) -> Result<String, TuningError> {
    let path = match (device, args.tuned.as_deref()) {
        (Device::Gpu(_), Some(path)) if path != "off" => Path::new(path),
        _ => return Ok(String::new()),
    };
    let bytes = fs::read(path).map_err(|error| TuningError::Unreadable { path: path.to_owned(), error })?;
    let digest: String = Sha256::digest(&bytes).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!(" with kernels by a table of choices (sha256 {digest}...)"))
}

/// Reads a table of choices.
pub fn read_tuned(path: &Path) -> Result<Tuned, TuningError> {
    let unreadable = |error| TuningError::Unreadable { path: path.to_owned(), error };
    // Before it is opened: opening a pipe would wait for its writer.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("not a regular file")));
    }
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    Tuned::parse(&text).map_err(|error| TuningError::Table { path: path.to_owned(), error })
}

/// Whether shaders test every index at run time, for summaries; `None` where there are none.
pub fn checks(device: &Device) -> Option<bool> {
    match device {
        Device::Gpu(gpu) => Some(gpu.checks()),
        Device::Reference => None,
    }
}

/// The kernels launched so far, for summaries.
pub fn kernels_used(device: &Device) -> Vec<String> {
    match device {
        Device::Gpu(gpu) => gpu.rows_used().into_iter().map(str::to_owned).collect(),
        Device::Reference => Vec::new(),
    }
}

/// The device as it stands in summaries.
pub fn describe(device: &Device) -> Adapter {
    match device {
        Device::Gpu(gpu) => describe_adapter(gpu.info()),
        Device::Reference => Adapter {
            name: "reference".into(),
            device_type: "cpu".into(),
            backend: "none".into(),
            driver: String::new(),
        },
    }
}

/// An adapter as it stands in summaries.
pub fn describe_adapter(info: &wgpu::AdapterInfo) -> Adapter {
    let device_type = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "cpu",
        wgpu::DeviceType::Other => "other",
    };
    Adapter {
        name: info.name.clone(),
        device_type: device_type.into(),
        backend: info.backend.to_str().into(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
    }
}
