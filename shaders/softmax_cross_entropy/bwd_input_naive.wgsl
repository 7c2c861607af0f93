// softmax_cross_entropy.bwd_input.naive: dx = (probs - target) * dloss / n, target = (1 - smoothing) * onehot(label) + smoothing / classes
//
// Idea: the baseline, one invocation per element. A label that is no class matches none.
// Writes: dx =.
// Dispatch: ceil(n * classes / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    classes: u32,
    smoothing: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> probs: array<f32>;
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
    let onehot = select(0.0, 1.0, labels[r] == k);
    let wanted = (1.0 - params.smoothing) * onehot + params.smoothing / f32(params.classes);
    dx[i] = (probs[i] - wanted) * (dloss[0] / f32(params.n));
}
