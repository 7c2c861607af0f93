// multi_class_hinge.bwd_input.naive: dx[k] = [1 - x[label] + x[k] > 0] * dloss / (n * classes), dx[label] = -sum of those
//
// Idea: the baseline, one invocation per element. That of the label walks the row.
// Writes: dx =.
// Dispatch: ceil(n * classes / WORKGROUP) workgroups; an invocation owns one element.
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
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.classes {
        return;
    }
    let r = i / params.classes;
    let k = i - r * params.classes;
    let label = labels[r];
    if label >= params.classes {
        dx[i] = 0.0;
        return;
    }
    let first = r * params.classes;
    let at_label = x[first + label];
    var violations = 0.0;
    if k == label {
        for (var other = 0u; other < params.classes; other++) {
            let near = other != label && (1.0 - at_label) + x[first + other] > 0.0;
            violations -= select(0.0, 1.0, near);
        }
    } else {
        violations = select(0.0, 1.0, (1.0 - at_label) + x[i] > 0.0);
    }
    dx[i] = violations * (dloss[0] / f32(params.n * params.classes));
}
