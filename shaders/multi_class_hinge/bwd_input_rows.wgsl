// multi_class_hinge.bwd_input.rows: dx[k] = [1 - x[label] + x[k] > 0] * dloss / (n * classes), dx[label] = -sum of those
//
// Idea versus naive: one invocation per sample. It reads each score once and counts the violations
// as it writes them, so that no invocation walks a row while its neighbours wait, and none divides.
// Writes: dx =.
// Dispatch: ceil(n / WORKGROUP) workgroups; an invocation owns one sample.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    classes: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> dloss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = group_index(group, groups) * WORKGROUP + lane;
    if r >= params.n {
        return;
    }
    let first = r * params.classes;
    let label = labels[r];
    // For a label that is no class nothing counts.
    let known = label < params.classes;
    let at_label = x[first + select(0u, label, known)];
    let scale = dloss[0] / f32(params.n * params.classes);
    var violations = 0.0;
    for (var k = 0u; k < params.classes; k++) {
        let near = known && k != label && (1.0 - at_label) + x[first + k] > 0.0;
        let violation = select(0.0, 1.0, near);
        violations += violation;
        dx[first + k] = violation * scale;
    }
    if known {
        dx[first + label] = -violations * scale;
    }
}
