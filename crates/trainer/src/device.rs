//! Opens the device that the command line asks for.

use crate::cli::{self, DeviceArgs};
use crate::console;
use crate::summary::Adapter;
use kernels::wgpu;
use kernels::{Gpu, Options, Wish};
use tape::Device;

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
}

/// Opens a GPU or the CPU reference. `auto` goes on with the reference, and says so, where no adapter is found and none
/// was asked for by name.
pub async fn open(args: &DeviceArgs) -> Result<Device, kernels::Error> {
    if args.device == cli::Device::Reference {
        return Ok(Device::Reference);
    }
    match Gpu::open(&Options { wish: args.wish(), ..Options::default() }).await {
        Ok(gpu) => Ok(Device::Gpu(gpu)),
        Err(error @ kernels::Error::NoAdapter { .. })
            if args.device == cli::Device::Auto && args.adapter.is_none() && args.backend.is_none() =>
        {
            console::message(&format!("{error}. Going on with the CPU reference, which is slower."));
            Ok(Device::Reference)
        }
        Err(error) => Err(error),
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
