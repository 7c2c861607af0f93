//! Which adapter to use, and what to say when there is none.

use crate::Error;
use wgpu::{Adapter, Backend, Backends, DeviceType, Instance, InstanceDescriptor};

/// What to do about a missing adapter.
const ADVICE: &str = if cfg!(target_os = "linux") {
    "Install your card's Vulkan driver, or software Vulkan (Debian, Ubuntu: apt-get install mesa-vulkan-drivers)"
} else {
    "Install or update the graphics driver"
};

/// A wish for an adapter.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Part of the adapter's name, in any case. `None`: `WGPU_ADAPTER_NAME`, else any.
    pub name: Option<String>,
    /// The graphics API. `None`: `WGPU_BACKEND`, else any.
    pub backend: Option<Backend>,
}

/// Every adapter that can run compute shaders, the one to prefer first: hardware before software.
/// OpenGL is looked at only where no other graphics API has one: it is slow to start and noisy.
pub async fn adapters(wish: &Wish) -> Vec<Adapter> {
    let name = wish.name.clone().or_else(|| std::env::var("WGPU_ADAPTER_NAME").ok()).unwrap_or_default().to_lowercase();
    let backends = backends(wish);
    let mut adapters = Vec::new();
    for backends in [backends - Backends::GL, backends & Backends::GL] {
        if adapters.is_empty() && !backends.is_empty() {
            adapters = instance(backends).enumerate_adapters(backends).await;
            adapters.retain(|adapter| {
                let compute = wgpu::DownlevelFlags::COMPUTE_SHADERS;
                adapter.get_downlevel_capabilities().flags.contains(compute)
                    && adapter.get_info().name.to_lowercase().contains(&name)
            });
        }
    }
    let low_power = wgpu::PowerPreference::from_env() == Some(wgpu::PowerPreference::LowPower);
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        DeviceType::DiscreteGpu => u8::from(low_power),
        DeviceType::IntegratedGpu => u8::from(!low_power),
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    });
    adapters
}

/// The adapter to use.
pub async fn pick(wish: &Wish) -> Result<Adapter, Error> {
    if let Some(adapter) = adapters(wish).await.into_iter().next() {
        return Ok(adapter);
    }
    if backends(wish).is_empty() {
        let asked = wish.backend.map_or_else(|| "WGPU_BACKEND".to_owned(), |backend| format!("`{}`", backend.to_str()));
        let built = Instance::enabled_backend_features();
        let reason = format!("{asked} names no graphics API that is built for this platform: {built:?}");
        return Err(Error::NoAdapter { reason, advice: "Choose one of those" });
    }
    let everything = adapters(&Wish { name: Some(String::new()), backend: wish.backend }).await;
    if !everything.is_empty() {
        let names: Vec<String> = everything.iter().map(|adapter| format!("`{}`", adapter.get_info().name)).collect();
        let asked = wish.name.clone().or_else(|| std::env::var("WGPU_ADAPTER_NAME").ok()).unwrap_or_default();
        let reason = format!("none of {} matches the name `{asked}` that was asked for", names.join(", "));
        return Err(Error::NoAdapter { reason, advice: "Choose one of these" });
    }
    // wgpu words what each backend said.
    let reason = match instance(backends(wish)).request_adapter(&wgpu::RequestAdapterOptions::default()).await {
        Err(error) => error.to_string(),
        Ok(adapter) => format!("`{}` cannot run compute shaders", adapter.get_info().name),
    };
    Err(Error::NoAdapter { reason, advice: ADVICE })
}

fn backends(wish: &Wish) -> Backends {
    let supported = Instance::enabled_backend_features();
    supported & wish.backend.map_or_else(|| Backends::from_env().unwrap_or_default(), Backends::from)
}

fn instance(backends: Backends) -> Instance {
    let from_environment = InstanceDescriptor::new_without_display_handle_from_env();
    Instance::new(InstanceDescriptor { backends, ..from_environment })
}
