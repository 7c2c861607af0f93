//! From a row's WGSL files to a validated module, and what the module says about itself.

use crate::kernel::Field;
use crate::{Error, Row, Source, Storage, storage};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Handle, ScalarKind, StorageAccess, TypeInner};
use std::collections::BTreeSet;

/// A row's shader: composed, parsed and validated.
#[derive(Debug)]
pub struct Shader {
    /// The whole text: the shared modules, then the row's own file.
    pub text: String,
    /// The parsed module.
    pub module: naga::Module,
    info: ModuleInfo,
}

/// What an entry point takes of the device, with a row's overrides in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Invocations of a workgroup along x, y, z.
    pub workgroup: [u32; 3],
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
}

/// One resource variable of a shader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The variable's name.
    pub name: String,
    /// Its `@binding` (the group is always 0).
    pub binding: u32,
    /// What it is.
    pub kind: BindingKind,
}

/// How a resource variable is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingKind {
    /// `var<uniform>`.
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

impl Shader {
    /// Composes, parses and validates a row's shader. Needs no device.
    pub fn of(row: &dyn Row) -> Result<Self, Error> {
        Self::compose_stored(row.source(), row.shared(), row.storage())
    }

    /// Puts the shared modules in front of `source`, parses and validates the whole.
    pub fn compose(source: Source, shared: &[Source]) -> Result<Self, Error> {
        Self::compose_stored(source, shared, Storage::F32)
    }

    /// The same with arguments that are stored as f16.
    fn compose_stored(source: Source, shared: &[Source], stored: Storage) -> Result<Self, Error> {
        let own = storage::narrowed(source.text, stored);
        let directive = (stored != Storage::F32).then_some(storage::ENABLE);
        let modules = shared.iter().map(|source| (source.path, source.text));
        let parts: Vec<(&str, &str)> =
            directive.into_iter().chain(modules).chain([(source.path, own.as_str())]).collect();
        let text: String = parts.iter().map(|(_, text)| format!("{}\n", text.trim_end())).collect();
        let module = naga::front::wgsl::parse_str(&text).map_err(|error| {
            let labels = error.labels().map(|(span, note)| (span, note.to_owned())).collect();
            let notes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
            let message = notes.fold(error.message().to_owned(), |all, note| format!("{all}: {note}"));
            describe(&parts, &text, labels, &message)
        })?;
        // Subgroup operations have no enable directive in this naga; the capability admits them.
        let capabilities = Capabilities::SUBGROUP | Capabilities::SUBGROUP_BARRIER | Capabilities::SHADER_FLOAT16;
        let info = Validator::new(ValidationFlags::all(), capabilities)
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .map_err(|error| {
                let labels = error.spans().cloned().collect();
                let mut message = error.as_inner().to_string();
                let mut cause = std::error::Error::source(error.as_inner());
                while let Some(inner) = cause {
                    message = format!("{message}: {inner}");
                    cause = inner.source();
                }
                describe(&parts, &text, labels, &message)
            })?;
        Ok(Self { text, module, info })
    }

    /// Names of the compute entry points.
    pub fn entries(&self) -> Vec<&str> {
        self.module.entry_points.iter().map(|entry| entry.name.as_str()).collect()
    }

    /// The resources an entry point uses, by binding. Empty for an unknown entry point.
    pub fn bindings(&self, entry: &str) -> Vec<Binding> {
        let Some(index) = self.module.entry_points.iter().position(|e| e.name == entry) else {
            return Vec::new();
        };
        let usage = self.info.get_entry_point(index);
        let mut bindings: Vec<Binding> = self
            .module
            .global_variables
            .iter()
            .filter(|(handle, _)| !usage[*handle].is_empty())
            .filter_map(|(handle, _)| self.binding(handle))
            .collect();
        bindings.sort_by_key(|binding| binding.binding);
        bindings
    }

    fn binding(&self, handle: Handle<naga::GlobalVariable>) -> Option<Binding> {
        let variable = &self.module.global_variables[handle];
        let kind = match variable.space {
            AddressSpace::Uniform => BindingKind::Uniform,
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => BindingKind::ReadWrite,
            AddressSpace::Storage { .. } => BindingKind::Read,
            _ => return None,
        };
        let binding = variable.binding.as_ref()?.binding;
        Some(Binding { name: variable.name.clone()?, binding, kind })
    }

    /// Names and types of the fields of `struct Params`, in order.
    pub fn params(&self) -> Vec<(String, &'static str)> {
        let fields = self.module.types.iter().find_map(|(_, ty)| match &ty.inner {
            TypeInner::Struct { members, .. } if ty.name.as_deref() == Some("Params") => Some(members),
            _ => None,
        });
        let words = |ty: Handle<naga::Type>| {
            let words = TypeInner::Vector { size: naga::VectorSize::Quad, scalar: naga::Scalar::U32 };
            self.module.types[ty].inner == words
        };
        let kind = |ty: Handle<naga::Type>| match self.module.types[ty].inner {
            TypeInner::Scalar(scalar) if scalar.width == 4 => match scalar.kind {
                ScalarKind::Uint => "u32",
                ScalarKind::Sint => "i32",
                ScalarKind::Float => "f32",
                _ => "other",
            },
            TypeInner::Array { base, size: naga::ArraySize::Constant(size), .. } if size.get() == 32 && words(base) => {
                <[[u32; 4]; 32] as Field>::WGSL
            }
            _ => "other",
        };
        fields.into_iter().flatten().map(|member| (member.name.clone().unwrap_or_default(), kind(member.ty))).collect()
    }

    /// Whether parameters, overrides and entry points are those of the row, or which are not.
    pub fn fits(&self, row: &dyn Row) -> Result<(), Error> {
        let refuse = |message| Err(Error::Shader { path: row.source().path.to_owned(), message });
        let params: Vec<(String, &str)> = row.fields().iter().map(|&(name, kind)| (name.to_owned(), kind)).collect();
        let declared = self.params();
        if declared != params {
            let list = |fields: &[(String, &str)]| match fields {
                [] => "no fields".to_owned(),
                _ => fields.iter().map(|(name, kind)| format!("{name}: {kind}")).collect::<Vec<_>>().join(", "),
            };
            return refuse(format!(
                "struct Params has {}; the operation's table has {}",
                list(&declared),
                list(&params)
            ));
        }
        let list = |names: &BTreeSet<&str>| match names.is_empty() {
            true => "none".to_owned(),
            false => names.iter().copied().collect::<Vec<_>>().join(", "),
        };
        let overrides: BTreeSet<&str> = row.overrides().iter().map(|&(name, _)| name).collect();
        let declared: BTreeSet<&str> = self.overrides().into_iter().collect();
        if declared != overrides {
            return refuse(format!("override constants: {}; the row has: {}", list(&declared), list(&overrides)));
        }
        let entries: BTreeSet<&str> = row.entries().into_iter().collect();
        let declared: BTreeSet<&str> = self.entries().into_iter().collect();
        let some = row.shader_of().is_some() && declared.is_superset(&entries);
        if declared != entries && !some {
            return refuse(format!("entry points: {}; the row has: {}", list(&declared), list(&entries)));
        }
        Ok(())
    }

    /// What an entry point takes with these overrides. `None` for an unknown entry point, or for
    /// overrides that leave a size open.
    pub fn resources(&self, entry: &str, overrides: &[(&str, u32)]) -> Option<Resources> {
        let values = overrides.iter().map(|&(name, value)| (name.to_owned(), f64::from(value))).collect();
        let entry = Some((naga::ShaderStage::Compute, entry));
        let (module, info) =
            naga::back::pipeline_constants::process_overrides(&self.module, &self.info, entry, &values).ok()?;
        let workgroup = module.entry_points.first()?.workgroup_size;
        let usage = info.get_entry_point(0);
        let used = module.global_variables.iter().filter(|(handle, _)| !usage[*handle].is_empty());
        let shared = used.filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
        let bytes = shared.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum();
        Some(Resources { workgroup, workgroup_bytes: bytes })
    }

    /// Names of the `override` constants.
    pub fn overrides(&self) -> Vec<&str> {
        self.module.overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect()
    }
}

/// Points an error of the composed text back at the files and lines it came from: the first label says where, the others
/// follow with what they say.
fn describe(parts: &[(&str, &str)], text: &str, labels: Vec<(naga::Span, String)>, message: &str) -> Error {
    let mut places = labels.into_iter().filter(|(span, _)| span.is_defined()).map(|(span, note)| {
        let location = span.location(text);
        (locate(parts, location.line_number as usize, location.line_position as usize), note)
    });
    let Some(((place, shown), _)) = places.next() else {
        let path = parts.last().map_or("", |(path, _)| path).to_owned();
        return Error::Shader { path, message: message.to_owned() };
    };
    let mut message = format!("{message}\n{shown}");
    for ((other, shown), note) in places.filter(|((other, _), _)| *other != place) {
        message += &format!("\n  {other}: {note}\n{shown}");
    }
    Error::Shader { path: place, message }
}

/// Where a line of the composed text stands, as `path:line:column`, and the line with a caret below. Past the end is the end.
fn locate(parts: &[(&str, &str)], mut line: usize, column: usize) -> (String, String) {
    let mut place = (String::new(), String::new());
    for (path, own) in parts {
        let lines = own.trim_end().lines().count();
        let (at, column) = match line <= lines {
            true => (line.max(1), column.max(1)),
            false => (lines, own.lines().nth(lines.saturating_sub(1)).map_or(0, |line| line.chars().count()) + 1),
        };
        let text = own.lines().nth(at.saturating_sub(1)).unwrap_or_default();
        place = (format!("{}:{at}:{column}", path), format!("  {text}\n  {:>column$}", '^'));
        if line <= lines {
            break;
        }
        line -= lines;
    }
    place
}
